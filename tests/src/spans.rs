//! Spans in tests: recorded without an exporter, what takes them, and what is expected of them.

use exporters::{
    __private::spans as recorded, Batch, Capability, Error, ErrorKind, Exporter, Health, Info,
    MemoryExporter, Receipt, Result, Sampler, Span, TestProfiler, current_span,
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// What one test records; the queues are everybody's, so one test runs at a time.
#[derive(Debug)]
pub struct Recording {
    /// Of the thread.
    pub profiler: TestProfiler,
    _turn: MutexGuard<'static, ()>,
}

impl Recording {
    /// One test's turn, without recording.
    pub fn turn() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By this sampler.
    pub fn with(sampler: &Sampler) -> Self {
        let turn = Self::turn();
        recorded::sample(sampler);
        let profiler = exporters::test();
        recorded::drain();
        Self { profiler, _turn: turn }
    }

    /// Every trace, but for those that another process left out.
    pub fn all() -> Self {
        Self::with(&Sampler::parent_based(Sampler::AlwaysOn))
    }

    /// Those that ended since somebody asked.
    ///
    /// # Panics
    /// Where some were lost, or a span is still current.
    pub fn spans(&self) -> Vec<Span> {
        let (spans, dropped) = recorded::drain();
        assert_eq!((dropped, current_span()), (0, None));
        spans
    }
}

/// A name without the crate that it is of.
pub fn short(span: &Span) -> &str {
    span.name.split_once("::").map_or(&*span.name, |(_, name)| name)
}

/// Their short names.
pub fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(short).collect()
}

/// The one with this short name.
///
/// # Panics
/// Where there are none, or several.
#[track_caller]
pub fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| short(span) == name).collect();
    assert_eq!(found.len(), 1, "spans called {name} in {:?}", names(spans));
    found[0]
}

/// # Panics
/// Where it is not.
#[track_caller]
pub fn assert_child(child: &Span, parent: &Span) {
    assert_eq!(child.context.trace_id, parent.context.trace_id);
    assert_eq!(child.parent_id, parent.context.span_id, "{} is no child of {}", child.name, parent.name);
    assert!(!child.parent_is_remote);
}

/// # Panics
/// Where it is not.
#[track_caller]
pub fn assert_root(span: &Span) {
    assert_eq!(span.parent_id, [0; 8], "{} is no root", span.name);
}

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
    /// Whether it has some recorded where nobody says which.
    pub asks: bool,
}

impl Default for SpansOnly {
    fn default() -> Self {
        Self { memory: MemoryExporter::with_capacity(usize::MAX), is_down: Arc::default(), asks: false }
    }
}

impl Exporter for SpansOnly {
    fn info(&self) -> Info {
        Info::new("spans")
    }
    fn capability(&self) -> Capability {
        if self.asks { Capability::SPANS.with_traces() } else { Capability::SPANS }
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
