//! `MonitorLayer`: how an exporter itself performs, as statistics, alerts, and metrics for another exporter.

mod alert;
mod books;
mod config;

pub use alert::{Alert, AlertKind};
pub use books::MonitorStats;
pub use config::{AlertConfig, MonitorConfig};

use super::forward;
use crate::{
    AnyExporter, Batch, BatchId, Error, ErrorKind, Exporter, Info, Layer, ProfileMetrics, Receipt, Resource,
    Result, Signal,
    foreign::{caught, quietly, tell},
};
use alert::Alerts;
use books::{Books, Ended};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

/// How long another exporter may take for what is reported to it.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same at the end.
const LAST_REPORT: Duration = Duration::from_secs(1);

/// Watches an exporter.
///
/// Its clones share what was seen: keep one to ask for [`stats`](Self::stats). Around several exporters, it sees them as one.
///
/// ```
/// # use exporters::{AnyExporter, MemoryExporter, MonitorConfig, MonitorLayer};
/// # fn main() -> Result<(), exporters::Error> {
/// let monitor = MonitorLayer::new(MonitorConfig::default())?.on_alert(|alert| eprintln!("{alert:?}"));
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(monitor.clone());
/// assert_eq!(monitor.stats().exports, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MonitorLayer {
    shared: Arc<Shared>,
    callback: Option<Arc<Callback>>,
    report: Option<Arc<Report>>,
}

type Callback = dyn Fn(&Alert) + Send + Sync;

#[derive(Debug)]
struct Shared {
    config: MonitorConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    books: Books,
    alerts: Alerts,
}

/// Where its own metrics go.
#[derive(Debug)]
struct Report {
    exporter: AnyExporter,
    interval: Duration,
    state: Mutex<Reporting>,
}

#[derive(Debug, Default)]
struct Reporting {
    last: Option<Instant>,
    number: u64,
    is_under_way: bool,
    failures: u64,
    /// Of the latest batch.
    resource: Arc<Resource>,
    /// What could not be sent; its changes are in the next report.
    missed: Option<Arc<ProfileMetrics>>,
}

impl MonitorLayer {
    /// Watches as `config` says.
    ///
    /// # Errors
    /// As [`MonitorConfig::check`].
    pub fn new(config: MonitorConfig) -> Result<Self> {
        config.check()?;
        let shared = Arc::new(Shared { config, state: Mutex::default() });
        Ok(Self { shared, callback: None, report: None })
    }

    /// Has `callback` told each alert, when it is raised and when it is over. It should not block; where it panics, nothing
    /// else happens. Alerts are told to the program's `tracing` subscriber, too.
    #[must_use]
    pub fn on_alert(mut self, callback: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// Sends its own metrics (`otel.sdk.exporter.*`) to `exporter`, at most once in `interval`: after an export, so that there is
    /// nothing to send where nothing is exported; and what is left at the end. What becomes of them is not monitored.
    #[must_use]
    pub fn report_to(mut self, exporter: AnyExporter, interval: Duration) -> Self {
        self.report = Some(Arc::new(Report { exporter, interval, state: Mutex::default() }));
        self
    }

    /// What was seen.
    pub fn stats(&self) -> MonitorStats {
        self.state().books.stats(&self.shared.config)
    }

    /// How often its own metrics could not be sent; they are in the next report.
    pub fn failed_reports(&self) -> u64 {
        self.report.as_ref().map_or(0, |report| report.state().failures)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, exporter: &Info, ended: Ended) {
        let config = &self.shared.config;
        let alerts = {
            let State { books, alerts } = &mut *self.state();
            books.add(ended, config);
            alerts.check(&config.alerts, &books.stats(config), exporter)
        };
        for alert in alerts {
            let Alert { kind, raised, value, threshold, .. } = &alert;
            let exporter = &*exporter.name;
            match raised {
                true => tell!(exporter, %kind, value, threshold, "an alert is raised"),
                false => tell!(exporter, %kind, value, threshold, "an alert is over"),
            }
            if let Some(callback) = &self.callback {
                _ = quietly(|| callback(&alert));
            }
        }
    }

    /// Sends a report, if there is one to send.
    async fn send_report(&self, exporter: &Info) {
        let Some(report) = &self.report else { return };
        let (resource, number) = {
            let mut state = report.state();
            state.number += 1;
            (state.resource.clone(), state.number)
        };
        let missed = report.state().missed.take();
        let mut metrics = {
            let mut state = self.state();
            if !state.books.has_news() && missed.is_none() {
                return;
            }
            state.books.report(exporter, &resource)
        };
        if let Some(missed) = missed {
            metrics.absorb(&missed, usize::MAX);
        }
        let metrics = Arc::new(metrics);
        let mut unsent = Unsent { report, metrics: Some(metrics.clone()) };
        let leg = format!("{}/monitor", exporter.name).into();
        let id = BatchId { instance: instance(), leg, sequence: number, part: 0 };
        let batch = Batch::new(id, Signal::Metrics(metrics));
        let sent = tokio::time::timeout(REPORT_TIMEOUT, caught(|| report.exporter.export(batch))).await;
        match sent {
            Ok(Ok(Ok(_))) => unsent.metrics = None,
            _ => report.state().failures += 1,
        }
    }
}

/// The process, unique among all.
fn instance() -> u128 {
    use std::{
        hash::{BuildHasher, RandomState},
        sync::OnceLock,
    };
    static INSTANCE: OnceLock<u128> = OnceLock::new();
    let random = || u128::from(RandomState::new().hash_one(std::process::id()));
    *INSTANCE.get_or_init(|| random() << 64 | random())
}

impl Report {
    fn state(&self) -> MutexGuard<'_, Reporting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// If it is time; then nobody else is told so until what this gives is dropped.
    fn begin(self: &Arc<Self>, resource: Arc<Resource>) -> Option<UnderWay> {
        let mut state = self.state();
        state.resource = resource;
        let now = Instant::now();
        let last = *state.last.get_or_insert(now);
        let due = !state.is_under_way && now.duration_since(last) >= self.interval;
        if due {
            (state.last, state.is_under_way) = (Some(now), true);
        }
        due.then(|| UnderWay(self.clone()))
    }
}

/// A report that has not arrived: what it tells is in the next one.
struct Unsent<'a> {
    report: &'a Report,
    metrics: Option<Arc<ProfileMetrics>>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        let Some(metrics) = self.metrics.take() else { return };
        let mut state = self.report.state();
        state.missed = Some(match state.missed.take() {
            None => metrics,
            // Of one that began later.
            Some(mut later) => {
                Arc::make_mut(&mut later).absorb(&metrics, usize::MAX);
                later
            }
        });
    }
}

/// A report that is under way, also where its runtime ends.
struct UnderWay(Arc<Report>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().is_under_way = false;
    }
}

/// Two are equal that share what was seen.
impl PartialEq for MonitorLayer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for MonitorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Layer for MonitorLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Monitor { inner, layer: self.clone() })
    }
}

#[derive(Debug)]
struct Monitor {
    inner: AnyExporter,
    layer: MonitorLayer,
}

/// Counts an export also where its future is dropped, or it panics.
struct Attempt<'a> {
    layer: &'a MonitorLayer,
    exporter: Info,
    began: Instant,
    answered: bool,
    ended: Ended,
}

impl Attempt<'_> {
    fn answered(&mut self, answer: &Result<Receipt>) {
        self.answered = true;
        let Ended { items, failed, error, bytes, .. } = &mut self.ended;
        match answer {
            Ok(receipt) => {
                // What is not wanted does not fail.
                let count = |items| usize::try_from(items).unwrap_or(usize::MAX);
                let given_up = count(receipt.dropped.failed());
                let unwanted = count(receipt.dropped.total()).saturating_sub(given_up);
                *items = items.saturating_sub(unwanted);
                *failed = receipt.rejected.saturating_add(receipt.dead_lettered).saturating_add(given_up);
                *bytes = receipt.bytes;
                *error = match (receipt.rejected, receipt.dead_lettered, given_up) {
                    (0, 0, 0) => None,
                    (0, 0, _) => Some("dropped"),
                    (0, ..) => Some("dead_lettered"),
                    _ => Some("rejected"),
                };
            }
            Err(failure) => *error = Some(failure.kind().as_str()),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.ended.error = Some(if std::thread::panicking() { "panic" } else { "cancelled" });
        }
        self.ended.duration = self.began.elapsed();
        self.layer.ended(&self.exporter, self.ended);
    }
}

impl Exporter for Monitor {
    forward!(info, capability, health);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let resource = batch.resource().clone();
        let exporter = self.inner.info();
        let mut attempt = Attempt {
            layer: &self.layer,
            exporter: exporter.clone(),
            began: Instant::now(),
            answered: false,
            ended: Ended {
                spans: batch.spans().is_some(),
                items: batch.len(),
                failed: 0,
                error: None,
                bytes: 0,
                backlog: batch.backlog(),
                duration: Duration::ZERO,
            },
        };
        let result = self.inner.export(batch).await;
        attempt.answered(&result);
        drop(attempt);
        // Beside the exporter's own work, which another backend is not to hold up; where there is no runtime, when it is flushed.
        if let Some(report) = &self.layer.report
            && let Ok(runtime) = Handle::try_current()
            && let Some(under_way) = report.begin(resource)
        {
            let layer = self.layer.clone();
            runtime.spawn(async move {
                layer.send_report(&exporter).await;
                drop(under_way);
            });
        }
        result
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await?;
        self.layer.flush_report(&self.inner).await
    }

    async fn shutdown(&self) -> Result<()> {
        let result = self.inner.shutdown().await;
        let Some(report) = &self.layer.report else { return result };
        // It is not to take the time that other exporters have at the end.
        let reported = tokio::time::timeout(LAST_REPORT, async {
            self.layer.flush_report(&self.inner).await.and(report.exporter.shutdown().await)
        });
        let late = |_| Err(Error::new(ErrorKind::Timeout, "the last report took too long"));
        result.and(reported.await.unwrap_or_else(late))
    }
}

impl MonitorLayer {
    /// Sends what was not reported yet.
    async fn flush_report(&self, exporter: &AnyExporter) -> Result<()> {
        let Some(report) = &self.report else { return Ok(()) };
        self.send_report(&exporter.info()).await;
        report.exporter.flush().await
    }
}

#[cfg(test)]
mod tests;
