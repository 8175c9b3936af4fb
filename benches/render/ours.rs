//! Our renderer over as many lines.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use benches::Result;
use exporters::prometheus::{Format, PrometheusConfig, Renderer};
use exporters::{
    Attributes, Buckets, Data, Descriptor, ExponentialHistogram, KeyValue, Metric, Number, Point,
    ProfileMetrics, Resource, Scope, Series, Sum,
};

use crate::{Kind, Render};

/// A snapshot with so many series.
fn snapshot(kind: Kind, series: usize) -> ProfileMetrics {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let scope = Arc::new(Scope { name: "my_crate".into(), version: "1.0.0".into() });
    let metric = match kind {
        Kind::Counter => {
            let points = (0..series)
                .map(|i| {
                    let calls = Number::U64(i as u64 * 977);
                    Point {
                        series: one(&scope, start, i),
                        total: calls,
                        change: calls,
                        exemplars: Vec::new(),
                    }
                })
                .collect();
            let descriptor = Descriptor {
                name: "function.calls".into(),
                unit: "{call}".into(),
                description: "Calls".into(),
                exact_name: false,
            };
            Metric { descriptor: Arc::new(descriptor), data: Data::Sum(Sum { monotonic: true, points }) }
        }
        Kind::Histogram => {
            let points = (0..series)
                .map(|i| {
                    let durations = durations(i);
                    Point {
                        series: one(&scope, start, i),
                        total: durations.clone(),
                        change: durations,
                        exemplars: Vec::new(),
                    }
                })
                .collect();
            let descriptor = Descriptor {
                name: "function.calls.duration".into(),
                unit: "s".into(),
                description: "Seconds".into(),
                exact_name: false,
            };
            Metric { descriptor: Arc::new(descriptor), data: Data::ExponentialHistogram(points) }
        }
    };
    ProfileMetrics {
        resource: Arc::new(Resource::default()),
        interval: start..start + Duration::from_secs(10),
        metrics: vec![metric],
        ended: Vec::new(),
    }
}

fn one(scope: &Arc<Scope>, start: SystemTime, series: usize) -> Arc<Series> {
    let attributes = Attributes::new([
        KeyValue::new("function", crate::function(series)),
        KeyValue::new("module", "my_crate::module"),
    ]);
    Arc::new(Series { scope: scope.clone(), attributes, start })
}

/// Durations from a microsecond to a millisecond: the ten octaves that a busy function fills.
fn durations(series: usize) -> ExponentialHistogram {
    let counts: Vec<u64> = (0..80).map(|bucket| ((bucket * 7 + series) % 23) as u64).collect();
    let sum = counts.iter().sum::<u64>() as f64 * 0.000_012_345;
    ExponentialHistogram {
        scale: 3,
        positive: Buckets { offset: -160, counts },
        sum,
        max: Some(0.000_987_654_321),
        ..ExponentialHistogram::default()
    }
}

struct Ours {
    renderer: Renderer,
    snapshot: ProfileMetrics,
    format: Format,
    page: Vec<u8>,
}

pub(crate) fn text(kind: Kind, lines: usize) -> Result<Box<dyn Render>> {
    start(kind, lines, Format::Text)
}

pub(crate) fn open_metrics(kind: Kind, lines: usize) -> Result<Box<dyn Render>> {
    start(kind, lines, Format::OpenMetrics)
}

fn start(kind: Kind, lines: usize, format: Format) -> Result<Box<dyn Render>> {
    let config = PrometheusConfig::default();
    let lines_a_series = match kind {
        Kind::Counter => 1,
        // One of each bound, and `+Inf`, `_sum`, `_count`.
        Kind::Histogram => config.classic_buckets.len() + 3,
    };
    let snapshot = snapshot(kind, lines.div_ceil(lines_a_series));
    Ok(Box::new(Ours { renderer: Renderer::new(&config)?, snapshot, format, page: Vec::new() }))
}

impl Render for Ours {
    fn render(&mut self) -> &[u8] {
        self.page.clear();
        self.renderer.render(&self.snapshot, self.format, &mut self.page);
        &self.page
    }
}
