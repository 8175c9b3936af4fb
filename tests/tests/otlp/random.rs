//! Any snapshots, and any spans.

use exporters::{
    Attributes, Buckets, Data, Descriptor, Exemplar, ExponentialHistogram, Histogram, KeyValue, Metric,
    Number, Point, ProfileMetrics, Resource, Scope, Series, Span, SpanContext, SpanEvent, SpanKind, SpanLink,
    Status, Sum, Value,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

fn time() -> impl Strategy<Value = SystemTime> {
    (0..4_000_000_000u64, 0..1_000_000_000u32).prop_map(|(s, n)| SystemTime::UNIX_EPOCH + Duration::new(s, n))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{1,12}", any::<String>(), "[a-z]{120,140}"]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -1e9..1e9f64, 1 => select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE])]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        (-1e9..1e9f64).prop_map(Value::F64),
        text().prop_map(|text| Value::String(text.into())),
    ];
    leaf.prop_recursive(2, 6, 4, |inner| vec(inner, 0..4).prop_map(|list| Value::Array(list.into())))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let attribute = (text(), value()).prop_map(|(key, value)| KeyValue::new(key, value));
    vec(attribute, 0..5).prop_map(Attributes::new)
}

fn scope() -> impl Strategy<Value = Arc<Scope>> {
    let scope = |(name, version): (&'static str, &'static str)| {
        Arc::new(Scope { name: name.into(), version: version.into() })
    };
    select(vec![("checkout", "1.0"), ("checkout", "2.0"), ("", "")]).prop_map(scope)
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::U64),
        (0..1000u64).prop_map(Number::U64),
        any::<i64>().prop_map(Number::I64),
        float().prop_map(Number::F64),
    ]
}

fn explicit() -> impl Strategy<Value = Histogram> {
    (vec(0..100u32, 0..6), vec(0..1000u64, 7), float()).prop_map(|(mut bounds, mut counts, sum)| {
        bounds.sort_unstable();
        counts.truncate(bounds.len() + 1);
        Histogram { bounds: bounds.into_iter().map(f64::from).collect(), counts, sum }
    })
}

fn exponential() -> impl Strategy<Value = ExponentialHistogram> {
    let buckets = (-400..400i32, vec(prop_oneof![Just(0), 0..5u64, 0..1u64 << 40], 0..200));
    (-4..8i8, 0..100u64, select(vec![0.0, 1e-9]), buckets, float(), option::of(float())).prop_map(
        |(scale, zero_count, zero_threshold, (offset, counts), sum, max)| {
            let positive = Buckets { offset, counts };
            ExponentialHistogram { scale, zero_count, zero_threshold, positive, sum, max }
        },
    )
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    (float(), time(), any::<[u8; 16]>(), any::<[u8; 8]>())
        .prop_map(|(value, time, trace_id, span_id)| Exemplar { value, time, trace_id, span_id })
}

fn points<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Vec<Point<T>>> {
    let series = (scope(), attributes(), time())
        .prop_map(|(scope, attributes, start)| Arc::new(Series { scope, attributes, start }));
    let point = (series, value.clone(), value, vec(exemplar(), 0..3))
        .prop_map(|(series, total, change, exemplars)| Point { series, total, change, exemplars });
    vec(point, 0..6)
}

fn metric() -> impl Strategy<Value = Metric> {
    let number = number().boxed();
    let data = prop_oneof![
        (any::<bool>(), points(number.clone()))
            .prop_map(|(monotonic, points)| Data::Sum(Sum { monotonic, points })),
        points(number).prop_map(Data::Gauge),
        points(explicit().boxed()).prop_map(Data::Histogram),
        points(exponential().boxed()).prop_map(Data::ExponentialHistogram),
    ];
    (text(), text(), text(), data).prop_map(|(name, unit, description, data)| {
        let (name, unit, description) = (name.into(), unit.into(), description.into());
        let descriptor = Descriptor { name, unit, description, exact_name: false };
        Metric { descriptor: Arc::new(descriptor), data }
    })
}

pub(crate) fn snapshot() -> impl Strategy<Value = ProfileMetrics> {
    (attributes(), time(), time(), vec(metric(), 0..6)).prop_map(|(attributes, start, end, metrics)| {
        let resource = Arc::new(Resource { attributes });
        ProfileMetrics { resource, interval: start..end, metrics, ended: Vec::new() }
    })
}

fn context() -> impl Strategy<Value = SpanContext> {
    let ids = prop_oneof![9 => any::<([u8; 16], [u8; 8])>(), 1 => Just(([0; 16], [1; 8]))];
    (ids, any::<u8>(), select(vec!["", "ot=th:8,acme=x"])).prop_map(|((trace_id, span_id), flags, state)| {
        SpanContext { trace_id, span_id, flags, trace_state: state.into() }
    })
}

fn span() -> impl Strategy<Value = Span> {
    let event = (time(), text(), attributes()).prop_map(|(time, name, attributes)| SpanEvent {
        time,
        name: name.into(),
        attributes,
    });
    let link = (context(), attributes()).prop_map(|(context, attributes)| SpanLink { context, attributes });
    let kind = select(vec![
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ]);
    let status = prop_oneof![
        Just(Status::Unset),
        Just(Status::Ok),
        text().prop_map(|text| Status::Error(text.into()))
    ];
    let parent = prop_oneof![Just([0; 8]), any::<[u8; 8]>()];
    let what = (context(), parent, any::<bool>(), text(), kind, time(), time());
    let rest = (attributes(), vec(event, 0..3), vec(link, 0..3), any::<[u32; 3]>(), status, scope());
    (what, rest).prop_map(|((context, parent_id, parent_is_remote, name, kind, start, end), rest)| {
        let (attributes, events, links, [dropped_attributes, dropped_events, dropped_links], status, scope) =
            rest;
        let name = name.into();
        Span {
            context,
            parent_id,
            parent_is_remote,
            name,
            kind,
            start,
            end,
            attributes,
            dropped_attributes,
            events,
            dropped_events,
            links,
            dropped_links,
            status,
            scope,
        }
    })
}

pub(crate) fn spans() -> impl Strategy<Value = Vec<Span>> {
    vec(span(), 0..12)
}
