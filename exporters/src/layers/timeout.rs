//! `TimeoutLayer`: an attempt ends in time, whatever the exporter does.

use super::forward;
use crate::{AnyExporter, Batch, Error, ErrorKind, Exporter, Layer, Receipt, Result};
use std::time::Duration;

/// Gives up an attempt that takes too long, with [`ErrorKind::Timeout`]: whether the backend took the batch is unknown then.
///
/// ```
/// # use exporters::{AnyExporter, MemoryExporter, TimeoutLayer};
/// # use std::time::Duration;
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(TimeoutLayer::new(Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutLayer(Duration);

impl TimeoutLayer {
    /// An attempt takes at most `timeout`, and ends at the [deadline](Batch::deadline) of its batch.
    pub fn new(timeout: Duration) -> Self {
        Self(timeout)
    }
}

impl Layer for TimeoutLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Timeout { inner, timeout: self.0 })
    }
}

#[derive(Debug)]
struct Timeout {
    inner: AnyExporter,
    timeout: Duration,
}

impl Exporter for Timeout {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let deadline = batch.deadline().clone();
        let attempt = tokio::time::timeout(self.timeout, self.inner.export(batch));
        match deadline.limit(attempt).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::new(ErrorKind::Timeout, "the exporter took too long")
                .with_context("timeout", format_args!("{:?}", self.timeout))),
            None => Err(Error::new(ErrorKind::Timeout, "the exporter was not done at the deadline")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Deadline,
        layers::script::{Answer, Script, batch, paused},
    };
    use tokio::time::Instant;

    #[test]
    fn an_attempt_ends_in_time() {
        paused(async {
            let script = Script::new([Answer::Never, Answer::Never, Answer::Take]);
            let exporter = script.exporter().layer(TimeoutLayer::new(Duration::from_secs(30)));
            let began = Instant::now();
            let error = exporter.export(batch(1)).await.unwrap_err();
            assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, Duration::from_secs(30)));
            assert!(error.to_string().contains("30s"), "{error}");

            let (deadline, began) = (Deadline::open(), Instant::now());
            deadline.set(began + Duration::from_secs(2));
            let error = exporter.export(batch(1).with_deadline(deadline)).await.unwrap_err();
            assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, Duration::from_secs(2)));
            assert_eq!(exporter.export(batch(3)).await.unwrap().accepted, 3);
        });
    }
}
