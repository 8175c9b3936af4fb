//! Keeps what matters of traces that the sampler left out: their spans wait until one fails or is slow, or the trace is over.

use super::{End, More, Record, Thread};
use crate::{
    clock,
    error::{Error, ErrorKind, Result},
    settings::{duration, size},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// How many traces that are kept are remembered, for spans of theirs that end later.
const MOST_KEPT: usize = 10_000;

/// Which traces are exported whatever the [`Sampler`](crate::Sampler) decided: tail sampling, within this process.
///
/// The sampler decides when a trace begins. With this, spans of a trace that it left out are recorded all the same and wait in
/// memory: if one of them fails or is slow, all of them are exported, and those that follow; when the first span of the trace in
/// this process ends and none has, they are forgotten. Their [flags](crate::SpanContext::flags) say what the sampler decided, as other
/// processes were told. What is recorded costs as much as if it were sampled.
///
/// ```
/// use exporters::KeepConfig;
/// let keep = KeepConfig::default().with_slower_than(std::time::Duration::from_millis(500));
/// assert!(keep.errors);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeepConfig {
    /// Whether a trace is kept in which a call returned an error or panicked. Default: `true`.
    pub errors: bool,
    /// From which duration of a span on its trace is kept. Default: none.
    #[serde(deserialize_with = "duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub slower_than: Option<Duration>,
    /// The most memory that waiting spans hold; of more, those of the oldest trace are given up. Default: 16 MB.
    #[serde(deserialize_with = "size::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_memory: u64,
    /// How long spans wait for the end of their trace; then they are given up. Default: 30 s.
    #[serde(deserialize_with = "duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_wait: Duration,
}

impl Default for KeepConfig {
    fn default() -> Self {
        Self { errors: true, slower_than: None, max_memory: 16_000_000, max_wait: Duration::from_secs(30) }
    }
}

impl KeepConfig {
    /// Sets whether [`errors`](Self::errors) are kept.
    #[must_use]
    pub fn with_errors(mut self, errors: bool) -> Self {
        self.errors = errors;
        self
    }

    /// Sets [`slower_than`](Self::slower_than).
    #[must_use]
    pub fn with_slower_than(mut self, duration: Duration) -> Self {
        self.slower_than = Some(duration);
        self
    }

    /// Sets [`max_memory`](Self::max_memory), in bytes.
    #[must_use]
    pub fn with_max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Sets [`max_wait`](Self::max_wait).
    #[must_use]
    pub fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Checks everything that a type cannot.
    pub(crate) fn check(&self) -> Result<()> {
        match (self.errors, self.slower_than) {
            (false, None) => {
                let message = "nothing would be kept: set `errors` or `slower_than`, or leave `keep` out";
                Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", "sampler.keep"))
            }
            _ => Ok(()),
        }
    }
}

/// What became of the spans of traces that the sampler left out, since the start. Each was kept, forgotten or given up, or waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeepStats {
    /// Traces that were kept.
    pub traces: u64,
    /// Spans that were exported.
    pub kept: u64,
    /// Spans of traces that ended well, and soon enough.
    pub forgotten: u64,
    /// Spans that waited too long, or for which there was no memory.
    pub given_up: u64,
    /// Spans that wait.
    pub waiting: u64,
    /// The bytes they hold.
    pub memory: u64,
}

/// A span that waits, and the thread that recorded it.
pub(super) type Waiting = (Record, Arc<Thread>);
type Trace = [u64; 2];

/// Spans of traces that the sampler left out.
#[derive(Debug)]
pub(super) struct Keep {
    config: KeepConfig,
    groups: HashMap<Trace, Group>,
    /// The groups, the oldest first.
    order: BTreeMap<u64, Trace>,
    next: u64,
    /// Traces that are kept, and in which order they became so.
    kept: HashSet<Trace>,
    kept_order: VecDeque<Trace>,
    stats: KeepStats,
}

/// What waits of one trace.
#[derive(Debug)]
struct Group {
    number: u64,
    since: Instant,
    bytes: u64,
    spans: Vec<Waiting>,
}

impl Keep {
    pub(super) fn new(config: KeepConfig) -> Self {
        let (groups, order, kept, kept_order, stats) = Default::default();
        Self { config, groups, order, next: 0, kept, kept_order, stats }
    }

    pub(super) fn stats(&self) -> KeepStats {
        self.stats
    }

    /// Takes a span; what is to be exported now is added to `out`.
    pub(super) fn take(&mut self, record: Record, thread: &Arc<Thread>, out: &mut Vec<Waiting>) {
        let trace = record.trace;
        let ends_here = record.parent == 0 || record.more.as_ref().is_some_and(|more| more.remote_parent);
        if self.kept.contains(&trace) || self.matters(&record) {
            self.stats.kept += 1;
            self.keep(trace, out);
            out.push((record, thread.clone()));
        } else if ends_here {
            self.stats.forgotten += 1 + self.remove(trace).map_or(0, |group| group.spans.len() as u64);
        } else {
            self.add(trace, (record, thread.clone()));
        }
    }

    fn matters(&self, record: &Record) -> bool {
        let end = record.more.as_ref().map(|more| &more.end);
        let failed = self.config.errors && matches!(end, Some(End::Error(_) | End::Panic));
        // A clock that went backwards makes no time.
        let slow = |than| record.took.cast_signed() >= 0 && record.took >= clock::ticks(than);
        failed || self.config.slower_than.is_some_and(slow)
    }

    fn keep(&mut self, trace: Trace, out: &mut Vec<Waiting>) {
        if !self.kept.insert(trace) {
            return;
        }
        self.stats.traces += 1;
        self.kept_order.push_back(trace);
        if self.kept_order.len() > MOST_KEPT
            && let Some(oldest) = self.kept_order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        if let Some(group) = self.remove(trace) {
            self.stats.kept += group.spans.len() as u64;
            out.extend(group.spans);
        }
    }

    fn add(&mut self, trace: Trace, span: Waiting) {
        let bytes = bytes(&span.0);
        let group = self.groups.entry(trace).or_insert_with(|| {
            self.next += 1;
            self.order.insert(self.next, trace);
            Group { number: self.next, since: Instant::now(), bytes: 0, spans: Vec::new() }
        });
        group.bytes += bytes;
        group.spans.push(span);
        self.stats.waiting += 1;
        self.stats.memory += bytes;
        while self.stats.memory > self.config.max_memory && self.give_up_oldest(|_| true) {}
    }

    fn remove(&mut self, trace: Trace) -> Option<Group> {
        let group = self.groups.remove(&trace)?;
        self.order.remove(&group.number);
        self.stats.waiting -= group.spans.len() as u64;
        self.stats.memory -= group.bytes;
        Some(group)
    }

    /// Gives up what has waited too long.
    pub(super) fn give_up_old(&mut self) {
        let max_wait = self.config.max_wait;
        while self.give_up_oldest(|group| group.since.elapsed() > max_wait) {}
    }

    /// Tells whether it did.
    fn give_up_oldest(&mut self, is_due: impl Fn(&Group) -> bool) -> bool {
        let Some(trace) = self.order.first_key_value().map(|(_, trace)| *trace) else { return false };
        if !self.groups.get(&trace).is_some_and(is_due) {
            return false;
        }
        let group = self.remove(trace);
        self.stats.given_up += group.map_or(0, |group| group.spans.len() as u64);
        true
    }
}

/// What a span holds while it waits, with its share of what its trace does.
fn bytes(record: &Record) -> u64 {
    let more = record.more.as_ref().map_or(0, |more| {
        let error = if let End::Error(name) = &more.end { name.len() } else { 0 };
        let state = more.state.as_ref().map_or(0, |state| state.len());
        mem::size_of::<More>() + error + state + more.details.as_ref().map_or(0, |details| details.memory())
    });
    (2 * mem::size_of::<Waiting>() + more) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::site::Site;

    static SITE: Site = Site::new("keep", "crate\x001.0\x001\0file\0function");

    fn span(trace: u64, parent: u64, end: End) -> Record {
        let more = Some(Box::new(More { end, ..More::default() }));
        Record { site: &SITE, trace: [1, trace], span: 7, parent, start: 0, took: 10, more }
    }

    fn well(trace: u64, parent: u64) -> Record {
        Record { more: None, ..span(trace, parent, End::Well) }
    }

    fn failed(trace: u64, parent: u64) -> Record {
        span(trace, parent, End::Error("Declined".into()))
    }

    struct Taking(Keep, Vec<Waiting>);

    impl Taking {
        fn new(config: KeepConfig) -> Self {
            Self(Keep::new(config), Vec::new())
        }

        /// How many spans are to be exported.
        fn take(&mut self, record: Record) -> usize {
            let thread = Arc::new(Thread { id: 1, name: None });
            self.0.take(record, &thread, &mut self.1);
            self.1.drain(..).count()
        }
    }

    #[test]
    fn a_trace_is_kept_whole_from_the_first_failure_on() {
        let mut keep = Taking::new(KeepConfig::default());
        assert_eq!([keep.take(well(1, 5)), keep.take(well(2, 5)), keep.take(well(1, 5))], [0; 3]);
        assert_eq!(keep.take(failed(1, 5)), 3);
        assert_eq!([keep.take(well(1, 5)), keep.take(well(1, 0)), keep.take(well(1, 5))], [1; 3]);
        assert_eq!([keep.take(well(2, 0)), keep.take(failed(3, 0))], [0, 1]);
        assert_eq!([keep.take(span(4, 0, End::Panic)), keep.take(span(5, 0, End::Cancelled))], [1, 0]);
        let stats = KeepStats { traces: 3, kept: 8, forgotten: 3, ..KeepStats::default() };
        assert_eq!(keep.0.stats(), stats);
        assert!(keep.0.groups.is_empty() && keep.0.order.is_empty());
    }

    #[test]
    fn a_slow_span_keeps_its_trace() {
        let config = KeepConfig::default().with_errors(false).with_slower_than(Duration::from_secs(3600));
        crate::clock::init();
        let took = clock::ticks(Duration::from_secs(3601));
        let mut keep = Taking::new(config);
        assert_eq!([keep.take(well(1, 5)), keep.take(failed(1, 5))], [0, 0]);
        assert_eq!(keep.take(Record { took, ..well(1, 0) }), 3);
        assert_eq!(keep.take(Record { took: u64::MAX, ..well(2, 0) }), 0);
    }

    #[test]
    fn another_process_s_child_ends_a_trace_here() {
        let mut keep = Taking::new(KeepConfig::default());
        let more = Some(Box::new(More { remote_parent: true, ..More::default() }));
        assert_eq!([keep.take(well(1, 5)), keep.take(Record { more, ..well(1, 6) })], [0, 0]);
        assert_eq!(keep.0.stats().forgotten, 2);
    }

    #[test]
    fn memory_and_time_are_bounded() {
        let each = bytes(&well(1, 5));
        let mut keep = Taking::new(KeepConfig::default().with_max_memory(10 * each));
        for trace in 0..1000 {
            keep.take(well(trace, 5));
            assert!(keep.0.stats().memory <= 10 * each);
        }
        let KeepStats { given_up, waiting, .. } = keep.0.stats();
        assert_eq!((given_up, waiting), (990, 10));
        // The latest are those that wait.
        assert_eq!([keep.take(failed(999, 0)), keep.take(failed(0, 0))], [2, 1]);
        keep.0.config.max_wait = Duration::ZERO;
        keep.0.give_up_old();
        assert_eq!((keep.0.stats().waiting, keep.0.stats().memory), (0, 0));
        for trace in 0..2 * MOST_KEPT as u64 {
            keep.take(failed(trace, 0));
        }
        assert_eq!((keep.0.kept.len(), keep.0.kept_order.len()), (MOST_KEPT, MOST_KEPT));
    }

    #[test]
    fn what_keeps_nothing_is_refused() {
        let error = KeepConfig::default().with_errors(false).check().unwrap_err();
        assert!(error.to_string().contains("nothing would be kept"), "{error}");
        KeepConfig::default().check().unwrap();
    }
}
