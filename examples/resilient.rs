//! A backend on loopback that dies and comes back: what the books say before, during and after.
//!
//! ```text
//! cargo run --example resilient
//! ```

use exporters::{
    AnyExporter, Batch, BufferConfig, Capability, CircuitBreakerConfig, Data, DeadLetterConfig, Error,
    ErrorKind, Exporter, Health, Info, LegOptions, MonitorLayer, Profiler, Receipt, ResilienceConfig,
    ResilienceLayer, Result, RetryConfig, profiled, replay,
};
use std::{
    env, fs, io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

const DEADLINE: Duration = Duration::from_secs(10);
/// How long the circuit breaker leaves the backend alone.
const RECOVERY: Duration = Duration::from_millis(200);

/// Takes lines with a number of calls, and adds them up. While it is down it closes connections unread.
#[derive(Clone, Debug, Default)]
struct Backend {
    is_down: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
}

impl Backend {
    /// Starts it on a free port.
    fn start(&self) -> io::Result<String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let (address, backend) = (listener.local_addr()?.to_string(), self.clone());
        thread::spawn(move || {
            let up = |_: &std::net::TcpStream| !backend.is_down.load(Relaxed);
            for mut stream in listener.incoming().flatten().filter(up) {
                let mut line = String::new();
                let read = io::BufRead::read_line(&mut io::BufReader::new(&stream), &mut line);
                if let (Ok(_), Ok(calls)) = (read, line.trim().parse::<u64>()) {
                    backend.calls.fetch_add(calls, Relaxed);
                    _ = io::Write::write_all(&mut stream, b"ok\n");
                }
            }
        });
        Ok(address)
    }

    fn be_down(&self, down: bool) {
        println!("\n-- the backend is {} --", if down { "down" } else { "up" });
        self.is_down.store(down, Relaxed);
    }
}

/// Sends the backend how many calls there were.
#[derive(Clone, Debug)]
struct Calls {
    address: String,
}

impl Calls {
    async fn send(&self, calls: u64) -> io::Result<()> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(format!("{calls}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(64)).read_line(&mut answer).await?;
        if answer == "ok\n" { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Exporter for Calls {
    fn info(&self) -> Info {
        Info::new("calls")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let calls = batch.metrics().and_then(|metrics| metrics.metric("function.calls"));
        let calls = calls.map_or(0, |metric| match &metric.data {
            Data::Sum(sum) => sum.points.iter().map(|point| point.change.as_f64() as u64).sum(),
            _ => 0,
        });
        let sent = self.send(calls).await;
        sent.map_err(|error| Error::new(ErrorKind::Unavailable, "no answer").with_source(error))?;
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

#[profiled]
fn work() {}

/// Calls [`work`] a hundred times, and has it sent; prints what the books say then.
fn round(profiler: &Profiler, backend: &Backend) {
    (0..100).for_each(|_| work());
    let flushed = profiler.flush(DEADLINE);
    let Some(leg) = profiler.leg("calls") else { return };
    let (ledger, health) = (leg.ledger(), leg.health());
    let (exported, merged, buffered) = (ledger.exported, ledger.merged, ledger.buffered);
    println!(
        "accepted {} = exported {exported} + merged {merged} + buffered {buffered}; the backend has {} calls; {}",
        ledger.accepted,
        backend.calls.load(Relaxed),
        match (flushed, health.is_healthy()) {
            (Err(error), _) => format!("not sent: {}", error.kind()),
            (Ok(()), true) => "healthy".to_owned(),
            (Ok(()), false) => "degraded".to_owned(),
        }
    );
    assert!(ledger.is_balanced());
}

fn main() -> Result<()> {
    let backend = Backend::default();
    let unavailable = |error: io::Error| Error::new(ErrorKind::Unavailable, "no port").with_source(error);
    let exporter = Calls { address: backend.start().map_err(unavailable)? };
    let directory = env::temp_dir().join(format!("exporters-resilient-{}", process::id()));
    let resilience = ResilienceLayer::new(ResilienceConfig {
        retry: RetryConfig {
            max_retries: 1,
            initial_delay: Duration::from_millis(20),
            ..RetryConfig::default()
        },
        circuit_breaker: Some(CircuitBreakerConfig {
            failure_threshold: 3,
            recovery_timeout: RECOVERY,
            half_open_max_calls: 1,
        }),
        dead_letter: Some(DeadLetterConfig::file(&directory)),
        ..ResilienceConfig::default()
    })?;
    let monitor = MonitorLayer::new(Default::default())?;
    let resilient = AnyExporter::new(exporter.clone()).layer(resilience.clone());
    let options =
        LegOptions::default().with_monitor(monitor.clone()).with_buffer(BufferConfig::default().with_size(1));
    let builder = Profiler::builder().interval(Duration::from_secs(3600)).exporter_with(resilient, options);
    let profiler = builder.start()?;
    let state = || resilience.circuit_breaker().map(|breaker| breaker.state());

    round(&profiler, &backend);
    backend.be_down(true);
    (0..4).for_each(|_| round(&profiler, &backend));
    println!("the circuit is {:?}", state());
    backend.be_down(false);
    thread::sleep(RECOVERY);
    (0..2).for_each(|_| round(&profiler, &backend));
    println!("the circuit is {:?}", state());
    println!("{:?}", monitor.stats());

    backend.be_down(true);
    (0..100).for_each(|_| work());
    for leg in profiler.shutdown(Duration::from_secs(2)).legs {
        println!("{}: {:?}", leg.name, leg.ledger);
    }
    backend.be_down(false);
    println!("{:?}", replay(&directory, AnyExporter::new(exporter))?);
    println!("the backend has {} of 800 calls", backend.calls.load(Relaxed));
    _ = fs::remove_dir_all(directory);
    Ok(())
}
