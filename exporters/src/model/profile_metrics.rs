//! A snapshot: everything recorded up to a moment, with the change since the snapshot before, and its statistics.

use super::{Attributes, Data, ExponentialHistogram, Metric, Number, Point, Resource, Series, Sum, Value};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// All metrics at the end of an interval: totals since each series' start, and the change in the interval.
///
/// The statistics read the change, unless they say otherwise. What has not been measured is `None`: never 0, never NaN.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct ProfileMetrics {
    /// Who reports.
    pub resource: Arc<Resource>,
    /// From the snapshot before to this one; the end is exclusive.
    #[cfg_attr(feature = "file", serde(with = "super::exact::interval"))]
    pub interval: Range<SystemTime>,
    /// The metrics, sorted by name.
    pub metrics: Vec<Metric>,
    /// What is in none of the metrics any more: by function, its series that have ended. Totals over series count it in; it is
    /// no item, and exporters do not send it.
    #[cfg_attr(feature = "file", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub ended: Vec<Ended>,
}

/// What those series of one function came to that have ended.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct Ended {
    /// `function` and `module`.
    pub series: Arc<Series>,
    /// Calls that have ended since the start.
    pub calls: u64,
}

/// The part of a [`ProfileMetrics`] that is about one function: `metrics.function("checkout::charge")`.
#[derive(Clone, Copy, Debug)]
pub struct FunctionMetrics<'a> {
    metrics: &'a ProfileMetrics,
    /// `None` selects all functions.
    function: Option<&'a str>,
}

impl ProfileMetrics {
    /// Nothing recorded.
    pub(crate) fn none() -> Self {
        let now = SystemTime::now();
        Self { resource: Arc::default(), interval: now..now, metrics: Vec::new(), ended: Vec::new() }
    }

    /// How many points there are, over all metrics.
    pub fn len(&self) -> usize {
        self.metrics.iter().map(|metric| metric.data.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.metrics.iter().all(|metric| metric.data.is_empty())
    }

    /// The metric called `name`.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.descriptor.name == name)
    }

    /// The statistics of one function: `function`, `Type::method`, or either after its module's path or the end of it.
    pub fn function<'a>(&'a self, name: &'a str) -> FunctionMetrics<'a> {
        FunctionMetrics { metrics: self, function: Some(name) }
    }

    /// The end of the interval.
    pub fn timestamp(&self) -> SystemTime {
        self.interval.end
    }

    /// The length of the interval; 0 where the clock went backwards.
    pub fn interval_seconds(&self) -> f64 {
        self.interval.end.duration_since(self.interval.start).unwrap_or(Duration::ZERO).as_secs_f64()
    }

    fn all(&self) -> FunctionMetrics<'_> {
        FunctionMetrics { metrics: self, function: None }
    }

    fn sum_of(&self, name: &str) -> Option<(f64, f64)> {
        let Data::Sum(sum) = &self.metric(name)?.data else { return None };
        let add =
            |get: fn(&Point<Number>) -> Number| added(sum.points.iter().map(|point| get(point).as_f64()));
        Some((add(|point| point.total), add(|point| point.change)))
    }

    fn per_second(&self, change: f64) -> Option<f64> {
        let seconds = self.interval_seconds();
        (seconds > 0.0).then(|| change / seconds)
    }

    /// Log messages seen by `LogLayer` since the start, those that were dropped included.
    pub fn total_messages(&self) -> Option<u64> {
        self.sum_of("log.messages").map(|(total, _)| total as u64)
    }

    /// Log messages a second.
    pub fn messages_per_second(&self) -> Option<f64> {
        self.per_second(self.sum_of("log.messages")?.1)
    }

    /// Log messages that the wrapped layer refused or panicked over, since the start.
    pub fn dropped_messages(&self) -> Option<u64> {
        self.sum_of("log.messages.dropped").map(|(total, _)| total as u64)
    }

    /// Mean number of fields of a log message, its text not counted.
    pub fn avg_fields_per_message(&self) -> Option<f64> {
        let messages = self.sum_of("log.messages")?.1;
        (messages > 0.0).then(|| Some(self.sum_of("log.messages.fields")?.1 / messages))?
    }

    /// Mean time the wrapped layer took for a message, in milliseconds.
    pub fn avg_message_latency_ms(&self) -> Option<f64> {
        let (with, without) = (self.message_durations("true")?, self.message_durations("false")?);
        let (count, sum) = (with.count() + without.count(), with.sum + without.sum);
        (count > 0).then(|| sum * 1e3 / count as f64)
    }

    /// Log messages with an emoji in their text or in a field, or with an `emoji*` field, since the start.
    pub fn emoji_message_count(&self) -> Option<u64> {
        let Data::Sum(sum) = &self.metric("log.messages")?.data else { return None };
        let with = sum.points.iter().filter(|point| is(&point.series.attributes, "emoji", "true"));
        Some(with.map(|point| point.total.as_f64() as u64).sum())
    }

    /// By how many percent a message with an emoji takes longer than one without, in the mean; `None` until both exist.
    pub fn emoji_overhead_percent(&self) -> Option<f64> {
        let (with, without) =
            (self.message_durations("true")?.mean()?, self.message_durations("false")?.mean()?);
        (without > 0.0).then(|| (with / without - 1.0) * 100.0)
    }

    fn message_durations(&self, emoji: &str) -> Option<ExponentialHistogram> {
        let Data::ExponentialHistogram(points) = &self.metric("log.messages.duration")?.data else {
            return None;
        };
        let mut merged = ExponentialHistogram::default();
        points
            .iter()
            .filter(|point| is(&point.series.attributes, "emoji", emoji))
            .for_each(|point| merged.merge(&point.change));
        Some(merged)
    }
}

/// The sum; that of nothing is 0, where `sum()` has it -0.
fn added(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |sum, number| sum + number)
}

fn is(attributes: &Attributes, key: &str, text: &str) -> bool {
    match attributes.get(key) {
        Some(Value::String(value)) => value == text,
        Some(Value::Bool(value)) => (text == "true") == *value,
        _ => false,
    }
}

macro_rules! delegate {
    ($($(#[$meta:meta])* $name:ident -> $type:ty;)*) => {
        /// Over all profiled functions.
        impl ProfileMetrics {
            $($(#[$meta])* pub fn $name(&self) -> $type { self.all().$name() })*
        }
    };
}
delegate! {
    /// Calls that have ended since the start.
    total_calls -> u64;
    /// Calls that ended, a second.
    calls_per_second -> Option<f64>;
    /// The share (0 to 1) of calls that ended in an error or a panic.
    error_rate -> Option<f64>;
    /// Calls that are running.
    concurrent_calls -> u64;
    /// The distribution of latency, in seconds.
    latency -> ExponentialHistogram;
    /// Mean latency in milliseconds.
    avg_latency_ms -> Option<f64>;
    /// Median latency in milliseconds.
    p50_latency_ms -> Option<f64>;
    /// 90th percentile of latency in milliseconds.
    p90_latency_ms -> Option<f64>;
    /// 95th percentile of latency in milliseconds.
    p95_latency_ms -> Option<f64>;
    /// 99th percentile of latency in milliseconds.
    p99_latency_ms -> Option<f64>;
    /// Longest latency in milliseconds.
    max_latency_ms -> Option<f64>;
}

impl FunctionMetrics<'_> {
    fn selects(&self, attributes: &Attributes) -> bool {
        let Some(wanted) = self.function else { return true };
        let (module, function) = (attributes.get_str("module").unwrap_or(""), attributes.get_str("function"));
        let Some(prefix) = function.and_then(|function| wanted.strip_suffix(function)) else { return false };
        match prefix.strip_suffix("::") {
            Some(path) => {
                module == path || module.strip_suffix(path).is_some_and(|rest| rest.ends_with("::"))
            }
            None => prefix.is_empty(),
        }
    }

    /// Whether there are any.
    pub(crate) fn is_there(&self) -> bool {
        self.numbers("function.calls").next().is_some()
    }

    /// The snapshot as if no other function were profiled.
    pub(crate) fn alone(&self) -> ProfileMetrics {
        let ProfileMetrics { resource, interval, metrics, ended } = self.metrics;
        let data = |metric: &Metric| match &metric.data {
            data if !metric.descriptor.name.starts_with("function.") => data.clone(),
            Data::Sum(sum) => Data::Sum(Sum { monotonic: sum.monotonic, points: self.select(&sum.points) }),
            Data::Gauge(points) => Data::Gauge(self.select(points)),
            Data::Histogram(points) => Data::Histogram(self.select(points)),
            Data::ExponentialHistogram(points) => Data::ExponentialHistogram(self.select(points)),
        };
        let alone = |metric: &Metric| Metric { descriptor: metric.descriptor.clone(), data: data(metric) };
        ProfileMetrics {
            resource: resource.clone(),
            interval: interval.clone(),
            metrics: metrics.iter().map(alone).collect(),
            ended: ended.iter().filter(|ended| self.selects(&ended.series.attributes)).cloned().collect(),
        }
    }

    fn select<T: Clone>(&self, points: &[Point<T>]) -> Vec<Point<T>> {
        points.iter().filter(|point| self.selects(&point.series.attributes)).cloned().collect()
    }

    fn numbers(&self, metric: &str) -> impl Iterator<Item = &Point<Number>> {
        let points = match self.metrics.metric(metric).map(|metric| &metric.data) {
            Some(Data::Sum(sum)) => &*sum.points,
            _ => &[],
        };
        points.iter().filter(|point| self.selects(&point.series.attributes))
    }

    /// Calls that have ended since the start.
    pub fn total_calls(&self) -> u64 {
        let ended = self.metrics.ended.iter().filter(|ended| self.selects(&ended.series.attributes));
        let running = self.numbers("function.calls").map(|point| point.total.as_f64() as u64);
        running.chain(ended.map(|ended| ended.calls)).sum()
    }

    fn calls(&self) -> f64 {
        added(self.numbers("function.calls").map(|point| point.change.as_f64()))
    }

    /// Calls that ended, a second.
    pub fn calls_per_second(&self) -> Option<f64> {
        self.metrics.per_second(self.calls())
    }

    /// The share (0 to 1) of calls that ended in an error or a panic.
    pub fn error_rate(&self) -> Option<f64> {
        let calls = self.calls();
        let failed =
            self.numbers("function.calls").filter(|point| is(&point.series.attributes, "result", "error"));
        let failed = added(failed.map(|point| point.change.as_f64()));
        (calls > 0.0).then(|| failed / calls)
    }

    /// Calls that are running.
    pub fn concurrent_calls(&self) -> u64 {
        self.numbers("function.calls.concurrent").map(|point| point.total.as_f64() as u64).sum()
    }

    /// The distribution of latency, in seconds.
    pub fn latency(&self) -> ExponentialHistogram {
        let mut merged = ExponentialHistogram::default();
        if let Some(Data::ExponentialHistogram(points)) =
            self.metrics.metric("function.calls.duration").map(|metric| &metric.data)
        {
            let selected = points.iter().filter(|point| self.selects(&point.series.attributes));
            selected.for_each(|point| merged.merge(&point.change));
        }
        merged
    }

    fn quantile_ms(&self, q: f64) -> Option<f64> {
        self.latency().quantile(q).map(|seconds| seconds * 1e3)
    }

    /// Mean latency in milliseconds.
    pub fn avg_latency_ms(&self) -> Option<f64> {
        self.latency().mean().map(|seconds| seconds * 1e3)
    }

    /// Median latency in milliseconds.
    pub fn p50_latency_ms(&self) -> Option<f64> {
        self.quantile_ms(0.5)
    }

    /// 90th percentile of latency in milliseconds.
    pub fn p90_latency_ms(&self) -> Option<f64> {
        self.quantile_ms(0.9)
    }

    /// 95th percentile of latency in milliseconds.
    pub fn p95_latency_ms(&self) -> Option<f64> {
        self.quantile_ms(0.95)
    }

    /// 99th percentile of latency in milliseconds.
    pub fn p99_latency_ms(&self) -> Option<f64> {
        self.quantile_ms(0.99)
    }

    /// Longest latency in milliseconds.
    pub fn max_latency_ms(&self) -> Option<f64> {
        self.latency().max.map(|seconds| seconds * 1e3)
    }
}
