//! A leg with all of its resilience before a backend that comes and goes: it is left alone while it is down, and told all of it later.

use super::*;
use crate::{
    BackoffStrategy, Batch, BatchId, CircuitBreakerConfig, CircuitState, Info, Layer, Receipt,
    ResilienceConfig, ResilienceLayer, Result, RetryConfig, RetryLayer,
    model::sample::{changes, snapshot},
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
};

/// How often snapshots come.
const INTERVAL: Duration = Duration::from_millis(250);
const SERIES: usize = 5;

fn full() -> bool {
    std::env::var("EXPORTERS_RELIABILITY").is_ok_and(|value| value == "full")
}

/// What a backend does while it is down.
#[derive(Clone, Copy, Debug)]
enum Down {
    Refuses,
    Hangs,
    /// It takes the batch, and nobody hears of it.
    TakesAndHangs,
}

/// A circuit breaker as its documentation has it, for who asks one thing at a time.
#[derive(Debug)]
struct Model {
    config: CircuitBreakerConfig,
    failures: u32,
    open_until: Option<Instant>,
    succeeded: u32,
}

impl Model {
    fn state(&self) -> CircuitState {
        match self.open_until {
            None => CircuitState::Closed,
            Some(until) if Instant::now() < until => CircuitState::Open,
            Some(_) => CircuitState::HalfOpen,
        }
    }

    fn succeed(&mut self) {
        self.failures = 0;
        self.succeeded += u32::from(self.open_until.is_some());
        if self.succeeded >= self.config.half_open_max_calls {
            (self.open_until, self.succeeded) = (None, 0);
        }
    }

    fn fail(&mut self) {
        self.failures += 1;
        if self.open_until.is_some() || self.failures >= self.config.failure_threshold {
            let until = Instant::now() + self.config.recovery_timeout;
            (self.open_until, self.failures, self.succeeded) = (Some(until), 0, 0);
        }
    }
}

/// Up, until the clock says otherwise.
#[derive(Clone, Debug)]
struct Backend(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    down: Option<Down>,
    model: Model,
    attempts: u64,
    /// What it was told, by its name: the same as often as it was told.
    taken: HashMap<BatchId, Vec<(usize, u64)>>,
}

impl Backend {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, batch: &Batch) {
        let items = changes(batch);
        let before = self.taken.insert(batch.id().clone(), items.clone());
        assert!(before.is_none_or(|before| before == items), "{} has changed", batch.id());
    }
}

/// An attempt that is not waited for any longer has failed.
struct Attempt<'a>(&'a Backend);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.state().model.fail();
    }
}

impl Exporter for Backend {
    fn info(&self) -> Info {
        Info::new("backend")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let attempt = Attempt(self);
        let down = {
            let mut state = self.state();
            assert_ne!(state.model.state(), CircuitState::Open, "it is to be left alone");
            state.attempts += 1;
            state.down
        };
        match down {
            None => {
                std::mem::forget(attempt);
                let mut state = self.state();
                state.model.succeed();
                state.take(&batch);
                return Ok(Receipt::accepted(batch.len()));
            }
            Some(Down::Refuses) => return Err(Error::new(ErrorKind::Unavailable, "as the test has it")),
            Some(Down::Hangs) => {}
            Some(Down::TakesAndHangs) => self.state().take(&batch),
        }
        pending().await
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

/// Runs under a clock that goes on when all wait for it.
fn paused<T>(drive: impl Future<Output = T>) -> T {
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    tokio.enable_time().start_paused(true).build().unwrap().block_on(drive)
}

/// Offers a leg snapshots, and knows what it was offered.
#[derive(Default)]
struct Offered {
    sums: BTreeMap<usize, u64>,
    count: u64,
}

impl Offered {
    async fn for_a_while(&mut self, leg: &Leg, length: Duration) {
        for _ in 0..length.as_millis() / INTERVAL.as_millis() {
            self.count += 1;
            let items: Vec<_> = (0..SERIES).map(|at| (at, self.count % 7 + at as u64)).collect();
            items.iter().for_each(|(at, change)| *self.sums.entry(*at).or_default() += change);
            leg.offer(&Arc::new(snapshot(items)));
            tokio::time::sleep(INTERVAL).await;
            assert!(leg.ledger().is_balanced(), "{:?}", leg.ledger());
        }
    }
}

/// So long up, so long down, and in which way.
type Outages = Vec<(Duration, Duration, Down)>;

/// How often the backend was asked, and how long it took after the last outage until nothing was held.
fn run(outages: &Outages, breaker: CircuitBreakerConfig, size: usize) -> (u64, Duration) {
    let model = Model { config: breaker.clone(), failures: 0, open_until: None, succeeded: 0 };
    let state = State { down: None, model, attempts: 0, taken: HashMap::new() };
    let backend = Backend(Arc::new(Mutex::new(state)));
    let config = ResilienceConfig {
        retry: RetryConfig { initial_delay: Duration::from_millis(100), ..RetryConfig::default() },
        circuit_breaker: Some(breaker),
        timeout: Some(Duration::from_secs(1)),
        ..ResilienceConfig::default()
    };
    let layer = ResilienceLayer::new(config).unwrap();
    let state = || layer.circuit_breaker().unwrap().state();
    paused(async {
        let exporter = AnyExporter::new(backend.clone()).layer(layer.clone());
        let leg = Arc::new(Leg::new(
            exporter,
            "leg",
            LegOptions::default().with_buffer(BufferConfig::default().with_size(size)),
            1,
        ));
        let task = tokio::spawn(leg.clone().run());
        let mut offered = Offered::default();
        for (up, down, how) in outages {
            offered.for_a_while(&leg, *up).await;
            backend.state().down = Some(*how);
            offered.for_a_while(&leg, *down).await;
            assert_eq!(state(), backend.state().model.state());
            backend.state().down = None;
        }
        let back = Instant::now();
        // What is on its way ends, and it goes on as ever.
        while leg.ledger().buffered > 0 {
            offered.for_a_while(&leg, INTERVAL).await;
            assert!(back.elapsed() < Duration::from_secs(600), "{:?}", leg.ledger());
        }
        assert!(!task.is_finished());
        let recovered = back.elapsed();
        let ledger = leg.ledger();
        assert_eq!(ledger.accepted, offered.count * SERIES as u64);
        assert_eq!(ledger.exported + ledger.merged, ledger.accepted, "{ledger:?}");
        let mut sums = BTreeMap::new();
        let state = backend.state();
        state.taken.values().flatten().for_each(|(at, change)| *sums.entry(*at).or_default() += change);
        assert_eq!(sums, offered.sums);
        (state.attempts, recovered)
    })
}

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(|quarters| Duration::from_millis(250 * quarters))
}

#[test]
fn reliability_a_backend_that_comes_and_goes_is_left_alone_and_told_all_of_it() {
    let cases = if full() { 10_000 } else { 200 };
    let outage =
        (seconds(1..40), seconds(1..40), select(vec![Down::Refuses, Down::Hangs, Down::TakesAndHangs]));
    let breaker = (1..6_u32, seconds(1..24), 1..4_u32).prop_map(|(failures, recovery, half_open)| {
        CircuitBreakerConfig {
            failure_threshold: failures,
            recovery_timeout: recovery,
            half_open_max_calls: half_open,
        }
    });
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let attempts = std::cell::Cell::new(0);
    let one = |(outages, breaker, size)| {
        attempts.set(attempts.get() + run(&outages, breaker, size).0);
        Ok(())
    };
    TestRunner::new(config).run(&(vec(outage, 1..8), breaker, 1..200_usize), one).unwrap();
    println!(
        "| random outages, breaker as its model | 0 attempts while it is open, sums exact | 0 of {} attempts in {cases} schedules, exact |",
        attempts.get()
    );
}

#[test]
fn reliability_five_seconds_up_and_five_down() {
    let outage = |how| (Duration::from_secs(5), Duration::from_secs(5), how);
    let breaker = CircuitBreakerConfig { recovery_timeout: Duration::from_secs(3), ..Default::default() };
    let slowest = [Down::Refuses, Down::Hangs, Down::TakesAndHangs]
        .map(|how| run(&vec![outage(how); 60], breaker.clone(), 1000).1)
        .into_iter()
        .max()
        .unwrap();
    assert!(slowest <= Duration::from_secs(10), "{slowest:?}");
    println!("| 5 s up, 5 s down, 60 times | nothing held after 2 outages' time | {slowest:.2?} |");
}

/// One that refuses everything, and remembers when it was asked.
#[derive(Clone, Debug)]
struct Refuses(Arc<Mutex<Vec<Instant>>>);

impl Exporter for Refuses {
    fn info(&self) -> Info {
        Info::new("refuses")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, _: Batch) -> Result<Receipt> {
        self.0.lock().unwrap().push(Instant::now());
        Err(Error::new(ErrorKind::Unavailable, "as the test has it"))
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

/// The most and the mean of the attempts in a second of the half minute after all clients failed at once.
fn herd(clients: usize, jitter: bool) -> (usize, f64) {
    const SPAN: usize = 30;
    let asked = paused(async {
        let log = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..clients {
            let retry = RetryConfig {
                max_retries: 9,
                initial_delay: Duration::from_secs(10),
                backoff_strategy: BackoffStrategy::Constant,
                jitter,
                ..RetryConfig::default()
            };
            let exporter = RetryLayer::new(retry).unwrap().layer(AnyExporter::new(Refuses(log.clone())));
            let leg = Arc::new(Leg::new(exporter, "leg", LegOptions::default(), 1));
            tokio::spawn(leg.clone().run());
            leg.offer(&Arc::new(snapshot([(0, 1)])));
        }
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(SPAN as u64)).await;
        let log = log.lock().unwrap();
        log.iter().map(|at| at.duration_since(began)).collect::<Vec<_>>()
    });
    let mut each = [0; SPAN + 1];
    // The first attempts are where the outage found them.
    let repeated = asked.iter().filter(|at| !at.is_zero());
    repeated.for_each(|at| each[at.as_secs() as usize] += 1);
    let mean = each.iter().sum::<usize>() as f64 / SPAN as f64;
    (each.into_iter().max().unwrap_or_default(), mean)
}

#[test]
fn reliability_a_hundred_clients_do_not_come_back_at_once() {
    let runs = if full() { 200 } else { 10 };
    let ratio = |(peak, mean): (usize, f64)| peak as f64 / mean;
    let worst = (0..runs).map(|_| ratio(herd(100, true))).fold(0.0, f64::max);
    let without = ratio(herd(100, false));
    assert!(worst <= 3.0 && without > 9.0, "{worst}, without jitter {without}");
    println!(
        "| 100 clients, one outage | at most 3 times the mean in a second | {worst:.2} at worst in {runs} runs ({without:.0} without jitter) |"
    );
}
