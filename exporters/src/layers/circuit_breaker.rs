//! `CircuitBreakerLayer`: a backend that is down is left alone, and tried with a few batches before it gets all of them again.

use super::forward;
use crate::{
    AnyExporter, Batch, Error, ErrorKind, Exporter, Layer, Receipt, Result,
    foreign::{quietly, tell},
};
use serde::Deserialize;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// When a backend counts as down, and how it is tried again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreakerConfig {
    /// Failures in a row that open the circuit, at least one. Default: 5.
    pub failure_threshold: u32,
    /// How long it is open. Default: 60 s.
    #[serde(alias = "recovery_timeout_seconds", deserialize_with = "crate::duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub recovery_timeout: Duration,
    /// Exports, at least one, by which the backend is tried after that: no more are let through until all of them have succeeded.
    /// Default: 3.
    pub half_open_max_calls: u32,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self { failure_threshold: 5, recovery_timeout: Duration::from_secs(60), half_open_max_calls: 3 }
    }
}

impl CircuitBreakerConfig {
    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn check(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if self.failure_threshold == 0 {
            return wrong("`circuit_breaker.failure_threshold` must be at least 1");
        }
        if self.half_open_max_calls == 0 {
            return wrong("`circuit_breaker.half_open_max_calls` must be at least 1");
        }
        Ok(())
    }
}

/// Whether a [`CircuitBreakerLayer`] lets exports through.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CircuitState {
    /// All of them.
    Closed,
    /// None: the backend is down.
    Open,
    /// A few, to see whether the backend is back.
    HalfOpen,
}

impl CircuitState {
    /// The state as a low-cardinality attribute, for example `half_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Refuses exports with [`ErrorKind::CircuitOpen`] while the backend is down, so that it is not asked in vain.
///
/// The circuit opens after so many failures in a row. When it has been open for long enough it is half open: as many exports are
/// let through as it takes to trust the backend again. If all of them succeed, it closes; the first failure opens it again. An
/// error says how long the circuit stays open ([`Error::retry_after`]); that of a half-open one does not, since nobody knows.
///
/// A failure is what the next batch would meet, too: an error that [is retryable](Error::is_retryable), or
/// [`Unauthorized`](ErrorKind::Unauthorized). The others speak of the batch at hand (it was refused, is too large or can't be
/// written), a panic of the program, and an attempt that is abandoned of nothing: they are neither failure nor success. Nor is an
/// answer to what was sent before the circuit last changed.
///
/// An attempt that never ends keeps its place among those that try the backend; a [`TimeoutLayer`](crate::TimeoutLayer) within
/// prevents that. Clones share the circuit, so that there is one layer for each backend.
///
/// ```
/// # use exporters::{AnyExporter, CircuitBreakerConfig, CircuitBreakerLayer, CircuitState, MemoryExporter};
/// let breaker = CircuitBreakerLayer::new(CircuitBreakerConfig::default())?;
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(breaker.clone());
/// assert_eq!(breaker.state(), CircuitState::Closed);
/// # Ok::<(), exporters::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer {
    config: Arc<CircuitBreakerConfig>,
    circuit: Arc<Mutex<Circuit>>,
}

impl CircuitBreakerLayer {
    /// A closed circuit, which opens and closes as `config` says.
    ///
    /// # Errors
    /// As [`CircuitBreakerConfig::check`].
    pub fn new(config: CircuitBreakerConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config: Arc::new(config), circuit: Arc::default() })
    }

    /// How the next export will find it.
    pub fn state(&self) -> CircuitState {
        match self.circuit().phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { since } if self.left(since).is_some() => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a circuit that opened then stays so.
    fn left(&self, since: Instant) -> Option<Duration> {
        let left = self.config.recovery_timeout.saturating_sub(since.elapsed());
        (!left.is_zero()).then_some(left)
    }

    /// Lets an export through, or not.
    fn admit(&self) -> Result<Permit<'_>> {
        let refuse = |message| Error::new(ErrorKind::CircuitOpen, message);
        let mut circuit = self.circuit();
        let mut half_opened = false;
        if let Phase::Open { since } = circuit.phase {
            if let Some(left) = self.left(since) {
                return Err(refuse("the backend was down and is left alone").with_retry_after(left));
            }
            circuit.enter(Phase::HalfOpen { let_in: 0, succeeded: 0 });
            half_opened = true;
        }
        if let Phase::HalfOpen { let_in, .. } = &mut circuit.phase {
            if *let_in >= self.config.half_open_max_calls {
                return Err(refuse("the backend was down and is being tried"));
            }
            *let_in += 1;
        }
        Ok(Permit { breaker: self, epoch: circuit.epoch, half_opened })
    }
}

impl Layer for CircuitBreakerLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(CircuitBreaker { inner, layer: self.clone() })
    }
}

#[derive(Debug)]
struct CircuitBreaker {
    inner: AnyExporter,
    layer: CircuitBreakerLayer,
}

impl Exporter for CircuitBreaker {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let permit = self.layer.admit()?;
        if permit.half_opened {
            _ = quietly(
                || tracing::info!(target: "exporters", exporter = %self.info().name, "the circuit is half open"),
            );
        }
        let result = self.inner.export(batch).await;
        let changed = match &result {
            Ok(_) => permit.succeed(),
            Err(error) => is_failure(error) && permit.fail(),
        };
        match &result {
            Ok(_) if changed => {
                _ = quietly(
                    || tracing::info!(target: "exporters", exporter = %self.info().name, "the circuit closed"),
                );
            }
            Err(error) if changed => {
                tell!(exporter = %self.info().name, %error, "the circuit opened");
            }
            _ => {}
        }
        result
    }
}

/// Whether it speaks of the backend, not of the batch.
fn is_failure(error: &Error) -> bool {
    error.is_retryable() || error.kind() == ErrorKind::Unauthorized
}

/// What the breaker knows.
#[derive(Debug, Default)]
struct Circuit {
    phase: Phase,
    /// How often it changed: what was let in before does not count any more.
    epoch: u64,
}

#[derive(Debug)]
enum Phase {
    /// After so many failures in a row.
    Closed { failures: u32 },
    /// Until it has been so for long enough and somebody comes.
    Open { since: Instant },
    /// So many try the backend or have succeeded, and so many have succeeded.
    HalfOpen { let_in: u32, succeeded: u32 },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

/// An export that was let through. Dropped without a word, however that comes, it is as if it had never been.
#[derive(Debug)]
struct Permit<'a> {
    breaker: &'a CircuitBreakerLayer,
    epoch: u64,
    /// It is the first since the circuit was open.
    half_opened: bool,
}

impl<'a> Permit<'a> {
    /// The circuit, unless it has changed since.
    fn circuit(&self) -> Option<MutexGuard<'a, Circuit>> {
        let circuit = self.breaker.circuit();
        (circuit.epoch == self.epoch).then_some(circuit)
    }

    /// Whether that closed the circuit.
    fn succeed(self) -> bool {
        let Some(mut circuit) = self.circuit() else { return false };
        let closes = match &mut circuit.phase {
            Phase::HalfOpen { succeeded, .. } => {
                *succeeded += 1;
                *succeeded >= self.breaker.config.half_open_max_calls
            }
            Phase::Closed { failures } => {
                *failures = 0;
                false
            }
            Phase::Open { .. } => false,
        };
        if closes {
            circuit.enter(Phase::default());
        }
        // It keeps its place among those that were let in.
        std::mem::forget(self);
        closes
    }

    /// Whether that opened the circuit.
    fn fail(self) -> bool {
        let Some(mut circuit) = self.circuit() else { return false };
        let opens = match &mut circuit.phase {
            Phase::Closed { failures } => {
                *failures += 1;
                *failures >= self.breaker.config.failure_threshold
            }
            Phase::HalfOpen { .. } => true,
            Phase::Open { .. } => false,
        };
        if opens {
            circuit.enter(Phase::Open { since: Instant::now() });
        }
        opens
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(mut circuit) = self.circuit()
            && let Phase::HalfOpen { let_in, .. } = &mut circuit.phase
        {
            *let_in -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Capability, Health, Info, Settings, TimeoutLayer,
        layers::script::{Answer, Script, batch, paused},
        settings::{Node, Origin, Scope},
    };
    use proptest::{collection::vec, prelude::*};
    use std::{
        collections::{BTreeMap, BTreeSet},
        future::poll_fn,
        pin::Pin,
        task::Poll,
    };
    use tokio::{sync::oneshot, time::advance};

    fn breaker() -> CircuitBreakerLayer {
        CircuitBreakerLayer::new(CircuitBreakerConfig::default()).unwrap()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_backend_that_is_down_is_left_alone_until_it_may_be_back() {
        paused(async {
            let down = [Answer::Fail(ErrorKind::Unavailable); 5];
            let script =
                Script::new(down.into_iter().chain([Answer::Take, Answer::Fail(ErrorKind::Timeout)]));
            let breaker = breaker();
            let exporter = script.exporter().layer(breaker.clone());
            for _ in 0..5 {
                assert_eq!(breaker.state(), CircuitState::Closed);
                assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
            }
            for left in [60, 59] {
                let error = exporter.export(batch(1)).await.unwrap_err();
                assert_eq!(
                    (error.kind(), error.retry_after()),
                    (ErrorKind::CircuitOpen, Some(Duration::from_secs(left)))
                );
                assert_eq!((breaker.state(), script.attempts().len()), (CircuitState::Open, 5));
                advance(Duration::from_secs(1)).await;
            }
            advance(MINUTE).await;
            assert_eq!(breaker.state(), CircuitState::HalfOpen);
            exporter.export(batch(1)).await.unwrap();
            assert_eq!(breaker.state(), CircuitState::HalfOpen);
            exporter.export(batch(1)).await.unwrap_err();
            assert_eq!(breaker.state(), CircuitState::Open);

            advance(MINUTE).await;
            for _ in 0..3 {
                assert_eq!(breaker.state(), CircuitState::HalfOpen);
                exporter.export(batch(1)).await.unwrap();
            }
            assert_eq!(breaker.state(), CircuitState::Closed);
        });
    }

    #[test]
    fn only_failures_in_a_row_count_and_only_the_backends() {
        paused(async {
            use ErrorKind::*;
            for (kind, opens) in [
                (Unavailable, true),
                (Timeout, true),
                (RateLimited, true),
                (Unauthorized, true),
                (Rejected, false),
                (Encode, false),
                (PayloadTooLarge, false),
                (Unsupported, false),
                (Unexpected, false),
                (CircuitOpen, false),
                (ConfigInvalid, false),
            ] {
                let breaker = breaker();
                let exporter = Script::new([Answer::Fail(kind); 5]).exporter().layer(breaker.clone());
                for _ in 0..5 {
                    exporter.export(batch(1)).await.unwrap_err();
                }
                assert_eq!(breaker.state() == CircuitState::Open, opens, "{kind}");
            }
            let (breaker, failed) = (breaker(), Answer::Fail(Unavailable));
            // A success in between starts anew; what says nothing does not.
            let answers = [
                failed,
                failed,
                failed,
                failed,
                Answer::Take,
                failed,
                failed,
                failed,
                failed,
                Answer::Fail(Rejected),
            ];
            let exporter = Script::new(answers.into_iter().chain([failed])).exporter().layer(breaker.clone());
            for _ in 0..10 {
                let _ = exporter.export(batch(1)).await;
                assert_eq!(breaker.state(), CircuitState::Closed);
            }
            exporter.export(batch(1)).await.unwrap_err();
            assert_eq!(breaker.state(), CircuitState::Open);
        });
    }

    #[test]
    fn whatever_ends_an_attempt_gives_its_place_back() {
        paused(async {
            let down = [Answer::Fail(ErrorKind::Unavailable); 5];
            let trials = [Answer::Never, Answer::Panic, Answer::Fail(ErrorKind::Rejected)].repeat(4);
            let script = Script::new(down.into_iter().chain(trials));
            let breaker = breaker();
            let exporter = script.exporter().layer(breaker.clone()).layer(TimeoutLayer::new(MINUTE));
            for _ in 0..5 {
                exporter.export(batch(1)).await.unwrap_err();
            }
            advance(MINUTE).await;
            for _ in 0..4 {
                assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::Timeout);
                let exporter = exporter.clone();
                let panicked = tokio::spawn(async move { exporter.export(batch(1)).await }).await;
                assert!(panicked.unwrap_err().is_panic());
                let exporter = script.exporter().layer(breaker.clone());
                assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::Rejected);
                assert_eq!(breaker.state(), CircuitState::HalfOpen);
            }
            for _ in 0..3 {
                exporter.export(batch(1)).await.unwrap();
            }
            assert_eq!(breaker.state(), CircuitState::Closed);
        });
    }

    #[test]
    fn every_change_is_logged_once() {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        // Beside another one: a single subscriber is not asked by `tracing` where another test's thread logs first.
        let _beside = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::subscriber::with_default(subscriber, || {
            paused(async {
                let exporter =
                    Script::new([Answer::Fail(ErrorKind::Unavailable); 5]).exporter().layer(breaker());
                for _ in 0..20 {
                    let _ = exporter.export(batch(1)).await;
                }
                advance(MINUTE).await;
                for _ in 0..20 {
                    exporter.export(batch(1)).await.unwrap();
                }
            });
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, part) in
            lines.iter().zip(["the circuit opened", "the circuit is half open", "the circuit closed"])
        {
            assert!(line.contains(part) && line.contains("exporter=script"), "{line}");
        }
    }

    #[test]
    fn every_spelling_is_read() {
        let read = |variables: &[(&str, &str)]| -> Result<CircuitBreakerConfig> {
            let variables = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
            let scope = Scope::new(variables, "P");
            Settings { node: Node::empty(Origin::Code), path: "circuit_breaker".into(), scope }.read()
        };
        let recovery_timeout = Duration::from_millis(1500);
        for (name, text) in [("P_RECOVERY_TIMEOUT", "1500ms"), ("P_RECOVERY_TIMEOUT_SECONDS", "1.5")] {
            let config = read(&[("P_FAILURE_THRESHOLD", "2"), (name, text), ("P_HALF_OPEN_MAX_CALLS", "1")]);
            let expected =
                CircuitBreakerConfig { failure_threshold: 2, recovery_timeout, half_open_max_calls: 1 };
            assert_eq!(config.unwrap(), expected);
        }
        assert_eq!(read(&[]).unwrap(), CircuitBreakerConfig::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = CircuitBreakerConfig::default();
        for (config, setting) in [
            (CircuitBreakerConfig { failure_threshold: 0, ..base.clone() }, "failure_threshold"),
            (CircuitBreakerConfig { half_open_max_calls: 0, ..base }, "half_open_max_calls"),
        ] {
            let error = CircuitBreakerLayer::new(config).unwrap_err();
            assert!(error.to_string().contains(setting), "{error}");
        }
    }

    #[test]
    fn no_wait_is_too_long() {
        paused(async {
            let config = CircuitBreakerConfig {
                failure_threshold: 1,
                recovery_timeout: Duration::MAX,
                ..CircuitBreakerConfig::default()
            };
            let breaker = CircuitBreakerLayer::new(config).unwrap();
            let exporter = Script::new([Answer::Fail(ErrorKind::Timeout)]).exporter().layer(breaker.clone());
            exporter.export(batch(1)).await.unwrap_err();
            assert_eq!(exporter.export(batch(1)).await.unwrap_err().retry_after(), Some(Duration::MAX));
        });
    }

    /// Answers each attempt when the test says so; drops what it is told when it is never told.
    #[derive(Debug, Default)]
    struct Told(Mutex<Option<oneshot::Receiver<Result<Receipt>>>>);

    impl Exporter for Arc<Told> {
        fn info(&self) -> Info {
            Info::new("told")
        }
        fn capability(&self) -> Capability {
            Capability::ALL
        }
        async fn export(&self, _: Batch) -> Result<Receipt> {
            let told = self.0.lock().unwrap().take().unwrap();
            told.await.unwrap()
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

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin,
        /// An attempt that runs, counted from the oldest, ends so.
        End(usize, End),
        Pass(u64),
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum End {
        Taken,
        Failed,
        Refused,
        Dropped,
    }

    /// Of plain numbers, since proptest takes far longer to choose among strategies.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        use End::*;
        const ENDS: [End; 8] = [Taken, Taken, Failed, Failed, Failed, Failed, Refused, Dropped];
        let step = |number: u32| {
            let choice = number as usize / 8;
            match number % 8 {
                0..4 => Step::Begin,
                4..7 => Step::End(choice / 8 % 4, ENDS[choice % 8]),
                _ => Step::Pass(1 + choice as u64 % 12),
            }
        };
        vec(any::<u32>(), 0..60).prop_map(move |numbers| numbers.into_iter().map(step).collect())
    }

    /// The rules again, over all that has happened: seconds and numbers of attempts.
    #[derive(Debug, Default)]
    struct Model {
        now: u64,
        /// When it opened, unless it is closed.
        opened: Option<u64>,
        /// Since it was last closed.
        in_a_row: u32,
        /// Which attempts count: those that began since the last change.
        current: BTreeSet<u64>,
        succeeded: u32,
    }

    const FAILURES: u32 = 2;
    const SECONDS: u64 = 10;
    const TRIALS: u32 = 3;

    impl Model {
        fn state(&self) -> CircuitState {
            match self.opened {
                None => CircuitState::Closed,
                Some(at) if self.now < at + SECONDS => CircuitState::Open,
                Some(_) => CircuitState::HalfOpen,
            }
        }

        fn begin(&mut self, attempt: u64) -> bool {
            let trials = self.current.len() as u32 + self.succeeded;
            let lets_in = match self.state() {
                CircuitState::Closed => true,
                CircuitState::Open => false,
                CircuitState::HalfOpen => trials < TRIALS,
            };
            if lets_in {
                self.current.insert(attempt);
            }
            lets_in
        }

        fn end(&mut self, attempt: u64, end: End) {
            if !self.current.remove(&attempt) {
                return;
            }
            let tried = self.opened.is_some();
            match end {
                End::Taken if tried => self.succeeded += 1,
                End::Taken => self.in_a_row = 0,
                End::Failed => self.in_a_row += 1,
                End::Refused | End::Dropped => {}
            }
            let opened = match (tried, end) {
                (true, End::Failed) => Some(self.now),
                (false, End::Failed) if self.in_a_row == FAILURES => Some(self.now),
                (true, End::Taken) if self.succeeded == TRIALS => None,
                _ => return,
            };
            *self = Self { now: self.now, opened, ..Self::default() };
        }
    }

    type Attempt = (oneshot::Sender<Result<Receipt>>, Pin<Box<dyn Future<Output = Result<Receipt>> + Send>>);

    async fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send>>) -> Poll<T> {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]
        #[test]
        fn it_does_what_the_model_does(steps in steps()) {
            paused(async {
                let backend = Arc::<Told>::default();
                let breaker = CircuitBreakerLayer::new(CircuitBreakerConfig {
                    failure_threshold: FAILURES,
                    recovery_timeout: Duration::from_secs(SECONDS),
                    half_open_max_calls: TRIALS,
                })
                .unwrap();
                let exporter = AnyExporter::new(backend.clone()).layer(breaker.clone());
                let (mut model, mut running) = (Model::default(), BTreeMap::<u64, Attempt>::new());
                for (number, step) in (0..).zip(steps) {
                    match step {
                        Step::Begin => {
                            let (tell, told) = oneshot::channel();
                            *backend.0.lock().unwrap() = Some(told);
                            let exporter = exporter.clone();
                            let mut export: Pin<Box<dyn Future<Output = _> + Send>> =
                                Box::pin(async move { exporter.export(batch(0)).await });
                            let answer = poll(&mut export).await;
                            let asked = backend.0.lock().unwrap().is_none();
                            assert_eq!(asked, model.begin(number));
                            match answer {
                                Poll::Pending => _ = running.insert(number, (tell, export)),
                                Poll::Ready(answer) => {
                                    let error = answer.unwrap_err();
                                    assert!(!asked && error.kind() == ErrorKind::CircuitOpen);
                                    let left = model.opened.unwrap() + SECONDS;
                                    let left = left.checked_sub(model.now).filter(|left| *left > 0);
                                    assert_eq!(error.retry_after(), left.map(Duration::from_secs));
                                }
                            }
                        }
                        Step::End(at, end) => {
                            let Some(number) = running.keys().nth(at).copied() else { continue };
                            let (tell, mut export) = running.remove(&number).unwrap();
                            let answer = match end {
                                End::Taken => Some(Ok(Receipt::accepted(0))),
                                End::Failed => Some(Err(Error::new(ErrorKind::Unavailable, "down"))),
                                End::Refused => Some(Err(Error::new(ErrorKind::Rejected, "no"))),
                                End::Dropped => None,
                            };
                            if let Some(answer) = answer {
                                tell.send(answer).unwrap();
                                assert!(poll(&mut export).await.is_ready());
                            }
                            drop(export);
                            model.end(number, end);
                        }
                        Step::Pass(seconds) => {
                            advance(Duration::from_secs(seconds)).await;
                            model.now += seconds;
                        }
                    }
                    assert_eq!(breaker.state(), model.state());
                    let tries = model.current.len() as u32 + model.succeeded;
                    assert!(model.opened.is_none() || tries <= TRIALS);
                }
            });
        }
    }

    #[test]
    fn a_subscriber_that_panics_costs_nothing() {
        crate::layers::script::with_bad_subscriber(async {
            let script = Script::new([Answer::Fail(ErrorKind::Unavailable); 5]);
            let breaker = breaker();
            let exporter = script.exporter().layer(breaker.clone());
            for _ in 0..5 {
                assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
            }
            advance(MINUTE).await;
            for _ in 0..3 {
                exporter.export(batch(1)).await.unwrap();
            }
            assert_eq!(breaker.state(), CircuitState::Closed);
        });
    }
}
