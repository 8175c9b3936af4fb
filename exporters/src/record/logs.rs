//! What is recorded of log messages: a series for each level, with emoji and without; and the metrics that are made of it.
//!
//! A shard's durations are those of messages that were processed; what it has without a duration are dropped messages.

use super::{
    alloc::uncounted,
    describe::distribution,
    series::{LocalShard, Series, ShardRef, late},
    shard::{Extra, Shard},
    snapshot::Whose,
    thread,
    totals::Totals,
};
use crate::model::{
    self, Attributes, Data, Descriptor, ExponentialHistogram, KeyValue, Metric, Number, Point, Scope, Sum,
};
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
/// The values of the attribute `emoji`.
const EMOJI: [&str; 2] = ["false", "true"];
/// Each level without emoji, then with.
const KINDS: usize = LEVELS.len() * EMOJI.len();

static SERIES: [Series; KINDS] = [const { Series::new() }; KINDS];
/// Whether there ever was a layer; from then on no messages are a count of 0.
static EXPECTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LENT: Lent = const { Lent([const { LocalShard::new() }; KINDS]) };
}

/// This thread's shards.
struct Lent([LocalShard; KINDS]);

impl Lent {
    fn shard(&self, kind: usize) -> ShardRef {
        self.0[kind].lent().unwrap_or_else(|| self.attach(kind))
    }

    #[cold]
    fn attach(&self, kind: usize) -> ShardRef {
        let fresh = thread::with_table(|_, alone| alone).unwrap_or(false);
        let shard = SERIES[kind].lend(0, fresh);
        self.0[kind].0.set(shard.as_ptr());
        shard
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (local, series) in self.0.iter().zip(&SERIES) {
            if let Some(shard) = local.lent() {
                series.give_back(shard);
            }
        }
    }
}

/// Messages may come.
pub(super) fn expect() {
    EXPECTED.store(true, Relaxed);
}

/// In the child of a fork: nobody hands on the shards of threads that are not here.
pub(super) fn forget_other_threads() {
    for (kind, series) in SERIES.iter().enumerate() {
        let own = LENT.try_with(|lent| lent.0[kind].lent()).ok().flatten();
        series.forget_all_but(own.as_slice());
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

/// The part of a collector that reads messages.
#[derive(Debug)]
pub(crate) struct Logs {
    descriptors: [Arc<Descriptor>; 4],
    kinds: [Tracked; KINDS],
    /// By [`EMOJI`].
    durations: [Arc<model::Series>; 2],
}

/// One series over time.
#[derive(Debug)]
struct Tracked {
    series: Arc<model::Series>,
    /// What was there before the collector, of which it does not speak.
    base: Totals,
    seen: Totals,
    drained: Totals,
    /// `drained`, one interval before.
    before: Totals,
}

impl Logs {
    /// Reads from `start`.
    pub(crate) fn new(start: SystemTime) -> Self {
        let scope = Arc::new(Scope { name: "exporters".into(), version: env!("CARGO_PKG_VERSION").into() });
        let series = |attributes: Vec<KeyValue>| {
            Arc::new(model::Series { scope: scope.clone(), attributes: Attributes::new(attributes), start })
        };
        let descriptor = |name: &'static str, unit: &'static str, description: &'static str| {
            let exact_name = false;
            Arc::new(Descriptor {
                name: name.into(),
                unit: unit.into(),
                description: description.into(),
                exact_name,
            })
        };
        Self {
            descriptors: [
                descriptor("log.messages", "{message}", "Log messages, processed or dropped"),
                descriptor(
                    "log.messages.dropped",
                    "{message}",
                    "Log messages that were refused, or ended in a panic",
                ),
                descriptor("log.messages.duration", "s", "Time it took to process a log message"),
                descriptor("log.messages.fields", "{field}", "Fields of log messages"),
            ],
            kinds: std::array::from_fn(|kind| {
                let level = KeyValue::new("level", LEVELS[kind / EMOJI.len()]);
                let series = series(vec![level, KeyValue::new("emoji", EMOJI[kind % EMOJI.len()])]);
                let (base, seen, drained, before) = Default::default();
                Tracked { series, base, seen, drained, before }
            }),
            durations: EMOJI.map(|emoji| series(vec![KeyValue::new("emoji", emoji)])),
        }
    }

    /// Forgets what was read so far.
    pub(crate) fn rebase(&mut self) {
        for tracked in &mut self.kinds {
            tracked.base = Totals { max: 0, ..mem::take(&mut tracked.seen) };
        }
    }

    /// Reads all shards, or this thread's.
    ///
    /// # Safety
    /// As for [`Shard::read`].
    pub(crate) unsafe fn read(&mut self, whose: Whose, take_max: bool) {
        for (kind, (tracked, series)) in self.kinds.iter_mut().zip(&SERIES).enumerate() {
            let totals = match whose {
                // SAFETY: the caller's promise.
                Whose::All => unsafe { Totals::read(series, true, take_max) },
                Whose::Own => {
                    let mut totals = Totals::default();
                    let own = LENT.try_with(|lent| lent.0[kind].lent()).ok().flatten();
                    if let Some(shard) = own {
                        // SAFETY: the series is static; the rest is the caller's promise.
                        unsafe { totals.add_shard(shard.get(), true, take_max) };
                    }
                    totals
                }
            };
            tracked.seen.raise(&totals.since(&tracked.base));
        }
    }

    /// Ends the interval.
    pub(crate) fn drain(&mut self) {
        for tracked in &mut self.kinds {
            tracked.before = mem::replace(&mut tracked.drained, tracked.seen.clone());
        }
    }

    /// Begins the next interval, once the metrics are made.
    pub(crate) fn forget_max(&mut self) {
        self.kinds.iter_mut().for_each(|tracked| tracked.seen.max = 0);
    }

    /// The metrics, sorted by name. Of all threads they have every series from the start; of one, those that it recorded.
    pub(crate) fn metrics(&self, whose: Whose) -> Vec<Metric> {
        let all = whose == Whose::All && EXPECTED.load(Relaxed);
        let recorded: Vec<_> = self
            .kinds
            .iter()
            .filter(|tracked| all || tracked.seen.ended > 0)
            .map(|tracked| (tracked, tracked.drained.since(&tracked.before)))
            .collect();
        if recorded.is_empty() {
            return Vec::new();
        }
        let counter = |get: fn(&Totals) -> u64| {
            let point = |(tracked, change): &(&Tracked, Totals)| Point {
                series: tracked.series.clone(),
                total: Number::U64(get(&tracked.seen)),
                change: Number::U64(get(change)),
                exemplars: Vec::new(),
            };
            Data::Sum(Sum { monotonic: true, points: recorded.iter().map(point).collect() })
        };
        let mut durations: Vec<Point<ExponentialHistogram>> = Vec::new();
        for (tracked, change) in &recorded {
            let emoji = tracked.series.attributes.get_str("emoji");
            let series = &self.durations[usize::from(emoji == Some(EMOJI[1]))];
            let (total, change) = (distribution(&tracked.seen, 1), distribution(change, 1));
            match durations.iter_mut().find(|point| Arc::ptr_eq(&point.series, series)) {
                Some(point) => {
                    point.total.merge(&total);
                    point.change.merge(&change);
                }
                None => {
                    durations.push(Point { series: series.clone(), total, change, exemplars: Vec::new() })
                }
            }
        }
        let data = [
            counter(|totals| totals.ended),
            counter(|totals| totals.second),
            Data::ExponentialHistogram(durations),
            counter(|totals| totals.allocations),
        ];
        let metric =
            |(descriptor, data): (&Arc<Descriptor>, _)| Metric { descriptor: descriptor.clone(), data };
        self.descriptors.iter().zip(data).map(metric).collect()
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
        let mut collector = Collector::new(Arc::default(), Whose::All, true);
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
