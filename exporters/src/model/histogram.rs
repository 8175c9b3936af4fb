//! Distributions: explicit bounds, and base-2 exponential buckets as OpenTelemetry and Prometheus define them.

/// A distribution over explicit, ascending upper bounds (inclusive), with one more bucket above the last.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct Histogram {
    /// Upper bounds, inclusive, ascending, finite.
    #[cfg_attr(feature = "file", serde(with = "super::exact::floats"))]
    pub bounds: Vec<f64>,
    /// One count per bound and one for what lies above; not cumulative.
    pub counts: Vec<u64>,
    /// The sum of all values.
    #[cfg_attr(feature = "file", serde(with = "super::exact::float"))]
    pub sum: f64,
}

impl Histogram {
    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds `other`, if it has the same bounds.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.bounds == other.bounds {
            self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
            self.sum += other.sum;
        }
    }
}

/// A distribution over buckets `(base^(i-1), base^i]` with `base = 2^(2^-scale)`.
///
/// Indices are Prometheus' (upper bound `base^i`); OpenTelemetry's are one lower (lower bound `base^i`).
/// The count is the sum of the buckets, so that the two cannot disagree. Durations are never negative, so there
/// are no negative buckets.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct ExponentialHistogram {
    /// 2^scale buckets an octave (-4 to 8 fit every backend).
    pub scale: i8,
    /// Values of at most [`zero_threshold`](Self::zero_threshold).
    pub zero_count: u64,
    /// The upper bound (inclusive) of the zero bucket.
    #[cfg_attr(feature = "file", serde(with = "super::exact::float"))]
    pub zero_threshold: f64,
    /// The other buckets.
    pub positive: Buckets,
    /// The sum of all values.
    #[cfg_attr(feature = "file", serde(with = "super::exact::float"))]
    pub sum: f64,
    /// The largest value; `None` where it was not kept.
    #[cfg_attr(feature = "file", serde(with = "super::exact::float::option"))]
    pub max: Option<f64>,
}

/// Consecutive buckets.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct Buckets {
    /// The index of the first.
    pub offset: i32,
    /// The counts from there on.
    pub counts: Vec<u64>,
}

impl Buckets {
    /// The buckets that are not empty: index and count, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        (self.offset..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    fn add(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        let end = |b: &Self| b.offset + b.counts.len() as i32;
        let (first, last) = (self.offset.min(other.offset), end(self).max(end(other)));
        if first < self.offset {
            let missing = (self.offset - first) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = first;
        }
        self.counts.resize((last - first) as usize, 0);
        for (index, count) in other.iter() {
            self.counts[(index - first) as usize] += count;
        }
    }

    /// Halves the resolution: two buckets become one.
    fn downscale(&mut self) {
        let mut coarse = Self { offset: ceil_half(self.offset), counts: Vec::new() };
        for (index, count) in self.iter() {
            let at = (ceil_half(index) - coarse.offset) as usize;
            if coarse.counts.len() <= at {
                coarse.counts.resize(at + 1, 0);
            }
            coarse.counts[at] += count;
        }
        *self = coarse;
    }
}

/// ⌈n / 2⌉: where an upper-inclusive bucket goes when the scale is lowered by one.
fn ceil_half(n: i32) -> i32 {
    (n + 1).div_euclid(2)
}

impl ExponentialHistogram {
    /// None yet, at this scale.
    pub(crate) fn at_scale(scale: i8) -> Self {
        Self { scale, ..Self::default() }
    }

    /// Adds a value; one that is no number, or negative, is left out.
    pub(crate) fn record(&mut self, value: f64) {
        if !(0.0..f64::INFINITY).contains(&value) {
            return;
        }
        let mut one = Self { scale: self.scale, sum: value, max: Some(value), ..Self::default() };
        match value <= self.zero_threshold.max(f64::MIN_POSITIVE) {
            true => one.zero_count = 1,
            false => {
                let near = (value.log2() * f64::from(self.scale).exp2()).ceil() as i32;
                // Rounding may have missed the bucket by one.
                let fits = |index: &i32| bound(self.scale, *index) >= value;
                let offset = [near - 1, near].into_iter().find(fits).unwrap_or(near + 1);
                one.positive = Buckets { offset, counts: vec![1] };
            }
        }
        self.merge(&one);
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.zero_count + self.positive.counts.iter().sum::<u64>()
    }

    /// The upper bound of bucket `index`.
    pub fn upper_bound(&self, index: i32) -> f64 {
        bound(self.scale, index)
    }

    /// The mean, if anything was recorded.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum / count as f64)
    }

    /// The value below which the share `q` (0 to 1) of all values lies, exact to half a bucket in logarithm: at scale 3,
    /// 4.4 %. Never above [`max`](Self::max).
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = self.zero_count;
        if rank <= seen {
            return Some(0.0);
        }
        for (index, n) in self.positive.iter() {
            seen += n;
            if rank <= seen {
                // The geometric middle: its distance to either bound is the same factor.
                let middle = (bound(self.scale, index - 1) * bound(self.scale, index)).sqrt();
                return Some(self.max.map_or(middle, |max| middle.min(max)));
            }
        }
        self.max
    }

    /// How many values are at most `bound`; exact where `bound` is a bucket's bound, else those of the buckets that
    /// lie wholly below it.
    pub fn count_at_most(&self, bound: f64) -> u64 {
        let below = self.positive.iter().take_while(|(index, _)| self.upper_bound(*index) <= bound);
        self.zero_count + below.map(|(_, count)| count).sum::<u64>()
    }

    /// Adds `other`; the coarser scale and the wider zero bucket win.
    pub fn merge(&mut self, other: &Self) {
        if self.count() == 0 && self.positive.counts.is_empty() {
            (self.scale, self.zero_threshold) = (other.scale, self.zero_threshold.max(other.zero_threshold));
        }
        let mut other = other.clone();
        while self.scale > other.scale {
            self.positive.downscale();
            self.scale -= 1;
        }
        while other.scale > self.scale {
            other.positive.downscale();
            other.scale -= 1;
        }
        self.positive.add(&other.positive);
        self.zero_count += other.zero_count;
        self.zero_threshold = self.zero_threshold.max(other.zero_threshold);
        self.sum += other.sum;
        self.max = match (self.max, other.max) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// `2^(index / 2^scale)`, exact where it is a power of two.
pub(crate) fn bound(scale: i8, index: i32) -> f64 {
    if scale <= 0 {
        return power_of_two(index << -i32::from(scale));
    }
    let per_octave = 1 << scale;
    let fraction = f64::from(index.rem_euclid(per_octave)) / f64::from(per_octave);
    power_of_two(index.div_euclid(per_octave)) * fraction.exp2()
}

fn power_of_two(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(i32, u64)]) -> ExponentialHistogram {
        let mut h = ExponentialHistogram { scale: 3, ..Default::default() };
        for &(offset, count) in values {
            let positive = Buckets { offset, counts: vec![count] };
            h.merge(&ExponentialHistogram { scale: 3, positive, ..Default::default() });
        }
        h
    }

    #[test]
    fn merging_is_adding() {
        let h = of(&[(5, 2), (-3, 1), (5, 1), (9, 4)]);
        assert_eq!(h.positive.iter().collect::<Vec<_>>(), [(-3, 1), (5, 3), (9, 4)]);
        assert_eq!(h.count(), 8);
        assert_eq!(h.count_at_most(bound(3, 5)), 4);
    }

    #[test]
    fn a_value_is_in_its_bucket() {
        for index in -200..200 {
            let [mut on, mut above] = [(); 2].map(|()| ExponentialHistogram::at_scale(3));
            on.record(bound(3, index));
            above.record(bound(3, index) * 1.000_001);
            assert_eq!(on.positive.iter().collect::<Vec<_>>(), [(index, 1)]);
            assert_eq!(above.positive.iter().collect::<Vec<_>>(), [(index + 1, 1)]);
        }
        let mut h = ExponentialHistogram::at_scale(3);
        [0.0, -1.0, f64::NAN, f64::INFINITY, 2.0, 8.0].into_iter().for_each(|value| h.record(value));
        assert_eq!((h.count(), h.zero_count, h.sum, h.max), (3, 1, 10.0, Some(8.0)));
    }

    #[test]
    fn the_coarser_scale_wins() {
        let mut h = of(&[(1, 1), (2, 1), (3, 1), (0, 1)]);
        let coarse = Buckets { offset: 1, counts: vec![10] };
        h.merge(&ExponentialHistogram { scale: 2, positive: coarse, ..Default::default() });
        assert_eq!(h.scale, 2);
        assert_eq!(h.positive.iter().collect::<Vec<_>>(), [(0, 1), (1, 12), (2, 1)]);
    }

    #[test]
    fn powers_of_two_are_exact_bounds() {
        for exponent in -30..17 {
            assert_eq!(bound(3, exponent * 8), 2f64.powi(exponent));
        }
    }
}
