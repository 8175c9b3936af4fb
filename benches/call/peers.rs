//! The peers, each in its fastest form: handles resolved beforehand where it has handles.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use benches::Result;
use benches::calls::floors::{Outcome, Pending, Run, body, drive, repeat};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Bounds of the peers' histograms, in seconds.
const BOUNDS: [f64; 10] = [1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0];

pub(crate) fn metrics() -> Result<Run> {
    let recorder =
        metrics_exporter_prometheus::PrometheusBuilder::new().set_buckets(&BOUNDS)?.build_recorder();
    let handle = recorder.handle();
    // Without upkeep the exporter keeps every sample until it is scraped.
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(200));
            handle.run_upkeep();
        }
    });
    metrics::set_global_recorder(recorder)?;
    let calls = metrics::counter!("calls_total", "function" => "subject", "module" => "peers");
    let seconds = metrics::histogram!("call_seconds", "function" => "subject", "module" => "peers");
    #[inline(never)]
    fn subject(calls: &metrics::Counter, seconds: &metrics::Histogram, x: u64) -> Outcome {
        let start = Instant::now();
        let outcome = body(x);
        calls.increment(1);
        seconds.record(start.elapsed().as_secs_f64());
        outcome
    }
    Ok(repeat(move |x| subject(&calls, &seconds, x)))
}

pub(crate) fn prometheus() -> Result<Run> {
    use prometheus::{Histogram, HistogramOpts, IntCounter, register_histogram, register_int_counter};
    let calls = register_int_counter!("calls_total", "Calls")?;
    let seconds =
        register_histogram!(HistogramOpts::new("call_seconds", "Seconds").buckets(BOUNDS.to_vec()))?;
    #[inline(never)]
    fn subject(calls: &IntCounter, seconds: &Histogram, x: u64) -> Outcome {
        let timer = seconds.start_timer();
        let outcome = body(x);
        calls.inc();
        timer.observe_duration();
        outcome
    }
    Ok(repeat(move |x| subject(&calls, &seconds, x)))
}

pub(crate) fn prometheus_client() -> Result<Run> {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::histogram::Histogram;
    let (calls, seconds) = (Counter::<u64>::default(), Histogram::new(BOUNDS));
    #[inline(never)]
    fn subject(calls: &Counter, seconds: &Histogram, x: u64) -> Outcome {
        let start = Instant::now();
        let outcome = body(x);
        calls.inc();
        seconds.observe(start.elapsed().as_secs_f64());
        outcome
    }
    Ok(repeat(move |x| subject(&calls, &seconds, x)))
}

fn start_autometrics() {
    autometrics::settings::AutometricsSettings::builder().init();
}

pub(crate) fn autometrics() -> Result<Run> {
    start_autometrics();
    #[autometrics::autometrics]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    Ok(repeat(subject))
}

pub(crate) fn autometrics_async(pending: u32) -> Result<Run> {
    start_autometrics();
    #[autometrics::autometrics]
    async fn subject(x: u64, pending: u32) -> Outcome {
        let outcome = body(x);
        Pending::times(pending).await;
        outcome
    }
    Ok(repeat(move |x| drive(subject(x, pending))))
}

fn start_hotpath() {
    // Kept to the end of the process, which never reports.
    std::mem::forget(hotpath::HotpathGuardBuilder::new("call").build());
}

pub(crate) fn hotpath() -> Result<Run> {
    start_hotpath();
    #[hotpath::measure]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    Ok(repeat(subject))
}

pub(crate) fn hotpath_async(pending: u32) -> Result<Run> {
    start_hotpath();
    #[hotpath::measure]
    async fn subject(x: u64, pending: u32) -> Outcome {
        let outcome = body(x);
        Pending::times(pending).await;
        outcome
    }
    Ok(repeat(move |x| drive(subject(x, pending))))
}

pub(crate) fn tracing() -> Result<Run> {
    tracing_subscriber::registry().with(Timing::new()).try_init()?;
    #[tracing::instrument(skip_all)]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    Ok(repeat(subject))
}

pub(crate) fn tracing_async(pending: u32) -> Result<Run> {
    tracing_subscriber::registry().with(Timing::new()).try_init()?;
    #[tracing::instrument(skip_all)]
    async fn subject(x: u64, pending: u32) -> Outcome {
        let outcome = body(x);
        Pending::times(pending).await;
        outcome
    }
    Ok(repeat(move |x| drive(subject(x, pending))))
}

/// The least that a layer which measures spans can do: count, sum, and a histogram of powers of two.
struct Timing {
    calls: AtomicU64,
    nanoseconds: AtomicU64,
    buckets: [AtomicU64; 64],
}

impl Timing {
    const fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; 64],
        }
    }
}

struct Started(Instant);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Timing {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Started(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(took) = span.extensions().get::<Started>().map(|started| started.0.elapsed()) else {
            return;
        };
        let took = took.as_nanos() as u64;
        self.calls.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(took, Relaxed);
        self.buckets[(took | 1).ilog2() as usize].fetch_add(1, Relaxed);
    }
}
