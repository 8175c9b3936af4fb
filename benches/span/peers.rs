//! The peers, each as its documentation recommends for speed. Their calls are neither counted nor timed but by their spans.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use benches::Result;
use benches::calls::Received;
use benches::calls::floors::{Outcome, Run, body, drive, repeat};
use fastrace::collector::{Config, Reporter, SpanRecord};
use fastrace::prelude::{Span, SpanContext, SpanId};
use opentelemetry::Context;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter, SpanProcessor, Tracer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

static RECEIVED: AtomicU64 = AtomicU64::new(0);
static PROVIDER: Mutex<Option<SdkTracerProvider>> = Mutex::new(None);

/// None of them says how many spans it lost.
pub(crate) fn received() -> Result<Received> {
    if let Some(provider) = &*PROVIDER.lock().unwrap_or_else(PoisonError::into_inner) {
        provider.force_flush()?;
    }
    fastrace::flush();
    Ok(Received { received: RECEIVED.load(Relaxed), lost: None })
}

/// Counts what it is given, and throws it away.
#[derive(Debug)]
struct Null;

impl Reporter for Null {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        // The roots are there for the sake of the others.
        let within = spans.iter().filter(|span| span.parent_id != SpanId::default()).count();
        RECEIVED.fetch_add(within as u64, Relaxed);
    }
}

impl SpanExporter for Null {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        RECEIVED.fetch_add(batch.len() as u64, Relaxed);
        Ok(())
    }
}

impl SpanProcessor for Null {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}
    fn on_end(&self, _: SpanData) {
        RECEIVED.fetch_add(1, Relaxed);
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Runs `run` so many calls at a time, each time in a root of its own.
fn in_roots(run: Run, calls: u64, sampled: bool) -> Run {
    fastrace::set_reporter(Null, Config::default());
    Box::new(move |mut count| {
        while count > 0 {
            let root = Span::root("root", SpanContext::random().sampled(sampled));
            let _guard = root.set_local_parent();
            run(calls.min(count));
            count -= calls.min(count);
        }
    })
}

pub(crate) fn fastrace(calls_a_root: u64, sampled: bool) -> Result<Run> {
    #[fastrace::trace]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    Ok(in_roots(repeat(subject), calls_a_root, sampled))
}

pub(crate) fn fastrace_async() -> Result<Run> {
    #[fastrace::trace]
    async fn subject(x: u64) -> Outcome {
        body(x)
    }
    Ok(in_roots(repeat(|x| drive(subject(x))), 100, true))
}

/// What becomes of OpenTelemetry's spans.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trace {
    /// They go to the exporter by way of the default batch processor.
    Batches,
    /// The processor drops them at once: what a span costs without queue and thread.
    Dropped,
    /// The sampler wants none.
    None,
}

fn tracer(trace: Trace) -> Tracer {
    let builder = SdkTracerProvider::builder();
    let builder = match trace {
        Trace::Batches => builder.with_batch_exporter(Null).with_sampler(Sampler::AlwaysOn),
        Trace::Dropped => builder.with_span_processor(Null).with_sampler(Sampler::AlwaysOn),
        Trace::None => builder.with_batch_exporter(Null).with_sampler(Sampler::TraceIdRatioBased(0.0)),
    };
    let provider = builder.build();
    let tracer = provider.tracer("peers");
    *PROVIDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(provider);
    tracer
}

pub(crate) fn opentelemetry(trace: Trace) -> Result<Run> {
    #[inline(never)]
    fn subject(tracer: &Tracer, x: u64) -> Outcome {
        // It ends where it goes out of scope.
        let _span = tracer.start("subject");
        body(x)
    }
    let tracer = tracer(trace);
    Ok(repeat(move |x| subject(&tracer, x)))
}

pub(crate) fn tracing(trace: Trace) -> Result<Run> {
    #[tracing::instrument(skip_all)]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_tracer(tracer(trace));
    tracing_subscriber::registry().with(layer).try_init()?;
    Ok(repeat(subject))
}
