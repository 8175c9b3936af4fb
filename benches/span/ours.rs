//! Our own functions, whose calls are also counted and timed; the peers' are not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use benches::Result;
use benches::calls::Received;
use benches::calls::floors::{Outcome, Run, body, drive, repeat};
use exporters::{
    __private::spans, Batch, Capability, Exporter, Health, Info, Profiler, Receipt, Sampler, SpanContext,
    profiled, with_remote_parent,
};

#[profiled]
#[inline(never)]
fn subject(x: u64) -> Outcome {
    body(x)
}

/// Takes spans, and makes nothing of them.
#[derive(Debug)]
struct Null;

impl Exporter for Null {
    fn info(&self) -> Info {
        Info::new("null")
    }
    fn capability(&self) -> Capability {
        let mut capability = Capability::ALL;
        capability.metrics = false;
        capability
    }
    async fn export(&self, batch: Batch) -> exporters::Result<Receipt> {
        Ok(Receipt::accepted(batch.len()))
    }
    async fn health(&self) -> Health {
        Health::Healthy
    }
    async fn flush(&self) -> exporters::Result<()> {
        Ok(())
    }
    async fn shutdown(&self) -> exporters::Result<()> {
        Ok(())
    }
}

/// Spans that are there for the sake of those below them.
static ROOTS: AtomicU64 = AtomicU64::new(0);
static PROFILER: OnceLock<Profiler> = OnceLock::new();
/// How many were thrown away, and how many had found no room.
static DISCARDED: Mutex<(u64, u64)> = Mutex::new((0, 0));

fn discarded() -> MutexGuard<'static, (u64, u64)> {
    DISCARDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records, and reads the spans as fast as they come, which no exporter could; what is left goes to [`Null`].
fn start() -> Result<()> {
    if PROFILER.get().is_some() {
        return Ok(());
    }
    let _ = PROFILER.set(Profiler::builder().exporter(Null).start()?);
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_micros(500));
            // Locked first, so that nobody reads the sums between the two.
            let mut sums = discarded();
            let (discarded, refused) = spans::discard();
            *sums = (sums.0 + discarded, sums.1 + refused);
        }
    });
    Ok(())
}

pub(crate) fn received() -> Result<Received> {
    let profiler = PROFILER.get().ok_or("no profiler")?;
    profiler.flush(Duration::from_secs(10))?;
    let (_, ledger) = profiler.ledger().into_iter().next().ok_or("no exporter")?;
    let (discarded, refused) = *discarded();
    let received = discarded + ledger.exported - ROOTS.load(Relaxed);
    Ok(Received { received, lost: Some(refused + ledger.dropped.total()) })
}

/// [`subject`] without spans, in a process that has them in other rounds.
pub(crate) fn without() -> Result<Run> {
    start()?;
    let run = repeat(subject);
    Ok(Box::new(move |count| {
        spans::stop();
        run(count);
    }))
}

pub(crate) fn span(sampler: Sampler) -> Result<Run> {
    start()?;
    let run = repeat(subject);
    Ok(Box::new(move |count| {
        spans::sample(&sampler);
        run(count);
    }))
}

/// Calls below one that has a span, too.
pub(crate) fn in_local() -> Result<Run> {
    #[profiled]
    fn root(run: &Run, count: u64) {
        run(count);
    }
    start()?;
    spans::sample(&Sampler::AlwaysOn);
    let run = repeat(subject);
    Ok(Box::new(move |count| {
        ROOTS.fetch_add(1, Relaxed);
        root(&run, count);
    }))
}

/// Calls in a trace about which has been decided elsewhere: by these flags.
pub(crate) fn in_remote(flags: u8) -> Result<Run> {
    start()?;
    let parent = SpanContext { trace_id: [1; 16], span_id: [1; 8], flags, trace_state: "".into() };
    let run = repeat(subject);
    Ok(Box::new(move |count| {
        spans::sample(&ratio(0.0));
        with_remote_parent(parent.clone(), || run(count));
    }))
}

pub(crate) fn asynchronous() -> Result<Run> {
    #[profiled]
    async fn subject(x: u64) -> Outcome {
        body(x)
    }
    start()?;
    spans::sample(&Sampler::AlwaysOn);
    Ok(repeat(move |x| drive(subject(x))))
}

pub(crate) fn ratio(ratio: f64) -> Sampler {
    Sampler::parent_based(Sampler::TraceIdRatio(ratio))
}
