//! A process that makes spans and sends them, each as its documentation recommends, with the same name and attributes.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::thread;
use std::time::{Duration, Instant};

use benches::calls::floors::{bare, body, drive};
use benches::{Result, peak_resident};
use exporters::{OpenTelemetryConfig, OpenTelemetryExporter, Profiler, Sampler, profiled};
use fastrace::prelude::{LocalSpan, Span, SpanContext};
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::by_hand::ByHand;

/// What ours call a span and say of its thread; the others say the same.
pub(crate) const NAME: &str = "producers::charge";
pub(crate) const THREAD_ID: u8 = 1;
pub(crate) const THREAD_NAME: &str = "main";

/// How long to wait for the last spans to be sent.
const END: Duration = Duration::from_secs(60);
/// How often a producer that keeps to a rate makes what is due.
const TICK: Duration = Duration::from_millis(1);

/// What such a process found.
#[derive(Debug)]
pub(crate) struct Produced {
    pub(crate) spans: f64,
    /// In which they were made.
    pub(crate) seconds: f64,
    /// In which they were made and sent.
    pub(crate) until_sent: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak: f64,
    /// That it says it lost.
    pub(crate) counted_lost: f64,
}

/// Has one process be `who`, make `rate` spans a second, or as many as it can where that is 0, and send them to `port`.
pub(crate) fn produce(who: &str, rate: u64, time: Duration, port: u16, batch: u64) -> Result<Produced> {
    let numbers = [rate, time.as_millis() as u64, u64::from(port), batch].map(|number| number.to_string());
    let words: Vec<&str> = ["produce", who].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    match benches::child(&words)?[..] {
        [spans, seconds, until_sent, cpu_seconds, peak, counted_lost] => {
            Ok(Produced { spans, seconds, until_sent, cpu_seconds, peak, counted_lost })
        }
        ref other => Err(format!("{words:?} printed {other:?}").into()),
    }
}

/// Makes about so many spans; gives how many.
type Make = Box<dyn FnMut(u64) -> Result<u64>>;
/// Sends what is left; gives how many it knows to be lost, if it knows.
type Finish = Box<dyn FnOnce() -> Result<f64>>;

/// In a child: see [`produce`].
pub(crate) fn run(words: &[String]) -> Result<()> {
    let [who, rate, time, port, batch] = words else { return Err(format!("cannot make {words:?}").into()) };
    let (rate, time) = (rate.parse()?, Duration::from_millis(time.parse()?));
    let (mut make, finish): (Make, Finish) = match (who.as_str(), port.parse()?) {
        ("exporters", port) => ours(port, true, each(charge))?,
        ("exporters, no thread attributes", port) => ours(port, false, each(charge))?,
        ("exporters, async", port) => ours(port, true, each(|x| drive(charge_async(x))))?,
        ("opentelemetry-otlp", port) => opentelemetry(port)?,
        ("fastrace-opentelemetry", port) => fastrace(port)?,
        ("by hand", port) => by_hand(port, batch.parse()?)?,
        ("nobody", _) => nobody(),
        (who, _) => return Err(format!("nobody is called {who:?}").into()),
    };
    let (before, start) = (cpu_seconds()?, Instant::now());
    let spans = match rate {
        0 => flat_out(&mut make, start, time)?,
        rate => paced(&mut make, start, time, rate)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    let lost = finish()?;
    let (until_sent, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - before);
    println!("\n{spans} {seconds} {until_sent} {cpu} {} {lost}", peak_resident()?);
    Ok(())
}

fn flat_out(make: &mut Make, start: Instant, time: Duration) -> Result<u64> {
    let mut spans = 0;
    while start.elapsed() < time {
        spans += make(100)?;
    }
    Ok(spans)
}

fn paced(make: &mut Make, start: Instant, time: Duration, rate: u64) -> Result<u64> {
    let (mut spans, mut now) = (0, Duration::ZERO);
    while now < time {
        let due = (now.as_secs_f64() * rate as f64) as u64;
        if spans < due {
            spans += make(due - spans)?;
        }
        thread::sleep((now + TICK).saturating_sub(start.elapsed()));
        now = start.elapsed();
    }
    Ok(spans)
}

/// Calls `call` so many times.
fn each(mut call: impl FnMut(u64) + 'static) -> Make {
    Box::new(move |count| {
        (0..count).for_each(&mut call);
        Ok(count)
    })
}

#[profiled]
#[inline(never)]
fn charge(x: u64) {
    let _ = body(x);
}

#[profiled(name = "charge")]
async fn charge_async(x: u64) {
    let _ = body(x);
}

fn ours(port: u16, thread_attributes: bool, make: Make) -> Result<(Make, Finish)> {
    let exporter = OpenTelemetryExporter::new(OpenTelemetryConfig::new(endpoint(port).parse()?))?;
    let builder = Profiler::builder().sampler(Sampler::AlwaysOn).thread_attributes(thread_attributes);
    let profiler = builder.exporter(exporter).start()?;
    let finish = move || {
        let report = profiler.shutdown(END);
        let leg = report.legs.first().ok_or("no exporter")?;
        if let Some(error) = &leg.error {
            return Err(error.to_string().into());
        }
        Ok((leg.ledger.dropped.total() + leg.ledger.rejected + leg.ledger.buffered) as f64)
    };
    Ok((make, Box::new(finish)))
}

fn opentelemetry(port: u16) -> Result<(Make, Finish)> {
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter(port)?).build();
    let tracer = provider.tracer("benches");
    let make = each(move |x| {
        let attributes =
            [KeyValue::new("thread.id", i64::from(THREAD_ID)), KeyValue::new("thread.name", THREAD_NAME)];
        let _span = tracer.span_builder(NAME).with_attributes(attributes).start(&tracer);
        let _ = body(x);
    });
    let finish = move || {
        provider.shutdown_with_timeout(END)?;
        Ok(f64::NAN)
    };
    Ok((make, Box::new(finish)))
}

fn fastrace(port: u16) -> Result<(Make, Finish)> {
    let resource = Cow::Owned(Resource::builder().build());
    let scope = InstrumentationScope::builder("benches").build();
    let reporter = OpenTelemetryReporter::new(exporter(port)?, resource, scope);
    fastrace::set_reporter(reporter, fastrace::collector::Config::default());
    let properties = || [("thread.id", "1"), ("thread.name", THREAD_NAME)];
    let make = move |count: u64| {
        for _ in 0..count.div_ceil(100) {
            let root = Span::root(NAME, SpanContext::random()).with_properties(properties);
            let _guard = root.set_local_parent();
            for x in 1..100 {
                let _span = LocalSpan::enter_with_local_parent(NAME).with_properties(properties);
                let _ = body(x);
            }
        }
        Ok(count.div_ceil(100) * 100)
    };
    let finish = || {
        fastrace::flush();
        Ok(f64::NAN)
    };
    Ok((Box::new(make), Box::new(finish)))
}

fn by_hand(port: u16, batch: u64) -> Result<(Make, Finish)> {
    let mut by_hand = ByHand::new(port)?;
    let make = move |_| by_hand.post(batch).map(|()| batch);
    Ok((Box::new(make), Box::new(|| Ok(0.0))))
}

/// Keeps to a rate, and makes nothing: what that costs is not to be held against the others.
fn nobody() -> (Make, Finish) {
    (each(|x| _ = bare(x)), Box::new(|| Ok(0.0)))
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn exporter(port: u16) -> Result<SpanExporter> {
    // Its client shares the features of ours, which brings no default, and asks for one though nothing is encrypted.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "there is a provider already")?;
    let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    Ok(builder.with_endpoint(endpoint(port) + "/v1/traces").build()?)
}

/// Of all threads of this process, in its own code and the system's.
fn cpu_seconds() -> Result<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: it is given room for what it writes.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: it was written.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}
