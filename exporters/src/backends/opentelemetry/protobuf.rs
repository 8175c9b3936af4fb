//! The binary form: `ExportMetricsServiceRequest` and `ExportTraceServiceRequest` of
//! <https://github.com/open-telemetry/opentelemetry-proto>, version 1, written by hand.
//!
//! Nothing is allocated for an item. The length of a message is guessed; where the guess takes another number of bytes than the
//! length, the message is moved.

use super::{
    buckets,
    wire::{Format, Head, Kind, Of, flags, nanos, times},
};
use crate::{
    Attributes, Descriptor, Exemplar, ExponentialHistogram, Histogram, KeyValue, Number, Scope, Span,
    SpanEvent, SpanKind, SpanLink, Status, Value,
};
use std::ptr;

/// Protobuf, written to the end of a buffer.
#[derive(Debug)]
pub(super) struct Protobuf {
    body: Vec<u8>,
    shared: Shared,
}

/// The set of attributes that several spans share, and that was written last: what became of it.
#[derive(Debug)]
struct Shared {
    set: *const [KeyValue],
    written: Vec<u8>,
}

/// The key of a number of variable length.
const fn varint_of(field: u8) -> u8 {
    field << 3
}
/// The key of 8 bytes.
const fn fixed64_of(field: u8) -> u8 {
    field << 3 | 1
}
/// The key of text, bytes, messages and packed lists.
const fn bytes_of(field: u8) -> u8 {
    field << 3 | 2
}
/// The key of 4 bytes.
const fn fixed32_of(field: u8) -> u8 {
    field << 3 | 5
}
/// `Span.flags`, 4 bytes; the only field here whose key takes two.
const SPAN_FLAGS: [u8; 2] = [0x85, 0x01];

impl Format for Protobuf {
    // The lengths of four messages may grow to five bytes each.
    const TAIL: usize = 4 * 4;

    fn with_capacity(bytes: usize) -> Self {
        let shared = Shared { set: ptr::slice_from_raw_parts(ptr::null(), 0), written: Vec::new() };
        Self { body: Vec::with_capacity(bytes), shared }
    }
    fn into_body(self) -> Vec<u8> {
        self.body
    }
    fn len(&self) -> usize {
        self.body.len()
    }

    fn request(&mut self, _: Of, resource: &[&Attributes], items: usize, content: impl FnOnce(&mut Self)) {
        self.message(bytes_of(1), items * ITEM, |out| {
            out.message(bytes_of(1), 0, |out| {
                for (at, attributes) in resource.iter().enumerate() {
                    let later = resource.get(at + 1..).unwrap_or_default();
                    let shown = |own: &&KeyValue| later.iter().all(|over| over.get(&own.key).is_none());
                    attributes.iter().filter(shown).for_each(|own| out.attribute(bytes_of(1), own));
                }
            });
            content(out);
        });
    }

    fn scope(&mut self, _: Of, scope: &Scope, items: usize, content: impl FnOnce(&mut Self)) {
        self.message(bytes_of(2), items * ITEM, |out| {
            out.message(bytes_of(1), 0, |out| {
                out.text(bytes_of(1), &scope.name);
                out.text(bytes_of(2), &scope.version);
            });
            content(out);
        });
    }

    fn metric(&mut self, descriptor: &Descriptor, kind: Kind, items: usize, content: impl FnOnce(&mut Self)) {
        self.message(bytes_of(2), items * ITEM, |out| {
            out.text(bytes_of(1), &descriptor.name);
            out.text(bytes_of(2), &descriptor.description);
            out.text(bytes_of(3), &descriptor.unit);
            let field = match kind {
                Kind::Gauge => 5,
                Kind::Sum { .. } => 7,
                Kind::Histogram { .. } => 9,
                Kind::Exponential { .. } => 10,
            };
            out.message(bytes_of(field), items * ITEM, |out| {
                if let Some(temporality) = kind.temporality() {
                    out.integer(varint_of(2), temporality.into());
                }
                if matches!(kind, Kind::Sum { monotonic: true, .. }) {
                    out.integer(varint_of(3), 1);
                }
                content(out);
            });
        });
    }

    fn number(&mut self, head: Head<'_>, value: Number) {
        self.point(&head, |out| {
            out.interval(&head);
            match as_integer(value) {
                Some(integer) => out.fixed64(fixed64_of(6), integer as u64),
                None => out.double(fixed64_of(4), value.as_f64()),
            }
            out.exemplars(bytes_of(5), head.exemplars);
            out.attributes(bytes_of(7), head.attributes);
        });
    }

    fn histogram(&mut self, head: Head<'_>, histogram: &Histogram, max: Option<f64>) {
        self.point(&head, |out| {
            out.interval(&head);
            out.fixed64(fixed64_of(4), histogram.count());
            out.double(fixed64_of(5), histogram.sum);
            out.packed(bytes_of(6), histogram.counts.iter().map(|count| count.to_le_bytes()));
            out.packed(bytes_of(7), histogram.bounds.iter().map(|bound| bound.to_le_bytes()));
            out.exemplars(bytes_of(8), head.exemplars);
            out.attributes(bytes_of(9), head.attributes);
            if let Some(max) = max {
                out.double(fixed64_of(12), max);
            }
        });
    }

    fn exponential(&mut self, head: Head<'_>, histogram: &ExponentialHistogram) {
        let (offset, counts) = buckets::exponential(histogram);
        self.point(&head, |out| {
            out.attributes(bytes_of(1), head.attributes);
            out.interval(&head);
            out.fixed64(fixed64_of(4), histogram.count());
            out.double(fixed64_of(5), histogram.sum);
            out.integer(varint_of(6), zigzag(histogram.scale.into()));
            out.fixed64(fixed64_of(7), histogram.zero_count);
            if !counts.is_empty() {
                out.message(bytes_of(8), counts.len() + 4, |out| {
                    out.integer(varint_of(1), zigzag(offset));
                    out.message(bytes_of(2), counts.len(), |out| {
                        counts.iter().for_each(|count| out.varint(*count))
                    });
                });
            }
            out.exemplars(bytes_of(11), head.exemplars);
            if let Some(max) = histogram.max.filter(|max| max.is_finite()) {
                out.double(fixed64_of(13), max);
            }
            if histogram.zero_threshold != 0.0 {
                out.double(fixed64_of(14), histogram.zero_threshold);
            }
        });
    }

    fn span(&mut self, span: &Span, prefix: &str) {
        let parent = if span.parent_id == [0; 8] { 0 } else { 10 };
        // What nearly every span has.
        let attributes = self.shared_len(&span.attributes);
        let guess = 55 + delimited_len(prefix.len() + span.name.len()) + parent + attributes;
        self.message(bytes_of(2), guess, |out| {
            out.ids(bytes_of(1), bytes_of(2), &span.context.trace_id, &span.context.span_id);
            out.text(bytes_of(3), &span.context.trace_state);
            if parent > 0 {
                out.bytes(bytes_of(4), &span.parent_id);
            }
            out.head(bytes_of(5), prefix.len() + span.name.len());
            out.body.extend_from_slice(prefix.as_bytes());
            out.body.extend_from_slice(span.name.as_bytes());
            let (start, end) = times(span);
            out.body.extend_from_slice(&[varint_of(6), kind(span.kind)]);
            out.fixed64s([(fixed64_of(7), start), (fixed64_of(8), end)]);
            out.shared_attributes(bytes_of(9), &span.attributes);
            out.count(varint_of(10), span.dropped_attributes);
            span.events.iter().for_each(|event| out.event(event));
            out.count(varint_of(12), span.dropped_events);
            span.links.iter().for_each(|link| out.link(link));
            out.count(varint_of(14), span.dropped_links);
            out.status(&span.status);
            let [a, b, c, d] = flags(span.context.flags, Some(span.parent_is_remote)).to_le_bytes();
            let [key, more] = SPAN_FLAGS;
            out.body.extend_from_slice(&[key, more, a, b, c, d]);
        });
    }
}

/// About as many bytes as an item takes, for the guesses.
const ITEM: usize = 120;
/// The same of an attribute.
const ATTRIBUTE: usize = 28;
/// Times and the value of a point.
const POINT: usize = 27;

/// A count that fits OTLP's signed integer.
pub(super) fn as_integer(value: Number) -> Option<i64> {
    match value {
        Number::U64(count) => i64::try_from(count).ok(),
        Number::I64(count) => Some(count),
        Number::F64(_) => None,
    }
}

/// `SpanKind`.
pub(super) fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

impl Protobuf {
    fn point(&mut self, head: &Head<'_>, content: impl FnOnce(&mut Self)) {
        self.message(bytes_of(1), POINT + head.attributes.len() * ATTRIBUTE, content);
    }

    fn interval(&mut self, head: &Head<'_>) {
        match head.start {
            0 => self.fixed64(fixed64_of(3), head.time),
            start => self.fixed64s([(fixed64_of(2), start), (fixed64_of(3), head.time)]),
        }
    }

    fn exemplars(&mut self, key: u8, exemplars: &[Exemplar]) {
        for exemplar in exemplars.iter().filter(|exemplar| exemplar.value.is_finite()) {
            self.message(key, 0, |out| {
                out.fixed64(fixed64_of(2), nanos(exemplar.time));
                out.double(fixed64_of(3), exemplar.value);
                if exemplar.trace_id != [0; 16] {
                    out.ids(bytes_of(5), bytes_of(4), &exemplar.trace_id, &exemplar.span_id);
                }
            });
        }
    }

    fn event(&mut self, event: &SpanEvent) {
        self.message(bytes_of(11), event.name.len() + event.attributes.len() * ATTRIBUTE, |out| {
            out.fixed64(fixed64_of(1), nanos(event.time));
            out.text(bytes_of(2), &event.name);
            out.attributes(bytes_of(3), &event.attributes);
        });
    }

    fn link(&mut self, link: &SpanLink) {
        self.message(bytes_of(13), 40 + link.attributes.len() * ATTRIBUTE, |out| {
            out.ids(bytes_of(1), bytes_of(2), &link.context.trace_id, &link.context.span_id);
            out.text(bytes_of(3), &link.context.trace_state);
            out.attributes(bytes_of(4), &link.attributes);
            out.body.push(fixed32_of(6));
            out.body.extend_from_slice(&flags(link.context.flags, None).to_le_bytes());
        });
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Unset => {}
            Status::Ok => self.body.extend_from_slice(&[bytes_of(15), 2, varint_of(3), 1]),
            Status::Error(message) => self.message(bytes_of(15), message.len(), |out| {
                out.text(bytes_of(2), message);
                out.integer(varint_of(3), 2);
            }),
        }
    }

    /// Attributes have names.
    fn attributes(&mut self, key: u8, attributes: &[KeyValue]) {
        attributes.iter().for_each(|attribute| self.attribute(key, attribute));
    }

    /// The same of a set that the next span may have, too.
    fn shared_attributes(&mut self, key: u8, attributes: &Attributes) {
        if ptr::eq(self.shared.set, &raw const **attributes) {
            return self.body.extend_from_slice(&self.shared.written);
        }
        let start = self.body.len();
        self.attributes(key, attributes);
        if attributes.is_shared() {
            self.shared.set = &raw const **attributes;
            self.shared.written.clear();
            self.shared.written.extend_from_slice(self.body.get(start..).unwrap_or_default());
        }
    }

    /// The bytes of a set of attributes that the span before may have, too.
    fn shared_len(&self, attributes: &Attributes) -> usize {
        if ptr::eq(self.shared.set, &raw const **attributes) {
            return self.shared.written.len();
        }
        let named = attributes.iter().filter(|attribute| !attribute.key.is_empty());
        named.map(|attribute| 1 + delimited_len(attribute_len(attribute))).sum()
    }

    fn attribute(&mut self, key: u8, attribute: &KeyValue) {
        if attribute.key.is_empty() {
            return;
        }
        let (name, value) = (attribute.key.len(), value_len(&attribute.value));
        let length = attribute_len(attribute);
        match length < 0x80 {
            // Then the others are shorter still.
            true => self.body.extend_from_slice(&[key, length as u8, bytes_of(1), name as u8]),
            false => {
                self.head(key, length);
                self.head(bytes_of(1), name);
            }
        }
        self.body.extend_from_slice(attribute.key.as_bytes());
        match &attribute.value {
            Value::String(text) if value < 0x80 => {
                self.body.extend_from_slice(&[bytes_of(2), value as u8, bytes_of(1), text.len() as u8]);
                self.body.extend_from_slice(text.as_bytes());
            }
            other => {
                self.head(bytes_of(2), value);
                self.value(other);
            }
        }
    }

    /// `AnyValue`; of [`value_len`] bytes.
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.bytes(bytes_of(1), text.as_bytes()),
            Value::Bool(value) => self.integer(varint_of(2), u64::from(*value)),
            Value::I64(number) => self.integer(varint_of(3), *number as u64),
            Value::F64(number) => self.double(fixed64_of(4), *number),
            Value::Array(list) => {
                self.head(bytes_of(5), list_len(list));
                for value in list.iter() {
                    self.head(bytes_of(1), value_len(value));
                    self.value(value);
                }
            }
        }
    }

    /// A message. Its length is known only afterwards; it is guessed how many bytes that will take.
    fn message(&mut self, key: u8, guess: usize, content: impl FnOnce(&mut Self)) {
        let guessed = varint_len(guess as u64);
        self.body.extend_from_slice(&[key, 0]);
        let start = self.body.len() + guessed - 1;
        self.body.resize(start, 0);
        content(self);
        let length = self.body.len() - start;
        let bytes = varint_len(length as u64);
        if (bytes, guessed) == (1, 1) {
            if let Some(byte) = self.body.get_mut(start - 1) {
                *byte = length as u8;
            }
            return;
        }
        let at = start - guessed + bytes;
        if bytes > guessed {
            self.body.resize(at + length, 0);
        }
        if bytes != guessed {
            self.body.copy_within(start..start + length, at);
            self.body.truncate(at + length);
        }
        for (position, byte) in self.body.iter_mut().skip(at - bytes).take(bytes).enumerate() {
            let more = if position + 1 < bytes { 0x80 } else { 0 };
            *byte = (length >> (7 * position)) as u8 & 0x7f | more;
        }
    }

    /// What stands before so many bytes.
    fn head(&mut self, key: u8, length: usize) {
        self.body.push(key);
        self.varint(length as u64);
    }

    fn bytes(&mut self, key: u8, bytes: &[u8]) {
        self.head(key, bytes.len());
        self.body.extend_from_slice(bytes);
    }

    /// A trace and a span, by the keys of each.
    fn ids(&mut self, trace: u8, span: u8, trace_id: &[u8; 16], span_id: &[u8; 8]) {
        let mut all = [0; 28];
        all[..2].copy_from_slice(&[trace, 16]);
        all[2..18].copy_from_slice(trace_id);
        all[18..20].copy_from_slice(&[span, 8]);
        all[20..].copy_from_slice(span_id);
        self.body.extend_from_slice(&all);
    }

    /// Text that is left out where there is none.
    fn text(&mut self, key: u8, text: &str) {
        if !text.is_empty() {
            self.bytes(key, text.as_bytes());
        }
    }

    fn packed(&mut self, key: u8, numbers: impl ExactSizeIterator<Item = [u8; 8]>) {
        if numbers.len() > 0 {
            self.head(key, numbers.len() * 8);
            numbers.for_each(|number| self.body.extend_from_slice(&number));
        }
    }

    fn fixed64(&mut self, key: u8, value: u64) {
        let mut all = [key; 9];
        all[1..].copy_from_slice(&value.to_le_bytes());
        self.body.extend_from_slice(&all);
    }

    /// Two at once.
    fn fixed64s(&mut self, [(key, value), (other_key, other)]: [(u8, u64); 2]) {
        let mut all = [0; 18];
        all[0] = key;
        all[1..9].copy_from_slice(&value.to_le_bytes());
        all[9] = other_key;
        all[10..].copy_from_slice(&other.to_le_bytes());
        self.body.extend_from_slice(&all);
    }

    fn double(&mut self, key: u8, value: f64) {
        self.fixed64(key, value.to_bits());
    }

    fn integer(&mut self, key: u8, value: u64) {
        self.body.push(key);
        self.varint(value);
    }

    /// A number that is left out where it is 0.
    fn count(&mut self, key: u8, value: u32) {
        if value > 0 {
            self.integer(key, value.into());
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.body.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.body.push(value as u8);
    }
}

/// The bytes of a `KeyValue`.
fn attribute_len(attribute: &KeyValue) -> usize {
    1 + delimited_len(attribute.key.len()) + 1 + delimited_len(value_len(&attribute.value))
}

/// The bytes of an `AnyValue`.
fn value_len(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + delimited_len(text.len()),
        Value::Bool(_) => 2,
        Value::I64(number) => 1 + varint_len(*number as u64),
        Value::F64(_) => 9,
        Value::Array(list) => 1 + delimited_len(list_len(list)),
    }
}

/// The bytes of an `ArrayValue`.
fn list_len(list: &[Value]) -> usize {
    list.iter().map(|value| 1 + delimited_len(value_len(value))).sum()
}

/// The bytes that a number of variable length takes.
fn varint_len(value: u64) -> usize {
    ((value | 1).ilog2() / 7 + 1) as usize
}

/// The bytes of a length, and of what it is the length of.
fn delimited_len(length: usize) -> usize {
    varint_len(length as u64) + length
}

/// Signed numbers so that small ones stay short.
fn zigzag(value: i32) -> u64 {
    u64::from((value << 1 ^ value >> 31) as u32)
}
