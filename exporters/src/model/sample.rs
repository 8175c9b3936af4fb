//! Snapshots for the tests of what sends them.

use crate::{Batch, Data, Metric, Number, Point, ProfileMetrics, Series, Signal, Span, SpanContext, Sum};
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

/// Series number `at`: always the same `Arc`.
fn series(at: usize) -> Arc<Series> {
    static SERIES: LazyLock<Vec<Arc<Series>>> = LazyLock::new(|| {
        let start = SystemTime::UNIX_EPOCH;
        let series = |at: usize| Series {
            scope: Arc::default(),
            attributes: [crate::KeyValue::new("at", at as i64)].into_iter().collect(),
            start,
        };
        (0..100_000).map(|at| Arc::new(series(at))).collect()
    });
    SERIES[at].clone()
}

/// A snapshot in which the sums of some series changed by so much: even ones of one metric, odd ones of another.
pub(crate) fn snapshot(changes: impl IntoIterator<Item = (usize, u64)>) -> ProfileMetrics {
    let mut metrics = ["even", "odd"].map(|name| Metric {
        descriptor: Arc::new(crate::Descriptor { name: name.into(), ..Default::default() }),
        data: Data::Sum(Sum { monotonic: true, points: Vec::new() }),
    });
    for (at, change) in changes {
        let Data::Sum(sum) = &mut metrics[at % 2].data else { unreachable!() };
        let change = Number::U64(change);
        sum.points.push(Point { series: series(at), total: change, change, exemplars: Vec::new() });
    }
    let start = SystemTime::UNIX_EPOCH;
    let interval = start..start + Duration::from_secs(1);
    ProfileMetrics { resource: Arc::default(), interval, metrics: metrics.into(), ended: Vec::new() }
}

/// The numbers of a batch's series and their changes, in its order.
pub(crate) fn changes(batch: &Batch) -> Vec<(usize, u64)> {
    let metrics = batch.metrics().expect("metrics");
    let all = metrics.metrics.iter().flat_map(|metric| match &metric.data {
        Data::Sum(sum) => sum.points.iter(),
        _ => unreachable!(),
    });
    let value = |point: &Point<Number>| {
        let at = match point.series.attributes.get("at") {
            Some(crate::Value::I64(at)) => *at as usize,
            other => unreachable!("{other:?}"),
        };
        let Number::U64(change) = point.change else { unreachable!() };
        (at, change)
    };
    all.map(value).skip(batch.range().start).take(batch.len()).collect()
}

/// Spans of a resource that nothing is known of.
pub(crate) fn spans(spans: impl IntoIterator<Item = Span>) -> Signal {
    Signal::Spans(Arc::new(spans.into_iter().collect()))
}

/// A span of this trace, of which nothing more is known.
pub(crate) fn span(trace_id: u128) -> Span {
    let start = SystemTime::UNIX_EPOCH;
    let trace_id = trace_id.to_be_bytes();
    Span {
        context: SpanContext { trace_id, span_id: [1; 8], flags: 1, ..SpanContext::default() },
        parent_id: [0; 8],
        parent_is_remote: false,
        name: "charge".into(),
        kind: crate::SpanKind::Internal,
        start,
        end: start + Duration::from_millis(5),
        attributes: crate::Attributes::default(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: crate::Status::Unset,
        scope: Arc::default(),
    }
}
