//! What is recorded of log messages: a series for each level, with emoji and without.
//!
//! A shard's durations are those of messages that were processed; what it has without a duration are dropped messages.

use super::{
    alloc::uncounted,
    series::{Series, ShardRef, late},
    shard::{Extra, Shard},
    snapshot::Whose,
    thread,
    totals::Totals,
};
use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

pub(super) const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
/// The values of the attribute `emoji`.
pub(super) const EMOJI: [&str; 2] = ["false", "true"];
/// Each level without emoji, then with.
pub(super) const KINDS: usize = LEVELS.len() * EMOJI.len();

static SERIES: [Series; KINDS] = [const { Series::new() }; KINDS];
/// Whether there ever was a layer; from then on no messages are a count of 0.
static EXPECTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LENT: Lent = const { Lent([const { Cell::new(None) }; KINDS]) };
}

/// This thread's shards.
struct Lent([Cell<Option<ShardRef>>; KINDS]);

impl Lent {
    fn shard(&self, kind: usize) -> ShardRef {
        self.0[kind].get().unwrap_or_else(|| self.attach(kind))
    }

    #[cold]
    fn attach(&self, kind: usize) -> ShardRef {
        let fresh = thread::with_table(|_, alone| alone).unwrap_or(false);
        let shard = SERIES[kind].lend(0, fresh);
        self.0[kind].set(Some(shard));
        shard
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (local, series) in self.0.iter().zip(&SERIES) {
            if let Some(shard) = local.get() {
                series.give_back(shard);
            }
        }
    }
}

/// Messages may come.
pub(super) fn expect() {
    EXPECTED.store(true, Relaxed);
}

/// Whether messages may come.
pub(super) fn are_expected() -> bool {
    EXPECTED.load(Relaxed)
}

/// Reads what all threads, or this one, recorded of a kind.
///
/// # Safety
/// As for [`Shard::read`].
pub(super) unsafe fn read(kind: usize, whose: Whose, take_max: bool) -> Totals {
    if whose == Whose::All {
        // SAFETY: the caller's promise.
        return unsafe { Totals::read(&SERIES[kind], true, take_max) };
    }
    let mut totals = Totals::default();
    if let Some(shard) = own(kind) {
        // SAFETY: the series is static; the rest is the caller's promise.
        unsafe { totals.add_shard(shard.get(), true, take_max) };
    }
    totals
}

/// This thread's shard, if it has one.
fn own(kind: usize) -> Option<ShardRef> {
    LENT.try_with(|lent| lent.0[kind].get()).ok().flatten()
}

/// In the child of a fork: nobody hands on the shards of threads that are not here.
pub(super) fn forget_other_threads() {
    for (kind, series) in SERIES.iter().enumerate() {
        series.forget_all_but(own(kind).as_slice());
    }
}

/// A message, as it is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Message {
    /// From 0, trace, to 4, error.
    pub(super) level: usize,
    pub(super) emoji: bool,
    pub(super) fields: u64,
}

impl Message {
    /// Counts it: processed in so many ticks, or dropped.
    pub(super) fn record(self, ticks: Option<u64>) {
        let kind = self.level * EMOJI.len() + usize::from(self.emoji);
        uncounted(|| match LENT.try_with(|lent| lent.shard(kind)) {
            // SAFETY: the series is static.
            Ok(shard) => self.write(unsafe { shard.get() }, ticks),
            Err(_) => {
                let shard = SERIES[kind].lend_late(0);
                let _late = late();
                // SAFETY: the series is static.
                self.write(unsafe { shard.get() }, ticks);
            }
        });
    }

    fn write(self, shard: &Shard, ticks: Option<u64>) {
        if self.fields > 0 {
            shard.record_extra(Extra { allocations: self.fields, ..Extra::default() });
        }
        match ticks {
            Some(ticks) => _ = shard.record(ticks, 0, None),
            None => shard.record_untimed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{log_layer::tests::alone, snapshot::Collector};

    /// Says a last message when its thread has no shards any more.
    struct Late(std::cell::Cell<Message>);
    impl Drop for Late {
        fn drop(&mut self) {
            assert!(LENT.try_with(|_| ()).is_err());
            self.0.get().record(Some(5));
        }
    }
    thread_local! {
        static LATE: Late = const { Late(std::cell::Cell::new(Message { level: 0, emoji: true, fields: 1 })) };
    }

    #[test]
    fn messages_of_destructors_count() {
        let _alone = alone();
        crate::record::start();
        let mut collector = Collector::new(Default::default(), Whose::All, true);
        let work = || {
            LATE.with(|_| ());
            Message { level: 0, emoji: true, fields: 2 }.record(Some(7));
        };
        for _ in 0..3 {
            std::thread::spawn(work).join().unwrap();
        }
        let metrics = collector.drain();
        assert_eq!((metrics.total_messages(), metrics.emoji_message_count()), (Some(6), Some(6)));
        assert_eq!(metrics.avg_fields_per_message(), Some(1.5));
        crate::record::stop();
    }
}
