//! A backend that answers each batch as a test says.

use exporters::{
    Batch, Capability, Error, ErrorKind, Exporter, Health, Info, MemoryExporter, Receipt, Result,
};
use std::{fmt, future::pending, panic::resume_unwind, sync::Arc};

/// What it does with a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Take,
    Never,
    Panic,
}

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Backend {
    answer: Arc<dyn Fn(&Batch) -> Answer + Send + Sync>,
    /// Whether it answers those who want it to end.
    ends: bool,
    taken: MemoryExporter,
}

impl Backend {
    pub(crate) fn new(answer: impl Fn(&Batch) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), ends: true, taken: MemoryExporter::with_capacity(usize::MAX) }
    }

    /// Answers nobody, whatever it is asked.
    pub(crate) fn black_hole() -> Self {
        Self { ends: false, ..Self::new(|_| Answer::Never) }
    }

    pub(crate) fn taken(&self) -> Vec<Batch> {
        self.taken.batches()
    }

    async fn end(&self) -> Result<()> {
        if self.ends { Ok(()) } else { pending().await }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}

impl Exporter for Backend {
    fn info(&self) -> Info {
        Info::new("backend")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        match (self.answer)(&batch) {
            Answer::Take => self.taken.export(batch).await,
            Answer::Never => pending().await,
            Answer::Panic => resume_unwind(Box::new("as the test has it")),
        }
    }
    async fn health(&self) -> Health {
        match self.ends {
            true => Health::Healthy,
            false => Health::Unhealthy(Error::new(ErrorKind::Timeout, "it never answers")),
        }
    }
    async fn flush(&self) -> Result<()> {
        self.end().await
    }
    async fn shutdown(&self) -> Result<()> {
        self.end().await
    }
}
