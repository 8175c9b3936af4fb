//! Buckets as OTLP has them: exponential ones trimmed and by its indices, and explicit ones made of exponential ones.

use crate::{ExponentialHistogram, Histogram};

/// Whether an explicit histogram's bounds ascend, and have a count each.
pub(super) fn is_valid(h: &Histogram) -> bool {
    let bounds = h.bounds.is_sorted_by(|a, b| a < b) && h.bounds.iter().all(|bound| bound.is_finite());
    bounds && h.counts.len() == h.bounds.len() + 1 && h.sum.is_finite()
}

/// The counts without empty buckets at either end, and the index of the first: OTLP's bucket `i` is `(base^i, base^(i+1)]`, so that
/// its indices are one lower than ours.
pub(super) fn exponential(h: &ExponentialHistogram) -> (i32, &[u64]) {
    let counts = &*h.positive.counts;
    let Some(first) = counts.iter().position(|count| *count > 0) else { return (0, &[]) };
    let last = counts.iter().rposition(|count| *count > 0).unwrap_or(first);
    let index = i64::from(h.positive.offset) + first as i64 - 1;
    (index as i32, counts.get(first..=last).unwrap_or_default())
}

/// Counts `h` over the bounds of `explicit`: exactly where a bound is one of `h`'s, else a bucket that holds a bound counts as above
/// it.
pub(super) fn explicit(h: &ExponentialHistogram, explicit: &mut Histogram) {
    let Histogram { bounds, counts, sum } = explicit;
    *sum = h.sum;
    counts.clear();
    counts.resize(bounds.len() + 1, 0);
    let mut at = 0;
    let mut add = |upper: f64, count: u64| {
        at += bounds.get(at..).unwrap_or_default().iter().take_while(|bound| **bound < upper).count();
        if let Some(sum) = counts.get_mut(at) {
            *sum += count;
        }
    };
    if h.zero_count > 0 {
        add(h.zero_threshold, h.zero_count);
    }
    h.positive.iter().for_each(|(index, count)| add(h.upper_bound(index), count));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buckets;

    #[test]
    fn indices_are_one_lower_and_empty_ends_are_left_out() {
        let of = |offset, counts: &[u64]| ExponentialHistogram {
            scale: 3,
            positive: Buckets { offset, counts: counts.to_vec() },
            ..ExponentialHistogram::default()
        };
        // Upper bound 1 is our index 0, and OTLP's -1.
        assert_eq!(exponential(&of(0, &[1])), (-1, &[1][..]));
        assert_eq!(exponential(&of(-3, &[0, 0, 1, 0, 2, 0])), (-2, &[1, 0, 2][..]));
        assert_eq!(exponential(&of(7, &[0, 0])), (0, &[][..]));
        assert_eq!(exponential(&of(7, &[])), (0, &[][..]));
    }

    #[test]
    fn explicit_counts_are_exact_at_common_bounds() {
        let mut h = ExponentialHistogram { scale: 3, ..ExponentialHistogram::default() };
        [0.0, 0.5, 0.5, 0.6, 1.0, 1.1, 4.0, 100.0].into_iter().for_each(|value| h.record(value));
        let mut over = Histogram { bounds: vec![0.5, 1.0, 4.0], ..Histogram::default() };
        explicit(&h, &mut over);
        assert_eq!(over.counts, [3, 2, 2, 1]);
        assert_eq!((over.count(), over.sum), (h.count(), h.sum));
        explicit(&ExponentialHistogram::default(), &mut over);
        assert_eq!((over.counts, over.sum), (vec![0; 4], 0.0));
    }
}
