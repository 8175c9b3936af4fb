//! `FallbackLayer`: what one exporter does not take goes to another.

use super::forward;
use crate::{
    AnyExporter, Batch, Capability, Error, ErrorKind, Exporter, Health, Layer, Receipt, Result,
    exporter::Pause,
    foreign::{Panicked, caught},
};
use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// Sends a batch to another exporter where its own fails: with whatever error, or by a panic. What the other one takes is counted as
/// exported, and as [taken by a fallback](Receipt::by_fallback).
///
/// A backend that asks to be left alone is not asked meanwhile, at most for five minutes.
///
/// Only a batch that is too large and can be split is not sent there, and comes back where it is too large for the other: its parts
/// come again. After a
/// [`Timeout`](ErrorKind::Timeout) nobody knows whether the backend has the batch, so that it may be in both places; left where it
/// is, it would be sent again all the same, and a backend that hangs is what fallbacks are for. Where the other exporter
/// fails as well, the error of the first is the one that counts.
///
/// ```
/// # use exporters::{AnyExporter, FallbackLayer, MemoryExporter};
/// let (primary, other) = (MemoryExporter::new(), MemoryExporter::new());
/// let exporter = AnyExporter::new(primary).layer(FallbackLayer::new(AnyExporter::new(other)));
/// ```
#[derive(Clone, Debug)]
pub struct FallbackLayer {
    other: AnyExporter,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why the last batch went to the other exporter, if it did.
    reason: Mutex<Option<(ErrorKind, String)>>,
    pause: Pause,
}

impl State {
    fn reason(&self) -> MutexGuard<'_, Option<(ErrorKind, String)>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FallbackLayer {
    /// `other` takes what fails.
    pub fn new(other: AnyExporter) -> Self {
        Self { other, state: Arc::default() }
    }

    /// Whether the last batch went to the other exporter.
    pub fn is_in_use(&self) -> bool {
        self.state.reason().is_some()
    }
}

impl Layer for FallbackLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Fallback { inner, layer: self.clone() })
    }
}

#[derive(Debug)]
struct Fallback {
    inner: AnyExporter,
    layer: FallbackLayer,
}

impl Exporter for Fallback {
    forward!(info);

    /// The signals of the first one, in batches that both take.
    fn capability(&self) -> Capability {
        let (inner, other) = (self.inner.capability(), self.layer.other.capability());
        let least = |a: Option<usize>, b: Option<usize>| a.into_iter().chain(b).min();
        Capability {
            max_items: least(inner.max_items, other.max_items),
            max_bytes: least(inner.max_bytes, other.max_bytes),
            ..inner
        }
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let FallbackLayer { other, state } = &self.layer;
        let error = match state.pause.reason() {
            Some(error) => error,
            None => match caught(|| self.inner.export(batch.clone())).await.map_err(Error::from).flatten() {
                Ok(receipt) => {
                    *state.reason() = None;
                    return Ok(receipt);
                }
                Err(error) => {
                    state.pause.heed(&error);
                    error
                }
            },
        };
        let splits = batch.split(batch.len() / 2).is_some();
        if error.kind() == ErrorKind::PayloadTooLarge && splits {
            return Err(error);
        }
        let answer = caught(|| other.export(batch)).await;
        match answer.map_err(Error::from).flatten() {
            Ok(receipt) => {
                *state.reason() = Some((error.kind(), error.message().to_owned()));
                Ok(Receipt { by_fallback: receipt.accepted, ..receipt })
            }
            // Its parts come again, and go where this one would have.
            Err(failed) if failed.kind() == ErrorKind::PayloadTooLarge && splits => Err(failed),
            Err(failed) => Err(error.with_context("fallback", failed)),
        }
    }

    /// That of the first one; [`Degraded`](Health::Degraded) while the other stands in for it.
    async fn health(&self) -> Health {
        match self.inner.health().await {
            Health::Healthy => match &*self.layer.state.reason() {
                Some((kind, message)) => Health::Degraded(Error::new(*kind, message.clone())),
                None => Health::Healthy,
            },
            Health::Unhealthy(error) => match self.layer.other.health().await {
                Health::Unhealthy(other) => Health::Unhealthy(error.with_context("fallback", other)),
                _ => Health::Degraded(error),
            },
            degraded => degraded,
        }
    }

    async fn flush(&self) -> Result<()> {
        both(caught(|| self.inner.flush()), self.layer.other.flush()).await
    }

    async fn shutdown(&self) -> Result<()> {
        both(caught(|| self.inner.shutdown()), self.layer.other.shutdown()).await
    }
}

/// Waits for both, neither of which waits for the other.
async fn both(
    first: impl Future<Output = Result<Result<()>, Panicked>>,
    other: impl Future<Output = Result<()>>,
) -> Result<()> {
    let (mut first, mut other) = (pin!(first), pin!(other));
    let (mut first_is, mut other_is) = (None, None);
    poll_fn(|cx| {
        if first_is.is_none() {
            first_is = ready(first.as_mut().poll(cx));
        }
        if other_is.is_none() {
            other_is = ready(other.as_mut().poll(cx));
        }
        match (first_is.take(), other_is.take()) {
            (Some(first), Some(other)) => Poll::Ready(first.map_err(Error::from).flatten().and(other)),
            (first, other) => {
                (first_is, other_is) = (first, other);
                Poll::Pending
            }
        }
    })
    .await
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemoryExporter,
        layers::script::{Answer, Script, batch, paused, send},
    };
    use std::time::Duration;

    fn around(
        answers: impl IntoIterator<Item = Answer>,
        other: &Script,
    ) -> (Script, FallbackLayer, AnyExporter) {
        let script = Script::new(answers);
        let layer = FallbackLayer::new(other.exporter());
        let exporter = script.exporter().layer(layer.clone());
        (script, layer, exporter)
    }

    #[test]
    fn what_fails_goes_to_the_other_and_is_told_apart() {
        paused(async {
            let kinds =
                [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Rejected, ErrorKind::CircuitOpen];
            let answers = kinds.map(Answer::Fail).into_iter().chain([Answer::Panic, Answer::Take]);
            let other = Script::default();
            let (script, layer, exporter) = around(answers, &other);
            for _ in 0..5 {
                let receipt = exporter.export(batch(3)).await.unwrap();
                assert_eq!((receipt.accepted, receipt.by_fallback), (3, 3));
                assert!(layer.is_in_use());
                assert!(matches!(exporter.health().await, Health::Degraded(_)));
            }
            let receipt = exporter.export(batch(3)).await.unwrap();
            assert_eq!((receipt.accepted, receipt.by_fallback), (3, 0));
            assert!(!layer.is_in_use() && exporter.health().await.is_healthy());
            let tried: Vec<_> = script.attempts().into_iter().map(|(_, id)| id).collect();
            assert_eq!((other.taken(), script.taken()), (tried[..5].to_vec(), tried[5..].to_vec()));
        });
    }

    #[test]
    fn what_can_be_split_is_not_passed_on_and_a_single_item_is() {
        paused(async {
            let other = Script::default();
            let (_, layer, exporter) = around([Answer::Fail(ErrorKind::PayloadTooLarge); 2], &other);
            assert_eq!(exporter.export(batch(2)).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
            assert_eq!((other.attempts().len(), layer.is_in_use()), (0, false));
            assert_eq!(exporter.export(batch(1)).await.unwrap().by_fallback, 1);
        });
    }

    #[test]
    fn what_is_too_large_for_the_other_comes_again_in_parts() {
        paused(async {
            for primary in [ErrorKind::Unavailable, ErrorKind::Rejected] {
                let other = Script::new([Answer::AtMost(2); 3]);
                let (_, _, exporter) = around([Answer::Fail(primary); 3], &other);
                assert_eq!(send(&exporter, batch(3)).await.unwrap().accepted, 3);
                assert_eq!(other.batches().iter().map(Batch::len).collect::<Vec<_>>(), [2, 1]);
            }
        });
    }

    #[test]
    fn where_both_fail_the_first_error_counts() {
        paused(async {
            for second in [Answer::Fail(ErrorKind::Rejected), Answer::Panic] {
                let other = Script::new([second]);
                let (_, layer, exporter) = around([Answer::Fail(ErrorKind::Unavailable)], &other);
                let error = exporter.export(batch(1)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(error.to_string().contains("fallback: "), "{error}");
                assert!(!layer.is_in_use());
            }
        });
    }

    #[test]
    fn the_end_and_the_limits_are_those_of_both() {
        paused(async {
            let (first, second) = (MemoryExporter::new(), MemoryExporter::new());
            let exporter =
                AnyExporter::new(first.clone()).layer(FallbackLayer::new(AnyExporter::new(second.clone())));
            exporter.flush().await.unwrap();
            first.shutdown().await.unwrap();
            assert!(matches!(exporter.health().await, Health::Degraded(_)), "the other is there");
            exporter.shutdown().await.unwrap();
            assert!(!second.health().await.is_healthy());
            assert!(matches!(exporter.health().await, Health::Unhealthy(_)));
        });
    }

    #[test]
    fn a_backend_that_asks_for_it_is_left_alone() {
        paused(async {
            let other = Script::default();
            let second = Duration::from_secs(1);
            let (script, _, exporter) =
                around([Answer::Busy(10 * second), Answer::Busy(3600 * second)], &other);
            for (wait, attempts) in [(0, 1), (9, 1), (1, 2), (299, 2), (1, 3)] {
                tokio::time::sleep(wait * second).await;
                exporter.export(batch(1)).await.unwrap();
                assert_eq!(script.attempts().len(), attempts, "after {wait} s");
            }
            assert_eq!(other.taken().len(), 4);
        });
    }

    /// Hangs at the end.
    #[derive(Debug)]
    struct Hanging;

    impl Exporter for Hanging {
        fn info(&self) -> crate::Info {
            crate::Info::new("hanging")
        }
        fn capability(&self) -> Capability {
            Capability::METRICS
        }
        async fn export(&self, _: Batch) -> Result<Receipt> {
            std::future::pending().await
        }
        async fn health(&self) -> Health {
            Health::Healthy
        }
        async fn flush(&self) -> Result<()> {
            std::future::pending().await
        }
        async fn shutdown(&self) -> Result<()> {
            std::future::pending().await
        }
    }

    #[test]
    fn the_other_is_shut_down_though_the_first_hangs() {
        paused(async {
            let other = MemoryExporter::new();
            let layer = FallbackLayer::new(AnyExporter::new(other.clone()));
            let exporter = AnyExporter::new(Hanging).layer(layer);
            let limit = Duration::from_secs(1);
            tokio::time::timeout(limit, exporter.shutdown()).await.unwrap_err();
            assert!(!other.health().await.is_healthy());
        });
    }

    #[derive(Debug)]
    struct Limited(Script, usize, usize);

    impl Exporter for Limited {
        fn info(&self) -> crate::Info {
            self.0.info()
        }
        fn capability(&self) -> Capability {
            Capability::METRICS.with_max_items(self.1).with_max_bytes(self.2)
        }
        async fn export(&self, batch: Batch) -> Result<Receipt> {
            self.0.export(batch).await
        }
        async fn health(&self) -> Health {
            self.0.health().await
        }
        async fn flush(&self) -> Result<()> {
            self.0.flush().await
        }
        async fn shutdown(&self) -> Result<()> {
            self.0.shutdown().await
        }
    }

    #[test]
    fn a_batch_is_one_that_both_take() {
        let limited = |items, bytes| AnyExporter::new(Limited(Script::default(), items, bytes));
        let capability = limited(5, 100).layer(FallbackLayer::new(limited(7, 50))).capability();
        assert_eq!(capability, Capability::METRICS.with_max_items(5).with_max_bytes(50));
    }
}
