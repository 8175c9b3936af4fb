//! From what threads left behind to spans: names, times of the wall clock, attributes.

use super::{
    End, LEFT_OUT, More, Record, Thread, all_queues,
    details::{Details, Event},
    exemplars::Found,
    keep::{Keep, KeepConfig, KeepStats},
};
use crate::{
    clock,
    model::{Attributes, KeyValue, Scope, Span, SpanContext, SpanEvent, Status, Value},
    record::{context::trace_id, describe::Names, keyed::Keyed, site::Site},
};
use std::{
    borrow::Cow,
    collections::HashMap,
    ptr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// How far the wall clock may be from where it is expected before it was set, and is asked anew.
const SET: f64 = 1e-3;
/// How often that is remembered.
const MOST_ANCHORS: usize = 64;

/// Makes spans of what was recorded.
#[derive(Debug)]
pub(crate) struct Spans {
    facts: HashMap<*const Site, Facts>,
    /// What both clocks said at some moments, the latest last.
    anchors: Vec<Anchor>,
    keep: Option<Keep>,
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
#[derive(Debug)]
struct Facts {
    function: Arc<str>,
    name: &'static str,
    scope: Arc<Scope>,
}

impl Spans {
    pub(crate) fn new() -> Self {
        Self { facts: HashMap::new(), anchors: Vec::new(), keep: None, exemplars: Found::default() }
    }

    /// Has spans of traces that the sampler left out kept.
    pub(crate) fn keep(&mut self, config: KeepConfig) {
        self.keep = Some(Keep::new(config));
    }

    /// What became of those.
    pub(crate) fn keep_stats(&self) -> KeepStats {
        self.keep.as_ref().map(Keep::stats).unwrap_or_default()
    }

    /// All spans that ended since the last time and are to be exported, and how many more there were that found no room.
    pub(crate) fn drain(&mut self, names: &Names) -> (Vec<Span>, u64) {
        self.read_clocks();
        self.keep.iter_mut().for_each(Keep::give_up_old);
        let (mut spans, mut kept) = (Vec::new(), Vec::new());
        let dropped = read(|thread, record| match &mut self.keep {
            Some(keep) if record.start & LEFT_OUT != 0 => {
                keep.take(record, thread, &mut kept);
                spans.extend(kept.drain(..).map(|(record, thread)| self.span(names, &thread, record)));
            }
            // Of a time when they were kept.
            None if record.start & LEFT_OUT != 0 => {}
            _ => spans.push(self.span(names, thread, record)),
        });
        (spans, dropped)
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

    fn facts(&mut self, names: &Names, site: &'static Site) -> &Facts {
        let function = names.of(site);
        let known = self.facts.get(&ptr::from_ref(site)).is_some_and(|facts| facts.function == function);
        if !known {
            let spec = &site.state().spec;
            let name = match spec.bare {
                true => spec.name,
                false => for_ever(&format!("{}::{function}", spec.module)),
            };
            let scope = Arc::new(Scope { name: spec.package.into(), version: spec.version.into() });
            self.facts.insert(site, Facts { function: function.clone(), name, scope });
        }
        self.facts.entry(site).or_insert_with(|| Facts { function, name: "", scope: Arc::default() })
    }

    fn span(&mut self, names: &Names, thread: &Thread, record: Record) -> Span {
        let Record { site, trace, span, parent, start, took, more } = record;
        let (flags, start) = (u8::from(start & LEFT_OUT == 0), start & !LEFT_OUT);
        // A clock that went backwards makes no time.
        let took = if took.cast_signed() >= 0 { took } else { 0 };
        let anchor = self.anchor(start);
        let (start, end) = (anchor.wall(start), anchor.wall(start.wrapping_add(took)));
        let mut more = more.map(|more| *more).unwrap_or_default();
        let details = more.details.take().map(|details| *details).unwrap_or_default();
        let Details { name, attributes: added, events, links, kind, reason, is_ok, held, .. } = details;
        let Details { dropped_attributes, dropped_events, dropped_links, .. } = details;
        let event = |event: Event| SpanEvent {
            time: anchor.wall(event.ticks).clamp(start, end),
            name: event.name,
            attributes: event.attributes,
        };
        let events = events.into_iter().map(event).collect();
        drop(held);
        let attributes = attributes(site, more.thread.as_deref().unwrap_or(thread), &more, added);
        let facts = self.facts(names, site);
        let span = Span {
            context: SpanContext {
                trace_id: trace_id(trace),
                span_id: span.to_be_bytes(),
                flags,
                trace_state: more.state.as_deref().cloned().unwrap_or_default().into(),
            },
            parent_id: parent.to_be_bytes(),
            parent_is_remote: more.remote_parent,
            name: name.unwrap_or(Cow::Borrowed(facts.name)),
            kind: kind.unwrap_or_else(|| site.state().kind()),
            start,
            end,
            attributes,
            dropped_attributes,
            events,
            dropped_events,
            links,
            dropped_links,
            status: match more.end {
                End::Well if is_ok => Status::Ok,
                End::Well => Status::Unset,
                End::Error(name) => Status::Error(reason.unwrap_or_else(|| name.into_string().into())),
                End::Panic => Status::Error("panic".into()),
                End::Cancelled => Status::Error("cancelled".into()),
            },
            scope: facts.scope.clone(),
        };
        self.exemplars.add(site, more.keyed.as_ref(), &span, clock::seconds(took));
        span
    }
}

/// Shows all that was recorded since the last time. Gives how much more there was that found no room.
fn read(mut visit: impl FnMut(&Arc<Thread>, Record)) -> u64 {
    let (mut dropped, mut at) = (0, 0);
    let mut queues = all_queues();
    while let Some((reader, thread)) = queues.get_mut(at) {
        let (refused, ended) = reader.drain(|record| visit(thread, record));
        dropped += refused;
        if !ended {
            at += 1;
            continue;
        }
        let (reader, _) = queues.swap_remove(at);
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
fn attributes(site: &'static Site, thread: &Thread, more: &More, added: Vec<KeyValue>) -> Attributes {
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
    add("thread.id", thread.id.into());
    if let Some(name) = &thread.name {
        add("thread.name", name.clone().into());
    }
    if let Some(busy) = more.busy {
        add("busy_ns", (duration(busy).as_nanos() as i64).into());
    }
    if let Some(memory) = more.memory {
        add("allocated_bytes", (memory.bytes as i64).into());
        add("allocations", (memory.count as i64).into());
    }
    match &more.end {
        End::Well => {}
        End::Error(name) => add("error.type", name.to_string().into()),
        End::Panic => add("error.type", "panic".into()),
        End::Cancelled => add("error.type", "cancelled".into()),
    }
    all.extend(added);
    Attributes::new(all)
}

fn duration(ticks: u64) -> Duration {
    Duration::try_from_secs_f64(clock::seconds(ticks)).unwrap_or_default()
}

/// The name, which a span then borrows: there are as many as there are functions.
fn for_ever(name: &str) -> &'static str {
    static NAMES: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.iter().find(|known| **known == name) {
        return known;
    }
    let new: &'static str = name.to_owned().leak();
    names.push(new);
    new
}
