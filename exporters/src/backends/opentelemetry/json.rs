//! The JSON form: protobuf's JSON mapping, with OTLP's exceptions: identities in hexadecimal digits, enumerations as numbers.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use super::{
    buckets,
    protobuf::{as_integer, kind},
    wire::{Format, Head, Kind, Of, flags, nanos, times},
};
use crate::{
    Attributes, Descriptor, Exemplar, ExponentialHistogram, Histogram, KeyValue, Number, Scope, Span, Status,
    Value,
    encode::{Json, Sink},
};

/// JSON, written to the end of a buffer.
#[derive(Debug)]
pub(super) struct JsonForm(Vec<u8>);

impl Format for JsonForm {
    const TAIL: usize = "]}}]}]}]}".len();

    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }
    fn into_body(self) -> Vec<u8> {
        self.0
    }
    fn len(&self) -> usize {
        self.0.len()
    }

    fn request(&mut self, of: Of, resource: &[&Attributes], _: usize, content: impl FnOnce(&mut Self)) {
        self.map(|out| {
            out.list(of.keys()[0], |out| {
                out.entry(|out| {
                    out.member("resource", |out| {
                        let later = |at: usize| resource.get(at + 1..).unwrap_or_default();
                        let own = resource.iter().enumerate().flat_map(|(at, attributes)| {
                            let shown = move |own: &&KeyValue| {
                                later(at).iter().all(|over| over.get(&own.key).is_none())
                            };
                            attributes.iter().filter(shown)
                        });
                        out.attributes(own);
                    });
                    out.list(of.keys()[1], content);
                });
            });
        });
    }

    fn scope(&mut self, of: Of, scope: &Scope, _: usize, content: impl FnOnce(&mut Self)) {
        self.entry(|out| {
            out.member("scope", |out| {
                out.text("name", &scope.name);
                out.text("version", &scope.version);
            });
            out.list(of.keys()[2], content);
        });
    }

    fn metric(&mut self, descriptor: &Descriptor, kind: Kind, _: usize, content: impl FnOnce(&mut Self)) {
        self.entry(|out| {
            out.text("name", &descriptor.name);
            out.text("description", &descriptor.description);
            out.text("unit", &descriptor.unit);
            let key = match kind {
                Kind::Gauge => "gauge",
                Kind::Sum { .. } => "sum",
                Kind::Histogram { .. } => "histogram",
                Kind::Exponential { .. } => "exponentialHistogram",
            };
            out.member(key, |out| {
                if let Some(temporality) = kind.temporality() {
                    out.integer("aggregationTemporality", temporality.into());
                }
                if matches!(kind, Kind::Sum { monotonic: true, .. }) {
                    out.json().key("isMonotonic");
                    out.json().bool(true);
                }
                out.list("dataPoints", content);
            });
        });
    }

    fn number(&mut self, head: Head<'_>, value: Number) {
        self.point(head, |out| match as_integer(value) {
            Some(integer) => {
                out.json().key("asInt");
                out.quoted(integer);
            }
            None => out.double("asDouble", value.as_f64()),
        });
    }

    fn histogram(&mut self, head: Head<'_>, histogram: &Histogram, max: Option<f64>) {
        self.point(head, |out| {
            out.long("count", histogram.count());
            out.double("sum", histogram.sum);
            out.longs("bucketCounts", &histogram.counts);
            out.list("explicitBounds", |out| {
                for bound in &histogram.bounds {
                    out.json().entry();
                    out.json().f64(*bound);
                }
            });
            if let Some(max) = max {
                out.double("max", max);
            }
        });
    }

    fn exponential(&mut self, head: Head<'_>, histogram: &ExponentialHistogram) {
        let (offset, counts) = buckets::exponential(histogram);
        self.point(head, |out| {
            out.long("count", histogram.count());
            out.double("sum", histogram.sum);
            out.integer("scale", histogram.scale.into());
            out.long("zeroCount", histogram.zero_count);
            if !counts.is_empty() {
                out.member("positive", |out| {
                    out.integer("offset", offset.into());
                    out.longs("bucketCounts", counts);
                });
            }
            if let Some(max) = histogram.max.filter(|max| max.is_finite()) {
                out.double("max", max);
            }
            if histogram.zero_threshold != 0.0 {
                out.double("zeroThreshold", histogram.zero_threshold);
            }
        });
    }

    fn span(&mut self, span: &Span, prefix: &str) {
        self.entry(|out| {
            let (start, end) = times(span);
            out.hex("traceId", &span.context.trace_id);
            out.hex("spanId", &span.context.span_id);
            out.text("traceState", &span.context.trace_state);
            if span.parent_id != [0; 8] {
                out.hex("parentSpanId", &span.parent_id);
            }
            out.name(prefix, &span.name);
            out.integer("kind", kind(span.kind).into());
            out.long("startTimeUnixNano", start);
            out.long("endTimeUnixNano", end);
            out.attributes(&*span.attributes);
            out.count("droppedAttributesCount", span.dropped_attributes);
            out.events(span);
            out.count("droppedEventsCount", span.dropped_events);
            out.links(span);
            out.count("droppedLinksCount", span.dropped_links);
            match &span.status {
                Status::Unset => {}
                Status::Ok => out.member("status", |out| out.integer("code", 1)),
                Status::Error(message) => out.member("status", |out| {
                    out.text("message", message);
                    out.integer("code", 2);
                }),
            }
            out.integer("flags", flags(span.context.flags, Some(span.parent_is_remote)).into());
        });
    }
}

impl Of {
    /// What the three lists around the items are called.
    fn keys(self) -> [&'static str; 3] {
        match self {
            Self::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
            Self::Spans => ["resourceSpans", "scopeSpans", "spans"],
        }
    }
}

impl JsonForm {
    fn json(&mut self) -> Json<'_> {
        Json(&mut self.0)
    }

    fn map(&mut self, content: impl FnOnce(&mut Self)) {
        self.json().begin_map(0);
        content(self);
        self.json().end_map();
    }

    /// A map in a list.
    fn entry(&mut self, content: impl FnOnce(&mut Self)) {
        self.json().entry();
        self.map(content);
    }

    /// A map in a map.
    fn member(&mut self, key: &'static str, content: impl FnOnce(&mut Self)) {
        self.json().key(key);
        self.map(content);
    }

    fn list(&mut self, key: &'static str, content: impl FnOnce(&mut Self)) {
        self.json().key(key);
        self.json().begin_list(0);
        content(self);
        self.json().end_list();
    }

    fn point(&mut self, head: Head<'_>, content: impl FnOnce(&mut Self)) {
        self.entry(|out| {
            out.attributes(&**head.attributes);
            if head.start != 0 {
                out.long("startTimeUnixNano", head.start);
            }
            out.long("timeUnixNano", head.time);
            content(out);
            out.exemplars(head.exemplars);
        });
    }

    fn exemplars(&mut self, exemplars: &[Exemplar]) {
        if exemplars.is_empty() {
            return;
        }
        self.list("exemplars", |out| {
            for exemplar in exemplars.iter().filter(|exemplar| exemplar.value.is_finite()) {
                out.entry(|out| {
                    out.long("timeUnixNano", nanos(exemplar.time));
                    out.double("asDouble", exemplar.value);
                    if exemplar.trace_id != [0; 16] {
                        out.hex("spanId", &exemplar.span_id);
                        out.hex("traceId", &exemplar.trace_id);
                    }
                });
            }
        });
    }

    fn events(&mut self, span: &Span) {
        if span.events.is_empty() {
            return;
        }
        self.list("events", |out| {
            for event in &span.events {
                out.entry(|out| {
                    out.long("timeUnixNano", nanos(event.time));
                    out.text("name", &event.name);
                    out.attributes(&*event.attributes);
                });
            }
        });
    }

    fn links(&mut self, span: &Span) {
        if span.links.is_empty() {
            return;
        }
        self.list("links", |out| {
            for link in &span.links {
                out.entry(|out| {
                    out.hex("traceId", &link.context.trace_id);
                    out.hex("spanId", &link.context.span_id);
                    out.text("traceState", &link.context.trace_state);
                    out.attributes(&*link.attributes);
                    out.integer("flags", flags(link.context.flags, None).into());
                });
            }
        });
    }

    /// Attributes have names.
    fn attributes<'a>(&mut self, attributes: impl IntoIterator<Item = &'a KeyValue>) {
        let mut attributes = attributes.into_iter().filter(|own| !own.key.is_empty()).peekable();
        if attributes.peek().is_none() {
            return;
        }
        self.list("attributes", |out| {
            for attribute in attributes {
                out.entry(|out| {
                    out.json().key("key");
                    out.json().text(&attribute.key);
                    out.member("value", |out| out.value(&attribute.value));
                });
            }
        });
    }

    /// What is in an `AnyValue`.
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.json().key("stringValue");
                self.json().text(text);
            }
            Value::Bool(value) => {
                self.json().key("boolValue");
                self.json().bool(*value);
            }
            Value::I64(number) => {
                self.json().key("intValue");
                self.quoted(*number);
            }
            Value::F64(number) => self.double("doubleValue", *number),
            Value::Array(list) => self.member("arrayValue", |out| {
                out.list("values", |out| {
                    list.iter().for_each(|value| out.entry(|out| out.value(value)));
                });
            }),
        }
    }

    /// Text that is left out where there is none.
    fn text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.json().key(key);
            self.json().text(text);
        }
    }

    /// A name of two parts.
    fn name(&mut self, prefix: &str, name: &str) {
        if prefix.is_empty() {
            return self.text("name", name);
        }
        self.text("name", prefix);
        // The second part goes on where the first one would have ended.
        self.0.pop();
        let quote = self.0.len();
        self.json().text(name);
        self.0.remove(quote);
    }

    fn hex(&mut self, key: &'static str, bytes: &[u8]) {
        self.json().key(key);
        self.json().hex(bytes);
    }

    /// A number of at most 32 bits.
    fn integer(&mut self, key: &'static str, number: i64) {
        self.json().key(key);
        self.json().i64(number);
    }

    /// One that is left out where it is 0.
    fn count(&mut self, key: &'static str, number: u32) {
        if number > 0 {
            self.integer(key, number.into());
        }
    }

    /// One of 64 bits, which JSON's numbers may not hold.
    fn long(&mut self, key: &'static str, number: u64) {
        self.json().key(key);
        self.quoted(number);
    }

    fn longs(&mut self, key: &'static str, numbers: &[u64]) {
        self.list(key, |out| {
            for number in numbers {
                out.json().entry();
                out.quoted(*number);
            }
        });
    }

    fn quoted(&mut self, number: impl itoa::Integer) {
        self.0.push(b'"');
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.0.push(b'"');
    }

    /// What JSON has no number for is text.
    fn double(&mut self, key: &'static str, number: f64) {
        self.json().key(key);
        match number {
            _ if number.is_finite() => self.json().f64(number),
            _ if number.is_nan() => self.json().text("NaN"),
            _ => self.json().text(if number > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }
}
