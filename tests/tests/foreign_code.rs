//! What an exporter of the program's own does wrong costs the batch at hand, and nothing else.

use exporters::{
    Batch, Capability, ErrorKind, Exporter, Health, Info, MemoryExporter, Profiler, Receipt, Result,
};
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// Panics when it is first asked what it can carry.
#[derive(Debug)]
struct Moody {
    asked: AtomicUsize,
    inner: MemoryExporter,
}

impl Exporter for Moody {
    fn info(&self) -> Info {
        Info::new("moody")
    }
    fn capability(&self) -> Capability {
        assert!(self.asked.fetch_add(1, Relaxed) > 0, "not now");
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        self.inner.export(batch).await
    }
    async fn health(&self) -> Health {
        self.inner.health().await
    }
    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }
    async fn shutdown(&self) -> Result<()> {
        self.inner.shutdown().await
    }
}

#[test]
fn an_exporter_that_panics_is_asked_again() {
    let memory = MemoryExporter::new();
    let moody = Moody { asked: AtomicUsize::new(0), inner: memory.clone() };
    let profiler = Profiler::builder().interval(Duration::from_secs(3600)).exporter(moody).start().unwrap();
    let first = profiler.flush(DEADLINE).unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Unexpected, "{first}");
    profiler.flush(DEADLINE).unwrap();
    assert_eq!(memory.batches().len(), 1);
    profiler.shutdown(DEADLINE).into_result().unwrap();
}
