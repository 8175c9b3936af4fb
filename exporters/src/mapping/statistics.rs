//! What a mapping can be made of: the statistics over all functions, and the recorded metrics.

use super::MetricKind;
use crate::{Data, Number, Point, ProfileMetrics};

/// A statistic of a whole snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
    /// The recorded metrics that it is made of.
    pub(crate) of: &'static [&'static str],
    pub(crate) read: Read,
}

/// How a statistic is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read {
    /// A value that stands for itself; `None` where nothing has been measured.
    Gauge(fn(&ProfileMetrics) -> Option<f64>),
    /// Something that is counted: the points of its metric that have this attribute, or all.
    Counter(Option<(&'static str, bool)>),
}

impl Named {
    pub(crate) fn kind(&self) -> MetricKind {
        match self.read {
            Read::Gauge(_) => MetricKind::Gauge,
            Read::Counter(_) => MetricKind::Counter,
        }
    }

    /// Its value, the total of what is counted; `None` where nothing has been measured.
    pub(crate) fn value(&self, metrics: &ProfileMetrics) -> Option<f64> {
        match self.read {
            Read::Gauge(read) => read(metrics),
            Read::Counter(_) => self.count(metrics).map(|(total, _)| total.as_f64()),
        }
    }

    /// Total and change of what is counted, if anything has been.
    pub(crate) fn count(&self, metrics: &ProfileMetrics) -> Option<(Number, Number)> {
        let (Read::Counter(only), [of]) = (self.read, self.of) else { return None };
        let Data::Sum(sum) = &metrics.metric(of)?.data else { return None };
        let counted = sum.points.iter().filter(|point| {
            only.is_none_or(|(key, value)| point.series.attributes.get(key) == Some(&value.into()))
        });
        let ended = if *of == "function.calls" { &*metrics.ended } else { &[] };
        let ended = Number::U64(ended.iter().map(|ended| ended.calls).sum());
        let add = |(total, change): (Number, Number), point: &Point<Number>| {
            (total.plus(point.total), change.plus(point.change))
        };
        Some(counted.fold((ended, Number::U64(0)), add))
    }
}

const CALLS: &[&str] = &["function.calls"];
const DURATION: &[&str] = &["function.calls.duration"];
const MESSAGES: &[&str] = &["log.messages"];
const MESSAGE_DURATION: &[&str] = &["log.messages.duration"];

macro_rules! named {
    ($($name:ident, $unit:literal, $of:expr, $read:expr, $help:literal;)*) => {
        /// All of them, sorted by name.
        pub(crate) const NAMED: &[Named] = &[$(Named { name: stringify!($name), unit: $unit, help: $help, of: $of, read: $read }),*];
    };
}
named! {
    avg_fields_per_message, "{field}", &["log.messages", "log.messages.fields"], Read::Gauge(ProfileMetrics::avg_fields_per_message), "Mean number of fields of a log message";
    avg_latency_ms, "ms", DURATION, Read::Gauge(ProfileMetrics::avg_latency_ms), "Mean latency of calls";
    avg_message_latency_ms, "ms", MESSAGE_DURATION, Read::Gauge(ProfileMetrics::avg_message_latency_ms), "Mean time to process a log message";
    calls_per_second, "{call}/s", CALLS, Read::Gauge(ProfileMetrics::calls_per_second), "Calls that ended, a second";
    concurrent_calls, "{call}", &["function.calls.concurrent"], Read::Gauge(|metrics| Some(metrics.concurrent_calls() as f64)), "Calls that are running";
    dropped_messages, "{message}", &["log.messages.dropped"], Read::Counter(None), "Log messages that were not processed";
    emoji_message_count, "{message}", MESSAGES, Read::Counter(Some(("emoji", true))), "Log messages with an emoji";
    emoji_overhead_percent, "%", MESSAGE_DURATION, Read::Gauge(ProfileMetrics::emoji_overhead_percent), "How much longer a log message with an emoji takes";
    error_rate, "1", CALLS, Read::Gauge(ProfileMetrics::error_rate), "Share of calls that ended in an error or a panic";
    interval_seconds, "s", &[], Read::Gauge(|metrics| Some(metrics.interval_seconds())), "Length of the interval";
    max_latency_ms, "ms", DURATION, Read::Gauge(ProfileMetrics::max_latency_ms), "Longest latency of calls";
    messages_per_second, "{message}/s", MESSAGES, Read::Gauge(ProfileMetrics::messages_per_second), "Log messages, a second";
    p50_latency_ms, "ms", DURATION, Read::Gauge(ProfileMetrics::p50_latency_ms), "Median latency of calls";
    p90_latency_ms, "ms", DURATION, Read::Gauge(ProfileMetrics::p90_latency_ms), "90th percentile of the latency of calls";
    p95_latency_ms, "ms", DURATION, Read::Gauge(ProfileMetrics::p95_latency_ms), "95th percentile of the latency of calls";
    p99_latency_ms, "ms", DURATION, Read::Gauge(ProfileMetrics::p99_latency_ms), "99th percentile of the latency of calls";
    timestamp, "s", &[], Read::Gauge(timestamp), "End of the interval, in seconds since 1970";
    total_calls, "{call}", CALLS, Read::Counter(None), "Calls that have ended";
    total_messages, "{message}", MESSAGES, Read::Counter(None), "Log messages";
}

fn timestamp(metrics: &ProfileMetrics) -> Option<f64> {
    metrics.timestamp().duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

/// The metrics that are recorded, sorted by name, with what they are.
pub(crate) const RECORDED: &[(&str, MetricKind)] = &[
    ("function.calls", MetricKind::Counter),
    ("function.calls.allocated", MetricKind::Counter),
    ("function.calls.allocations", MetricKind::Counter),
    ("function.calls.busy_time", MetricKind::Counter),
    ("function.calls.concurrent", MetricKind::Gauge),
    ("function.calls.duration", MetricKind::Histogram),
    ("function.calls.self_time", MetricKind::Counter),
    ("function.objective.good", MetricKind::Counter),
    ("function.objective.total", MetricKind::Counter),
    ("log.messages", MetricKind::Counter),
    ("log.messages.dropped", MetricKind::Counter),
    ("log.messages.duration", MetricKind::Histogram),
    ("log.messages.fields", MetricKind::Counter),
];

/// Everything that a [`MetricMapping`](super::MetricMapping) can have as its source.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|named| named.name).chain(RECORDED.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(NAMED.is_sorted_by(|a, b| a.name < b.name));
        assert!(RECORDED.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn everything_that_is_recorded_is_known() {
        let snapshot = crate::test().snapshot();
        let known = |name: &str| RECORDED.iter().any(|(known, _)| *known == name);
        assert!(!cfg!(feature = "record") || !snapshot.metrics.is_empty() || snapshot.is_empty());
        assert!(snapshot.metrics.iter().all(|metric| known(&metric.descriptor.name)));
        assert!(NAMED.iter().flat_map(|named| named.of).all(|name| known(name)));
    }
}
