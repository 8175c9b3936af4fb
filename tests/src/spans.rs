//! What takes spans.

use exporters::{
    Batch, Capability, Error, ErrorKind, Exporter, Health, Info, MemoryExporter, Receipt, Result, Span,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The spans that an exporter took, which forgets them.
pub fn spans(memory: &MemoryExporter) -> Vec<Span> {
    let batches = memory.take();
    batches.iter().flat_map(|batch| batch.spans().unwrap_or_default().to_vec()).collect()
}

/// What takes spans alone.
#[derive(Clone, Debug)]
pub struct SpansOnly {
    /// What it took.
    pub memory: MemoryExporter,
    /// Whether it takes nothing at the moment.
    pub is_down: Arc<AtomicBool>,
}

impl Default for SpansOnly {
    fn default() -> Self {
        Self { memory: MemoryExporter::with_capacity(usize::MAX), is_down: Arc::default() }
    }
}

impl Exporter for SpansOnly {
    fn info(&self) -> Info {
        Info::new("spans")
    }
    fn capability(&self) -> Capability {
        Capability::SPANS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        match self.is_down.load(Relaxed) {
            true => Err(Error::new(ErrorKind::Unavailable, "it is down")),
            false => self.memory.export(batch).await,
        }
    }
    async fn health(&self) -> Health {
        Health::Healthy
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}
