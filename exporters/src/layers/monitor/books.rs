//! What a monitor has seen, and how it is told: as statistics, and as metrics by OpenTelemetry's conventions.

use super::MonitorConfig;
use crate::{
    Attributes, Data, Descriptor, ExponentialHistogram, Info, KeyValue, Metric, Number, Point,
    ProfileMetrics, Resource, Scope, Series, Sum,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long an export counts among the latest ones, and how many there are at most.
const RECENT: (Duration, usize) = (Duration::from_secs(300), 1000);
/// Of fewer, no rate and no percentile is told.
const ENOUGH: usize = 5;
/// Buckets an octave: 2^3, as calls have.
const SCALE: i8 = 3;

/// What a [`MonitorLayer`](super::MonitorLayer) has seen.
///
/// Latencies and the success rate are of the latest exports: of five minutes, and at least five; else `None`, as is what is not
/// tracked.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MonitorStats {
    /// Exports that have ended.
    pub exports: u64,
    /// Those that failed, wholly or in part.
    pub failures: u64,
    /// Failures by kind: `error.type`.
    pub errors: BTreeMap<&'static str, u64>,
    /// Items that arrived.
    pub items: u64,
    /// Items that did not, for whatever reason.
    pub failed_items: u64,
    /// Bytes sent, after compression.
    pub bytes: u64,
    /// Half of the exports took no longer.
    pub latency_p50: Option<Duration>,
    /// 95 % of the exports took no longer.
    pub latency_p95: Option<Duration>,
    /// 99 % of the exports took no longer.
    pub latency_p99: Option<Duration>,
    /// The share of exports that succeeded wholly, in percent.
    pub success_rate_percent: Option<f64>,
    /// Items that waited behind the latest batch.
    pub queue_depth: Option<usize>,
}

/// How an export ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) spans: bool,
    pub(super) items: usize,
    /// Of these: did not arrive though others did.
    pub(super) failed: usize,
    pub(super) error: Option<&'static str>,
    pub(super) bytes: usize,
    pub(super) backlog: usize,
    pub(super) duration: Duration,
}

/// A sum since the start, and since it was last reported.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    change: u64,
}

impl Count {
    fn add(&mut self, count: usize) {
        self.total += count as u64;
        self.change += count as u64;
    }
}

#[derive(Debug)]
pub(super) struct Books {
    start: SystemTime,
    reported: SystemTime,
    durations: BTreeMap<Option<&'static str>, (ExponentialHistogram, ExponentialHistogram)>,
    /// By signal, whether spans, and error.
    items: BTreeMap<(bool, Option<&'static str>), Count>,
    errors: BTreeMap<&'static str, u64>,
    exports: Count,
    failures: u64,
    bytes: Count,
    backlog: Option<usize>,
    recent: Recent,
    /// By exporter and error; a series is the same as long as it is the same `Arc`.
    series: Vec<(Info, Option<&'static str>, Arc<Series>)>,
}

impl Default for Books {
    fn default() -> Self {
        let now = SystemTime::now();
        let (durations, items, errors, recent, series) = Default::default();
        let (exports, bytes) = (Count::default(), Count::default());
        let (start, reported) = (now, now);
        Self {
            start,
            reported,
            durations,
            items,
            errors,
            exports,
            failures: 0,
            bytes,
            backlog: None,
            recent,
            series,
        }
    }
}

/// The latest exports, and how they went all together.
#[derive(Debug, Default)]
struct Recent {
    /// When each ended, how long it took, whether it went well.
    exports: VecDeque<(Instant, Duration, bool)>,
    /// How long they took, the shortest first.
    sorted: Vec<Duration>,
    succeeded: usize,
}

impl Recent {
    fn add(&mut self, duration: Duration, well: bool) {
        if self.exports.len() >= RECENT.1 {
            self.forget_first();
        }
        self.exports.push_back((Instant::now(), duration, well));
        self.sorted.insert(self.sorted.partition_point(|other| *other <= duration), duration);
        self.succeeded += usize::from(well);
    }

    fn forget_first(&mut self) {
        let Some((_, duration, well)) = self.exports.pop_front() else { return };
        if let Ok(at) = self.sorted.binary_search(&duration) {
            self.sorted.remove(at);
        }
        self.succeeded -= usize::from(well);
    }

    fn forget_old(&mut self) {
        let now = Instant::now();
        while self.exports.front().is_some_and(|(at, ..)| now.duration_since(*at) > RECENT.0) {
            self.forget_first();
        }
    }

    /// The value of the nearest rank.
    fn percentile(&self, percent: usize) -> Option<Duration> {
        self.sorted.get((self.sorted.len() * percent).div_ceil(100).max(1) - 1).copied()
    }
}

impl Books {
    pub(super) fn add(&mut self, ended: Ended, config: &MonitorConfig) {
        let Ended { spans, items, failed, error, bytes, backlog, duration } = ended;
        self.exports.add(1);
        self.failures += u64::from(error.is_some());
        let failed = if error.is_some() && failed == 0 { items } else { failed };
        for (count, error) in [(items - failed.min(items), None), (failed, error)] {
            if count > 0 {
                self.items.entry((spans, error)).or_default().add(count);
            }
        }
        if config.track_errors
            && let Some(error) = error
        {
            *self.errors.entry(error).or_default() += 1;
        }
        if config.track_export_size {
            self.bytes.add(bytes);
        }
        if config.track_queue_depth {
            self.backlog = Some(backlog);
        }
        if config.track_export_latency {
            let none = || (ExponentialHistogram::at_scale(SCALE), ExponentialHistogram::at_scale(SCALE));
            let (total, change) = self.durations.entry(error).or_insert_with(none);
            [total, change].into_iter().for_each(|histogram| histogram.record(duration.as_secs_f64()));
        }
        self.recent.add(duration, error.is_none());
    }

    pub(super) fn stats(&mut self, config: &MonitorConfig) -> MonitorStats {
        self.recent.forget_old();
        let recent = &self.recent;
        let (len, succeeded) = (recent.exports.len(), recent.succeeded);
        let latency =
            |percent| recent.percentile(percent).filter(|_| config.track_export_latency && len >= ENOUGH);
        let items = |failed: bool| {
            let of = self.items.iter().filter(|((_, error), _)| error.is_some() == failed);
            of.map(|(_, count)| count.total).sum()
        };
        MonitorStats {
            exports: self.exports.total,
            failures: self.failures,
            errors: self.errors.clone(),
            items: items(false),
            failed_items: items(true),
            bytes: self.bytes.total,
            latency_p50: latency(50),
            latency_p95: latency(95),
            latency_p99: latency(99),
            success_rate_percent: (config.track_success_rate && len >= ENOUGH)
                .then(|| succeeded as f64 * 100.0 / len as f64),
            queue_depth: self.backlog,
        }
    }

    /// Whether there was an export since the last report.
    pub(super) fn has_news(&self) -> bool {
        self.exports.change > 0
    }

    /// Makes the series of an exporter and an error, if there is none yet.
    fn meet(&mut self, exporter: &Info, error: Option<&'static str>) {
        if !self.series.iter().any(|(of, known, _)| of == exporter && *known == error) {
            let scope = Scope { name: "exporters".into(), version: env!("CARGO_PKG_VERSION").into() };
            let component = [
                KeyValue::new("otel.component.type", exporter.kind),
                KeyValue::new("otel.component.name", exporter.name.clone().into_owned()),
            ];
            let of = error.map(|error| KeyValue::new("error.type", error));
            let attributes = Attributes::new(component.into_iter().chain(of));
            let series = Series { scope: scope.into(), attributes, start: self.start };
            self.series.push((exporter.clone(), error, Arc::new(series)));
        }
    }

    /// Its metrics; the changes are those since the last report.
    fn metrics(&mut self, exporter: &Info, resource: &Arc<Resource>) -> ProfileMetrics {
        let errors: Vec<_> =
            self.items.keys().map(|(_, error)| *error).chain(self.durations.keys().copied()).collect();
        errors.into_iter().chain([None]).for_each(|error| self.meet(exporter, error));
        let series = |error: Option<&'static str>| {
            let known = self.series.iter().find(|(of, known, _)| of == exporter && *known == error);
            known.map(|(.., series)| series.clone())
        };
        let point = |error, Count { total, change }| {
            let (total, change) = (Number::U64(total), Number::U64(change));
            Some(Point { series: series(error)?, total, change, exemplars: Vec::new() })
        };
        let metric = |name: &'static str, unit: &'static str, description: &'static str, data| {
            let (name, unit, description) = (name.into(), unit.into(), description.into());
            Metric { descriptor: Arc::new(Descriptor { name, unit, description, exact_name: false }), data }
        };
        let counted = |points| Data::Sum(Sum { monotonic: true, points });
        let items = |spans| {
            let of = self.items.iter().filter(move |((of_spans, _), _)| *of_spans == spans);
            counted(of.filter_map(|((_, error), count)| point(*error, *count)).collect())
        };
        let durations = self.durations.iter().filter_map(|(error, (total, change))| {
            let (total, change) = (total.clone(), change.clone());
            Some(Point { series: series(*error)?, total, change, exemplars: Vec::new() })
        });
        let waiting =
            self.backlog.and_then(|items| point(None, Count { total: items as u64, change: items as u64 }));
        let metrics = vec![
            metric(
                "exporters.export.size",
                "By",
                "Bytes sent, after compression",
                counted(point(None, self.bytes).into_iter().collect()),
            ),
            metric(
                "exporters.queue.size",
                "{item}",
                "Items that waited behind the latest batch",
                Data::Gauge(waiting.into_iter().collect()),
            ),
            metric(
                "otel.sdk.exporter.metric_data_point.exported",
                "{data_point}",
                "Metric data points for which the export has finished, successful or failed",
                items(false),
            ),
            metric(
                "otel.sdk.exporter.operation.duration",
                "s",
                "The duration of exporting a batch",
                Data::ExponentialHistogram(durations.collect()),
            ),
            metric(
                "otel.sdk.exporter.span.exported",
                "{span}",
                "Spans for which the export has finished, successful or failed",
                items(true),
            ),
        ];
        let metrics = metrics.into_iter().filter(|metric| !metric.data.is_empty()).collect();
        ProfileMetrics {
            resource: resource.clone(),
            interval: self.reported..SystemTime::now(),
            metrics,
            ended: Vec::new(),
        }
    }

    /// Now it is reported.
    pub(super) fn report(&mut self, exporter: &Info, resource: &Arc<Resource>) -> ProfileMetrics {
        let metrics = self.metrics(exporter, resource);
        self.reported = metrics.interval.end;
        let counts = self.items.values_mut().chain([&mut self.exports, &mut self.bytes]);
        counts.for_each(|count| count.change = 0);
        self.durations.values_mut().for_each(|(_, change)| *change = ExponentialHistogram::at_scale(SCALE));
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let (mut random, mut recent, mut all) = (1u64, Recent::default(), Vec::new());
        for _ in 0..3 * RECENT.1 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let duration = Duration::from_millis(random >> 58);
            recent.add(duration, random.is_multiple_of(3));
            all.push((duration, random.is_multiple_of(3)));
            let latest = &all[all.len().saturating_sub(RECENT.1)..];
            let mut sorted: Vec<_> = latest.iter().map(|(duration, _)| *duration).collect();
            sorted.sort_unstable();
            for percent in [50u32, 95, 99] {
                let rank = (f64::from(percent) / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
                assert_eq!(recent.percentile(percent as usize), sorted.get(rank - 1).copied());
            }
            assert_eq!(recent.succeeded, latest.iter().filter(|(_, well)| *well).count());
        }
        assert_eq!(Recent::default().percentile(95), None);
    }
}
