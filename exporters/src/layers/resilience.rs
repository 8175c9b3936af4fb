//! `ResilienceLayer`: the layers that keep what a backend does from losing anything, in the one right order.

use super::{
    CircuitBreakerConfig, CircuitBreakerLayer, FallbackLayer, ProbeConfig, ProbeLayer, RetryLayer,
    TimeoutLayer,
};
#[cfg(feature = "file")]
use super::{DeadLetterConfig, DeadLetterLayer};
use crate::{AnyExporter, Error, ErrorKind, Layer, Result, RetryConfig};
use serde::Deserialize;
use std::time::Duration;

/// What is done about a backend that fails.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ResilienceConfig {
    /// How failed attempts are repeated. It replaces an exporter's own `retry`.
    #[serde(alias = "retry_config")]
    pub retry: RetryConfig,
    /// When the backend is left alone. Default: after five failures in a row, for 60 s; `null` for never.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// How long an attempt takes at most. Default: 30 s; `null` for as long as the exporter lets it.
    #[serde(alias = "timeout_seconds", deserialize_with = "crate::duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub timeout: Option<Duration>,
    /// How often the backend is asked for its health beside the exports. Default: never; `{}` for every 30 s.
    pub health_check: Option<ProbeConfig>,
    /// Where batches are put that can't be sent any more. Default: nowhere.
    #[cfg(feature = "file")]
    #[serde(alias = "dead_letter_queue")]
    pub dead_letter: Option<DeadLetterConfig>,
}

impl Default for ResilienceConfig {
    fn default() -> Self {
        Self {
            retry: RetryConfig::default(),
            circuit_breaker: Some(CircuitBreakerConfig::default()),
            timeout: Some(Duration::from_secs(30)),
            health_check: None,
            #[cfg(feature = "file")]
            dead_letter: None,
        }
    }
}

/// Dead letters, around a fallback, around repetitions, around a circuit breaker, around a timeout, and a probe beside them.
///
/// In this order an attempt that hangs is one that failed, each attempt is told to the breaker, what a breaker stops is not repeated,
/// what repetitions could not cure goes to the fallback, and what that does not take either is put aside. Its parts, which
/// can be asked for their state, are shared by clones.
///
/// ```
/// # use exporters::{AnyExporter, CircuitState, MemoryExporter, ResilienceConfig, ResilienceLayer};
/// # fn main() -> Result<(), exporters::Error> {
/// let spare = AnyExporter::new(MemoryExporter::new());
/// let resilience = ResilienceLayer::new(ResilienceConfig::default())?.with_fallback(spare);
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(resilience.clone());
/// assert_eq!(resilience.circuit_breaker().map(|breaker| breaker.state()), Some(CircuitState::Closed));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ResilienceLayer {
    probe: Option<ProbeLayer>,
    timeout: Option<TimeoutLayer>,
    circuit_breaker: Option<CircuitBreakerLayer>,
    retry: RetryLayer,
    fallback: Option<FallbackLayer>,
    #[cfg(feature = "file")]
    dead_letters: Option<DeadLetterLayer>,
}

impl ResilienceLayer {
    /// As `config` says.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn new(config: ResilienceConfig) -> Result<Self> {
        if config.timeout == Some(Duration::ZERO) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "`timeout` must be more than 0"));
        }
        Ok(Self {
            probe: config.health_check.map(ProbeLayer::new).transpose()?,
            timeout: config.timeout.map(TimeoutLayer::new),
            circuit_breaker: config.circuit_breaker.map(CircuitBreakerLayer::new).transpose()?,
            retry: RetryLayer::new(config.retry)?,
            fallback: None,
            #[cfg(feature = "file")]
            dead_letters: config.dead_letter.map(DeadLetterLayer::new).transpose()?,
        })
    }

    /// Has `other` take what fails.
    #[must_use]
    pub fn with_fallback(mut self, other: AnyExporter) -> Self {
        self.fallback = Some(FallbackLayer::new(other));
        self
    }

    /// The breaker, if there is one.
    pub fn circuit_breaker(&self) -> Option<&CircuitBreakerLayer> {
        self.circuit_breaker.as_ref()
    }

    /// The fallback, if there is one.
    pub fn fallback(&self) -> Option<&FallbackLayer> {
        self.fallback.as_ref()
    }

    /// The probe, if there is one.
    pub fn probe(&self) -> Option<&ProbeLayer> {
        self.probe.as_ref()
    }

    /// The dead letters, if there are any.
    #[cfg(feature = "file")]
    pub fn dead_letters(&self) -> Option<&DeadLetterLayer> {
        self.dead_letters.as_ref()
    }
}

impl Layer for ResilienceLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        let around = |inner, layer: Option<&dyn Layer>| match layer {
            Some(layer) => layer.layer(inner),
            None => inner,
        };
        let probed = around(inner, self.probe.as_ref().map(|layer| layer as _));
        let timed = around(probed, self.timeout.as_ref().map(|layer| layer as _));
        let broken = around(timed, self.circuit_breaker.as_ref().map(|layer| layer as _));
        let repeated = self.retry.layer(broken);
        let spared = around(repeated, self.fallback.as_ref().map(|layer| layer as _));
        #[cfg(feature = "file")]
        let spared = around(spared, self.dead_letters.as_ref().map(|layer| layer as _));
        spared
    }
}

#[cfg(test)]
#[cfg(feature = "file")]
mod tests {
    use super::*;
    use crate::{
        CircuitState, Exporter, Receipt,
        journal::tests::Temp,
        layers::script::{Answer, Script, batch, paused},
    };
    use tokio::time::Instant;

    fn config() -> ResilienceConfig {
        let retry = RetryConfig { jitter: false, ..RetryConfig::default() };
        ResilienceConfig { retry, ..ResilienceConfig::default() }
    }

    /// A black hole: each attempt ends at its timeout, all of them open the breaker, which then answers at once.
    #[test]
    fn attempts_end_in_time_and_open_the_breaker() {
        paused(async {
            let layer = ResilienceLayer::new(config()).unwrap();
            let script = Script::new([Answer::Never; 100]);
            let exporter = script.exporter().layer(layer.clone());
            let began = Instant::now();
            assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::Timeout);
            assert_eq!((script.attempts().len(), began.elapsed().as_secs()), (4, 4 * 30 + 1 + 2 + 4));
            let breaker = layer.circuit_breaker().unwrap();
            assert_eq!(breaker.state(), CircuitState::Closed);
            // The fifth opens it, and what it stops is not repeated.
            assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
            assert_eq!((script.attempts().len(), breaker.state()), (5, CircuitState::Open));
            assert_eq!(exporter.export(batch(1)).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
            assert_eq!(script.attempts().len(), 5);
        });
    }

    #[test]
    fn a_fallback_takes_what_repetitions_do_not_cure_and_dead_letters_what_it_refuses() {
        paused(async {
            let temp = Temp::new();
            let other = Script::new([Answer::Take, Answer::Fail(ErrorKind::Rejected)]);
            let dead_letter = Some(DeadLetterConfig::file(&temp.0));
            let layer = ResilienceLayer::new(ResilienceConfig { dead_letter, ..config() }).unwrap();
            let layer = layer.with_fallback(other.exporter());
            let script = Script::new(
                [Answer::Fail(ErrorKind::Unavailable); 4]
                    .into_iter()
                    .chain([Answer::Fail(ErrorKind::Rejected)]),
            );
            let exporter = script.exporter().layer(layer.clone());
            let receipt = exporter.export(batch(3)).await.unwrap();
            assert_eq!((receipt.accepted, receipt.by_fallback, script.attempts().len()), (3, 3, 4));
            assert!(layer.fallback().unwrap().is_in_use() && exporter.capability().dead_letters);
            assert_eq!(exporter.export(batch(2)).await.unwrap(), Receipt::dead_lettered(2));
            assert_eq!((script.attempts().len(), layer.dead_letters().unwrap().stats().items), (5, 2));
            assert_eq!(exporter.export(batch(2)).await.unwrap().accepted, 2);
            assert!(!layer.fallback().unwrap().is_in_use());
        });
    }

    #[test]
    fn a_part_that_nobody_wants_is_not_there() {
        let none = ResilienceConfig { circuit_breaker: None, timeout: None, ..config() };
        let layer = ResilienceLayer::new(none).unwrap();
        assert!(layer.circuit_breaker().is_none() && layer.probe().is_none() && layer.fallback().is_none());
        let wrong = ResilienceConfig { timeout: Some(Duration::ZERO), ..config() };
        assert!(ResilienceLayer::new(wrong).unwrap_err().to_string().contains("timeout"));
    }
}
