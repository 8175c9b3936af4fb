//! What code of the program's own does wrong costs the batch or the event at hand, and nothing else.

use exporters::{
    Batch, Capability, Error, ErrorKind, Exporter, Health, Info, LegOptions, Mapping, MemoryExporter,
    MetricMapping, Payload, Profiler, Receipt, Result, Secret, Transmit, profiled,
};
use std::{
    collections::VecDeque,
    env, fs, io,
    panic::resume_unwind,
    process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// There is one profiler a process, and what its subscriber is told is counted: who uses either holds this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Panics when it is asked what it can carry for its first batch; when it was added it did not.
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
        assert_ne!(self.asked.fetch_add(1, Relaxed), 1, "not now");
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
    let _alone = alone();
    let memory = MemoryExporter::new();
    let moody = Moody { asked: AtomicUsize::new(0), inner: memory.clone() };
    let profiler = Profiler::builder().interval(Duration::from_secs(3600)).exporter(moody).start().unwrap();
    let first = profiler.flush(DEADLINE).unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Unexpected, "{first}");
    profiler.flush(DEADLINE).unwrap();
    assert_eq!(memory.batches().len(), 1);
    profiler.shutdown(DEADLINE).into_result().unwrap();
}

/// From now on the program has a subscriber that panics whenever it is told something; gives how often it was.
fn told() -> usize {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let panics = || -> io::Sink {
        TOLD.fetch_add(1, Relaxed);
        resume_unwind(Box::new("the subscriber's own fault"))
    };
    let _ = tracing_subscriber::fmt().with_writer(panics).try_init();
    TOLD.load(Relaxed)
}

#[profiled]
fn work() {}

/// Fails in the ways it is told to, then sends what it is given.
#[derive(Debug, Exporter)]
#[exporter(register = false)]
struct Failing {
    failures: Mutex<VecDeque<ErrorKind>>,
    sent: MemoryExporter,
    token: Secret,
}

impl Failing {
    fn new(failures: impl IntoIterator<Item = ErrorKind>, token: Secret) -> (Self, MemoryExporter) {
        let (failures, sent) = (Mutex::new(failures.into_iter().collect()), MemoryExporter::new());
        (Self { failures, sent: sent.clone(), token }, sent)
    }
}

impl Transmit for Failing {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(kind) => Err(Error::new(kind, "as the test has it")),
            None => {
                self.sent.export(Batch::new(payload.id, exporters::Signal::Spans(Default::default()))).await
            }
        }
    }
}

#[test]
fn a_subscriber_that_panics_costs_no_batch_and_no_leg() {
    let _alone = alone();
    let before = told();
    let file = env::temp_dir().join(format!("exporters-foreign-{}", process::id()));
    fs::write(&file, "a token").unwrap();
    let token = Secret::from_file(&file).unwrap();
    fs::remove_file(&file).unwrap();

    // What there is to tell of: an export that fails, of which the others are told later; a secret that cannot be read again; and
    // each time the metric.
    use ErrorKind::{Rejected, Unauthorized, Unavailable};
    let failures = [Rejected, Unauthorized, Unavailable];
    let (exporter, sent) = Failing::new(failures, token);
    let bad = MetricMapping::computed("bad", |_| resume_unwind(Box::new("the computation's own fault")));
    let mapping = Mapping::default().metric(bad).metric(MetricMapping::new("all", "total_calls").unwrap());
    let builder = Profiler::builder().interval(Duration::from_secs(3600));
    let options = LegOptions::default().with_mapping(mapping);
    let profiler = builder.exporter_with(exporter, options).start().unwrap();
    for kind in failures {
        work();
        assert_eq!(profiler.flush(DEADLINE).unwrap_err().kind(), kind);
    }
    assert_eq!(told() - before, 5);
    profiler.flush(DEADLINE).unwrap();
    assert_eq!(sent.batches().len(), 2, "the one that waited, too");
    profiler.shutdown(DEADLINE).into_result().unwrap();
}
