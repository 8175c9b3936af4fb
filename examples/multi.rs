//! Exporters made of several, one of which is down at first: all of them in parallel, the next where one fails, and by
//! condition. What becomes of each batch at each exporter is printed, and in the end the books.
//!
//! ```text
//! cargo run --example multi
//! ```

use exporters::{
    AnyExporter, Batch, Capability, ConditionalExporter, Error, ErrorKind, ExportStrategy, Exporter,
    Expression, Health, Info, LegOptions, MemoryExporter, MultiConfig, MultiExporter, Payload,
    ProfileMetrics, Profiler, Receipt, Result, Transmit, profiled,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Whether the remote backend is up.
static UP: AtomicBool = AtomicBool::new(false);

/// A backend far away.
#[derive(Debug, Exporter)]
#[exporter(kind = "remote", encode = json, register = false)]
struct Remote;

impl Transmit for Remote {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        match UP.load(Ordering::Relaxed) {
            true => Ok(payload.receipt()),
            false => Err(Error::new(ErrorKind::Unavailable, "the remote backend is down")),
        }
    }
}

/// Prints what a route says of each batch.
#[derive(Debug)]
struct Print(&'static str, AnyExporter);

impl Exporter for Print {
    fn info(&self) -> Info {
        self.1.info().with_name(self.0)
    }
    fn capability(&self) -> Capability {
        self.1.capability()
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let result = self.1.export(batch).await;
        match &result {
            Ok(receipt) => {
                for (exporter, part) in &receipt.parts {
                    let (accepted, dropped) = (part.accepted, part.dropped.total());
                    println!(
                        "{}: {} took {accepted} points, {dropped} were lost there",
                        self.0, exporter.name
                    );
                }
            }
            Err(error) => println!("{}: not yet: {error}", self.0),
        }
        result
    }
    async fn health(&self) -> Health {
        self.1.health().await
    }
    async fn flush(&self) -> Result<()> {
        self.1.flush().await
    }
    async fn shutdown(&self) -> Result<()> {
        self.1.shutdown().await
    }
}

#[profiled]
fn charge(amount: u32) -> std::result::Result<u32, &'static str> {
    if amount.is_multiple_of(4) { Err("declined") } else { Ok(amount) }
}

fn main() -> Result<()> {
    let near = MemoryExporter::new();
    let memory = |name| AnyExporter::new(MemoryExporter::new()).with_name(name);

    // Both must have everything; while the remote one is down, the near one is not sent anything twice.
    let both = MultiConfig { min_success_count: 2, ..MultiConfig::default() };
    let parallel = MultiExporter::new(
        both,
        [AnyExporter::new(near.clone()).with_name("near"), AnyExporter::new(Remote)],
    )?;

    let next = MultiConfig { strategy: ExportStrategy::Failover, ..MultiConfig::default() };
    let failover = MultiExporter::new(next, [AnyExporter::new(Remote), memory("standby")])?;

    let failing: Expression = "error_rate > 0.2 and function == 'charge'".parse()?;
    println!("somebody is called when {failing}");
    let conditional = ConditionalExporter::builder()
        .route("many are declined", move |metrics: &ProfileMetrics| failing.holds(metrics), memory("on call"))
        .otherwise(memory("archive"))
        .build()?;

    let mut builder = Profiler::builder().service("multi").interval(Duration::from_secs(3600));
    for (name, route) in [
        ("parallel", AnyExporter::new(parallel)),
        ("failover", AnyExporter::new(failover)),
        ("conditional", AnyExporter::new(conditional)),
    ] {
        builder = builder.exporter_with(Print(name, route), LegOptions::default().with_name(name));
    }
    let profiler = builder.start()?;

    println!("sold for {}", (1..=20).filter_map(|amount| charge(amount).ok()).sum::<u32>());
    if let Err(error) = profiler.flush(Duration::from_secs(5)) {
        println!("flushed, but for: {error}");
    }
    UP.store(true, Ordering::Relaxed);
    println!(
        "the remote backend is up; sold for {}",
        (1..=3).filter_map(|amount| charge(amount).ok()).sum::<u32>()
    );
    profiler.flush(Duration::from_secs(5))?;

    let mut ids: Vec<String> = near.batches().iter().map(|batch| batch.id().to_string()).collect();
    let sent = ids.len();
    ids.dedup();
    println!("near has {sent} batches, {} of them different", ids.len());
    for (name, ledger) in profiler.ledger() {
        println!("{name}: {ledger:?}");
    }
    profiler.shutdown(Duration::from_secs(5)).into_result()
}
