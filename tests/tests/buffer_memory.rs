//! The bytes that a buffer says it holds are those that the allocator gets back when they are sent.

#[expect(dead_code, unreachable_pub, reason = "it is a library elsewhere")]
#[path = "../../benches/src/allocations.rs"]
mod allocations;

use exporters::{
    Batch, BufferConfig, Capability, Error, ErrorKind, Exporter, Health, Info, LegOptions, Profiler, Receipt,
    Result, profiled,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

#[global_allocator]
static COUNTING: allocations::Counting = allocations::Counting;

const LONG: Duration = Duration::from_secs(60);

/// Keeps nothing.
#[derive(Clone, Debug, Default)]
struct Backend {
    is_up: Arc<AtomicBool>,
}

impl Exporter for Backend {
    fn info(&self) -> Info {
        Info::new("backend")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        match self.is_up.load(Relaxed) {
            true => Ok(Receipt::accepted(batch.len())),
            false => Err(Error::new(ErrorKind::Unavailable, "it is down")),
        }
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

#[profiled(attributes(queue = queue))]
fn work(queue: String) {
    std::hint::black_box(queue);
}

#[test]
fn what_is_said_to_be_held_is_what_is_given_back() {
    for compressed in [false, true] {
        let backend = Backend::default();
        let mut buffer = BufferConfig::default().with_size(usize::MAX).with_flush_interval(60 * LONG);
        if compressed {
            buffer = buffer.with_compression(1);
        }
        let builder = Profiler::builder().interval(60 * LONG);
        let profiler = builder
            .exporter_with(backend.clone(), LegOptions::default().with_buffer(buffer))
            .start()
            .unwrap();
        let leg = profiler.leg("backend").unwrap();
        for _ in 0..10 {
            (0..300).for_each(|queue| work(format!("queue-{queue}")));
            profiler.flush(LONG).unwrap_err();
        }
        let (stats, before) = (leg.buffer_stats(), allocations::bytes());
        backend.is_up.store(true, Relaxed);
        profiler.flush(LONG).unwrap();
        let freed = before - allocations::bytes();
        assert_eq!((leg.buffer_stats().memory, leg.ledger().buffered), (0, 0));
        assert!(stats.items > 10 * 300 && stats.memory > 1 << if compressed { 15 } else { 19 }, "{stats:?}");
        let said = stats.memory as f64;
        assert!((freed as f64 - said).abs() < 0.05 * said + 20_000.0, "{freed} of {stats:?}");
        profiler.shutdown(LONG).into_result().unwrap();
    }
}
