//! OTLP as others read it: the generated types of the crate `opentelemetry-proto`, and what any receiver may rely on.

pub use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
        exemplar::Value as ExemplarValue, metric::Data, number_data_point::Value as Number,
    },
    resource::v1::Resource,
    trace::v1::{
        Span,
        span::{Event, Link},
    },
};
use prost::Message;

/// A request in either form: protobuf, or JSON where it begins with a brace.
#[derive(Clone, Debug)]
pub enum Request {
    /// Posted to `/v1/metrics`.
    Metrics(ExportMetricsServiceRequest),
    /// Posted to `/v1/traces`.
    Traces(ExportTraceServiceRequest),
}

impl Request {
    /// Reads a body that was posted to `path`.
    ///
    /// # Panics
    /// Where it cannot be read.
    pub fn read(path: &str, body: &[u8]) -> Self {
        let json = body.first() == Some(&b'{');
        match path.ends_with("/v1/traces") {
            true if json => Self::Traces(serde_json::from_slice(body).expect("OTLP/JSON")),
            true => Self::Traces(ExportTraceServiceRequest::decode(body).expect("OTLP")),
            false if json => Self::Metrics(serde_json::from_slice(body).expect("OTLP/JSON")),
            false => Self::Metrics(ExportMetricsServiceRequest::decode(body).expect("OTLP")),
        }
    }

    /// The spans, each with its scope.
    pub fn spans(&self) -> Vec<(InstrumentationScope, Span)> {
        let Self::Traces(request) = self else { return Vec::new() };
        let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
        let spans = |of: &opentelemetry_proto::tonic::trace::v1::ScopeSpans| {
            let scope = of.scope.clone().unwrap_or_default();
            of.spans.iter().map(move |span| (scope.clone(), span.clone())).collect::<Vec<_>>()
        };
        scopes.flat_map(spans).collect()
    }

    /// The metrics, each with its scope.
    pub fn metrics(&self) -> Vec<(InstrumentationScope, Metric)> {
        let Self::Metrics(request) = self else { return Vec::new() };
        let scopes = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
        let metrics = |of: &opentelemetry_proto::tonic::metrics::v1::ScopeMetrics| {
            let scope = of.scope.clone().unwrap_or_default();
            of.metrics.iter().map(move |metric| (scope.clone(), metric.clone())).collect::<Vec<_>>()
        };
        scopes.flat_map(metrics).collect()
    }

    /// The one resource.
    ///
    /// # Panics
    /// Where there are none, or several.
    pub fn resource(&self) -> Resource {
        let all: Vec<_> = match self {
            Self::Metrics(request) => request.resource_metrics.iter().map(|of| of.resource.clone()).collect(),
            Self::Traces(request) => request.resource_spans.iter().map(|of| of.resource.clone()).collect(),
        };
        let [one] = &*all else { panic!("{} resources", all.len()) };
        one.clone().expect("a resource")
    }

    /// What the data model of OpenTelemetry demands, whatever was sent.
    ///
    /// # Panics
    /// Where something is not as it must be.
    pub fn check(&self) {
        unique(&self.resource().attributes);
        let mut scopes: Vec<_> = match self {
            Self::Metrics(request) => {
                let scopes = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
                scopes.map(|of| of.scope.clone().unwrap_or_default()).collect()
            }
            Self::Traces(request) => {
                let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
                scopes.map(|of| of.scope.clone().unwrap_or_default()).collect()
            }
        };
        let grouped = scopes.len();
        scopes.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        scopes.dedup();
        assert_eq!(scopes.len(), grouped, "a scope is there twice");
        self.spans().iter().for_each(|(_, span)| check_span(span));
        self.metrics().iter().for_each(|(_, metric)| check_metric(metric));
    }
}

fn unique(attributes: &[KeyValue]) {
    let mut keys: Vec<&str> = attributes.iter().map(|attribute| &*attribute.key).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert!(keys.len() == all && !keys.contains(&""), "{attributes:?}");
}

fn check_span(span: &Span) {
    let real = |id: &[u8], len| id.len() == len && id.iter().any(|byte| *byte != 0);
    assert!(real(&span.trace_id, 16) && real(&span.span_id, 8), "{span:?}");
    assert!(span.parent_span_id.is_empty() || real(&span.parent_span_id, 8), "{span:?}");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    assert!((1..=5).contains(&span.kind) && span.flags & 0x100 != 0 && span.flags < 0x400, "{span:?}");
    unique(&span.attributes);
    span.events.iter().for_each(|event| unique(&event.attributes));
    for link in &span.links {
        assert!(link.trace_id.len() == 16 && link.span_id.len() == 8, "{link:?}");
        unique(&link.attributes);
    }
}

fn check_metric(metric: &Metric) {
    assert!(!metric.name.is_empty());
    let temporality = |temporality: i32| assert!([1, 2].contains(&temporality), "{metric:?}");
    match metric.data.as_ref().expect("data") {
        Data::Gauge(gauge) => {
            gauge.data_points.iter().for_each(|p| check_point(&p.attributes, 0, p.time_unix_nano))
        }
        Data::Sum(sum) => {
            temporality(sum.aggregation_temporality);
            for p in &sum.data_points {
                check_point(&p.attributes, p.start_time_unix_nano, p.time_unix_nano);
            }
        }
        Data::Histogram(histogram) => {
            temporality(histogram.aggregation_temporality);
            for p in &histogram.data_points {
                check_point(&p.attributes, p.start_time_unix_nano, p.time_unix_nano);
                assert_eq!(p.bucket_counts.iter().sum::<u64>(), p.count);
                assert_eq!(p.bucket_counts.len(), p.explicit_bounds.len() + 1);
                assert!(p.explicit_bounds.is_sorted_by(|a, b| a < b));
                assert!(p.sum.is_some_and(f64::is_finite) && p.max.is_none_or(f64::is_finite), "{p:?}");
            }
        }
        Data::ExponentialHistogram(histogram) => {
            temporality(histogram.aggregation_temporality);
            for p in &histogram.data_points {
                check_point(&p.attributes, p.start_time_unix_nano, p.time_unix_nano);
                let buckets = p.positive.iter().flat_map(|buckets| &buckets.bucket_counts).sum::<u64>();
                assert_eq!(buckets + p.zero_count, p.count);
                assert!(p.sum.is_some_and(f64::is_finite) && p.max.is_none_or(f64::is_finite), "{p:?}");
            }
        }
        Data::Summary(_) => panic!("nobody wants summaries"),
    }
}

fn check_point(attributes: &[KeyValue], start: u64, time: u64) {
    unique(attributes);
    assert!(start <= time, "{start} {time}");
}
