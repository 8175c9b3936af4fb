//! Our two threads: one ends intervals and runs no foreign code, one runs the exporters.

use super::{Builder, ShutdownReport, exit, leg::Leg};
use crate::{
    Error, ErrorKind, ProfileMetrics, Resource, Result, clock,
    record::{
        self, histogram,
        snapshot::{Collector, Whose},
    },
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A profiler that runs.
#[derive(Debug)]
pub(super) struct Runtime {
    collector: Mutex<Collector>,
    legs: Vec<Arc<Leg>>,
    interval: Duration,
    listening: Option<SocketAddr>,
    stopping: Mutex<bool>,
    stop_draining: Condvar,
    stop_exporting: Notify,
    shut_down: AtomicBool,
}

impl Runtime {
    pub(super) fn start(builder: Builder, resource: Arc<Resource>) -> Result<Arc<Self>> {
        // What a profiler before it told, or the parent before a fork, is not told again.
        static STARTED: AtomicBool = AtomicBool::new(false);
        let from_now = STARTED.swap(true, Relaxed) || record::fork::is_child();
        let mut collector = Collector::new(resource, Whose::All, from_now);
        collector.set_idle(builder.idle);
        let instance = u128::from(RandomState::new().hash_one(std::process::id())) << 64
            | u128::from(RandomState::new().hash_one(clock::now()));
        let legs: Vec<_> = builder
            .exporters
            .into_iter()
            .map(|(exporter, info)| Arc::new(Leg::new(exporter, info, instance)))
            .collect();

        #[cfg(feature = "prometheus")]
        let server = match builder.prometheus {
            None => None,
            Some(exporter) => match exporter.bind() {
                Ok(listener) => Some((exporter, listener)),
                Err(error) if builder.embedded => {
                    tracing::warn!(target: "exporters", %error, "going on without a scrape endpoint");
                    exit::say(&format!("{error}; going on without it"));
                    None
                }
                Err(error) => return Err(error),
            },
        };
        #[cfg(feature = "prometheus")]
        let listening = server.as_ref().and_then(|(_, listener)| listener.local_addr().ok());
        #[cfg(not(feature = "prometheus"))]
        let listening = None;

        let runtime = Arc::new(Self {
            collector: Mutex::new(collector),
            legs,
            interval: builder.interval,
            listening,
            stopping: Mutex::new(false),
            stop_draining: Condvar::new(),
            stop_exporting: Notify::new(),
            shut_down: AtomicBool::new(false),
        });
        #[cfg(feature = "prometheus")]
        let has_server = server.is_some();
        #[cfg(not(feature = "prometheus"))]
        let has_server = false;
        if has_server || !runtime.legs.is_empty() {
            let tokio =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
            let shared = runtime.clone();
            spawn("exporters-io", move || {
                tokio.block_on(async {
                    for leg in &shared.legs {
                        tokio::spawn(leg.clone().run());
                    }
                    #[cfg(feature = "prometheus")]
                    if let Some((exporter, listener)) = server {
                        let gather = shared.clone();
                        exporter.connect(Arc::new(move || gather.peek()));
                        tokio::spawn(exporter.serve(listener));
                    }
                    shared.stop_exporting.notified().await;
                });
                tokio.shutdown_background();
            })?;
        }
        let drain = runtime.clone();
        spawn("exporters-drain", move || drain.drain_until_stopped())
            .inspect_err(|_| runtime.stop_exporting.notify_one())?;
        if builder.embedded {
            exit::report_at_exit();
        }
        Ok(runtime)
    }

    /// The drain thread.
    fn drain_until_stopped(&self) {
        let mut next = Instant::now() + self.interval;
        let mut calibrated = false;
        loop {
            let recalibrate =
                (!calibrated).then(|| clock::LAST_CALIBRATION.saturating_sub(clock::calibrating_since()));
            let wait =
                next.saturating_duration_since(Instant::now()).min(recalibrate.unwrap_or(Duration::MAX));
            let stopping = self.stopping();
            let waited = self.stop_draining.wait_timeout_while(stopping, wait, |stopping| !*stopping);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
            if !calibrated && clock::calibrating_since() >= clock::LAST_CALIBRATION {
                clock::calibrate();
                histogram::init();
                calibrated = true;
            }
            if Instant::now() >= next {
                self.drain();
                // Intervals that a suspended machine missed are not made up for.
                next = (next + self.interval).max(Instant::now());
            }
        }
    }

    /// Ends the interval.
    fn drain(&self) {
        // Held until they have it, so that no exporter is offered a later snapshot before this one.
        let mut collector = self.collector();
        let metrics = Arc::new(collector.drain());
        self.legs.iter().for_each(|leg| leg.offer(&metrics));
    }

    fn collector(&self) -> MutexGuard<'_, Collector> {
        self.collector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> MutexGuard<'_, bool> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peek(&self) -> Arc<ProfileMetrics> {
        Arc::new(self.collector().peek())
    }

    pub(super) fn listening(&self) -> Option<SocketAddr> {
        self.listening
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Relaxed)
    }

    pub(super) fn flush(&self, deadline: Instant) -> Result<()> {
        if self.is_shut_down() {
            return Ok(());
        }
        self.drain();
        let requests: Vec<_> = self.legs.iter().map(|leg| leg.request(false)).collect();
        // Every exporter is waited for, also after one has failed.
        let results: Vec<_> = requests.into_iter().map(|done| done.wait(deadline)).collect();
        results.into_iter().collect()
    }

    pub(super) fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        if self.shut_down.swap(true, Relaxed) {
            return ShutdownReport::default();
        }
        record::stop();
        *self.stopping() = true;
        self.stop_draining.notify_all();
        self.drain();
        let requests: Vec<_> = self.legs.iter().map(|leg| leg.request(true)).collect();
        let legs =
            self.legs.iter().zip(requests).map(|(leg, done)| leg.report(done.wait(deadline).err())).collect();
        self.stop_exporting.notify_one();
        ShutdownReport { legs }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(no_thread)
}

fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the system gives the profiler no thread").with_source(error)
}
