//! Histograms as classic buckets: cumulative counts, and which exemplar belongs to which bucket.

use super::families::Bound;
use crate::{Exemplar, ExponentialHistogram, Histogram, Point};

/// How many values are at most each of `bounds`, into `counts`; and how many there are.
///
/// All at once, before anything is written: what reads one histogram in one go waits less for memory.
pub(super) fn cumulate(h: &ExponentialHistogram, bounds: &[Bound], counts: &mut Vec<u64>) -> u64 {
    counts.clear();
    let buckets = &*h.positive.counts;
    let (mut position, mut sum) = (0, 0u64);
    for bound in bounds {
        let exponent = i64::from(bound.exponent);
        // The last bucket that ends at or below the bound.
        let last = if h.scale >= 0 { exponent << h.scale } else { exponent >> -h.scale };
        let end = (last - i64::from(h.positive.offset) + 1).clamp(0, buckets.len() as i64) as usize;
        if let Some(next) = buckets.get(position..end) {
            sum += next.iter().sum::<u64>();
            position = end;
        }
        // The zero bucket may be wider than the first classic ones.
        counts.push(sum + if h.zero_threshold <= bound.value { h.zero_count } else { 0 });
    }
    sum + buckets[position..].iter().sum::<u64>() + h.zero_count
}

/// How many histograms lie between the one that is written and the one whose buckets are fetched.
pub(super) const AHEAD: usize = 2;

/// Has the buckets of a histogram fetched that is read soon. They lie in pieces of memory of their own, for which the
/// processor cannot see the need coming; waiting for them would take as long as writing their lines.
#[inline]
pub(super) fn prefetch(soon: Option<&Point<ExponentialHistogram>>) {
    #[cfg(target_arch = "x86_64")]
    for line in soon.into_iter().flat_map(|point| point.total.positive.counts.chunks(8)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: A prefetch is a hint: it reads nothing, and any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}

/// Whether an explicit histogram's bounds ascend, and have a count each.
pub(super) fn is_valid(h: &Histogram) -> bool {
    let bounds = h.bounds.is_sorted_by(|a, b| a < b) && h.bounds.iter().all(|bound| bound.is_finite());
    bounds && h.counts.len() == h.bounds.len() + 1 && h.sum.is_finite()
}

/// The newest exemplar in `(lower, upper]`.
pub(super) fn latest(exemplars: &[Exemplar], lower: f64, upper: f64) -> Option<&Exemplar> {
    let within = |e: &&Exemplar| e.value.is_finite() && e.value > lower && e.value <= upper;
    exemplars.iter().filter(within).max_by_key(|exemplar| exemplar.time)
}
