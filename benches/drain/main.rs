//! Exactness: what is recorded by many threads and drained every millisecond arrives, all of it, once.
//!
//! ```text
//! cargo bench -p benches --bench drain
//! cargo bench -p benches --bench drain -- --quick
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use benches::{Arguments, Result, verdict};
use exporters::{Batch, Capability, Data, Exporter, Health, Info, Profiler, Receipt, Signal, profiled};

/// One call in so many fails.
const ONE_FAILS_IN: u64 = 16;

fn main() -> Result<()> {
    let arguments = Arguments::of_process();
    match arguments.child() {
        Some([threads, calls]) => run(threads.parse()?, calls.parse()?),
        Some(words) => Err(format!("cannot do {words:?}").into()),
        None => {
            let calls: u64 = if arguments.quick() { 1_000_000 } else { 100_000_000 };
            println!(
                "{:>7}{:>12}{:>9}{:>14}{:>9}{:>10}{:>10}{:>10}  verdict",
                "threads", "calls", "drains", "sum of", "off by", "errors", "durations", "ns/call"
            );
            println!("{:>42}{:>9}{:>10}{:>10}", "changes", "", "off by", "off by");
            for threads in [2, 8, 64] {
                line(threads, calls)?;
            }
            Ok(())
        }
    }
}

fn line(threads: u64, calls: u64) -> Result<()> {
    benches::progress(&format!("{threads} threads"));
    let found = benches::child(&[&threads.to_string(), &calls.to_string()])?;
    benches::progress("");
    let [calls, drains, sum, errors, durations, running, nanoseconds] = found[..] else {
        return Err(format!("{threads} threads: {found:?}").into());
    };
    let off = [sum - calls, errors - calls / ONE_FAILS_IN as f64, durations - calls];
    println!(
        "{threads:>7}{calls:>12}{drains:>9}{sum:>14}{:>9}{:>10}{:>10}{nanoseconds:>10.1}  {}",
        off[0],
        off[1],
        off[2],
        verdict(off == [0.0; 3] && running == 0.0)
    );
    Ok(())
}

/// Prints the calls made; the batches, calls, errors and durations that arrived, and the calls said to be still running; the time a call.
fn run(threads: u64, calls: u64) -> Result<()> {
    let sums = Sums::default();
    let profiler = Profiler::builder().interval(Duration::from_millis(1)).exporter(sums.clone()).start()?;
    // Each thread's failures come out even.
    let each = (calls / threads).next_multiple_of(ONE_FAILS_IN);
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| thread::spawn(move || (0..each).filter_map(|x| call(x).err()).count()))
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a thread panicked")?;
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / (each * threads) as f64;
    profiler.shutdown(Duration::from_secs(10)).into_result()?;
    let seen = sums.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Seen { batches, calls, errors, durations, running } = seen;
    println!("\n{} {batches} {calls} {errors} {durations} {running} {nanoseconds}", each * threads);
    Ok(())
}

#[derive(Debug)]
struct Refused;

#[profiled]
#[inline(never)]
fn call(x: u64) -> std::result::Result<u64, Refused> {
    if std::hint::black_box(x).is_multiple_of(ONE_FAILS_IN) { Err(Refused) } else { Ok(x) }
}

/// Adds up what it is sent.
#[derive(Clone, Debug, Default)]
struct Sums(Arc<Mutex<Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    batches: u64,
    calls: u64,
    errors: u64,
    durations: u64,
    /// The latest value, not a sum.
    running: u64,
}

impl Seen {
    fn add(&mut self, batch: &Batch) {
        let Signal::Metrics(metrics) = batch.signal() else { return };
        self.batches += 1;
        if let Some(Data::Sum(calls)) = metrics.metric("function.calls").map(|metric| &metric.data) {
            for point in &calls.points {
                let change = point.change.as_f64() as u64;
                self.calls += change;
                if point.series.attributes.get_str("result") == Some("error") {
                    self.errors += change;
                }
            }
        }
        self.durations += metrics.latency().count();
        self.running = metrics.concurrent_calls();
    }
}

impl Exporter for Sums {
    fn info(&self) -> Info {
        Info::new("sums")
    }

    fn capability(&self) -> Capability {
        Capability::METRICS
    }

    async fn export(&self, batch: Batch) -> exporters::Result<Receipt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(&batch);
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
