//! Where recording and exporting meet: the profiler of the process, its threads, its end.

mod buffer;
mod builder;
mod exit;
mod handle;
mod ledger;
mod leg;
mod options;
pub(crate) mod parts;
mod report;
mod request;
mod runtime;
mod test_profiler;
mod voice;

#[cfg(all(feature = "file", feature = "zstd"))]
pub use buffer::BufferCompression;
pub use buffer::{AdaptiveConfig, BufferConfig, Overflow};
pub use builder::Builder;
pub use handle::{BufferStats, LastExport, LegHandle};
pub use ledger::Ledger;
pub use options::{LegOptions, LegPatch};
pub use report::{Report, report};
pub use test_profiler::{TestProfiler, test};

use crate::{Error, KeepStats, ProfileMetrics, Result};
use runtime::Runtime;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The profiler of this process. Lives here, so that no handle that is dropped early, or never, loses anything.
static CURRENT: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Arc<Runtime>>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the drain thread look after spans, unless somebody is starting a profiler or stopping it. Waits for nobody.
fn wake_drain() {
    if let Ok(current) = CURRENT.try_lock() {
        current.iter().for_each(|runtime| runtime.wake_drain());
    }
}

/// In the child of a fork: the parent's profiler is not ours, and its threads are not here.
fn forget() {
    let runtime = current().take();
    runtime.iter().for_each(|runtime| runtime.abandon());
    std::mem::forget(runtime);
}

/// The end of a wait; one that has none is one that nobody lives to see.
fn after(wait: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(wait).or_else(|| now.checked_add(AGES)).unwrap_or(now)
}

/// A handle of the profiler; dropping it does nothing.
///
/// What it does may be asked of it from any thread, and inside any async runtime or none. In the child of a fork it does
/// nothing.
#[derive(Clone, Debug)]
#[doc(alias = "register_profiling")]
pub struct Profiler(Option<Arc<Runtime>>);

/// Starts to record and to export, as the environment says.
///
/// | variable | meaning |
/// |---|---|
/// | `PROFILING_DISABLED`, `OTEL_SDK_DISABLED` | `1` or `true`: nothing is recorded, nothing started |
/// | `PROFILING_PROMETHEUS_LISTEN` | the address that serves `/metrics`, for example `127.0.0.1:9464` |
/// | `PROFILING_PROMETHEUS_ALLOW_REMOTE` | `true`: it may be one that other machines can reach |
/// | `OTEL_EXPORTER_PROMETHEUS_HOST`, `OTEL_EXPORTER_PROMETHEUS_PORT` | the same address in two parts |
/// | `PROFILING_INTERVAL` | how long an interval is, for example `10s` |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | where an OTLP receiver is, to which metrics and traces are sent; with the specification's others; feature `opentelemetry` |
/// | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | which traces are sampled, for example `parentbased_traceidratio` and `0.1` |
/// | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who reports |
///
/// Without any of them it serves `http://127.0.0.1:9464/metrics`, and, where standard error is a terminal, prints a
/// [`report`](fn@report) when the program ends. If that port is taken it says so and goes on.
///
/// A second call gives the profiler that runs already.
///
/// # Errors
/// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) for a value that makes no sense, [`Unavailable`](crate::ErrorKind::Unavailable) for
/// an address that was asked for and cannot be had.
pub fn init() -> Result<Profiler> {
    let running = current().clone();
    match running {
        Some(runtime) => Ok(Profiler(Some(runtime))),
        None => Builder::from_env()?.start(),
    }
}

impl Profiler {
    /// A profiler that is told what to do, not the environment.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Whether calls are recorded: not where the environment disabled it, and not after [`shutdown`](Self::shutdown).
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|runtime| !runtime.is_shut_down())
    }

    /// The address that is scraped.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.0.as_ref()?.listening()
    }

    /// The totals at this moment, and the change of the last completed interval.
    pub fn snapshot(&self) -> Arc<ProfileMetrics> {
        match &self.0 {
            Some(runtime) => runtime.peek(),
            None => Arc::new(ProfileMetrics::none()),
        }
    }

    /// Ends the interval now, and waits until every exporter has what was recorded, at most until the deadline.
    ///
    /// # Errors
    /// The first exporter's that failed, or [`Timeout`](crate::ErrorKind::Timeout).
    pub fn flush(&self, deadline: Duration) -> Result<()> {
        match &self.0 {
            Some(runtime) => runtime.flush(after(deadline)),
            None => Ok(()),
        }
    }

    /// What became of everything that each exporter was given, by its name, in the order in which they were added. Each adds up
    /// at any moment, also after [`shutdown`](Self::shutdown).
    pub fn ledger(&self) -> Vec<(String, Ledger)> {
        self.0.as_ref().map(|runtime| runtime.ledger()).unwrap_or_default()
    }

    /// The exporter called `name`: its health, its latest export, and what waits for it. `None` where none is called that, and in
    /// the child of a fork.
    pub fn leg(&self, name: &str) -> Option<LegHandle> {
        self.0.as_ref()?.leg(name).map(LegHandle)
    }

    /// What became of the spans of traces that the sampler left out, if [`Builder::keep`] has some of them kept.
    pub fn keep_stats(&self) -> KeepStats {
        self.0.as_ref().map(|runtime| runtime.keep_stats()).unwrap_or_default()
    }

    /// Changes settings of the exporter called `leg`, from its next batch on.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where none is called that, or for a size or a duration of zero.
    pub fn update_config(&self, leg: &str, patch: LegPatch) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |runtime| runtime.update_config(leg, &patch))
    }

    /// Stops recording, gives the exporters what was recorded, and stops them, at the latest at the deadline. A second call
    /// does nothing.
    pub fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let Some(runtime) = &self.0 else { return ShutdownReport::default() };
        let report = runtime.shutdown(after(deadline));
        let mut current = current();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, runtime)) {
            *current = None;
        }
        report
    }
}

/// What became of each exporter's items.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "it says what was lost"]
pub struct ShutdownReport {
    /// One entry per exporter that is sent batches.
    pub legs: Vec<LegReport>,
}

/// What became of one exporter's items.
#[derive(Debug)]
#[non_exhaustive]
pub struct LegReport {
    /// The exporter's name.
    pub name: String,
    /// Its books; what it still held when the deadline came is [`buffered`](Ledger::buffered).
    pub ledger: Ledger,
    /// Why not all is well.
    pub error: Option<Error>,
}

impl ShutdownReport {
    /// Nothing was lost, or why.
    ///
    /// # Errors
    /// The first exporter's error.
    pub fn into_result(self) -> Result<()> {
        self.legs
            .into_iter()
            .find_map(|leg| leg.error.map(|error| error.with_context("exporter", leg.name)))
            .map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_the_clock_cannot_count_is_far_away() {
        assert!(after(Duration::MAX) > after(Duration::from_secs(3600)));
    }
}
