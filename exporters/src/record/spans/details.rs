//! What a program adds to a span that is running, within bounds: attributes, events, a name.

use crate::{
    clock,
    model::{Attributes, KeyValue, SpanKind, SpanLink, Value, memory},
    record::alloc::uncounted,
};
use std::{
    borrow::Cow,
    mem::size_of,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Attributes, events and links of a span, each: OpenTelemetry's default limits.
const MOST: usize = 128;
/// Bytes of an attribute's text, and of a name; the shortest of the limits that backends have.
pub(in super::super) const LONGEST: usize = 4095;
/// Bytes that all running spans and those in the rings hold of these together.
const MOST_OF_ALL: usize = 16 << 20;

/// How many bytes they hold.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// What was added to one span.
#[derive(Debug, Default)]
pub(in super::super) struct Details {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) events: Vec<Event>,
    pub(super) links: Vec<SpanLink>,
    pub(in super::super) kind: Option<SpanKind>,
    /// Why it failed, if it did.
    pub(super) reason: Option<Cow<'static, str>>,
    /// Whether the program says that it went well.
    pub(in super::super) is_ok: bool,
    pub(super) dropped_attributes: u32,
    pub(super) dropped_events: u32,
    pub(super) dropped_links: u32,
    pub(super) held: Held,
}

/// So many bytes of those that all may hold.
#[derive(Debug, Default)]
pub(super) struct Held(usize);

/// Something that happened.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) ticks: u64,
    pub(super) name: Cow<'static, str>,
    pub(super) attributes: Attributes,
}

impl Details {
    pub(in super::super) fn rename(&mut self, name: Cow<'static, str>) {
        let name = short(name);
        if self.hold(memory::text(&name)) {
            self.name = Some(name);
        }
    }

    /// Says why the call failed, if it does.
    #[cfg(feature = "tracing-layer")]
    pub(in super::super) fn explain(&mut self, reason: Cow<'static, str>) {
        let reason = short(reason);
        if self.hold(memory::text(&reason)) {
            self.reason = Some(reason);
        }
    }

    #[cfg(feature = "tracing-layer")]
    pub(in super::super) fn link(&mut self, context: crate::model::SpanContext) {
        let bytes = size_of::<SpanLink>() + memory::text(&context.trace_state);
        match self.links.len() < MOST && self.hold(bytes) {
            true => self.links.push(SpanLink { context, attributes: Attributes::default() }),
            false => self.dropped_links = self.dropped_links.saturating_add(1),
        }
    }

    /// Of two attributes with one key, the later one counts.
    pub(in super::super) fn set(&mut self, key: Cow<'static, str>, value: Value) {
        let attribute = KeyValue { key, value: short_value(value) };
        let known = self.attributes.iter().position(|known| known.key == attribute.key);
        let fits = known.is_some() || self.attributes.len() < MOST;
        match (fits && self.hold(bytes(&attribute)), known) {
            (false, _) => self.dropped_attributes = self.dropped_attributes.saturating_add(1),
            (true, Some(at)) => self.attributes[at] = attribute,
            (true, None) => self.attributes.push(attribute),
        }
    }

    pub(in super::super) fn happened(
        &mut self,
        name: Cow<'static, str>,
        attributes: impl Iterator<Item = KeyValue>,
    ) {
        let name = short(name);
        let attributes: Attributes = attributes
            .take(MOST)
            .map(|KeyValue { key, value }| KeyValue { key, value: short_value(value) })
            .collect();
        let all = size_of::<Event>() + memory::text(&name) + attributes.iter().map(bytes).sum::<usize>();
        match self.events.len() < MOST && self.hold(all) {
            true => self.events.push(Event { ticks: clock::now(), name, attributes }),
            false => self.dropped_events = self.dropped_events.saturating_add(1),
        }
    }

    /// The bytes that it holds.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.held.0
    }

    /// Whether there is room for so many bytes, which are then taken.
    fn hold(&mut self, bytes: usize) -> bool {
        let fits = HELD.fetch_add(bytes, Relaxed).saturating_add(bytes) <= MOST_OF_ALL;
        match fits {
            true => self.held.0 += bytes,
            false => _ = HELD.fetch_sub(bytes, Relaxed),
        }
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Relaxed);
    }
}

fn bytes(attribute: &KeyValue) -> usize {
    size_of::<KeyValue>() + memory::text(&attribute.key) + attribute.value.memory()
}

fn short_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(short(text)),
        other => other,
    }
}

fn short(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= LONGEST {
        return text;
    }
    let end = text.floor_char_boundary(LONGEST);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(text) => Cow::Owned(text[..end].to_owned()),
    }
}

/// Runs `add` with what was added to the span that is running, if one is.
pub(in super::super) fn add(add: impl FnOnce(&mut Details)) {
    super::with_running(|more| uncounted(|| add(more.details.get_or_insert_default())));
}
