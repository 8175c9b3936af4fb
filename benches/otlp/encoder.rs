//! What it costs to write 1,000 spans, and the metrics of 1,000 functions, in one request.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use benches::allocations::allocations;
use benches::{Result, median, verdict};
use exporters::__private::otlp;
use exporters::{
    Attributes, Batch, BatchId, Buckets, Data, Descriptor, ExponentialHistogram, KeyValue, Metric, Number,
    OtlpProtocol, Point, ProfileMetrics, Resource, Scope, Series, Signal, Span, SpanContext, SpanKind,
    Status, Sum,
};
use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message;

const ITEMS: u64 = 1_000;
/// Times what `prost` takes for messages that are ready.
const TARGET: f64 = 1.0;
/// Bytes of a span without attributes.
const MOST_BYTES: usize = 100;

/// Prints the table.
pub(crate) fn report(quick: bool) -> Result<()> {
    let rounds = if quick { 5 } else { 101 };
    println!("{:<26}{:>9}{:>12}{:>12}{:>8}  verdict", "", "ns/item", "bytes/item", "allocations", "ratio");
    let bare = spans(false);
    let bytes = row(rounds, "spans", &bare, ExportTraceServiceRequest::decode)?;
    println!("at most {MOST_BYTES} bytes a span without attributes: {}", verdict(bytes <= MOST_BYTES));
    row(rounds, "spans, 3 attributes", &spans(true), ExportTraceServiceRequest::decode)?;
    row(rounds, "metrics", &metrics(), ExportMetricsServiceRequest::decode)?;
    Ok(())
}

/// Ours in both forms, and theirs; gives the bytes of an item.
fn row<M: Message, E: std::error::Error + Send + Sync + 'static>(
    rounds: usize,
    name: &str,
    batch: &Batch,
    decode: impl Fn(&'static [u8]) -> std::result::Result<M, E>,
) -> Result<usize> {
    let body = otlp(batch, OtlpProtocol::HttpProtobuf)?;
    let size = body.len();
    let ready = decode(body.leak())?;
    let mut times = [const { Vec::new() }; 3];
    let mut allocated = [0; 3];
    for _ in 0..rounds {
        let runs: [&dyn Fn() -> usize; 3] = [
            &|| black_box(&ready).encode_to_vec().len(),
            &|| otlp(black_box(batch), OtlpProtocol::HttpProtobuf).map_or(0, |body| body.len()),
            &|| otlp(black_box(batch), OtlpProtocol::HttpJson).map_or(0, |body| body.len()),
        ];
        for (at, run) in runs.into_iter().enumerate() {
            let (took, allocations) = turn(run);
            times[at].push(took);
            allocated[at] = allocations;
        }
    }
    let items = batch.len();
    let ratio = median(times[1].iter().zip(&times[0]).map(|(ours, theirs)| ours / theirs));
    let json = otlp(batch, OtlpProtocol::HttpJson)?.len();
    let [theirs, ours, ours_json] = times.map(|times| median(times) / items as f64);
    let line = |who: &str, ns: f64, bytes: usize, allocations: u64, rest: &str| {
        println!("{:<26}{ns:>9.1}{:>12}{allocations:>12}{rest}", format!("{name}: {who}"), bytes / items);
    };
    line("prost", theirs, ready.encoded_len(), allocated[0], "");
    let rest = format!("{ratio:>8.2}  {}", verdict(ratio <= TARGET && allocated[1] <= 8));
    line("protobuf", ours, size, allocated[1], &rest);
    line("JSON", ours_json, json, allocated[2], "");
    Ok(size / items)
}

/// Nanoseconds of one run, on average over as many as fit into a few milliseconds, and the allocations of one.
fn turn(run: &dyn Fn() -> usize) -> (f64, u64) {
    black_box(run());
    let before = allocations();
    black_box(run());
    let allocated = allocations() - before;
    let (start, mut runs) = (Instant::now(), 0);
    loop {
        black_box(run());
        runs += 1;
        let took = start.elapsed();
        if took > Duration::from_millis(5) {
            return (took.as_nanos() as f64 / f64::from(runs), allocated);
        }
    }
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn batch(signal: Signal) -> Batch {
    Batch::new(BatchId { instance: 1, leg: "leg".into(), sequence: 1, part: 0 }, signal)
}

fn scope() -> Arc<Scope> {
    Arc::new(Scope { name: "my_crate".into(), version: "1.0.0".into() })
}

fn spans(with_attributes: bool) -> Batch {
    let scope = scope();
    let attributes = |at: u64| {
        let all = [
            KeyValue::new("code.function.name", "my_crate::checkout::charge"),
            KeyValue::new("order.items", at as i64),
            KeyValue::new("error.type", "Declined"),
        ];
        Attributes::new(all.into_iter().take(if with_attributes { 3 } else { 0 }))
    };
    let span = |at: u64| Span {
        context: SpanContext {
            trace_id: u128::from(at / 10 + 1).to_be_bytes(),
            span_id: (at + 1).to_be_bytes(),
            flags: 1,
            trace_state: "".into(),
        },
        parent_id: (at / 10 + 1).to_be_bytes(),
        parent_is_remote: false,
        name: "checkout::charge".into(),
        kind: SpanKind::Internal,
        start: start() + Duration::from_nanos(at * 977),
        end: start() + Duration::from_nanos(at * 1977),
        attributes: attributes(at),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: Status::Unset,
        scope: scope.clone(),
    };
    batch(Signal::Spans(std::sync::Arc::new((0..ITEMS).map(span).collect())))
}

fn metrics() -> Batch {
    let scope = scope();
    let series: Vec<_> = (0..ITEMS)
        .map(|at| {
            let attributes = Attributes::new([
                KeyValue::new("function", format!("function_{at:04}")),
                KeyValue::new("module", "my_crate::module"),
            ]);
            Arc::new(Series { scope: scope.clone(), attributes, start: start() })
        })
        .collect();
    let calls = series.iter().zip(0..).map(|(series, at)| {
        let number = Number::U64(at * 977);
        Point { series: series.clone(), total: number, change: number, exemplars: Vec::new() }
    });
    let durations = series.iter().zip(0..).map(|(series, at)| {
        let counts = (0..20).map(|bucket| (bucket + at) % 300).collect();
        let histogram = ExponentialHistogram {
            scale: 3,
            positive: Buckets { offset: -100, counts },
            sum: at as f64 * 0.001_234_5,
            max: Some(0.5),
            ..ExponentialHistogram::default()
        };
        Point { series: series.clone(), total: histogram.clone(), change: histogram, exemplars: Vec::new() }
    });
    let metric = |name: &'static str, unit: &'static str, data| {
        let descriptor = Descriptor { name: name.into(), unit: unit.into(), ..Descriptor::default() };
        Metric { descriptor: Arc::new(descriptor), data }
    };
    let sum = Data::Sum(Sum { monotonic: true, points: calls.collect() });
    let all = vec![
        metric("function.calls", "{call}", sum),
        metric("function.calls.duration", "s", Data::ExponentialHistogram(durations.collect())),
    ];
    batch(Signal::Metrics(Arc::new(ProfileMetrics {
        resource: Arc::new(Resource::default()),
        interval: start()..start() + Duration::from_secs(10),
        metrics: all,
        ended: Vec::new(),
    })))
}
