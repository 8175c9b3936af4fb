//! Consecutive buckets and their counts, as many as are needed.

/// Grows where a bucket is counted that it has not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// The bucket of the first count.
    low: usize,
    counts: Vec<u64>,
}

impl Counts {
    /// Starts anew, with these counts from bucket `low` on.
    pub(super) fn replace(&mut self, low: usize, counts: impl Iterator<Item = u64>) {
        self.low = low;
        self.counts.clear();
        self.counts.extend(counts);
    }

    /// The count of `bucket`, to be changed.
    pub(super) fn bucket(&mut self, bucket: usize) -> &mut u64 {
        if self.counts.is_empty() {
            self.low = bucket;
        }
        if bucket < self.low {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.low - bucket));
            self.low = bucket;
        }
        let at = bucket - self.low;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        &mut self.counts[at]
    }

    /// The count of `bucket`.
    pub(super) fn count(&self, bucket: usize) -> u64 {
        bucket.checked_sub(self.low).and_then(|at| self.counts.get(at)).copied().unwrap_or(0)
    }

    /// The buckets that are not empty, ascending, with their counts.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, u64)> {
        let buckets = self.counts.iter().enumerate().map(|(at, count)| (self.low + at, *count));
        buckets.filter(|(_, count)| *count > 0)
    }

    /// All counts together.
    pub(super) fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }
}
