//! What each layer costs a batch, and what the preset of them does, beyond calling the exporter.
//!
//! ```text
//! cargo bench -p benches --bench pipeline
//! cargo bench -p benches --bench pipeline -- --quick
//! ```

use std::env;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use benches::allocations::{Counting, allocations};
use benches::{Arguments, Result, machine, median};
use exporters::{
    AnyExporter, Attributes, Batch, BatchId, Capability, CircuitBreakerLayer, Data, DeadLetterConfig,
    DeadLetterLayer, Descriptor, Exporter, FallbackLayer, FilterLayer, Health, Info, KeyValue, Layer, Metric,
    MonitorLayer, MultiConfig, MultiExporter, Number, Point, ProbeLayer, ProfileMetrics, RateLimitLayer,
    Receipt, ResilienceConfig, ResilienceLayer, RetryLayer, SanitizeLayer, Scope, Series, Signal, Sum,
    TimeoutLayer,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Points in the batch.
const ITEMS: usize = 100;

/// Takes everything at once.
#[derive(Debug)]
struct Null;

impl Exporter for Null {
    fn info(&self) -> Info {
        Info::new("null")
    }
    fn capability(&self) -> Capability {
        Capability::ALL
    }
    async fn export(&self, batch: Batch) -> exporters::Result<Receipt> {
        Ok(Receipt::accepted(black_box(batch).len()))
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

fn null() -> AnyExporter {
    AnyExporter::new(Null)
}

/// What is measured, the exporter alone first.
fn subjects() -> Result<Vec<(&'static str, AnyExporter)>> {
    let letters = DeadLetterConfig::file(env::temp_dir().join("exporters-bench-without-dead-letters"));
    let resilience = ResilienceConfig { dead_letter: Some(letters.clone()), ..ResilienceConfig::default() };
    let within = |layer: &dyn Layer| layer.layer(null());
    Ok(vec![
        ("the exporter", null()),
        ("timeout", within(&TimeoutLayer::new(Duration::from_secs(30)))),
        ("circuit breaker", within(&CircuitBreakerLayer::new(Default::default())?)),
        ("retry", within(&RetryLayer::new(Default::default())?)),
        ("fallback", within(&FallbackLayer::new(null()))),
        ("dead letters", within(&DeadLetterLayer::new(letters)?)),
        ("probe", within(&ProbeLayer::new(Default::default())?)),
        ("rate limit", within(&RateLimitLayer::new(1_000_000_000, Duration::from_secs(1))?)),
        ("filter", within(&FilterLayer::new().exclude("log.*"))),
        ("sanitize", within(&SanitizeLayer::new())),
        ("monitor", within(&MonitorLayer::new(Default::default())?)),
        ("resilience", within(&ResilienceLayer::new(resilience)?.with_fallback(null()))),
        ("multi of 1", AnyExporter::new(MultiExporter::new(MultiConfig::default(), vec![null()])?)),
        (
            "multi of 3",
            AnyExporter::new(MultiExporter::new(MultiConfig::default(), vec![null(), null(), null()])?),
        ),
    ])
}

fn main() -> Result<()> {
    let rounds = if Arguments::of_process().quick() { 5 } else { 101 };
    println!("{}", machine());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let subjects = subjects()?;
    let batch = batch();
    let mut times = vec![Vec::with_capacity(rounds); subjects.len()];
    let mut allocated = vec![0; subjects.len()];
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            // Another one begins each round, so that none always follows the same one.
            let at = (turn + round) % subjects.len();
            let (took, allocations) = tokio.block_on(time(&subjects[at].1, &batch))?;
            times[at].push(took);
            allocated[at] = allocations;
        }
    }
    let bare = median(times[0].iter().copied());
    println!("a batch of {ITEMS} items{:>12}{:>12}", "ns more", "allocations");
    for ((name, _), (times, allocated)) in subjects.iter().zip(times.into_iter().zip(allocated)) {
        let took = median(times);
        let more = if *name == "the exporter" { took } else { took - bare };
        println!("{name:<20}{more:>14.0}{allocated:>12}");
    }
    println!("The first row is the exporter alone, through `AnyExporter`; the others are beyond it.");
    Ok(())
}

/// Nanoseconds of one export, on average over as many as fit into a millisecond, and the allocations of one.
async fn time(exporter: &AnyExporter, batch: &Batch) -> Result<(f64, u64)> {
    exporter.export(batch.clone()).await?;
    let before = allocations();
    exporter.export(batch.clone()).await?;
    let allocated = allocations() - before;
    let (start, mut runs) = (Instant::now(), 0);
    loop {
        for _ in 0..16 {
            exporter.export(batch.clone()).await?;
        }
        runs += 16;
        let took = start.elapsed();
        if took > Duration::from_millis(1) {
            return Ok((took.as_nanos() as f64 / f64::from(runs), allocated));
        }
    }
}

fn batch() -> Batch {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let scope = Arc::new(Scope { name: "my_crate".into(), version: "1.0.0".into() });
    let point = |at: usize| {
        let attributes = Attributes::new([
            KeyValue::new("function", format!("function_{at:04}")),
            KeyValue::new("module", "my_crate::module"),
        ]);
        let series = Arc::new(Series { scope: scope.clone(), attributes, start });
        let number = Number::U64(at as u64 * 977);
        Point { series, total: number, change: number, exemplars: Vec::new() }
    };
    let points = (0..ITEMS).map(point).collect();
    let descriptor =
        Descriptor { name: "function.calls".into(), unit: "{call}".into(), ..Descriptor::default() };
    let data = Data::Sum(Sum { monotonic: true, points });
    let metrics = ProfileMetrics {
        resource: Arc::default(),
        interval: start..start + Duration::from_secs(10),
        metrics: vec![Metric { descriptor: Arc::new(descriptor), data }],
        ended: Vec::new(),
    };
    let id = BatchId { instance: 1, leg: "leg".into(), sequence: 1, part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}
