//! Our threads: one ends intervals and runs no foreign code, one serves scrapes, and each exporter has one, since it may block.

use super::{Builder, Ledger, LegPatch, LegReport, ShutdownReport, after, exit, leg::Leg, request::Done};
use crate::{
    Error, ErrorKind, KeepStats, ProfileMetrics, Resource, Result, Spans, clock,
    record::{
        self, histogram,
        snapshot::{Collector, Whose},
        spans,
    },
    settings::nearest,
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
use tokio::sync::watch;

/// A profiler that runs.
#[derive(Debug)]
pub(super) struct Runtime {
    collector: Mutex<Collector>,
    legs: Vec<Arc<Leg>>,
    interval: Duration,
    listening: Option<SocketAddr>,
    stopping: Mutex<bool>,
    stop_draining: Condvar,
    stop_exporting: watch::Sender<bool>,
    shut_down: AtomicBool,
    abandoned: AtomicBool,
}

impl Runtime {
    /// Also gives why there is no scrape endpoint, where nobody asked for one in particular.
    pub(super) fn start(builder: Builder, resource: Arc<Resource>) -> Result<(Arc<Self>, Option<Error>)> {
        // What a profiler before it told, or the parent before a fork, is not told again.
        static STARTED: AtomicBool = AtomicBool::new(false);
        let from_now = STARTED.swap(true, Relaxed) || record::fork::is_child();
        let mut collector = Collector::new(resource, Whose::All, from_now);
        collector.set_idle(builder.idle);
        builder.keep.into_iter().for_each(|keep| collector.keep_spans(keep));
        collector.set_thread_attributes(builder.thread_attributes);
        let instance = u128::from(RandomState::new().hash_one(std::process::id())) << 64
            | u128::from(RandomState::new().hash_one(clock::now()));
        let legs: Vec<_> = builder
            .exporters
            .into_iter()
            .map(|(exporter, name, options)| {
                let leg = Leg::new(exporter, &name, options, instance);
                #[cfg(feature = "file")]
                let leg = leg.with_spool().map_err(|error| error.with_context("exporter", name))?;
                Ok(Arc::new(leg))
            })
            .collect::<Result<_>>()?;

        collector.set_exemplars(legs.iter().map(|leg| leg.trace_bound()).max().unwrap_or(0));
        #[cfg_attr(not(feature = "prometheus"), expect(unused_mut))]
        let mut missed = None;
        #[cfg(feature = "prometheus")]
        let server = match builder.prometheus {
            None => None,
            Some(exporter) => match exporter.bind() {
                Ok(listener) => Some((exporter, listener)),
                Err(error) if builder.embedded => {
                    missed = Some(error);
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
            stop_exporting: watch::Sender::new(false),
            shut_down: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        });
        let stop_all = |_: &Error| _ = runtime.stop_exporting.send_replace(true);
        for leg in &runtime.legs {
            runtime.spawn("exporters-leg", leg.clone().run()).inspect_err(stop_all)?;
        }
        #[cfg(feature = "prometheus")]
        if let Some((exporter, listener)) = server {
            let gather = runtime.clone();
            exporter.connect(Arc::new(move || gather.peek()));
            let serving = exporter.serve(listener);
            runtime.spawn("exporters-scrape", async { drop(serving.await) }).inspect_err(stop_all)?;
        }
        spans::on_filling(super::wake_drain);
        let drain = runtime.clone();
        spawn("exporters-drain", move || drain.drain_until_stopped()).inspect_err(stop_all)?;
        if builder.embedded {
            exit::report_at_exit();
        }
        Ok((runtime, missed))
    }

    /// Runs `task` on a thread and a tokio runtime of its own, until exporting stops.
    fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        // What blocks has threads of its own.
        let mut tokio = tokio::runtime::Builder::new_current_thread();
        let tokio = tokio.enable_all().on_thread_start(record::serve).build().map_err(no_thread)?;
        let mut stop = self.stop_exporting.subscribe();
        spawn(name, move || {
            tokio.block_on(async {
                tokio::spawn(task);
                // Or the profiler is gone.
                drop(stop.wait_for(|stop| *stop).await);
            });
            tokio.shutdown_background();
        })
    }

    /// The drain thread.
    fn drain_until_stopped(&self) {
        let mut next = after(self.interval);
        let mut calibrated = false;
        loop {
            let recalibrate =
                (!calibrated).then(|| clock::LAST_CALIBRATION.saturating_sub(clock::calibrating_since()));
            let wait =
                next.saturating_duration_since(Instant::now()).min(recalibrate.unwrap_or(Duration::MAX));
            let stopping = self.stopping();
            let nothing = |stopping: &mut bool| !*stopping && !spans::are_filling();
            let waited = self.stop_draining.wait_timeout_while(stopping, wait, nothing);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
            if !calibrated && clock::calibrating_since() >= clock::LAST_CALIBRATION {
                clock::calibrate();
                histogram::init();
                calibrated = true;
            }
            let began = Instant::now();
            if began >= next {
                self.drain(Leg::offer);
                next = next_drain(next, self.interval, began, Instant::now());
            } else if !self.is_shut_down() {
                self.give_spans(&mut self.collector());
            }
        }
    }

    /// Ends the interval: gives every leg the snapshot, unless they were asked to stop.
    fn drain<T>(&self, give: impl Fn(&Leg, &Arc<ProfileMetrics>) -> T) -> Vec<T> {
        let collector = self.collector();
        // Only whoever holds the collector shuts down.
        match self.is_shut_down() {
            false => self.give(collector, give),
            true => Vec::new(),
        }
    }

    /// While nobody else can drain: so the legs get snapshots in order, and none after they were asked to stop.
    fn give<T>(
        &self,
        mut collector: MutexGuard<'_, Collector>,
        give: impl Fn(&Leg, &Arc<ProfileMetrics>) -> T,
    ) -> Vec<T> {
        self.give_spans(&mut collector);
        let metrics = Arc::new(collector.drain());
        self.legs.iter().map(|leg| give(leg, &metrics)).collect()
    }

    /// Gives the spans that ended to the legs that take them.
    fn give_spans(&self, collector: &mut Collector) {
        let resource = collector.resource().clone();
        let missed = collector.drain_spans(|spans, memory| {
            let spans = Arc::new(Spans::new(resource.clone(), spans));
            self.legs.iter().for_each(|leg| leg.offer_spans(&spans, memory));
        });
        if missed > 0 {
            self.legs.iter().for_each(|leg| leg.miss_spans(missed));
        }
    }

    fn collector(&self) -> MutexGuard<'_, Collector> {
        self.collector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> MutexGuard<'_, bool> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the drain thread look whether spans should be drained. Waits for nobody.
    pub(super) fn wake_drain(&self) {
        self.stop_draining.notify_all();
    }

    /// In the child of a fork: whoever held the locks, and the threads, are not here.
    pub(super) fn abandon(&self) {
        self.shut_down.store(true, Relaxed);
        self.abandoned.store(true, Relaxed);
    }

    pub(super) fn peek(&self) -> Arc<ProfileMetrics> {
        if self.abandoned.load(Relaxed) {
            return Arc::new(ProfileMetrics::none());
        }
        Arc::new(self.collector().peek())
    }

    /// The totals at this moment, also of series that have ended.
    pub(super) fn peek_at_all(&self) -> ProfileMetrics {
        if self.abandoned.load(Relaxed) {
            return ProfileMetrics::none();
        }
        self.collector().peek_at_all()
    }

    /// Whether an exporter has spans recorded where nobody says which.
    pub(super) fn has_traces(&self) -> bool {
        self.legs.iter().any(|leg| leg.has_traces())
    }

    pub(super) fn keep_stats(&self) -> KeepStats {
        if self.abandoned.load(Relaxed) {
            return KeepStats::default();
        }
        self.collector().keep_stats()
    }

    pub(super) fn listening(&self) -> Option<SocketAddr> {
        self.listening
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Relaxed)
    }

    pub(super) fn ledger(&self) -> Vec<(String, Ledger)> {
        if self.abandoned.load(Relaxed) {
            return Vec::new();
        }
        self.legs.iter().map(|leg| (leg.name().to_owned(), leg.ledger())).collect()
    }

    pub(super) fn leg(&self, name: &str) -> Option<Arc<Leg>> {
        let mut legs = self.legs.iter().filter(|_| !self.abandoned.load(Relaxed));
        legs.find(|leg| leg.name() == name).cloned()
    }

    pub(super) fn update_config(&self, name: &str, patch: &LegPatch) -> Result<()> {
        patch.check().map_err(|error| error.with_context("exporter", name))?;
        if self.abandoned.load(Relaxed) {
            return Ok(());
        }
        if let Some(leg) = self.leg(name) {
            return leg.update(patch).map_err(|error| error.with_context("exporter", name));
        }
        let names: Vec<&str> = self.legs.iter().map(|leg| leg.name()).collect();
        let message = format!("no exporter has that name{}", nearest(name, &names));
        Err(Error::new(ErrorKind::ConfigInvalid, message)
            .with_context("exporter", name)
            .with_context("there are", names.join(", ")))
    }

    pub(super) fn flush(&self, deadline: Instant) -> Result<()> {
        // Asked before the collector is, which is locked for ever in the child of a fork.
        if self.is_shut_down() {
            return Ok(());
        }
        let requests = self.drain(Leg::flush);
        // Every exporter is waited for, also after one has failed.
        let wait = |(leg, done): (&Arc<Leg>, Arc<Done>)| {
            done.wait(deadline).map_err(|error| error.with_context("exporter", leg.name()))
        };
        let results: Vec<_> = self.legs.iter().zip(requests).map(wait).collect();
        results.into_iter().collect()
    }

    pub(super) fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        if self.is_shut_down() {
            return ShutdownReport::default();
        }
        // First, so that intervals which end one after the other do not keep the collector from us.
        *self.stopping() = true;
        self.stop_draining.notify_all();
        let collector = self.collector();
        if self.shut_down.swap(true, Relaxed) {
            return ShutdownReport::default();
        }
        record::stop();
        let requests = self.give(collector, |leg, metrics| leg.stop(metrics, deadline));
        let report = |(leg, done): (&Arc<Leg>, Arc<Done>)| {
            let error = done.wait(deadline).err();
            LegReport { name: leg.name().to_owned(), ledger: leg.ledger(), error }
        };
        let legs = self.legs.iter().zip(requests).map(report).collect();
        self.stop_exporting.send_replace(true);
        ShutdownReport { legs }
    }
}

/// When to drain again, if it was due at `due` and took from `began` to `ended`. Intervals that a suspended machine missed are
/// not made up for; where draining takes longer than an interval, others get the collector for as long in between.
fn next_drain(due: Instant, interval: Duration, began: Instant, ended: Instant) -> Instant {
    due.checked_add(interval).unwrap_or(due).max(ended + (ended - began))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let serve = move || {
        record::serve();
        run();
    };
    thread::Builder::new().name(name.to_owned()).spawn(serve).map(drop).map_err(no_thread)
}

fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the system gives the profiler no thread").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_drain_is_one_interval_on_unless_the_last_was_late_or_long() {
        let due = Instant::now();
        let ms = |ms: u64| Duration::from_millis(ms);
        let next = |late: u64, took: u64, interval: Duration| {
            let began = due + ms(late);
            next_drain(due, interval, began, began + ms(took)) - due
        };
        // In step, whatever a drain takes of an interval.
        assert_eq!([next(0, 0, ms(100)), next(3, 20, ms(100)), next(0, 50, ms(100))], [ms(100); 3]);
        // Others have the collector for as long as it was kept from them.
        assert_eq!(next(0, 70, ms(100)), ms(140));
        assert_eq!(next(0, 5000, ms(1)), ms(10_000));
        // What was missed is not made up for.
        assert_eq!(next(3_600_000, 2, ms(100)), ms(3_600_004));
        // One that never ends.
        assert_eq!(next(1, 2, Duration::MAX), ms(5));
    }
}
