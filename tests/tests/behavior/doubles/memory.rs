//! The memory exporter is its own backend.

use crate::double::{Double, Seen};
use exporters::{AnyExporter, MemoryExporter};

#[derive(Debug)]
pub(crate) struct Memory(MemoryExporter);

impl Memory {
    pub(crate) fn new() -> Self {
        Self(MemoryExporter::new())
    }
}

impl Double for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn exporter(&self) -> AnyExporter {
        AnyExporter::new(self.0.clone())
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for batch in self.0.batches() {
            if let Some(metrics) = batch.metrics() {
                seen.plus(&Seen::of(&metrics.slice(batch.range()), false));
            }
        }
        seen
    }

    fn ids(&self) -> Vec<String> {
        self.0.batches().iter().map(|batch| batch.id().to_string()).collect()
    }
}
