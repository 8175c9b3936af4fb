//! Both sides as text, a line an item: what went in, and what came out.

use exporters::{
    Attributes, Batch, Data, Exemplar, ExponentialHistogram, Histogram, Number, Point, Scope, Series, Span,
    SpanKind, Status, Value,
};
use std::time::SystemTime;
use tests::otlp::{self, AnyValue, InstrumentationScope, KeyValue, Request};

/// How metrics were to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) delta: bool,
}

/// What should come out of a batch, sorted.
pub(crate) fn expected(batch: &Batch, sent: Sent) -> Vec<String> {
    let mut rows = match batch.spans() {
        Some(spans) => spans.iter().filter_map(span).collect(),
        None => points(batch, sent),
    };
    rows.sort();
    rows
}

/// What came out, sorted.
pub(crate) fn decoded(request: &Request) -> Vec<String> {
    let spans = request.spans().into_iter().map(|(scope, span)| decoded_span(&scope, &span));
    let metrics = request.metrics();
    let points = metrics.iter().flat_map(|(scope, metric)| decoded_points(scope, metric));
    let mut rows: Vec<_> = spans.chain(points).collect();
    rows.sort();
    rows
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn points(batch: &Batch, sent: Sent) -> Vec<String> {
    let metrics = batch.metrics().unwrap();
    let end = nanos(metrics.interval.end);
    let mut rows = Vec::new();
    for metric in &metrics.metrics {
        let d = &metric.descriptor;
        let mut add = |series: &Series,
                       delta: Option<bool>,
                       kind: String,
                       exemplars: &[Exemplar],
                       value: Option<String>| {
            let start = match delta {
                None => 0,
                Some(true) => nanos(metrics.interval.start).min(end),
                Some(false) => nanos(series.start).min(end),
            };
            let Scope { name, version } = &*series.scope;
            let own = format!(
                "{name:?} {version:?} {:?} {:?} {:?} {kind} {start} {end} {} {}",
                d.name,
                d.unit,
                d.description,
                attributes(&series.attributes),
                all_exemplars(exemplars),
            );
            let value = value.filter(|_| !d.name.is_empty());
            rows.push(value.map(|value| format!("{own} {value}")));
        };
        match &metric.data {
            Data::Sum(sum) => {
                for p in &sum.points {
                    let delta = sent.delta && sum.monotonic;
                    let kind = format!("sum {} {}", if delta { 1 } else { 2 }, sum.monotonic);
                    add(&p.series, Some(delta), kind, &p.exemplars, number(of(p, delta)));
                }
            }
            Data::Gauge(points) => {
                points
                    .iter()
                    .for_each(|p| add(&p.series, None, "gauge".into(), &p.exemplars, number(p.total)));
            }
            Data::Histogram(points) => {
                for p in points {
                    let kind = format!("histogram {}", if sent.delta { 1 } else { 2 });
                    add(&p.series, Some(sent.delta), kind, &p.exemplars, explicit(&of(p, sent.delta)));
                }
            }
            Data::ExponentialHistogram(points) => {
                for p in points {
                    let kind = format!("exponential {}", if sent.delta { 1 } else { 2 });
                    add(&p.series, Some(sent.delta), kind, &p.exemplars, exponential(&of(p, sent.delta)));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    rows.drain(batch.range()).flatten().collect()
}

fn of<T: Clone>(point: &Point<T>, delta: bool) -> T {
    if delta { point.change.clone() } else { point.total.clone() }
}

fn number(number: Number) -> Option<String> {
    match number {
        Number::U64(n) if n <= i64::MAX as u64 => Some(format!("int {n}")),
        Number::I64(n) => Some(format!("int {n}")),
        other => Some(format!("double {:?}", other.as_f64())).filter(|_| other.as_f64().is_finite()),
    }
}

fn explicit(h: &Histogram) -> Option<String> {
    let valid = h.sum.is_finite() && h.bounds.is_sorted_by(|a, b| a < b);
    valid.then(|| format!("{} {:?} {:?} {:?} None", h.count(), h.sum, h.bounds, h.counts))
}

/// Buckets by OTLP's index, without the empty ones.
fn exponential(h: &ExponentialHistogram) -> Option<String> {
    let buckets: Vec<_> = h.positive.iter().map(|(index, count)| (index - 1, count)).collect();
    let max = h.max.filter(|max| max.is_finite());
    let text = format!(
        "{} {:?} {} {} {:?} {buckets:?} {max:?}",
        h.count(),
        h.sum,
        h.scale,
        h.zero_count,
        h.zero_threshold
    );
    Some(text).filter(|_| h.sum.is_finite())
}

fn all_exemplars(exemplars: &[Exemplar]) -> String {
    let shown = |e: &Exemplar| {
        let ids = (e.trace_id != [0; 16]).then_some((e.trace_id.to_vec(), e.span_id.to_vec()));
        format!("{:?} {} {:?}", e.value, nanos(e.time), ids.unwrap_or_default())
    };
    exemplars.iter().filter(|e| e.value.is_finite()).map(shown).collect()
}

fn attributes(attributes: &Attributes) -> String {
    let named = attributes.iter().filter(|own| !own.key.is_empty());
    named.map(|own| format!("{:?}={};", own.key, value(&own.value))).collect()
}

fn value(own: &Value) -> String {
    match own {
        Value::Bool(v) => format!("{v:?}"),
        Value::I64(v) => format!("{v:?}"),
        Value::F64(v) => format!("f{v:?}"),
        Value::String(v) => format!("{v:?}"),
        Value::Array(list) => format!("[{}]", list.iter().map(|own| value(own) + ",").collect::<String>()),
        other => panic!("{other:?}"),
    }
}

fn span(span: &Span) -> Option<String> {
    if span.context.trace_id == [0; 16] || span.context.span_id == [0; 8] {
        return None;
    }
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
        other => panic!("{other:?}"),
    };
    let status = match &span.status {
        Status::Unset => (0, ""),
        Status::Ok => (1, ""),
        Status::Error(message) => (2, &**message),
        other => panic!("{other:?}"),
    };
    let event = |e: &exporters::SpanEvent| (nanos(e.time), e.name.to_string(), attributes(&e.attributes));
    let link = |l: &exporters::SpanLink| {
        let c = &l.context;
        (c.trace_id, c.span_id, c.trace_state.to_string(), attributes(&l.attributes), u32::from(c.flags))
    };
    let parent = if span.parent_id == [0; 8] { Vec::new() } else { span.parent_id.to_vec() };
    let start = nanos(span.start);
    let flags = u32::from(span.context.flags) | if span.parent_is_remote { 0x300 } else { 0x100 };
    Some(format!(
        "{:?} {:?} {:?} {:?} {:?} {parent:?} {:?} {kind} {start} {} {} {} {:?} {} {:?} {} {status:?} {flags}",
        span.scope.name,
        span.scope.version,
        span.context.trace_id,
        span.context.span_id,
        span.context.trace_state,
        span.name,
        nanos(span.end).max(start),
        attributes(&span.attributes),
        span.dropped_attributes,
        span.events.iter().map(event).collect::<Vec<_>>(),
        span.dropped_events,
        span.links.iter().map(link).collect::<Vec<_>>(),
        span.dropped_links,
    ))
}

fn decoded_span(scope: &InstrumentationScope, span: &otlp::Span) -> String {
    let event = |e: &otlp::Event| (e.time_unix_nano, e.name.clone(), decoded_attributes(&e.attributes));
    let link = |l: &otlp::Link| {
        let ids = (l.trace_id.clone(), l.span_id.clone(), l.trace_state.clone());
        (ids.0, ids.1, ids.2, decoded_attributes(&l.attributes), l.flags)
    };
    let status = span.status.clone().unwrap_or_default();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {} {} {} {} {:?} {} {:?} {} {:?} {}",
        scope.name,
        scope.version,
        span.trace_id,
        span.span_id,
        span.trace_state,
        span.parent_span_id,
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        decoded_attributes(&span.attributes),
        span.dropped_attributes_count,
        span.events.iter().map(event).collect::<Vec<_>>(),
        span.dropped_events_count,
        span.links.iter().map(link).collect::<Vec<_>>(),
        span.dropped_links_count,
        (status.code, &*status.message),
        span.flags,
    )
}

fn decoded_points(scope: &InstrumentationScope, metric: &otlp::Metric) -> Vec<String> {
    let row = |kind: String,
               start: u64,
               time: u64,
               own: &[KeyValue],
               exemplars: &[otlp::Exemplar],
               value: String| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {kind} {start} {time} {} {} {value}",
            scope.name,
            scope.version,
            metric.name,
            metric.unit,
            metric.description,
            decoded_attributes(own),
            exemplars.iter().map(decoded_exemplar).collect::<String>(),
        )
    };
    let of_number = |kind: &str, p: &otlp::NumberDataPoint| {
        let value = match p.value.unwrap() {
            otlp::Number::AsInt(n) => format!("int {n}"),
            otlp::Number::AsDouble(n) => format!("double {n:?}"),
        };
        row(kind.to_owned(), p.start_time_unix_nano, p.time_unix_nano, &p.attributes, &p.exemplars, value)
    };
    match metric.data.as_ref().expect("data") {
        otlp::Data::Gauge(gauge) => gauge.data_points.iter().map(|p| of_number("gauge", p)).collect(),
        otlp::Data::Sum(sum) => {
            let kind = format!("sum {} {}", sum.aggregation_temporality, sum.is_monotonic);
            sum.data_points.iter().map(|p| of_number(&kind, p)).collect()
        }
        otlp::Data::Histogram(histogram) => {
            let kind = format!("histogram {}", histogram.aggregation_temporality);
            let value = |p: &otlp::HistogramDataPoint| {
                let sum = p.sum.unwrap();
                format!("{} {sum:?} {:?} {:?} {:?}", p.count, p.explicit_bounds, p.bucket_counts, p.max)
            };
            let points = histogram.data_points.iter();
            let row = |p: &otlp::HistogramDataPoint| {
                row(
                    kind.clone(),
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                    &p.attributes,
                    &p.exemplars,
                    value(p),
                )
            };
            points.map(row).collect()
        }
        otlp::Data::ExponentialHistogram(histogram) => {
            let kind = format!("exponential {}", histogram.aggregation_temporality);
            let value = |p: &otlp::ExponentialHistogramDataPoint| {
                let buckets = p.positive.clone().unwrap_or_default();
                let buckets = (buckets.offset..).zip(buckets.bucket_counts).filter(|(_, count)| *count > 0);
                format!(
                    "{} {:?} {} {} {:?} {:?} {:?}",
                    p.count,
                    p.sum.unwrap(),
                    p.scale,
                    p.zero_count,
                    p.zero_threshold,
                    buckets.collect::<Vec<_>>(),
                    p.max,
                )
            };
            let points = histogram.data_points.iter();
            let row = |p: &otlp::ExponentialHistogramDataPoint| {
                row(
                    kind.clone(),
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                    &p.attributes,
                    &p.exemplars,
                    value(p),
                )
            };
            points.map(row).collect()
        }
        otlp::Data::Summary(_) => panic!("nobody wants summaries"),
    }
}

fn decoded_exemplar(e: &otlp::Exemplar) -> String {
    let Some(otlp::ExemplarValue::AsDouble(value)) = e.value else { panic!("{e:?}") };
    format!("{value:?} {} {:?}", e.time_unix_nano, (&e.trace_id, &e.span_id))
}

fn decoded_attributes(attributes: &[KeyValue]) -> String {
    attributes.iter().map(|own| format!("{:?}={};", own.key, decoded_value(own.value.as_ref()))).collect()
}

fn decoded_value(own: Option<&AnyValue>) -> String {
    match own.and_then(|own| own.value.as_ref()).unwrap() {
        otlp::Value::BoolValue(v) => format!("{v:?}"),
        otlp::Value::IntValue(v) => format!("{v:?}"),
        otlp::Value::DoubleValue(v) => format!("f{v:?}"),
        otlp::Value::StringValue(v) => format!("{v:?}"),
        otlp::Value::ArrayValue(list) => {
            format!("[{}]", list.values.iter().map(|own| decoded_value(Some(own)) + ",").collect::<String>())
        }
        other => panic!("{other:?}"),
    }
}
