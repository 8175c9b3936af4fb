//! Everything recorded, read: the collector adds up the shards of all series and says what changed since it last drained.

use super::{
    describe::{Descriptors, Labels, Names, push},
    keyed::Keyed,
    own_shards, since,
    site::Site,
    spans::{
        Spans,
        exemplars::Exemplars,
        keep::{KeepConfig, KeepStats},
    },
    totals::Totals,
    window::Window,
};
use crate::model::{Exemplar, Metric, ProfileMetrics, Resource, Span};
use std::{
    collections::HashMap,
    mem, ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// How long an attribute set may be idle before its series ends.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// Held while shards are read, so that windows they replaced can be freed in between.
pub(super) static READING: Mutex<()> = Mutex::new(());

pub(super) fn reading() -> MutexGuard<'static, ()> {
    READING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads all series, again and again.
#[derive(Debug)]
pub(crate) struct Collector {
    resource: Arc<Resource>,
    descriptors: Descriptors,
    names: Names,
    spans: Spans,
    sites: Vec<&'static Site>,
    tracked: HashMap<*const (), Tracked>,
    /// Of each function the sum of its series that have ended.
    ended: HashMap<*const Site, Tracked>,
    whose: Whose,
    /// When what it speaks of began.
    origin: SystemTime,
    /// When the interval that is running began, and the one before.
    began: SystemTime,
    before: SystemTime,
    idle: Duration,
    #[cfg(feature = "log-layer")]
    logs: super::log_metrics::Logs,
}

// SAFETY: the pointers are only compared.
unsafe impl Send for Collector {}

/// Whose calls are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Whose {
    /// Every thread's.
    All,
    /// Those of the thread that reads.
    Own,
}

/// One series over time.
#[derive(Debug)]
struct Tracked {
    site: &'static Site,
    keyed: Option<Arc<Keyed>>,
    labels: Labels,
    /// What was there before the collector, of which it does not speak.
    base: Totals,
    seen: Totals,
    drained: Totals,
    /// `drained`, one interval before.
    before: Totals,
    changed: Instant,
    /// Idle for so long that it ends unless someone comes.
    ending: bool,
    exemplars: Exemplars,
}

impl Collector {
    /// Reads from the beginning of recording, or only what comes `from_now`.
    pub(crate) fn new(resource: Arc<Resource>, whose: Whose, from_now: bool) -> Self {
        let start = if from_now { SystemTime::now() } else { since() };
        let mut collector = Self {
            resource,
            descriptors: Descriptors::default(),
            names: Names::default(),
            spans: Spans::new(),
            sites: Vec::new(),
            tracked: HashMap::new(),
            ended: HashMap::new(),
            whose,
            origin: start,
            began: start,
            before: start,
            idle: IDLE,
            #[cfg(feature = "log-layer")]
            logs: super::log_metrics::Logs::new(start),
        };
        collector.meet();
        if from_now {
            collector.read(true);
            for tracked in collector.tracked.values_mut() {
                tracked.base = mem::take(&mut tracked.seen);
                tracked.base.max = 0;
            }
            #[cfg(feature = "log-layer")]
            collector.logs.rebase();
        }
        collector
    }

    /// Learns of the sites that were registered since: of a library that was loaded, of a callsite of `tracing`.
    fn meet(&mut self) {
        let known = self.sites.len();
        if Site::all().count() == known {
            return;
        }
        let mut new: Vec<&'static Site> = Site::all().collect();
        // The latest come first.
        new.truncate(new.len() - known);
        // The linker gives them in any order. Who was here keeps the name.
        new.sort_by_key(|site| {
            let spec = &site.state().spec;
            (spec.module, spec.name, spec.file, spec.line)
        });
        self.sites.append(&mut new);
    }

    /// Ends the attribute sets that were idle for so long.
    pub(crate) fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Ends the interval: totals, and the change since the last time.
    pub(crate) fn drain(&mut self) -> ProfileMetrics {
        self.read(true);
        let end = SystemTime::now().max(self.began);
        // A wall clock that was set back makes an interval of no length, not one that ends before it began.
        self.before = mem::replace(&mut self.began, end);
        let (idle, origin) = (self.idle, self.origin);
        self.tracked.retain(|_, tracked| {
            tracked.before = mem::replace(&mut tracked.drained, tracked.seen.clone());
            // What a thread was lent stays in its table, and is read again.
            let ends = self.whose == Whose::All && tracked.ends(idle);
            if ends {
                let site = tracked.site;
                let sum = self.ended.entry(site).or_insert_with(|| Tracked::new(site, None, origin));
                sum.seen.add(&tracked.seen);
            }
            !ends
        });
        #[cfg(feature = "log-layer")]
        self.logs.drain();
        let snapshot = self.snapshot(false, Exemplars::take_fresh);
        self.tracked.values_mut().for_each(|tracked| tracked.seen.max = 0);
        #[cfg(feature = "log-layer")]
        self.logs.forget_max();
        snapshot
    }

    pub(crate) fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Has spans of traces that the sampler left out kept.
    pub(crate) fn keep_spans(&mut self, config: KeepConfig) {
        self.spans.keep(config);
    }

    /// Whether spans are to say which thread their call began on.
    pub(crate) fn set_thread_attributes(&mut self, wanted: bool) {
        self.spans.threads = wanted;
    }

    /// Has durations point to traces that are exported: those whose lower half, halved, is below `bound`.
    pub(crate) fn set_exemplars(&mut self, bound: u64) {
        self.spans.exemplars.set_bound(bound);
    }

    /// What became of those.
    pub(crate) fn keep_stats(&self) -> KeepStats {
        self.spans.keep_stats()
    }

    /// Gives the spans that ended since anybody last asked, in groups and no order, each with the memory that it takes, and tells how
    /// many more found no room.
    pub(crate) fn drain_spans(&mut self, give: impl FnMut(Vec<Span>, usize)) -> u64 {
        self.meet();
        self.names.refresh(&self.sites);
        self.spans.drain(&self.names, give)
    }

    /// The totals at this moment, and the change of the last interval.
    pub(crate) fn peek(&mut self) -> ProfileMetrics {
        self.read(false);
        self.snapshot(false, |exemplars| exemplars.all())
    }

    /// The same, where those of a function's series that have ended are one more of its series.
    pub(crate) fn peek_at_all(&mut self) -> ProfileMetrics {
        self.read(false);
        self.snapshot(true, |_| Vec::new())
    }

    fn snapshot(&mut self, all: bool, exemplars: impl Fn(&mut Exemplars) -> Vec<Exemplar>) -> ProfileMetrics {
        self.ended.values_mut().for_each(|sum| sum.labels.refresh(&self.names, sum.site, None));
        let ended = self.ended.values().filter(|_| !all).map(|sum| sum.labels.ended(sum.seen.calls()));
        ProfileMetrics {
            resource: self.resource.clone(),
            interval: self.before..self.began,
            ended: ended.collect(),
            metrics: self.metrics(all, exemplars),
        }
    }

    fn read(&mut self, take_max: bool) {
        self.meet();
        let reading = reading();
        // SAFETY: the lock is held, so nobody reads.
        unsafe { Window::free_retired() };
        let mut readings: HashMap<*const (), (&'static Site, Option<Arc<Keyed>>, Totals)> = HashMap::new();
        match self.whose {
            Whose::All => {
                for &site in &self.sites {
                    let state = site.state();
                    let untimed = state.one_in() > 1;
                    // SAFETY: the lock is held.
                    let totals = unsafe { Totals::read(&state.series, untimed, take_max) };
                    readings.insert(ptr::from_ref(site).cast(), (site, None, totals));
                    for keyed in state.keyed.all() {
                        // SAFETY: the lock is held.
                        let totals = unsafe { Totals::read(&keyed.series, untimed, take_max) };
                        readings.insert(Arc::as_ptr(&keyed).cast(), (site, Some(keyed), totals));
                    }
                }
            }
            Whose::Own => {
                for &site in &self.sites {
                    readings.insert(ptr::from_ref(site).cast(), (site, None, Totals::default()));
                }
                own_shards(|site, keyed, shard| {
                    let key = keyed.map_or(ptr::from_ref(site).cast(), |keyed| Arc::as_ptr(keyed).cast());
                    let entry = readings.entry(key);
                    let (.., totals) = entry.or_insert_with(|| (site, keyed.cloned(), Totals::default()));
                    // SAFETY: this thread owns the shard, and the lock is held.
                    unsafe { totals.add_shard(shard, site.state().one_in() > 1, take_max) };
                });
            }
        }
        #[cfg(feature = "log-layer")]
        // SAFETY: the lock is held.
        unsafe {
            self.logs.read(self.whose, take_max);
        }
        drop(reading);
        self.names.refresh(&self.sites);
        for (key, (site, keyed, totals)) in readings {
            self.track(key, site, keyed, &totals);
        }
        self.spans.exemplars.clear();
    }

    fn track(&mut self, key: *const (), site: &'static Site, keyed: Option<Arc<Keyed>>, totals: &Totals) {
        let tracked = self.tracked.entry(key).or_insert_with(|| {
            let start = keyed.as_ref().map_or(self.origin, |keyed| keyed.start.max(self.origin));
            Tracked::new(site, keyed, start)
        });
        let now = totals.since(&tracked.base);
        if now.started != tracked.seen.started || now.ended != tracked.seen.ended {
            tracked.changed = Instant::now();
        }
        tracked.seen.raise(&now);
        tracked.labels.refresh(&self.names, site, tracked.keyed.as_deref());
        self.spans.exemplars.give(key, &mut tracked.exemplars);
    }

    fn metrics(&mut self, all: bool, exemplars: impl Fn(&mut Exemplars) -> Vec<Exemplar>) -> Vec<Metric> {
        let mut metrics = self.descriptors.empty();
        let mut order: Vec<&mut Tracked> = self.tracked.values_mut().collect();
        order.sort_by(|a, b| a.labels.order().cmp(&b.labels.order()));
        let has_keyed: std::collections::HashSet<_> = order
            .iter()
            .filter(|tracked| tracked.keyed.is_some())
            .map(|tracked| ptr::from_ref(tracked.site))
            .collect();
        for tracked in order {
            // A function with attributes has a series without any only until it is called; one of the library's own has none then.
            let called = has_keyed.contains(&ptr::from_ref(tracked.site)) || tracked.site.is_own();
            if tracked.keyed.is_none() && called {
                continue;
            }
            let change = tracked.drained.since(&tracked.before);
            let exemplars = exemplars(&mut tracked.exemplars);
            push(&mut metrics, &mut tracked.labels, tracked.site.state(), &tracked.seen, &change, exemplars);
        }
        for sum in self.ended.values_mut().filter(|_| all) {
            push(&mut metrics, &mut sum.labels, sum.site.state(), &sum.seen, &Totals::default(), Vec::new());
        }
        #[cfg_attr(not(feature = "log-layer"), expect(unused_mut))]
        let mut metrics = metrics.finish();
        #[cfg(feature = "log-layer")]
        metrics.extend(self.logs.metrics(self.whose));
        metrics
    }
}

impl Tracked {
    fn new(site: &'static Site, keyed: Option<Arc<Keyed>>, start: SystemTime) -> Self {
        let (base, seen, drained, before) = Default::default();
        let labels = Labels::new(start);
        let (changed, ending, exemplars) = (Instant::now(), false, Exemplars::default());
        Self { site, keyed, labels, base, seen, drained, before, changed, ending, exemplars }
    }

    /// Whether the series is over: first its threads are told to look it up again, and if none has by the next time, it is.
    fn ends(&mut self, idle: Duration) -> bool {
        let Some(keyed) = self.keyed.as_ref().filter(|keyed| keyed.values.is_some()) else { return false };
        if self.changed.elapsed() < idle || self.seen.started != self.seen.ended {
            self.ending = false;
            return false;
        }
        if self.ending && self.site.state().keyed.drop_retired(keyed) {
            return true;
        }
        self.ending = true;
        self.site.state().keyed.retire(keyed);
        false
    }
}
