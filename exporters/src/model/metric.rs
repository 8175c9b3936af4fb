//! Metrics: sums, gauges and histograms, each point with its total and its change in the interval.

use super::{Attributes, ExponentialHistogram, Histogram, Scope};
use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// One metric and all its series.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Name, unit and meaning.
    pub descriptor: Arc<Descriptor>,
    /// The series, by kind.
    pub data: Data,
}

/// What a metric is called and means.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Descriptor {
    /// OpenTelemetry's name, for example `function.calls`.
    pub name: Cow<'static, str>,
    /// UCUM unit, for example `s`, `By`, `{call}`; empty for none.
    pub unit: Cow<'static, str>,
    /// One sentence for people.
    pub description: Cow<'static, str>,
    /// Whether a user's mapping chose the name, so that a backend must not add suffixes to it.
    pub exact_name: bool,
}

/// A metric's series, by kind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Data {
    /// Values that are added up.
    Sum(Sum),
    /// Values that stand for themselves.
    Gauge(Vec<Point<Number>>),
    /// Distributions over given bounds.
    Histogram(Vec<Point<Histogram>>),
    /// Distributions over base-2 exponential bounds.
    ExponentialHistogram(Vec<Point<ExponentialHistogram>>),
}

impl Data {
    /// How many series there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Sum(sum) => sum.points.len(),
            Self::Gauge(points) => points.len(),
            Self::Histogram(points) => points.len(),
            Self::ExponentialHistogram(points) => points.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The points of the series that are wanted.
    pub(crate) fn select(&self, wanted: impl FnMut(&Series) -> bool) -> Self {
        fn of<T: Clone>(points: &[Point<T>], mut wanted: impl FnMut(&Series) -> bool) -> Vec<Point<T>> {
            points.iter().filter(|point| wanted(&point.series)).cloned().collect()
        }
        match self {
            Self::Sum(sum) => Self::Sum(Sum { monotonic: sum.monotonic, points: of(&sum.points, wanted) }),
            Self::Gauge(points) => Self::Gauge(of(points, wanted)),
            Self::Histogram(points) => Self::Histogram(of(points, wanted)),
            Self::ExponentialHistogram(points) => Self::ExponentialHistogram(of(points, wanted)),
        }
    }

    /// Shows the series of each point, in order.
    pub(crate) fn each_series(&self, see: impl FnMut(&Arc<Series>)) {
        fn of<T>(points: &[Point<T>], see: impl FnMut(&Arc<Series>)) {
            points.iter().map(|point| &point.series).for_each(see);
        }
        match self {
            Self::Sum(sum) => of(&sum.points, see),
            Self::Gauge(points) => of(points, see),
            Self::Histogram(points) => of(points, see),
            Self::ExponentialHistogram(points) => of(points, see),
        }
    }

    /// Changes the series of each point, in order.
    pub(crate) fn each_series_mut(&mut self, change: impl FnMut(&mut Arc<Series>)) {
        fn of<T>(points: &mut [Point<T>], change: impl FnMut(&mut Arc<Series>)) {
            points.iter_mut().map(|point| &mut point.series).for_each(change);
        }
        match self {
            Self::Sum(sum) => of(&mut sum.points, change),
            Self::Gauge(points) => of(points, change),
            Self::Histogram(points) => of(points, change),
            Self::ExponentialHistogram(points) => of(points, change),
        }
    }
}

/// A sum: a counter when monotonic, else an up-down counter.
#[derive(Clone, Debug)]
pub struct Sum {
    /// Whether it never decreases.
    pub monotonic: bool,
    /// Its series.
    pub points: Vec<Point<Number>>,
}

/// One series at the end of an interval.
#[derive(Clone, Debug)]
pub struct Point<T> {
    /// Which series; the same `Arc` in every snapshot, so that an encoder may cache by its address.
    pub series: Arc<Series>,
    /// The value since the series started; for a gauge, the value.
    pub total: T,
    /// The change in the interval; for a gauge, the value.
    pub change: T,
    /// Measurements with the trace they were taken in.
    pub exemplars: Vec<Exemplar>,
}

/// What makes a series: who measured, what about, since when.
#[derive(Clone, Debug)]
pub struct Series {
    /// The instrumented crate.
    pub scope: Arc<Scope>,
    /// What tells this series from the metric's others.
    pub attributes: Attributes,
    /// When its total was zero.
    pub start: SystemTime,
}

/// A number that keeps its type.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// A count.
    U64(u64),
    /// A signed count.
    I64(i64),
    /// A measurement.
    F64(f64),
}

impl Number {
    /// The sum; of two types it is a float.
    pub(crate) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::U64(a), Self::U64(b)) => Self::U64(a.saturating_add(b)),
            (Self::I64(a), Self::I64(b)) => Self::I64(a.saturating_add(b)),
            (a, b) => Self::F64(a.as_f64() + b.as_f64()),
        }
    }

    /// The number as a float; counts above 2^53 lose their last digits.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::U64(n) => n as f64,
            Self::I64(n) => n as f64,
            Self::F64(n) => n,
        }
    }
}

/// A measurement and the trace it was taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What was measured, in the metric's unit.
    pub value: f64,
    /// When.
    pub time: SystemTime,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}
