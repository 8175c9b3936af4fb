//! The items of a batch of metrics, one by one: what all line-by-line formats go through.

use crate::{
    Batch, Data, ExponentialHistogram, Histogram, Metric, Number, Point, ProfileMetrics, Series, Span,
};
use std::{ops::Range, sync::Arc};

/// One series' point of one metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) metric: &'a Metric,
    pub(crate) series: &'a Arc<Series>,
    pub(crate) values: Values<'a>,
}

/// What the point says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    /// A counter, if it never decreases: the change in the interval, and the total.
    Sum { monotonic: bool, change: Number, total: Number },
    /// A value that stands for itself.
    Gauge(Number),
    /// The change in the interval.
    Histogram(&'a Histogram),
    /// The change in the interval.
    Exponential(&'a ExponentialHistogram),
}

impl Item<'_> {
    /// The metric's kind, as everyone calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.values {
            Values::Sum { monotonic: true, .. } => "counter",
            Values::Sum { .. } => "updowncounter",
            Values::Gauge(_) => "gauge",
            Values::Histogram(_) | Values::Exponential(_) => "histogram",
        }
    }

    /// Whether every number in it is one that can be written.
    pub(crate) fn is_finite(&self) -> bool {
        match self.values {
            Values::Sum { change, total, .. } => change.as_f64().is_finite() && total.as_f64().is_finite(),
            Values::Gauge(value) => value.as_f64().is_finite(),
            Values::Histogram(histogram) => histogram.sum.is_finite(),
            Values::Exponential(histogram) => {
                histogram.sum.is_finite() && histogram.max.is_none_or(f64::is_finite)
            }
        }
    }
}

/// What a batch holds.
pub(crate) enum Content<'a> {
    Metrics(&'a ProfileMetrics),
    Spans(&'a [Span]),
}

pub(crate) fn content(batch: &Batch) -> Content<'_> {
    match (batch.metrics(), batch.spans()) {
        (Some(metrics), _) => Content::Metrics(metrics),
        (None, spans) => Content::Spans(spans.unwrap_or_default()),
    }
}

/// Shows the items of `metrics` in `range`, in order, until `visit` has had enough.
pub(crate) fn items<'a>(
    metrics: &'a ProfileMetrics,
    range: Range<usize>,
    mut visit: impl FnMut(Item<'a>) -> bool,
) {
    let mut first = 0;
    for metric in &metrics.metrics {
        let len = metric.data.len();
        let start = range.start.saturating_sub(first).min(len);
        let end = range.end.saturating_sub(first).min(len);
        first += len;
        if start >= end {
            continue;
        }
        let part = start..end;
        let go_on = match &metric.data {
            Data::Sum(sum) => each(&sum.points, part, metric, &mut visit, |point| Values::Sum {
                monotonic: sum.monotonic,
                change: point.change,
                total: point.total,
            }),
            Data::Gauge(points) => each(points, part, metric, &mut visit, |point| Values::Gauge(point.total)),
            Data::Histogram(points) => {
                each(points, part, metric, &mut visit, |point| Values::Histogram(&point.change))
            }
            Data::ExponentialHistogram(points) => {
                each(points, part, metric, &mut visit, |point| Values::Exponential(&point.change))
            }
        };
        if !go_on {
            return;
        }
    }
}

fn each<'a, T>(
    points: &'a [Point<T>],
    part: Range<usize>,
    metric: &'a Metric,
    visit: &mut impl FnMut(Item<'a>) -> bool,
    values: impl Fn(&'a Point<T>) -> Values<'a>,
) -> bool {
    let points = points.get(part).unwrap_or_default();
    points.iter().all(|point| visit(Item { metric, series: &point.series, values: values(point) }))
}
