//! Routes around other doubles: what they are sent arrives everywhere, once.

use super::{http::Http, memory::Memory};
use crate::double::{Answer, Double, Seen};
use exporters::{
    AnyExporter, ConditionalConfig, ConditionalExporter, Expression, MultiConfig, MultiExporter,
    ProfileMetrics, Span,
};
use std::time::Duration;

/// Two memories, or a memory and a backend that is told what to answer, both of which must take everything.
pub(crate) struct Both(Memory, Box<dyn Double>);

impl Both {
    pub(crate) fn memories() -> Self {
        Self(Memory::new(), Box::new(Memory::new()))
    }

    pub(crate) fn with_http() -> Self {
        Self(Memory::new(), Box::new(Http::json()))
    }
}

impl Double for Both {
    fn kind(&self) -> &'static str {
        "multi"
    }

    fn exporter(&self) -> AnyExporter {
        let config = MultiConfig { min_success_count: 2, ..MultiConfig::default() };
        let both = [self.0.exporter(), self.1.exporter()];
        AnyExporter::new(MultiExporter::new(config, both).unwrap())
    }

    fn seen(&self) -> Seen {
        self.1.seen()
    }

    fn seen_beside(&self) -> Option<Seen> {
        Some(self.0.seen())
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.1.script(answers)
    }

    fn ids(&self) -> Vec<String> {
        self.1.ids()
    }
}

/// A memory behind conditions of every sort, all of which hold.
pub(crate) struct Conditions(Memory);

impl Conditions {
    pub(crate) fn new() -> Self {
        Self(Memory::new())
    }
}

impl Double for Conditions {
    fn kind(&self) -> &'static str {
        "conditional"
    }

    fn exporter(&self) -> AnyExporter {
        let always: Expression = "interval_seconds >= 0 or total_calls < 0".parse().unwrap();
        let memory = || self.0.exporter();
        let builder = ConditionalExporter::builder()
            .route("never", |metrics: &ProfileMetrics| metrics.interval_seconds() < 0.0, memory())
            .route("always", move |metrics| always.holds(metrics), memory())
            .route_spans("served", |span: &Span| span.name == "charge", memory())
            .config(ConditionalConfig {
                export_timeout: Duration::from_secs(5),
                ..ConditionalConfig::default()
            });
        AnyExporter::new(builder.build().unwrap())
    }

    fn seen(&self) -> Seen {
        self.0.seen()
    }

    fn ids(&self) -> Vec<String> {
        self.0.ids()
    }
}
