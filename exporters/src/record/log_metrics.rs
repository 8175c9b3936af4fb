//! From log messages to metrics: a series for each level, with emoji and without.

use super::{
    describe::distribution,
    logs::{self, EMOJI, KINDS, LEVELS},
    snapshot::Whose,
    totals::Totals,
};
use crate::model::{
    Attributes, Data, Descriptor, ExponentialHistogram, KeyValue, Metric, Number, Point, Scope, Series, Sum,
};
use std::{mem, sync::Arc, time::SystemTime};

/// The part of a collector that reads messages.
#[derive(Debug)]
pub(crate) struct Logs {
    descriptors: [Arc<Descriptor>; 4],
    kinds: [Tracked; KINDS],
    /// By [`EMOJI`].
    durations: [Arc<Series>; 2],
}

/// One series over time.
#[derive(Debug)]
struct Tracked {
    series: Arc<Series>,
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
            Arc::new(Series { scope: scope.clone(), attributes: Attributes::new(attributes), start })
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
        for (kind, tracked) in self.kinds.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let totals = unsafe { logs::read(kind, whose, take_max) };
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
        let all = whose == Whose::All && logs::are_expected();
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
            let (total, change) =
                (distribution(&tracked.seen, tracked.seen.peak, 1), distribution(change, change.max, 1));
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
