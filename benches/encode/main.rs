//! What it costs to write a snapshot of 1,000 functions as JSON: ours, and `serde_json` on a struct that is ready to be written.
//!
//! ```text
//! cargo bench -p benches --bench encode
//! cargo bench -p benches --bench encode -- --quick
//! ```

mod plain;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use benches::allocations::{Counting, allocations};
use benches::{Arguments, Result, median, verdict};
use exporters::{
    Attributes, Batch, BatchId, Data, Descriptor, KeyValue, Metric, Number, PayloadFormat, Point,
    ProfileMetrics, Resource, Scope, Series, Signal, Sum,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Times what `serde_json` takes.
const TARGET: f64 = 1.2;
const FUNCTIONS: usize = 1_000;
/// What is recorded of each function that is one number.
const METRICS: [(&str, &str, bool); 3] = [
    ("function.calls", "{call}", true),
    ("function.calls.concurrent", "{call}", false),
    ("function.calls.self_time", "s", true),
];

fn main() -> Result<()> {
    let rounds = if Arguments::of_process().quick() { 5 } else { 101 };
    let batch = batch();
    let document = plain::Document::of(&batch);
    let ours = PayloadFormat::Json.encode(&batch, &[], None)?.payload.body;
    let theirs = serde_json::to_vec(&document)?;
    if ours != theirs {
        return Err("the two documents differ".into());
    }
    let mut times = [Vec::new(), Vec::new()];
    let mut allocated = [0; 2];
    for _ in 0..rounds {
        let (took, allocations) =
            turn(|| PayloadFormat::Json.encode(black_box(&batch), &[], None).map(drop))?;
        times[0].push(took);
        allocated[0] = allocations;
        let (took, allocations) = turn(|| {
            // As much room from the start as ours has.
            let mut out = Vec::with_capacity(ours.len());
            serde_json::to_writer(&mut out, black_box(&document)).map(|()| drop(black_box(out)))
        })?;
        times[1].push(took);
        allocated[1] = allocations;
    }
    let ratio = median(times[0].iter().zip(&times[1]).map(|(ours, theirs)| ours / theirs));
    let items = batch.len() as f64;
    let [ours_ns, theirs_ns] = times.map(|times| median(times) / items);
    println!("{:<12}{:>9}{:>12}{:>12}{:>8}  verdict", "", "ns/item", "bytes", "allocations", "ratio");
    println!("{:<12}{theirs_ns:>9.1}{:>12}{:>12}", "serde_json", theirs.len(), allocated[1]);
    // The buffer, the identity of the batch and what holds the body are allocated; no item is.
    let met = ratio <= TARGET && allocated[0] <= 4;
    println!(
        "{:<12}{ours_ns:>9.1}{:>12}{:>12}{ratio:>8.2}  {}",
        "exporters",
        ours.len(),
        allocated[0],
        verdict(met)
    );
    println!(
        "{items} items of {FUNCTIONS} functions; at most {TARGET}x serde_json on the same document, and no allocation an item."
    );
    Ok(())
}

/// Nanoseconds of one run, on average over as many as fit into a few milliseconds, and the allocations of one.
fn turn<E>(mut run: impl FnMut() -> std::result::Result<(), E>) -> std::result::Result<(f64, u64), E> {
    run()?;
    let before = allocations();
    run()?;
    let allocated = allocations() - before;
    let (start, mut runs) = (Instant::now(), 0);
    loop {
        run()?;
        runs += 1;
        let took = start.elapsed();
        if took > Duration::from_millis(5) {
            return Ok((took.as_nanos() as f64 / f64::from(runs), allocated));
        }
    }
}

fn batch() -> Batch {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let scope = Arc::new(Scope { name: "my_crate".into(), version: "1.0.0".into() });
    let series: Vec<Arc<Series>> = (0..FUNCTIONS)
        .map(|i| {
            let attributes = Attributes::new([
                KeyValue::new("function", format!("function_{i:04}")),
                KeyValue::new("module", "my_crate::module"),
            ]);
            Arc::new(Series { scope: scope.clone(), attributes, start })
        })
        .collect();
    let metric = |(name, unit, monotonic): (&'static str, &'static str, bool)| {
        let point = |(i, series): (usize, &Arc<Series>)| {
            let number = match unit {
                "s" => Number::F64(i as f64 * 0.001_234_5),
                _ => Number::U64(i as u64 * 977),
            };
            Point { series: series.clone(), total: number, change: number, exemplars: Vec::new() }
        };
        let descriptor = Descriptor { name: name.into(), unit: unit.into(), ..Descriptor::default() };
        let points = series.iter().enumerate().map(point).collect();
        Metric { descriptor: Arc::new(descriptor), data: Data::Sum(Sum { monotonic, points }) }
    };
    let attributes = [KeyValue::new("service.name", "shop")].into_iter().collect();
    let metrics = ProfileMetrics {
        resource: Arc::new(Resource { attributes }),
        interval: start..start + Duration::from_secs(10),
        metrics: METRICS.into_iter().map(metric).collect(),
        ended: Vec::new(),
    };
    let id = BatchId { instance: 1, leg: "leg".into(), sequence: 1, part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}
