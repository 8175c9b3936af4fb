//! Snapshots in few words.

use exporters::{
    Batch, BatchId, Data, Descriptor, ExponentialHistogram, Exporter, KeyValue, Metric, Number, Point,
    ProfileMetrics, Resource, Scope, Series, Signal, Sum,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A series that started a minute ago, and its total.
pub fn point<T: Clone>(attributes: impl IntoIterator<Item = KeyValue>, total: T) -> Point<T> {
    let series = Series {
        scope: Arc::new(Scope { name: "tests".into(), version: "1.0".into() }),
        attributes: attributes.into_iter().collect(),
        start: SystemTime::now() - Duration::from_secs(60),
    };
    Point { series: Arc::new(series), change: total.clone(), total, exemplars: Vec::new() }
}

/// A counter's data.
pub fn counter(points: Vec<Point<Number>>) -> Data {
    Data::Sum(Sum { monotonic: true, points })
}

/// A metric.
pub fn metric(name: impl Into<String>, unit: impl Into<String>, data: Data) -> Metric {
    let (name, unit) = (name.into().into(), unit.into().into());
    let descriptor = Descriptor { name, unit, description: "For a test.".into(), exact_name: false };
    Metric { descriptor: Arc::new(descriptor), data }
}

/// A snapshot of `metrics`, now.
pub fn snapshot(metrics: Vec<Metric>) -> ProfileMetrics {
    let now = SystemTime::now();
    let attributes = [KeyValue::new("service.name", "tests")].into_iter().collect();
    let resource = Arc::new(Resource { attributes });
    ProfileMetrics { resource, interval: now..now, metrics, ended: Vec::new() }
}

/// The histogram of `values` at scale 3, counted the slow and obvious way.
pub fn histogram(values: &[f64]) -> ExponentialHistogram {
    let mut all = ExponentialHistogram { scale: 3, ..Default::default() };
    for value in values {
        let mut one = ExponentialHistogram { scale: 3, sum: *value, max: Some(*value), ..Default::default() };
        if *value > 0.0 {
            let mut index = (value.log2() * 8.0).ceil() as i32;
            while one.upper_bound(index) < *value {
                index += 1;
            }
            while one.upper_bound(index - 1) >= *value {
                index -= 1;
            }
            (one.positive.offset, one.positive.counts) = (index, vec![1]);
        } else {
            one.zero_count = 1;
        }
        all.merge(&one);
    }
    all
}

/// Sends `metrics` to `exporter`.
///
/// # Panics
/// Where it does not take them.
pub fn export(exporter: &impl Exporter, metrics: ProfileMetrics) {
    let id = BatchId { instance: 1, leg: "test".into(), sequence: 1, part: 0 };
    let batch = Batch::new(id, Signal::Metrics(Arc::new(metrics)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(exporter.export(batch)).expect("taken");
}
