//! From a duration in ticks to its bucket: base-2 exponential of seconds, scale 3, in a handful of instructions.
//!
//! Bucket `k` holds the durations in `(2^((k-241)/8) s, 2^((k-240)/8) s]`, exactly OpenTelemetry's and Prometheus' bounds;
//! bucket 0 holds what is at most 2^-30 s (0.93 ns). A duration's position among 16 linear steps of its octave leads to a
//! table entry with the only bound that lies within that step; comparing with it decides between two buckets.

use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// 2^3 buckets an octave.
pub(crate) const SCALE: i8 = 3;
/// Prometheus' index of bucket 0, whose upper bound is 2^-30 s.
pub(crate) const ZERO_INDEX: i32 = -240;
/// The highest bucket ends at 2^16 s (18 hours) and takes what is longer, too.
pub(crate) const LAST: usize = (16 * 8 - ZERO_INDEX) as usize;
/// The longest duration that the table knows.
pub(crate) const MAX_TICKS: u64 = (1 << BITS) - 2;

/// An entry has the bucket above these bits, and below them what a duration must exceed to carry into the bucket.
const BITS: u32 = 48;
const MASK: u64 = (1 << BITS) - 1;
const STEPS_PER_OCTAVE: usize = 16;
const SLOTS: usize = BITS as usize * STEPS_PER_OCTAVE;
/// The slot of 1.0: its biased exponent followed by 4 bits of mantissa.
const SLOT_OF_ONE: usize = 1023 * STEPS_PER_OCTAVE;

static TABLE: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

/// Fills the table for the clock's frequency.
pub(crate) fn init() {
    let ticks_per_second = clock::ticks_per_second();
    for (slot, entry) in TABLE.iter().enumerate() {
        let octave = 1u64 << (slot / STEPS_PER_OCTAVE);
        let first = octave + octave * (slot % STEPS_PER_OCTAVE) as u64 / STEPS_PER_OCTAVE as u64;
        // Slots count from one tick, durations from none.
        let bucket = bucket_of(first - 1, ticks_per_second);
        let limit = if bucket == LAST { MASK } else { last_tick(bucket, ticks_per_second).min(MASK) };
        entry.store((bucket as u64) << BITS | (MASK - limit), Relaxed);
    }
}

/// The bucket of a duration of at most [`MAX_TICKS`].
#[inline(always)]
pub(crate) fn index(ticks: u64) -> usize {
    debug_assert!(ticks <= MAX_TICKS);
    // One more than the duration, so that there is a logarithm of none.
    let slot = (((ticks + 1) as i64 as f64).to_bits() >> (52 - 4)) as usize - SLOT_OF_ONE;
    // SAFETY: ticks + 1 lies in 1..2^48, so its exponent lies in 0..48.
    let entry = unsafe { TABLE.get_unchecked(slot) };
    ((entry.load(Relaxed) + ticks) >> BITS) as usize
}

/// The most ticks that still belong to `bucket`.
fn last_tick(bucket: usize, ticks_per_second: f64) -> u64 {
    (crate::model::bound(SCALE, bucket as i32 + ZERO_INDEX) * ticks_per_second).floor() as u64
}

fn bucket_of(ticks: u64, ticks_per_second: f64) -> usize {
    let (mut low, mut high) = (0, LAST);
    while low < high {
        let middle = (low + high) / 2;
        if ticks <= last_tick(middle, ticks_per_second) { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Buckets, ExponentialHistogram};
    use proptest::prelude::*;

    #[test]
    fn every_bound_is_exact() {
        clock::init();
        init();
        let frequency = clock::ticks_per_second();
        for bucket in 0..LAST {
            let last = last_tick(bucket, frequency);
            if last < MAX_TICKS {
                assert_eq!(index(last), bucket_of(last, frequency), "{last}");
                assert_eq!(index(last + 1), bucket_of(last + 1, frequency), "{last}");
                assert!(index(last) < index(last + 1));
            }
        }
        assert_eq!(index(0), 0);
        assert_eq!(index(MAX_TICKS), bucket_of(MAX_TICKS, frequency));
    }

    #[test]
    fn small_durations_one_by_one() {
        clock::init();
        init();
        let frequency = clock::ticks_per_second();
        for ticks in 0..1 << 16 {
            assert_eq!(index(ticks), bucket_of(ticks, frequency), "{ticks}");
        }
    }

    fn of(durations: &[u64]) -> ExponentialHistogram {
        let mut histogram = ExponentialHistogram { scale: SCALE, ..Default::default() };
        for &ticks in durations {
            let one = match index(ticks) {
                0 => ExponentialHistogram { zero_count: 1, ..Default::default() },
                bucket => {
                    let positive = Buckets { offset: bucket as i32 + ZERO_INDEX, counts: vec![1] };
                    ExponentialHistogram { positive, ..Default::default() }
                }
            };
            histogram.merge(&ExponentialHistogram { scale: SCALE, sum: clock::seconds(ticks), ..one });
        }
        histogram
    }

    /// From a nanosecond to an hour, all orders of magnitude alike.
    fn durations() -> impl Strategy<Value = Vec<u64>> {
        let one =
            (-9.0..3.55f64).prop_map(|magnitude| (10f64.powf(magnitude) * clock::ticks_per_second()) as u64);
        proptest::collection::vec(
            one.prop_filter("the zero bucket has no relative error", |ticks| *ticks > 4),
            1..400,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_duration_lies_within_its_bucket(ticks in 0..=MAX_TICKS) {
            clock::init();
            init();
            let (bucket, seconds) = (index(ticks), clock::seconds(ticks));
            let bound = |bucket: usize| crate::model::bound(SCALE, bucket as i32 + ZERO_INDEX);
            // Bounds are whole ticks, the last that do not exceed them; the last bucket takes what is longer, too.
            prop_assert!(bucket == LAST || ticks <= last_tick(bucket, clock::ticks_per_second()));
            prop_assert!(bucket == LAST || seconds <= bound(bucket) * 1.000_000_001);
            prop_assert!(bucket == 0 || ticks > last_tick(bucket - 1, clock::ticks_per_second()));
        }

        #[test]
        fn percentiles_are_at_most_four_and_a_half_percent_off(mut sample in durations(), q in 0.01..1.0f64) {
            clock::init();
            init();
            let histogram = of(&sample);
            sample.sort_unstable();
            let rank = ((q * sample.len() as f64).ceil() as usize).clamp(1, sample.len());
            let exact = clock::seconds(sample[rank - 1]);
            let estimate = histogram.quantile(q).unwrap_or_default();
            // A tick is coarse for the shortest of them.
            let tick = clock::seconds(1);
            prop_assert!((estimate - exact).abs() <= exact * 0.045 + tick, "{estimate} for {exact}");
        }

        #[test]
        fn merging_parts_gives_the_whole(sample in durations(), at in 0..400usize) {
            clock::init();
            init();
            let (some, others) = sample.split_at(at.min(sample.len()));
            let mut merged = of(some);
            merged.merge(&of(others));
            let whole = of(&sample);
            prop_assert_eq!(merged.count(), whole.count());
            prop_assert!(merged.positive.iter().eq(whole.positive.iter()));
            prop_assert_eq!(merged.zero_count, whole.zero_count);
        }
    }
}
