//! `RateLimitLayer`: so many exports in so much time, and no more.

use super::forward;
use crate::{AnyExporter, Batch, Error, ErrorKind, Exporter, Layer, Receipt, Result};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Has exports wait, so that a backend is not asked more often than it allows.
///
/// It is the leaky bucket of ATM (the "generic cell rate algorithm", ITU-T I.371): in any time t there are at most `burst` +
/// t × `exports` / `per`. Who waits is not served in turn. Once a batch's [deadline](Batch::deadline) is set, it does not wait any
/// more.
///
/// Within a [`RetryLayer`](crate::RetryLayer) each attempt counts. Clones share the limit.
///
/// ```
/// # use exporters::{AnyExporter, MemoryExporter, RateLimitLayer};
/// # use std::time::Duration;
/// let limit = RateLimitLayer::new(600, Duration::from_secs(60))?.with_burst(20);
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(limit);
/// # Ok::<(), exporters::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    /// The time that each export takes up.
    each: Duration,
    burst: u32,
    bucket: Arc<Bucket>,
}

impl RateLimitLayer {
    /// Lets `exports` through in `per`, evenly: a burst of 1.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid), where either is zero.
    pub fn new(exports: u32, per: Duration) -> Result<Self> {
        let each = per.checked_div(exports).filter(|each| !each.is_zero()).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "a rate limit must allow at least 1 export in some time")
        })?;
        let bucket = Bucket { began: Instant::now(), taken: Mutex::default() };
        Ok(Self { each, burst: 1, bucket: Arc::new(bucket) })
    }

    /// Sets how many exports may come at once after a time of rest; at least one.
    #[must_use]
    pub fn with_burst(mut self, exports: u32) -> Self {
        self.burst = exports.max(1);
        self
    }

    /// How long to wait before asking again; `None` where an export may go now.
    fn wait(&self) -> Option<Duration> {
        let now = self.bucket.began.elapsed();
        let mut taken = self.bucket.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = self.each.saturating_mul(self.burst - 1);
        let wait = taken.saturating_sub(now).saturating_sub(saved);
        if wait.is_zero() {
            *taken = (*taken).max(now).saturating_add(self.each);
            return None;
        }
        Some(wait)
    }
}

/// Up to when the time is taken up, counted from a moment.
#[derive(Debug)]
struct Bucket {
    began: Instant,
    taken: Mutex<Duration>,
}

impl Layer for RateLimitLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(RateLimit { inner, layer: self.clone() })
    }
}

#[derive(Debug)]
struct RateLimit {
    inner: AnyExporter,
    layer: RateLimitLayer,
}

impl Exporter for RateLimit {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        while let Some(wait) = self.layer.wait() {
            if !batch.deadline().pause(wait).await {
                break;
            }
        }
        self.inner.export(batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Deadline,
        layers::script::{Script, batch, paused},
    };

    fn milliseconds(script: &Script, began: Instant) -> Vec<u128> {
        script.attempts().iter().map(|(at, _)| at.duration_since(began).as_millis()).collect()
    }

    #[test]
    fn exports_are_spread_over_time_after_a_burst() {
        paused(async {
            for (burst, expected) in [
                (0, [0, 200, 400, 600, 800, 1000, 1200]),
                (1, [0, 200, 400, 600, 800, 1000, 1200]),
                (4, [0, 0, 0, 0, 200, 400, 600]),
            ] {
                let (script, began) = (Script::default(), Instant::now());
                let limit = RateLimitLayer::new(5, Duration::from_secs(1)).unwrap().with_burst(burst);
                let exporter = script.exporter().layer(limit);
                for _ in 0..7 {
                    exporter.export(batch(1)).await.unwrap();
                }
                assert_eq!(milliseconds(&script, began), expected, "{burst}");
                // However long it rests, no more is saved up.
                tokio::time::sleep(Duration::from_secs(3600)).await;
                let (script, began) = (script, Instant::now());
                for _ in 0..7 {
                    exporter.export(batch(1)).await.unwrap();
                }
                assert_eq!(milliseconds(&script, began)[7..], expected, "{burst}");
            }
        });
    }

    #[test]
    fn exports_at_the_same_time_share_the_limit() {
        paused(async {
            let (script, began) = (Script::default(), Instant::now());
            let limit = RateLimitLayer::new(1, Duration::from_secs(1)).unwrap();
            let exporters = [script.exporter().layer(limit.clone()), script.exporter().layer(limit)];
            let exports: Vec<_> = (0..10)
                .map(|at| {
                    let exporter = exporters[at % 2].clone();
                    tokio::spawn(async move { exporter.export(batch(1)).await })
                })
                .collect();
            // Who gives up takes nothing from the others.
            exports[3].abort();
            let mut taken = 0;
            for export in exports {
                taken += export.await.map_or(0, |receipt| receipt.unwrap().accepted);
            }
            assert_eq!(taken, 9);
            assert_eq!(milliseconds(&script, began), (0..9).map(|at| at * 1000).collect::<Vec<_>>());
        });
    }

    #[test]
    fn nothing_waits_once_the_deadline_is_set() {
        paused(async {
            let (script, began) = (Script::default(), Instant::now());
            let exporter = script.exporter().layer(RateLimitLayer::new(1, Duration::MAX).unwrap());
            exporter.export(batch(1)).await.unwrap();
            let deadline = Deadline::open();
            let late = batch(1).with_deadline(deadline.clone());
            let export = tokio::spawn(async move { exporter.export(late).await });
            tokio::time::sleep(Duration::from_secs(9)).await;
            deadline.set(began + Duration::from_secs(10));
            export.await.unwrap().unwrap();
            assert_eq!(milliseconds(&script, began), [0, 9000]);
        });
    }

    #[test]
    fn no_rate_is_refused() {
        for (exports, per) in [(0, Duration::from_secs(1)), (1, Duration::ZERO)] {
            assert_eq!(RateLimitLayer::new(exports, per).unwrap_err().kind(), ErrorKind::ConfigInvalid);
        }
    }
}
