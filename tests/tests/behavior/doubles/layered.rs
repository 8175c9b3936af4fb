//! The memory exporter in every layer: each has to let through what those around it do.

use super::memory::Memory;
use crate::double::{Double, Seen};
use exporters::{
    AnyExporter, CircuitBreakerLayer, DeadLetterConfig, DeadLetterLayer, FallbackLayer, FilterLayer, Layer,
    MemoryExporter, MonitorLayer, ProbeLayer, RateLimitLayer, ResilienceLayer, RetryLayer, SampleLayer,
    SanitizeLayer, TimeoutLayer,
};
use std::time::Duration;

/// A layer of each type, the innermost first.
fn layers() -> Vec<Box<dyn Layer>> {
    vec![
        Box::new(TimeoutLayer::new(Duration::from_secs(30))),
        Box::new(RateLimitLayer::new(1000, Duration::from_secs(1)).unwrap()),
        Box::new(CircuitBreakerLayer::new(Default::default()).unwrap()),
        Box::new(RetryLayer::new(Default::default()).unwrap()),
        Box::new(ProbeLayer::new(Default::default()).unwrap()),
        Box::new(FallbackLayer::new(AnyExporter::new(MemoryExporter::new()))),
        Box::new(ResilienceLayer::new(Default::default()).unwrap()),
        // Every item of the suite goes through these, though not every attribute.
        Box::new(FilterLayer::new().exclude("absent.*").spans(|span| span.name != "absent")),
        Box::new(SampleLayer::new(0.1).unwrap()),
        Box::new(SanitizeLayer::new().deny("module")),
        // What went there, or to the fallback, would be missing.
        Box::new(DeadLetterLayer::new(DeadLetterConfig::file("/nonexistent")).unwrap()),
        Box::new(MonitorLayer::new(Default::default()).unwrap()),
    ]
}

#[derive(Debug)]
pub(crate) struct Layered(Memory);

impl Layered {
    pub(crate) fn new() -> Self {
        Self(Memory::new())
    }
}

impl Double for Layered {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn exporter(&self) -> AnyExporter {
        layers().iter().fold(self.0.exporter(), |inner, layer| layer.layer(inner))
    }

    fn seen(&self) -> Seen {
        self.0.seen()
    }

    fn ids(&self) -> Vec<String> {
        self.0.ids()
    }
}
