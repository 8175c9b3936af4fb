//! `ProbeLayer`: asks again and again whether the backend is there, so that who wants to know need not wait for it.

use super::forward;
use crate::{
    AnyExporter, Batch, Error, ErrorKind, Exporter, Health, Layer, Receipt, Result,
    foreign::{caught, tell},
};
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::Instant};

/// How often a backend is asked, and when it counts as unhealthy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// From one question to the next; an answer that takes longer is none. Default: 30 s.
    #[serde(alias = "health_check_interval_seconds", deserialize_with = "crate::duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub health_check_interval: Duration,
    /// How many failures in a row make it unhealthy, at least one. Default: 3.
    pub unhealthy_threshold: u32,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self { health_check_interval: Duration::from_secs(30), unhealthy_threshold: 3 }
    }
}

impl ProbeConfig {
    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn check(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if self.health_check_interval.is_zero() {
            return wrong("`health_check_interval` must be longer than nothing");
        }
        if self.unhealthy_threshold == 0 {
            return wrong("`unhealthy_threshold` must be at least 1");
        }
        Ok(())
    }
}

/// Asks the exporter for its [health](Exporter::health) at an interval, in a task on the tokio runtime in which it is first used.
///
/// What the wrapped exporter says of its health is then what was last found, at once: healthy after one good answer, degraded
/// after failures, unhealthy after [so many](ProbeConfig::unhealthy_threshold) in a row. A panic is a failure, and so is no answer.
/// Before the first answer, and outside of a tokio runtime, it asks.
///
/// Exports go through whatever was found: what stops them is a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer). The task ends
/// when the wrapped exporter is shut down or dropped. Clones share what was found, so that there is one layer for each exporter.
#[derive(Clone, Debug)]
pub struct ProbeLayer {
    config: Arc<ProbeConfig>,
    found: Arc<watch::Sender<Found>>,
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    asked: bool,
    /// In a row.
    failures: u32,
    /// What the last answer complained of.
    error: Option<(ErrorKind, String)>,
}

impl ProbeLayer {
    /// Asks as `config` says.
    ///
    /// # Errors
    /// As [`ProbeConfig::check`].
    pub fn new(config: ProbeConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config: Arc::new(config), found: Arc::default() })
    }

    /// Whether the backend is there, as far as is known; it is to begin with.
    pub fn is_healthy(&self) -> bool {
        self.is_well(&self.found.borrow())
    }

    /// Waits until [`is_healthy`](Self::is_healthy) is no longer what it is now; gives what it is then.
    pub async fn changed(&self) -> bool {
        let mut found = self.found.subscribe();
        let now = self.is_well(&found.borrow_and_update());
        // The other end is ours.
        let _ = found.wait_for(|found| self.is_well(found) != now).await;
        !now
    }

    fn is_well(&self, found: &Found) -> bool {
        found.failures < self.config.unhealthy_threshold
    }

    /// Whether that changed whether it is healthy.
    fn note(&self, answer: Health) -> bool {
        let (failed, error) = match answer {
            Health::Healthy => (false, None),
            Health::Degraded(error) => (false, Some(error)),
            Health::Unhealthy(error) => (true, Some(error)),
        };
        let mut changed = false;
        self.found.send_modify(|found| {
            let before = self.is_well(found);
            let failures = if failed { found.failures.saturating_add(1) } else { 0 };
            let error = error.map(|error| (error.kind(), error.message().to_owned()));
            *found = Found { asked: true, failures, error };
            changed = before != self.is_well(found);
        });
        changed
    }

    /// Asks for ever.
    async fn run(self, inner: AnyExporter) {
        let interval = self.config.health_check_interval;
        loop {
            let began = Instant::now();
            let answer = match tokio::time::timeout(interval, caught(|| inner.health())).await {
                Ok(Ok(health)) => health,
                Ok(Err(panicked)) => Health::Unhealthy(panicked.into()),
                Err(_) => Health::Unhealthy(Error::new(ErrorKind::Timeout, "the health check took too long")),
            };
            if self.note(answer) {
                let healthy = self.is_healthy();
                tell!(exporter = %inner.info().name, healthy, "the backend's health changed");
            }
            tokio::time::sleep(interval.saturating_sub(began.elapsed())).await;
        }
    }
}

impl Layer for ProbeLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Probe { inner, layer: self.clone(), task: Mutex::default() })
    }
}

#[derive(Debug)]
struct Probe {
    inner: AnyExporter,
    layer: ProbeLayer,
    task: Mutex<Task>,
}

#[derive(Debug, Default)]
enum Task {
    #[default]
    Idle,
    Started(JoinHandle<()>),
    Stopped,
}

impl Probe {
    fn task(&self) -> MutexGuard<'_, Task> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the task, unless it runs or is to run no more. It does not outlive its runtime.
    fn start(&self) {
        let mut task = self.task();
        let wanted = match &*task {
            Task::Idle => true,
            Task::Started(task) => task.is_finished(),
            Task::Stopped => false,
        };
        if wanted && let Ok(runtime) = Handle::try_current() {
            *task = Task::Started(runtime.spawn(self.layer.clone().run(self.inner.clone())));
        }
    }

    fn stop(&self) {
        if let Task::Started(task) = std::mem::replace(&mut *self.task(), Task::Stopped) {
            task.abort();
        }
    }
}

impl Exporter for Probe {
    forward!(info, capability);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        self.start();
        self.inner.export(batch).await
    }

    async fn health(&self) -> Health {
        self.start();
        {
            let found = self.layer.found.borrow();
            if found.asked {
                return match &found.error {
                    None => Health::Healthy,
                    Some((kind, message)) => {
                        let error = Error::new(*kind, message.clone());
                        match self.layer.is_well(&found) {
                            true => Health::Degraded(error),
                            false => Health::Unhealthy(error),
                        }
                    }
                };
            }
        }
        self.inner.health().await
    }

    async fn flush(&self) -> Result<()> {
        self.start();
        self.inner.flush().await
    }

    async fn shutdown(&self) -> Result<()> {
        self.stop();
        self.inner.shutdown().await
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::script::{Answer, Script, batch, paused};

    const DOWN: Answer = Answer::Fail(ErrorKind::Unavailable);

    fn probe() -> ProbeLayer {
        ProbeLayer::new(ProbeConfig::default()).unwrap()
    }

    /// When it was asked, in seconds.
    fn seconds(script: &Script, began: Instant) -> Vec<u64> {
        script.asked().iter().map(|at| at.duration_since(began).as_secs()).collect()
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[test]
    fn it_is_unhealthy_after_so_many_failures_until_one_success() {
        paused(async {
            let slow = Answer::Slow(Duration::from_secs(10));
            let (busy, mute) = (Answer::Busy(Duration::ZERO), Answer::Never);
            let answers = [slow, DOWN, Answer::Panic, mute, mute, busy, DOWN, slow];
            let script = Script::default().with_healths(answers);
            let (probe, began) = (probe(), Instant::now());
            let exporter = script.exporter().layer(probe.clone());
            exporter.export(batch(1)).await.unwrap();
            for (at, healthy, kind) in [
                (29, true, None),
                (59, true, Some(ErrorKind::Unavailable)),
                (89, true, Some(ErrorKind::Unexpected)),
                (119, true, Some(ErrorKind::Unexpected)),
                (125, false, Some(ErrorKind::Timeout)),
                (149, false, Some(ErrorKind::Timeout)),
                (179, true, Some(ErrorKind::RateLimited)),
                (209, true, Some(ErrorKind::Unavailable)),
                (239, true, None),
            ] {
                pass(at - began.elapsed().as_secs()).await;
                assert_eq!(probe.is_healthy(), healthy, "{at}");
                let found = match exporter.health().await {
                    Health::Healthy => None,
                    Health::Degraded(error) if healthy => Some(error.kind()),
                    Health::Unhealthy(error) if !healthy => Some(error.kind()),
                    other => panic!("{at}: {other:?}"),
                };
                assert_eq!(found, kind, "{at}");
                // It stops nothing.
                exporter.export(batch(1)).await.unwrap();
            }
            assert_eq!(seconds(&script, began), [0, 30, 60, 90, 120, 150, 180, 210]);
        });
    }

    #[test]
    fn who_waits_is_told() {
        paused(async {
            let script = Script::default().with_healths([DOWN; 4]);
            let (probe, began) = (probe(), Instant::now());
            let exporter = script.exporter().layer(probe.clone());
            exporter.flush().await.unwrap();
            assert!(!probe.changed().await);
            assert!(!probe.is_healthy() && began.elapsed() == Duration::from_secs(60));
            assert!(probe.changed().await);
            assert!(probe.is_healthy() && began.elapsed() == Duration::from_secs(120));
        });
    }

    #[test]
    fn it_asks_before_it_knows_and_no_more_after_the_end() {
        paused(async {
            for shut_down in [true, false] {
                let script = Script::default().with_healths([DOWN]);
                let exporter = script.exporter().layer(probe());
                assert!(matches!(exporter.health().await, Health::Unhealthy(_)));
                pass(100).await;
                let asked = script.asked().len();
                assert_eq!(asked, 5, "by us, and at 0, 30, 60 and 90 seconds");
                if shut_down {
                    exporter.shutdown().await.unwrap();
                    assert!(exporter.health().await.is_healthy(), "what was last found");
                } else {
                    drop(exporter);
                }
                pass(1000).await;
                assert_eq!(script.asked().len(), asked);
            }
        });
    }

    #[test]
    fn it_goes_on_in_another_runtime() {
        let (script, probe) = (Script::default(), probe());
        let exporter = script.exporter().layer(probe);
        for runtime in 1..=3 {
            paused(async {
                exporter.export(batch(1)).await.unwrap();
                pass(40).await;
            });
            assert_eq!(script.asked().len(), 2 * runtime);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = ProbeConfig::default();
        for (config, setting) in [
            (ProbeConfig { health_check_interval: Duration::ZERO, ..base.clone() }, "health_check_interval"),
            (ProbeConfig { unhealthy_threshold: 0, ..base }, "unhealthy_threshold"),
        ] {
            let error = ProbeLayer::new(config).unwrap_err();
            assert!(error.to_string().contains(setting), "{error}");
        }
    }
}
