//! `RetryLayer`: what may succeed the next time is tried again, after a wait that grows.

use super::forward;
use crate::{
    AnyExporter, BackoffStrategy, Batch, Error, Exporter, Layer, Receipt, Result, RetryConfig,
    exporter::LONGEST_PAUSE,
};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Repetitions that each attempt earns for later.
const EARNED: f64 = 0.2;
/// The most repetitions that are saved up.
const SAVED: f64 = 10.0;

/// Repeats attempts that failed with an error that [is retryable](Error::is_retryable).
///
/// Between two attempts it waits as [`RetryConfig`] has it; with jitter a random time between nothing and that (AWS's "full
/// jitter"). A backend that says when to come back (`Retry-After`) is not asked earlier. Once the batch's
/// [deadline](Batch::deadline) is set nothing is waited for any more: there is one last attempt.
///
/// Repetitions are on a budget, so that a backend in trouble is not given more work: each batch earns a fifth of one, and ten
/// may be saved up. Of several of these layers, the outermost repeats.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    config: Arc<RetryConfig>,
    budget: Arc<Budget>,
}

impl RetryLayer {
    /// Repeats as `config` says.
    ///
    /// # Errors
    /// As [`RetryConfig::check`].
    pub fn new(config: RetryConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config: Arc::new(config), budget: Arc::default() })
    }
}

impl Layer for RetryLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Retry { inner, layer: self.clone() })
    }
}

#[derive(Debug)]
struct Retry {
    inner: AnyExporter,
    layer: RetryLayer,
}

impl Exporter for Retry {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        if batch.is_repeated() {
            return self.inner.export(batch).await;
        }
        let RetryLayer { config, budget } = &self.layer;
        let batch = batch.repeated();
        let deadline = batch.deadline();
        budget.earn();
        let mut repetition = 0;
        loop {
            let error = match self.inner.export(batch.clone()).await {
                Err(error) if error.is_retryable() => error,
                other => return other,
            };
            let tell = |error: Error| Err(error.with_context("attempts", repetition + 1));
            let asked = error.retry_after();
            let longer = asked.is_some_and(|pause| pause > LONGEST_PAUSE);
            let last = repetition >= config.max_retries || deadline.at().is_some();
            if last || longer || !budget.spend() {
                return tell(error);
            }
            let wait = config.delay(repetition).max(asked.unwrap_or_default());
            if !deadline.pause(wait).await && asked.is_some() {
                return tell(error);
            }
            repetition += 1;
        }
    }
}

impl RetryConfig {
    /// How long to wait before this repetition, the first one being 0.
    fn delay(&self, repetition: u32) -> Duration {
        let full = self.full_delay(repetition);
        match self.jitter {
            true => full.mul_f64(random()),
            false => full,
        }
    }

    /// The same without jitter.
    fn full_delay(&self, repetition: u32) -> Duration {
        let times = match self.backoff_strategy {
            BackoffStrategy::Exponential => self.multiplier.powf(f64::from(repetition)),
            BackoffStrategy::Linear => f64::from(repetition) + 1.0,
            BackoffStrategy::Constant => 1.0,
        };
        Duration::try_from_secs_f64(self.initial_delay.as_secs_f64() * times)
            .map_or(self.max_delay, |delay| delay.min(self.max_delay))
    }
}

/// From 0 to below 1.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(()) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// What repetitions may cost, in repetitions.
#[derive(Debug)]
struct Budget(Mutex<f64>);

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(SAVED))
    }
}

impl Budget {
    fn earn(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + EARNED).min(SAVED);
    }

    /// Whether there was enough.
    fn spend(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *left >= 1.0;
        if enough {
            *left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Deadline, ErrorKind,
        layers::script::{Answer, Script, batch, paused},
    };
    use tokio::time::Instant;

    fn steady() -> RetryConfig {
        RetryConfig { jitter: false, ..RetryConfig::default() }
    }

    /// When attempts were made, in seconds since the first.
    fn seconds(script: &Script) -> Vec<u64> {
        let attempts = script.attempts();
        attempts.iter().map(|(at, _)| at.duration_since(attempts[0].0).as_secs()).collect()
    }

    #[test]
    fn waits_grow_up_to_their_limit() {
        for (backoff_strategy, expected) in [
            (BackoffStrategy::Exponential, [0, 1, 3, 7, 15, 25, 35]),
            (BackoffStrategy::Linear, [0, 1, 3, 6, 10, 15, 21]),
            (BackoffStrategy::Constant, [0, 1, 2, 3, 4, 5, 6]),
        ] {
            paused(async move {
                let max_delay = Duration::from_secs(10);
                let config = RetryConfig { backoff_strategy, max_retries: 6, max_delay, ..steady() };
                let script = Script::new([Answer::Fail(ErrorKind::Unavailable); 9]);
                let exporter = script.exporter().layer(RetryLayer::new(config).unwrap());
                let error = exporter.export(batch(1)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(error.to_string().contains("attempts: 7"), "{error}");
                assert_eq!(seconds(&script), expected);
            });
        }
        let forever = RetryConfig { max_delay: Duration::MAX, ..steady() };
        assert_eq!(forever.full_delay(u32::MAX), Duration::MAX);
    }

    #[test]
    fn the_same_batch_is_tried_until_it_is_taken() {
        paused(async {
            let script = Script::new([ErrorKind::Timeout, ErrorKind::RateLimited].map(Answer::Fail));
            let exporter = script.exporter().layer(RetryLayer::new(steady()).unwrap());
            let batch = batch(5);
            assert_eq!(exporter.export(batch.clone()).await.unwrap().accepted, 5);
            assert_eq!(script.taken(), [batch.id().clone()]);
            assert!(script.attempts().iter().all(|(_, id)| id == batch.id()));
            assert_eq!(seconds(&script), [0, 1, 3]);
        });
    }

    #[test]
    fn the_outermost_layer_repeats() {
        paused(async {
            let script = Script::new([Answer::Fail(ErrorKind::Unavailable); 9]);
            let [inner, outer] =
                [7, 1].map(|max_retries| RetryLayer::new(RetryConfig { max_retries, ..steady() }).unwrap());
            let exporter = script.exporter().layer(inner).layer(outer);
            exporter.export(batch(1)).await.unwrap_err();
            assert_eq!(seconds(&script), [0, 1]);
        });
    }

    #[test]
    fn what_would_fail_again_is_not_repeated() {
        paused(async {
            for kind in [ErrorKind::Rejected, ErrorKind::Unauthorized, ErrorKind::CircuitOpen] {
                let script = Script::new([Answer::Fail(kind)]);
                let exporter = script.exporter().layer(RetryLayer::new(steady()).unwrap());
                assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), kind);
                assert_eq!(script.attempts().len(), 1);
            }
        });
    }

    #[test]
    fn a_backend_is_not_asked_before_it_says() {
        paused(async {
            let busy = [20, 0, 300].map(|seconds| Answer::Busy(Duration::from_secs(seconds)));
            let script = Script::new(busy);
            let exporter = script.exporter().layer(RetryLayer::new(steady()).unwrap());
            exporter.export(batch(1)).await.unwrap();
            assert_eq!(seconds(&script), [0, 20, 22, 322]);

            let script = Script::new([Answer::Busy(Duration::from_secs(301))]);
            let exporter = script.exporter().layer(RetryLayer::new(steady()).unwrap());
            let error = exporter.export(batch(1)).await.unwrap_err();
            assert_eq!(error.retry_after(), Some(Duration::from_secs(301)));
            assert_eq!(script.attempts().len(), 1);
        });
    }

    #[test]
    fn the_deadline_calls_to_the_last_attempt() {
        paused(async {
            for (answer, attempts) in
                [(Answer::Fail(ErrorKind::Unavailable), 2), (Answer::Busy(Duration::from_secs(90)), 1)]
            {
                let script = Script::new([answer; 9]);
                let wait = Duration::from_secs(60);
                let config = RetryConfig { initial_delay: wait, ..steady() };
                let exporter = script.exporter().layer(RetryLayer::new(config).unwrap());
                let (deadline, began) = (Deadline::open(), Instant::now());
                let batch = batch(1).with_deadline(deadline.clone());
                let export = tokio::spawn(async move { exporter.export(batch).await });
                tokio::time::sleep(Duration::from_secs(5)).await;
                deadline.set(began + Duration::from_secs(100));
                assert!(export.await.unwrap().is_err());
                assert_eq!((script.attempts().len(), began.elapsed()), (attempts, Duration::from_secs(5)));
            }
        });
    }

    #[test]
    fn repetitions_are_on_a_budget() {
        paused(async {
            let script = Script::new([Answer::Fail(ErrorKind::Unavailable); 10_000]);
            let exporter = script.exporter().layer(RetryLayer::new(RetryConfig::default()).unwrap());
            for _ in 0..1000 {
                exporter.export(batch(1)).await.unwrap_err();
            }
            let attempts = script.attempts().len();
            assert!((1200..=1210).contains(&attempts), "{attempts}");
        });
    }

    #[test]
    fn jitter_is_spread_evenly() {
        let config = RetryConfig::default();
        let mut delays: Vec<f64> = (0..10_000).map(|_| config.delay(2).as_secs_f64() / 4.0).collect();
        delays.sort_by(f64::total_cmp);
        // Kolmogorov and Smirnov: farther from the even distribution in one run of ten thousand.
        let farthest = delays.iter().enumerate().map(|(at, delay)| (delay - at as f64 / 10_000.0).abs());
        assert!(farthest.fold(0.0, f64::max) < 0.022);
    }
}
