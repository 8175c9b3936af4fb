//! The peers' renderers over the same series.

use benches::Result;

use crate::{Kind, Render};

/// Bounds of the peers' histograms, in seconds: 10, which makes 13 lines.
const BOUNDS: [f64; 10] = [1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0];
const LINES_A_HISTOGRAM: usize = BOUNDS.len() + 3;

/// Series that make so many lines.
fn series(kind: Kind, lines: usize) -> usize {
    match kind {
        Kind::Counter => lines,
        Kind::Histogram => lines.div_ceil(LINES_A_HISTOGRAM),
    }
}

/// Twenty durations spread over the buckets.
fn durations(series: usize) -> impl Iterator<Item = f64> {
    (0..20).map(move |k| BOUNDS[(series + k) % BOUNDS.len()] * 0.7)
}

fn calls(series: usize) -> u64 {
    series as u64 * 977
}

struct Prometheus {
    registry: prometheus::Registry,
    page: String,
}

pub(crate) fn prometheus(kind: Kind, lines: usize) -> Result<Box<dyn Render>> {
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};
    let registry = prometheus::Registry::new();
    let labels = ["function", "module"];
    match kind {
        Kind::Counter => {
            let family = IntCounterVec::new(Opts::new("calls_total", "Calls"), &labels)?;
            for i in 0..series(kind, lines) {
                family.with_label_values(&[&*crate::function(i), "peers"]).inc_by(calls(i));
            }
            registry.register(Box::new(family))?;
        }
        Kind::Histogram => {
            let options = HistogramOpts::new("call_seconds", "Seconds").buckets(BOUNDS.to_vec());
            let family = HistogramVec::new(options, &labels)?;
            for i in 0..series(kind, lines) {
                let histogram = family.with_label_values(&[&*crate::function(i), "peers"]);
                durations(i).for_each(|seconds| histogram.observe(seconds));
            }
            registry.register(Box::new(family))?;
        }
    }
    Ok(Box::new(Prometheus { registry, page: String::new() }))
}

impl Render for Prometheus {
    fn render(&mut self) -> &[u8] {
        self.page.clear();
        // Writing to a string cannot fail, and an empty page shows.
        let _ = prometheus::TextEncoder::new().encode_utf8(&self.registry.gather(), &mut self.page);
        self.page.as_bytes()
    }
}

struct PrometheusClient {
    registry: prometheus_client::registry::Registry,
    page: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, prometheus_client::encoding::EncodeLabelSet)]
struct Labels {
    function: String,
    module: &'static str,
}

pub(crate) fn prometheus_client(kind: Kind, lines: usize) -> Result<Box<dyn Render>> {
    use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
    let mut registry = prometheus_client::registry::Registry::default();
    let labels = |i| Labels { function: crate::function(i), module: "peers" };
    match kind {
        Kind::Counter => {
            let family = Family::<Labels, Counter>::default();
            registry.register("calls", "Calls", family.clone());
            for i in 0..series(kind, lines) {
                family.get_or_create(&labels(i)).inc_by(calls(i));
            }
        }
        Kind::Histogram => {
            let family = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BOUNDS));
            registry.register("call_seconds", "Seconds", family.clone());
            for i in 0..series(kind, lines) {
                let histogram = family.get_or_create(&labels(i));
                durations(i).for_each(|seconds| histogram.observe(seconds));
            }
        }
    }
    Ok(Box::new(PrometheusClient { registry, page: String::new() }))
}

impl Render for PrometheusClient {
    fn render(&mut self) -> &[u8] {
        self.page.clear();
        let _ = prometheus_client::encoding::text::encode(&mut self.page, &self.registry);
        self.page.as_bytes()
    }
}

struct Metrics {
    handle: metrics_exporter_prometheus::PrometheusHandle,
    page: String,
}

pub(crate) fn metrics(kind: Kind, lines: usize) -> Result<Box<dyn Render>> {
    let recorder =
        metrics_exporter_prometheus::PrometheusBuilder::new().set_buckets(&BOUNDS)?.build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for i in 0..series(kind, lines) {
            let function = crate::function(i);
            match kind {
                Kind::Counter => {
                    metrics::counter!("calls_total", "function" => function, "module" => "peers")
                        .increment(calls(i));
                }
                Kind::Histogram => {
                    let histogram =
                        metrics::histogram!("call_seconds", "function" => function, "module" => "peers");
                    durations(i).for_each(|seconds| histogram.record(seconds));
                }
            }
        }
    });
    Ok(Box::new(Metrics { handle: recorder.handle(), page: String::new() }))
}

impl Render for Metrics {
    fn render(&mut self) -> &[u8] {
        self.page = self.handle.render();
        self.page.as_bytes()
    }
}
