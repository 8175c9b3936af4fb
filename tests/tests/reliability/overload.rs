//! Two threads that do nothing but call, before a backend that accepts connections and never answers: they don't notice.

use super::{LONG, assert_settled, assert_sum, full, tell, work};
use exporters::{
    AnyExporter, Batch, Capability, DeadLetterConfig, Exporter, Health, HttpConfig, HttpExporter, Info,
    MemoryExporter, Profiler, Receipt, ResilienceConfig, ResilienceLayer, Result, replay,
};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tests::{Temp, calls::alone, hostile::Hostile};

const PRODUCERS: usize = 2;
/// Each side's turns: what else the machine does is to meet both.
const TURNS: u32 = 6;
const MIB: u64 = 1 << 20;
/// What may be held for a backend, and what else it may cost.
const MEMORY: u64 = 50_000_000 + 8 * MIB;

/// Counts the calls that it is told of, and keeps nothing.
#[derive(Clone, Debug, Default)]
struct Null(Arc<AtomicU64>);

impl Exporter for Null {
    fn info(&self) -> Info {
        Info::new("null")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        self.0.fetch_add(tests::calls::changes([&batch], "work").0, Relaxed);
        Ok(Receipt::accepted(batch.len()))
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

fn start(exporter: impl Exporter) -> Profiler {
    let interval = Duration::from_millis(if full() { 100 } else { 10 });
    Profiler::builder().interval(interval).exporter(exporter).start().unwrap()
}

/// Calls that both producers made in `length`, how many a second, and by how much the memory grew at most.
fn produce(length: Duration) -> (u64, f64, u64) {
    let (stop, before, began) = (AtomicBool::new(false), resident(), Instant::now());
    let (mut most, mut calls) = (before, 0);
    let mut took = Duration::ZERO;
    thread::scope(|scope| {
        let producer = || {
            let mut calls = 0;
            while !stop.load(Relaxed) {
                (0..1000).for_each(|_| work());
                calls += 1000;
            }
            calls
        };
        let producers: Vec<_> = (0..PRODUCERS).map(|_| scope.spawn(producer)).collect();
        while began.elapsed() < length {
            thread::sleep(Duration::from_millis(50).min(length / 4));
            most = most.max(resident());
        }
        stop.store(true, Relaxed);
        calls = producers.into_iter().map(|producer| producer.join().unwrap()).sum::<u64>();
        took = began.elapsed();
    });
    (calls, calls as f64 / took.as_secs_f64(), most - before)
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The same calls for an exporter that is always well.
fn well(length: Duration) -> f64 {
    let null = Null::default();
    let profiler = start(null.clone());
    let (calls, a_second, _) = produce(length);
    let report = profiler.shutdown(LONG);
    assert_settled(&report.legs[0]);
    assert_eq!(null.0.load(Relaxed), calls);
    a_second
}

/// For a backend that never answers; all of it is in the dead letters at the end.
fn stalled(length: Duration) -> (f64, u64) {
    let (temp, server) = (Temp::in_memory(), Hostile::silent());
    let mut config = HttpConfig::new(format!("http://{}/in", server.address()).parse().unwrap());
    config.timeout = length / 8;
    let dead_letter = Some(DeadLetterConfig::file(&temp.0));
    let layer =
        ResilienceLayer::new(ResilienceConfig { dead_letter, ..ResilienceConfig::default() }).unwrap();
    let profiler = start(AnyExporter::new(HttpExporter::new(config).unwrap()).layer(layer));
    let (calls, a_second, growth) = produce(length);
    let report = profiler.shutdown(Duration::from_secs(4));
    assert!(server.connections() > 0);
    assert_settled(&report.legs[0]);
    let ledger = report.legs[0].ledger;
    assert_eq!(ledger.dead_lettered + ledger.merged, ledger.accepted, "{ledger:?}");
    let memory = MemoryExporter::with_capacity(usize::MAX);
    replay(&temp.0, AnyExporter::new(memory.clone())).unwrap();
    assert_sum(&memory.batches(), calls);
    (a_second, growth)
}

#[test]
fn calls_do_not_notice_a_backend_that_never_answers() {
    let _alone = alone();
    let length = if full() { Duration::from_secs(60) } else { Duration::from_secs(1) } / TURNS;
    let (mut floor, mut found, mut growth) = (0.0, 0.0, 0);
    // What is there once for all is there before.
    well(length / 10);
    for _ in 0..TURNS {
        let (a_second, grown) = stalled(length);
        (found, growth) = (found + a_second, growth.max(grown));
        floor += well(length);
    }
    let percent = 100.0 * found / floor;
    let exact = "no call lost";
    let grown = growth as f64 / MIB as f64;
    let found = match full() {
        true => format!("{exact}, {percent:.1} %, {grown:.1} MiB more"),
        false => exact.to_owned(),
    };
    assert!(!full() || (percent >= 95.0 && growth <= MEMORY), "{found}");
    tell(
        "two threads call without a pause, the backend never answers",
        "no call lost; 95 % of the calls a second of a backend that is well, at most 55.7 MiB more memory",
        found,
    );
}
