//! What a metric can be made of: the library's table of statistics and recorded metrics, which a macro cannot ask.
//!
//! It depends on nothing, so that a test can read it beside the library's own (`tests/tests/derived_sources.rs`).

/// What a metric is, for those who read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
    Rate,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram, Rate};

/// How each kind is written.
pub(crate) const KINDS: [(&str, Kind); 4] =
    [("gauge", Gauge), ("counter", Counter), ("rate", Rate), ("histogram", Histogram)];

/// The statistics of a whole snapshot.
pub(crate) const NAMED: &[(&str, Kind)] = &[
    ("avg_fields_per_message", Gauge),
    ("avg_latency_ms", Gauge),
    ("avg_message_latency_ms", Gauge),
    ("calls_per_second", Gauge),
    ("concurrent_calls", Gauge),
    ("dropped_messages", Counter),
    ("emoji_message_count", Counter),
    ("emoji_overhead_percent", Gauge),
    ("error_rate", Gauge),
    ("interval_seconds", Gauge),
    ("max_latency_ms", Gauge),
    ("messages_per_second", Gauge),
    ("p50_latency_ms", Gauge),
    ("p90_latency_ms", Gauge),
    ("p95_latency_ms", Gauge),
    ("p99_latency_ms", Gauge),
    ("timestamp", Gauge),
    ("total_calls", Counter),
    ("total_messages", Counter),
];

/// The metrics that are recorded.
pub(crate) const RECORDED: &[(&str, Kind)] = &[
    ("function.calls", Counter),
    ("function.calls.allocated", Counter),
    ("function.calls.allocations", Counter),
    ("function.calls.busy_time", Counter),
    ("function.calls.concurrent", Gauge),
    ("function.calls.duration", Histogram),
    ("function.calls.self_time", Counter),
    ("function.objective.good", Counter),
    ("function.objective.total", Counter),
    ("log.messages", Counter),
    ("log.messages.dropped", Counter),
    ("log.messages.duration", Histogram),
    ("log.messages.fields", Counter),
];

/// Of which kind a statistic makes which.
type Makes = &'static [(Kind, Kind)];

/// The statistics of a recorded metric: how each is written, its variant, and what it makes.
pub(crate) const STATISTICS: &[(&str, &str, Makes)] = &[
    ("count", "Count", &[(Histogram, Counter)]),
    ("max", "Max", &[(Histogram, Gauge)]),
    ("mean", "Mean", &[(Histogram, Gauge)]),
    ("p50", "P50", &[(Histogram, Gauge)]),
    ("p90", "P90", &[(Histogram, Gauge)]),
    ("p95", "P95", &[(Histogram, Gauge)]),
    ("p99", "P99", &[(Histogram, Gauge)]),
    ("rate", "Rate", &[(Counter, Rate), (Histogram, Rate)]),
    ("sum", "Sum", &[(Histogram, Counter)]),
    ("total", "Total", &[(Counter, Gauge)]),
];

/// What becomes of something of the kind `of`, by the statistic at this place of [`STATISTICS`]; `None` where it has none.
pub(crate) fn kind_of_statistic(statistic: usize, of: Kind) -> Option<Kind> {
    let (_, _, makes) = STATISTICS.get(statistic)?;
    makes.iter().find(|(from, _)| *from == of).map(|(_, to)| *to)
}

/// Whether what is of one kind can be sent as another.
pub(crate) fn can_be(natural: Kind, wanted: Kind) -> bool {
    match wanted {
        _ if wanted == natural => true,
        Gauge => natural != Histogram,
        Rate => natural == Counter,
        Counter | Histogram => false,
    }
}
