//! The sum of a series' shards, in ticks.

use super::{
    counts::Counts,
    series::Series,
    shard::{OTHER, Reading, Shard},
};

/// What a series has recorded. Every field only grows, so of two readings the larger is nearer to the truth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) started: u64,
    /// Calls that ended, however.
    pub(crate) ended: u64,
    /// Calls that ended well.
    pub(crate) ok: u64,
    /// Calls that met their objective; or calls that were not timed, where one in a few is.
    pub(crate) second: u64,
    pub(crate) sum: u64,
    pub(crate) own: u64,
    pub(crate) busy: u64,
    pub(crate) allocated: u64,
    pub(crate) allocations: u64,
    pub(crate) zero: u64,
    pub(crate) counts: Counts,
    pub(crate) failures: Vec<Failed>,
    /// Longest duration of the interval: not a total.
    pub(crate) max: u64,
    /// Longest duration ever.
    pub(crate) peak: u64,
}

/// Calls that ended in one way other than well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failed {
    pub(crate) name: Box<str>,
    pub(crate) cancelled: bool,
    pub(crate) count: u64,
}

impl Totals {
    /// Reads a series. `untimed` says that `second` counts calls; `take_max` sets the longest duration back.
    ///
    /// # Safety
    /// As for [`Shard::read`].
    pub(crate) unsafe fn read(series: &Series, untimed: bool, take_max: bool) -> Self {
        let mut totals = Self::default();
        // SAFETY: the caller's promise.
        series.visit(|shard| unsafe { totals.add_ended(shard, untimed, take_max) });
        // What began is read after what ended, so that no call ends before it began.
        series.visit(|shard| totals.started += shard.started());
        totals
    }

    /// Reads one shard.
    ///
    /// # Safety
    /// As for [`Shard::read`].
    pub(crate) unsafe fn add_shard(&mut self, shard: &Shard, untimed: bool, take_max: bool) {
        // SAFETY: the caller's promise.
        unsafe { self.add_ended(shard, untimed, take_max) };
        self.started += shard.started();
    }

    unsafe fn add_ended(&mut self, shard: &Shard, untimed: bool, take_max: bool) {
        let mut failed = 0;
        // SAFETY: the caller's promise.
        let reading = unsafe {
            shard.read(|name, cancelled, count| {
                failed += count;
                self.add_failure(name, cancelled, count);
            })
        };
        let ended = reading.timed + if untimed { reading.second } else { 0 };
        self.ended += ended;
        // A failure is noted before its call ends.
        self.ok += ended.saturating_sub(failed);
        self.max = self.max.max(if take_max { shard.take_max() } else { shard.max() });
        self.add_reading(&reading);
    }

    fn add_reading(&mut self, reading: &Reading) {
        self.second += reading.second;
        self.sum = self.sum.wrapping_add(reading.sum);
        self.own = self.own.wrapping_add(reading.own);
        self.busy += reading.busy;
        self.allocated += reading.allocated;
        self.allocations += reading.allocations;
        self.zero += reading.zero;
        reading.counts.iter().for_each(|(bucket, count)| *self.counts.bucket(bucket) += count);
    }

    fn add_failure(&mut self, name: &str, cancelled: bool, count: u64) {
        match self.failures.iter_mut().find(|failed| failed.cancelled == cancelled && *failed.name == *name) {
            Some(failed) => failed.count += count,
            None => self.failures.push(Failed { name: name.into(), cancelled, count }),
        }
    }

    /// The count of a failure.
    pub(crate) fn failed(&self, name: &str, cancelled: bool) -> u64 {
        let same = |failed: &&Failed| failed.cancelled == cancelled && *failed.name == *name;
        self.failures.iter().find(same).map_or(0, |failed| failed.count)
    }

    /// Takes over what is larger in `other`, a later reading; it may have missed what this one saw.
    pub(crate) fn raise(&mut self, other: &Self) {
        let larger = |mine: &mut u64, theirs: u64| *mine = theirs.max(*mine);
        larger(&mut self.started, other.started);
        larger(&mut self.ended, other.ended);
        larger(&mut self.ok, other.ok);
        larger(&mut self.second, other.second);
        larger(&mut self.sum, other.sum);
        larger(&mut self.busy, other.busy);
        larger(&mut self.allocated, other.allocated);
        larger(&mut self.allocations, other.allocations);
        larger(&mut self.zero, other.zero);
        larger(&mut self.max, other.max);
        larger(&mut self.peak, other.max);
        // Self time alone can shrink, when clocks disagree.
        if other.own.wrapping_sub(self.own) as i64 > 0 {
            self.own = other.own;
        }
        for (bucket, count) in other.counts.iter() {
            larger(self.counts.bucket(bucket), count);
        }
        for failed in &other.failures {
            let missing = failed.count.saturating_sub(self.failed(&failed.name, failed.cancelled));
            if missing > 0 {
                self.add_failure(&failed.name, failed.cancelled, missing);
            }
        }
    }

    /// Adds what a series that has ended came to; of its errors only that they were, so that names do not pile up.
    pub(crate) fn add(&mut self, ended: &Self) {
        self.started += ended.started;
        self.ended += ended.ended;
        self.ok += ended.ok;
        self.second += ended.second;
        self.sum = self.sum.wrapping_add(ended.sum);
        self.own = self.own.wrapping_add(ended.own);
        self.busy += ended.busy;
        self.allocated = self.allocated.wrapping_add(ended.allocated);
        self.allocations = self.allocations.wrapping_add(ended.allocations);
        self.zero += ended.zero;
        self.peak = self.peak.max(ended.peak);
        ended.counts.iter().for_each(|(bucket, count)| *self.counts.bucket(bucket) += count);
        for Failed { name, cancelled, count } in &ended.failures {
            let name = if *cancelled || &**name == "panic" { name } else { OTHER };
            self.add_failure(name, *cancelled, *count);
        }
    }

    /// Calls that ended, as their outcomes tell.
    pub(crate) fn calls(&self) -> u64 {
        self.ok + self.failures.iter().map(|failed| failed.count).sum::<u64>()
    }

    /// What came since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut change = self.clone();
        change.started = self.started.wrapping_sub(earlier.started);
        change.ended -= earlier.ended.min(self.ended);
        change.ok -= earlier.ok.min(self.ok);
        change.second -= earlier.second.min(self.second);
        change.sum = self.sum.saturating_sub(earlier.sum);
        change.own = self.own.wrapping_sub(earlier.own);
        change.busy = self.busy.saturating_sub(earlier.busy);
        change.allocated = self.allocated.wrapping_sub(earlier.allocated);
        change.allocations = self.allocations.wrapping_sub(earlier.allocations);
        change.zero -= earlier.zero.min(self.zero);
        for (bucket, count) in self.counts.iter() {
            *change.counts.bucket(bucket) -= earlier.counts.count(bucket).min(count);
        }
        for failed in &mut change.failures {
            failed.count -= earlier.failed(&failed.name, failed.cancelled).min(failed.count);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_series_keeps_how_calls_ended_and_no_names() {
        let mut sum = Totals::default();
        for series in 0..1000 {
            let mut ended = Totals { started: 5, ended: 5, ok: 1, sum: 3, peak: series, ..Totals::default() };
            *ended.counts.bucket(7) = 5;
            ended.add_failure(&format!("code {series}"), false, 1);
            ended.add_failure("panic", false, 1);
            ended.add_failure("", true, 2);
            sum.add(&ended);
        }
        assert_eq!((sum.started, sum.ended, sum.ok, sum.calls()), (5000, 5000, 1000, 5000));
        assert_eq!((sum.sum, sum.peak, sum.counts.count(7), sum.counts.sum()), (3000, 999, 5000, 5000));
        let failed = [("_OTHER", false), ("panic", false), ("", true)];
        assert_eq!(failed.map(|(name, cancelled)| sum.failed(name, cancelled)), [1000, 1000, 2000]);
        assert_eq!(sum.failures.len(), 3);
    }
}
