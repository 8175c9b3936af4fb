//! The document that JSON and MessagePack write: one map a batch, one map an item.
//!
//! ```json
//! {"resource":{"service.name":"checkout"},"attributes":{},"start":"2026-11-25T09:34:40.000Z","end":"2026-11-25T09:34:50.000Z",
//!  "metrics":[{"name":"function.calls","kind":"counter","unit":"{call}","attributes":{"function":"charge"},"value":3,"total":17}]}
//! ```
//!
//! `value` is the change in the interval, or a gauge's value. A histogram has `count`, `sum`, and either `bounds` and `counts`, or, as
//! OpenTelemetry's exponential one, `max`, `scale`, `zero_count`, `offset` (its first bucket's upper bound is 2^(offset / 2^scale)) and `counts`.

use super::{
    Rfc3339, Written,
    walk::{Content, Item, Values, content, items},
};
use crate::{Attributes, Batch, Number, Span, SpanKind, Status, Value};

/// What writes the pieces. Lengths are told beforehand, ends too; a format ignores what it does not need.
pub(crate) trait Sink {
    fn begin_map(&mut self, len: usize);
    fn end_map(&mut self);
    fn begin_list(&mut self, len: usize);
    fn end_list(&mut self);
    /// The key of a map's next value; one that needs no escaping.
    fn key(&mut self, key: &'static str);
    fn any_key(&mut self, key: &str);
    /// Before each entry of a list.
    fn entry(&mut self);
    fn text(&mut self, text: &str);
    fn hex(&mut self, bytes: &[u8]);
    fn bool(&mut self, value: bool);
    fn u64(&mut self, number: u64);
    fn i64(&mut self, number: i64);
    fn f64(&mut self, number: f64);

    /// How much has been written.
    fn len(&self) -> usize;
    fn truncate(&mut self, len: usize);
    /// Bytes that end the list and the map around it.
    const TAIL: usize;
    /// A list whose length is not known yet; gives what [`set_len`](Self::set_len) wants.
    fn begin_open_list(&mut self) -> usize;
    fn set_len(&mut self, list: usize, len: usize);
}

pub(super) fn write(
    batch: &Batch,
    attributes: &[(&str, &str)],
    limit: usize,
    sink: &mut impl Sink,
) -> Written {
    let mut written = Written::default();
    match content(batch) {
        Content::Metrics(metrics) => {
            sink.begin_map(5);
            sink.key("resource");
            write_attributes(&metrics.resource.attributes, sink);
            sink.key("attributes");
            pairs(attributes, sink);
            sink.key("start");
            sink.text(Rfc3339::new(metrics.interval.start).as_str());
            sink.key("end");
            sink.text(Rfc3339::new(metrics.interval.end).as_str());
            sink.key("metrics");
            let list = sink.begin_open_list();
            items(metrics, batch.range(), |item| {
                let ok = item.is_finite();
                let fits = !ok || entry(sink, limit, |sink| write_item(&item, sink));
                written.items += usize::from(fits);
                written.skipped += usize::from(!ok);
                fits
            });
            sink.set_len(list, written.items - written.skipped);
        }
        Content::Spans(spans) => {
            sink.begin_map(3);
            sink.key("resource");
            write_attributes(&batch.resource().attributes, sink);
            sink.key("attributes");
            pairs(attributes, sink);
            sink.key("spans");
            let list = sink.begin_open_list();
            let fitting = spans.iter().take_while(|span| entry(sink, limit, |sink| write_span(span, sink)));
            written.items = fitting.count();
            sink.set_len(list, written.items);
        }
    }
    sink.end_list();
    sink.end_map();
    written
}

/// One entry of the list; none, where the whole would become larger than `limit`.
fn entry<S: Sink>(sink: &mut S, limit: usize, write: impl FnOnce(&mut S)) -> bool {
    let before = sink.len();
    sink.entry();
    write(sink);
    let fits = sink.len().saturating_add(S::TAIL) <= limit;
    if !fits {
        sink.truncate(before);
    }
    fits
}

fn write_item(item: &Item<'_>, sink: &mut impl Sink) {
    let descriptor = &item.metric.descriptor;
    let attributes = &item.series.attributes;
    let values = match item.values {
        Values::Sum { .. } => 2,
        Values::Gauge(_) => 1,
        Values::Histogram(_) => 4,
        Values::Exponential(histogram) => 6 + usize::from(histogram.max.is_some()),
    };
    sink.begin_map(
        2 + usize::from(!descriptor.unit.is_empty()) + usize::from(!attributes.is_empty()) + values,
    );
    sink.key("name");
    sink.text(&descriptor.name);
    sink.key("kind");
    sink.text(item.kind());
    if !descriptor.unit.is_empty() {
        sink.key("unit");
        sink.text(&descriptor.unit);
    }
    if !attributes.is_empty() {
        sink.key("attributes");
        write_attributes(attributes, sink);
    }
    match item.values {
        Values::Sum { change, total, .. } => {
            sink.key("value");
            number(change, sink);
            sink.key("total");
            number(total, sink);
        }
        Values::Gauge(value) => {
            sink.key("value");
            number(value, sink);
        }
        Values::Histogram(histogram) => {
            sink.key("count");
            sink.u64(histogram.count());
            sink.key("sum");
            sink.f64(histogram.sum);
            sink.key("bounds");
            list(&histogram.bounds, sink, |bound, sink| sink.f64(*bound));
            sink.key("counts");
            list(&histogram.counts, sink, |count, sink| sink.u64(*count));
        }
        Values::Exponential(histogram) => {
            sink.key("count");
            sink.u64(histogram.count());
            sink.key("sum");
            sink.f64(histogram.sum);
            if let Some(max) = histogram.max {
                sink.key("max");
                sink.f64(max);
            }
            sink.key("scale");
            sink.i64(histogram.scale.into());
            sink.key("zero_count");
            sink.u64(histogram.zero_count);
            sink.key("offset");
            sink.i64(histogram.positive.offset.into());
            sink.key("counts");
            list(&histogram.positive.counts, sink, |count, sink| sink.u64(*count));
        }
    }
    sink.end_map();
}

fn write_span(span: &Span, sink: &mut impl Sink) {
    let why = match &span.status {
        Status::Error(why) => Some(why),
        _ => None,
    };
    let parent = span.parent_id != [0; 8];
    sink.begin_map(8 + usize::from(parent) + usize::from(why.is_some()));
    sink.key("trace_id");
    sink.hex(&span.context.trace_id);
    sink.key("span_id");
    sink.hex(&span.context.span_id);
    if parent {
        sink.key("parent_id");
        sink.hex(&span.parent_id);
    }
    sink.key("name");
    sink.text(&span.name);
    sink.key("kind");
    sink.text(match span.kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    });
    sink.key("start");
    sink.text(Rfc3339::new(span.start).as_str());
    sink.key("duration_ns");
    let duration = span.end.duration_since(span.start).unwrap_or_default();
    sink.u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    sink.key("status");
    sink.text(match &span.status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error(_) => "error",
    });
    if let Some(why) = why {
        sink.key("message");
        sink.text(why);
    }
    sink.key("attributes");
    write_attributes(&span.attributes, sink);
    sink.end_map();
}

fn pairs(attributes: &[(&str, &str)], sink: &mut impl Sink) {
    sink.begin_map(attributes.len());
    for (key, text) in attributes {
        sink.any_key(key);
        sink.text(text);
    }
    sink.end_map();
}

pub(super) fn write_attributes(attributes: &Attributes, sink: &mut impl Sink) {
    sink.begin_map(attributes.len());
    for attribute in attributes.iter() {
        sink.any_key(&attribute.key);
        value(&attribute.value, sink);
    }
    sink.end_map();
}

fn value(of: &Value, sink: &mut impl Sink) {
    match of {
        Value::Bool(of) => sink.bool(*of),
        Value::I64(number) => sink.i64(*number),
        Value::F64(number) => sink.f64(*number),
        Value::String(text) => sink.text(text),
        Value::Array(of) => list(of, sink, |entry, sink| value(entry, sink)),
    }
}

fn number(number: Number, sink: &mut impl Sink) {
    match number {
        Number::U64(number) => sink.u64(number),
        Number::I64(number) => sink.i64(number),
        Number::F64(number) => sink.f64(number),
    }
}

fn list<T, S: Sink>(list: &[T], sink: &mut S, mut write: impl FnMut(&T, &mut S)) {
    sink.begin_list(list.len());
    for of in list {
        sink.entry();
        write(of, sink);
    }
    sink.end_list();
}
