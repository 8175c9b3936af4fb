//! From what threads left behind to spans: names, times of the wall clock, attributes.

use super::{
    End, More, Queues, Record, Thread, UNQUEUED, all_queues,
    details::Event,
    exemplars::Found,
    keep::{Keep, KeepConfig, KeepStats},
    reading,
};
use crate::{
    clock,
    model::{Attributes, KeyValue, Scope, Span, SpanContext, SpanEvent, SpanKind, Status, Value, memory},
    record::{
        context::trace_id,
        describe::Names,
        keyed::{Keyed, QuickMap},
        site::Site,
    },
};
use std::{
    borrow::Cow,
    collections::HashSet,
    iter, mem,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

/// The most spans that are handed on at once: so many as are still in the cache when they are written, and enough for a backend
/// that takes its time for each request. A thread wakes the drain by somewhat fewer.
const GROUP: usize = 8192;

/// How far the wall clock may be from where it is expected before it was set, and is asked anew.
const SET: f64 = 1e-3;
/// How often that is remembered.
const MOST_ANCHORS: usize = 64;

/// Makes spans of what was recorded.
#[derive(Debug)]
pub(crate) struct Spans {
    facts: QuickMap<*const Site, Facts>,
    scopes: Vec<Arc<Scope>>,
    /// What both clocks said at some moments, the latest last.
    anchors: Vec<Anchor>,
    keep: Option<Keep>,
    /// Whether spans are to say which thread their call began on.
    pub(crate) threads: bool,
    pub(crate) exemplars: Found,
}

// SAFETY: the pointers are only compared.
unsafe impl Send for Spans {}

/// What both clocks said at a moment.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ticks: u64,
    wall: SystemTime,
}

impl Anchor {
    /// What the wall clock would have said at `ticks`, had nobody set it since.
    fn wall(self, ticks: u64) -> SystemTime {
        let far = ticks.wrapping_sub(self.ticks).cast_signed();
        let off = duration(far.unsigned_abs());
        let moved = if far < 0 { self.wall.checked_sub(off) } else { self.wall.checked_add(off) };
        moved.unwrap_or(self.wall)
    }
}

/// What all spans of a function have in common.
#[derive(Clone, Copy, Debug)]
struct Facts {
    name: &'static str,
    kind: SpanKind,
    /// Which of [`Spans::scopes`].
    scope: usize,
}

/// Spans that are handed on at once.
#[derive(Default)]
struct Group {
    list: Vec<Span>,
    /// Bytes that some of them hold elsewhere.
    held: usize,
}

impl Group {
    fn give(self, give: &mut impl FnMut(Vec<Span>, usize)) {
        let memory = memory::of_spans(&self.list, self.held);
        give(self.list, memory);
    }
}

impl Spans {
    pub(crate) fn new() -> Self {
        Self {
            facts: QuickMap::default(),
            scopes: Vec::new(),
            anchors: Vec::new(),
            keep: None,
            threads: true,
            exemplars: Found::default(),
        }
    }

    /// Has spans of traces that the sampler left out kept.
    pub(crate) fn keep(&mut self, config: KeepConfig) {
        self.keep = Some(Keep::new(config));
    }

    /// What became of those.
    pub(crate) fn keep_stats(&self) -> KeepStats {
        self.keep.as_ref().map(Keep::stats).unwrap_or_default()
    }

    /// Gives all spans that ended since the last time and are to be exported, in groups and each with the memory that it takes, and
    /// tells how many more there were that found no room.
    pub(crate) fn drain(&mut self, names: &Names, mut give: impl FnMut(Vec<Span>, usize)) -> u64 {
        self.read_clocks();
        self.facts.clear();
        self.scopes.clear();
        self.keep.iter_mut().for_each(Keep::give_up_old);
        let (mut spans, mut kept) = (Group::default(), Vec::new());
        let dropped = read(|queue, record| {
            match &mut self.keep {
                Some(keep) if record.is_left_out() => {
                    keep.take(record, queue.thread, &mut kept);
                    for (record, thread) in kept.drain(..) {
                        self.add(&mut spans, names, &thread, thread.attributes(self.threads), record);
                    }
                }
                // Of a time when they were kept.
                None if record.is_left_out() => {}
                _ => {
                    // Else it is not known how many there will be.
                    if spans.list.is_empty() && self.keep.is_none() {
                        spans.list.reserve_exact(queue.left.min(GROUP));
                    }
                    let attributes = queue.attributes(self.threads, &mut spans.held).clone();
                    self.add(&mut spans, names, queue.thread, attributes, record);
                }
            }
            if spans.list.len() >= GROUP {
                mem::take(&mut spans).give(&mut give);
                // Counters that the next group shares with those who have this one would be waited for at each span.
                queue.attributes = None;
                self.scopes.iter_mut().for_each(|scope| *scope = Arc::new(Scope::clone(scope)));
            }
        });
        if !spans.list.is_empty() {
            spans.give(&mut give);
        }
        dropped
    }

    fn read_clocks(&mut self) {
        let (ticks, now) = (clock::now(), SystemTime::now());
        let expected = self.anchors.last().map(|anchor| anchor.wall(ticks));
        let off = expected.map(|expected| match now.duration_since(expected) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => behind.duration().as_secs_f64(),
        });
        if off.is_some_and(|off| off < SET) {
            return;
        }
        if self.anchors.len() == MOST_ANCHORS {
            self.anchors.remove(0);
        }
        self.anchors.push(Anchor { ticks, wall: now });
    }

    /// What to tell the time of a span by that began then: the last moment before it.
    fn anchor(&self, ticks: u64) -> Anchor {
        let before = self.anchors.iter().rev().find(|anchor| anchor.ticks <= ticks);
        let any = || Anchor { ticks, wall: SystemTime::now() };
        before.or(self.anchors.first()).copied().unwrap_or_else(any)
    }

    fn facts(&mut self, names: &Names, site: &'static Site) -> Facts {
        *self.facts.entry(site).or_insert_with(|| {
            let spec = &site.state().spec;
            let name = match spec.bare {
                true => spec.name,
                false => for_ever(format!("{}::{}", spec.module, names.of(site))),
            };
            let is_its = |scope: &Arc<Scope>| (&*scope.name, &*scope.version) == (spec.package, spec.version);
            let scope = self.scopes.iter().position(is_its).unwrap_or_else(|| {
                self.scopes.push(Arc::new(Scope { name: spec.package.into(), version: spec.version.into() }));
                self.scopes.len() - 1
            });
            Facts { name, kind: site.state().kind(), scope }
        })
    }

    /// Adds the span of a record.
    fn add(
        &mut self,
        spans: &mut Group,
        names: &Names,
        thread: &Thread,
        attributes: Attributes,
        record: Record,
    ) {
        let (flags, parent_is_remote) = (u8::from(!record.is_left_out()), record.has_remote_parent());
        let start = record.start();
        let Record { site, trace, span, parent, took, more, .. } = record;
        // A clock that went backwards makes no time.
        let took = duration(if took.cast_signed() >= 0 { took } else { 0 });
        let anchor = self.anchor(start);
        let start = anchor.wall(start);
        let Facts { name, kind, scope } = self.facts(names, site);
        let (scope, threads) = (&self.scopes[scope], self.threads);
        // Straight where it belongs.
        spans.list.extend(iter::once_with(|| Span {
            context: SpanContext {
                trace_id: trace_id(trace),
                span_id: span.to_be_bytes(),
                flags,
                trace_state: Cow::Borrowed(""),
            },
            parent_id: parent.to_be_bytes(),
            parent_is_remote,
            name: Cow::Borrowed(name),
            kind,
            start,
            end: start.checked_add(took).unwrap_or(start),
            attributes,
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            status: Status::Unset,
            scope: scope.clone(),
        }));
        let Some(span) = spans.list.last_mut() else { return };
        let keyed = more.and_then(|more| complete(span, site, threads.then_some(thread), *more, anchor));
        if !span.attributes.is_shared() {
            spans.held += span.memory();
        }
        self.exemplars.add(site, keyed.as_ref(), span, took);
    }
}

/// Adds what few spans have; gives the set of attributes that the call was counted with.
#[cold]
fn complete(
    span: &mut Span,
    site: &'static Site,
    thread: Option<&Thread>,
    mut more: More,
    anchor: Anchor,
) -> Option<Arc<Keyed>> {
    let details = more.details.take().map(|details| *details).unwrap_or_default();
    let thread = thread.map(|ended_on| more.thread.as_deref().unwrap_or(ended_on));
    span.attributes = attributes(site, thread, &more, details.attributes);
    span.context.trace_state = more.state.as_deref().cloned().unwrap_or_default().into();
    span.name = details.name.unwrap_or_else(|| mem::take(&mut span.name));
    span.kind = details.kind.unwrap_or(span.kind);
    let event = |event: Event| SpanEvent {
        time: anchor.wall(event.ticks).clamp(span.start, span.end),
        name: event.name,
        attributes: event.attributes,
    };
    span.events = details.events.into_iter().map(event).collect();
    span.links = details.links;
    span.dropped_attributes = details.dropped_attributes;
    span.dropped_events = details.dropped_events;
    span.dropped_links = details.dropped_links;
    span.status = match more.end {
        End::Well if details.is_ok => Status::Ok,
        End::Well => Status::Unset,
        End::Error(name) => Status::Error(details.reason.unwrap_or_else(|| name.into_string().into())),
        End::Panic => Status::Error("panic".into()),
        End::Cancelled => Status::Error("cancelled".into()),
    };
    more.keyed
}

/// The queue of a thread that is read.
struct Queue<'a> {
    thread: &'a Arc<Thread>,
    /// How much of what was in it when it was begun was not shown yet, with what is shown.
    left: usize,
    attributes: Option<Attributes>,
}

impl Queue<'_> {
    /// Of its thread. New ones are added to what is `held`.
    fn attributes(&mut self, wanted: bool, held: &mut usize) -> &Attributes {
        let thread = self.thread;
        self.attributes.get_or_insert_with(|| {
            let attributes = thread.attributes(wanted);
            *held += attributes.memory();
            attributes
        })
    }
}

/// The queues of all threads, put back when they were read, so that threads which begin meanwhile need not wait.
struct Taken(Queues);

impl Drop for Taken {
    fn drop(&mut self) {
        all_queues().append(&mut self.0);
    }
}

/// Shows all that was recorded since the last time. Gives how much more there was that found no room.
fn read(mut visit: impl FnMut(&mut Queue<'_>, Record)) -> u64 {
    let _reading = reading();
    let (mut dropped, mut at) = (UNQUEUED.swap(0, Relaxed), 0);
    let mut taken = Taken(mem::take(&mut *all_queues()));
    while let Some((reader, thread)) = taken.0.get_mut(at) {
        let mut queue = Queue { thread, left: reader.len(), attributes: None };
        let (refused, ended) = reader.drain(|record| {
            visit(&mut queue, record);
            queue.left = queue.left.saturating_sub(1);
        });
        dropped += refused;
        if !ended {
            at += 1;
            continue;
        }
        let (reader, _) = taken.0.swap_remove(at);
        // SAFETY: it was read when its thread had ended.
        unsafe { reader.free() };
    }
    dropped
}

/// Throws away what was recorded since the last time. Gives how much it was, and how much more found no room.
pub(crate) fn discard() -> (u64, u64) {
    let mut count = 0;
    let dropped = read(|_, record| {
        count += 1;
        drop(record);
    });
    (count, dropped)
}

/// What is known of every span, of this one, and what the program `added`, which is heard last.
fn attributes(site: &'static Site, thread: Option<&Thread>, more: &More, added: Vec<KeyValue>) -> Attributes {
    let mut all = Vec::with_capacity(8 + added.len());
    let mut add = |key: &'static str, value: Value| all.push(KeyValue::new(key, value));
    match more.keyed.as_deref().map(|keyed: &Keyed| keyed.values.as_deref()) {
        None => {}
        Some(None) => add("otel.metric.overflow", true.into()),
        Some(Some(values)) => {
            let pairs = site.state().spec.keys.iter().zip(values).filter(|(_, value)| !value.is_absent());
            pairs.for_each(|(key, value)| add(key, value.clone()));
        }
    }
    // By their keys' order from here on.
    if let Some(memory) = more.memory {
        add("allocated_bytes", (memory.bytes as i64).into());
        add("allocations", (memory.count as i64).into());
    }
    if let Some(busy) = more.busy {
        add("busy_ns", (duration(busy).as_nanos() as i64).into());
    }
    match &more.end {
        End::Well => {}
        End::Error(name) => add("error.type", name.to_string().into()),
        End::Panic => add("error.type", "panic".into()),
        End::Cancelled => add("error.type", "cancelled".into()),
    }
    all.extend(thread.into_iter().flat_map(Thread::key_values));
    all.extend(added);
    Attributes::new(all)
}

fn duration(ticks: u64) -> Duration {
    // To the nearest; what does not fit is the most that does.
    Duration::from_nanos((clock::seconds(ticks) * 1e9 + 0.5) as u64)
}

/// The name, which a span then borrows: there are as many as there are functions.
fn for_ever(name: String) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(&*name) {
        return known;
    }
    let new: &'static str = name.leak();
    names.insert(new);
    new
}
