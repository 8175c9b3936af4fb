//! What can be seen of the exporter without a server.

use super::*;
use crate::{
    BatchId, Compression, Data, Descriptor, Endpoint, Metric, Number, Point, ProfileMetrics, Scope, Series,
    Signal, Span, TlsConfig,
    model::sample,
    settings::{Node, Origin},
};
use std::{future::Future, sync::Arc, time::Duration};

fn read_from(variables: &[(&str, &str)]) -> Result<OpenTelemetryConfig> {
    let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let scope = crate::settings::Scope::new(environment, PREFIX);
    read(Settings { node: Node::empty(Origin::Code), path: String::new(), scope })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn id() -> BatchId {
    BatchId { instance: 1, leg: "leg".into(), sequence: 2, part: 0 }
}

fn endpoint(text: &str) -> Option<Endpoint> {
    Some(text.parse().unwrap())
}

#[test]
fn every_field_has_its_variable() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let secret = |name: &str| [(name.to_owned(), "hunter2".into())].into();
    let tls = |file: &str| TlsConfig { ca_file: Some(file.into()), ..TlsConfig::default() };
    let mut expected = OpenTelemetryConfig {
        name: Some("second".into()),
        endpoint: endpoint("http://h:1"),
        traces_endpoint: endpoint("http://t:1/x"),
        metrics_endpoint: endpoint("http://m:1/x"),
        protocol: Some(OtlpProtocol::HttpJson),
        traces_protocol: Some(OtlpProtocol::HttpProtobuf),
        metrics_protocol: Some(OtlpProtocol::Grpc),
        headers: secret("a"),
        traces_headers: secret("b"),
        metrics_headers: secret("c"),
        compression: Some(Compression::Gzip),
        traces_compression: Some(Compression::None),
        metrics_compression: Some(Compression::Gzip),
        timeout: seconds(1),
        traces_timeout: seconds(2),
        metrics_timeout: seconds(3),
        connect_timeout: Duration::from_secs(4),
        tls: tls("/ca"),
        traces_tls: Some(tls("/ca-t")),
        metrics_tls: Some(tls("/ca-m")),
        proxy: endpoint("http://proxy:3128"),
        local_address: Some([127, 0, 0, 1].into()),
        temporality: Some(Temporality::LowMemory),
        default_histogram_aggregation: Some(HistogramAggregation::Explicit),
        explicit_bounds: vec![0.5, 1.0],
        service_name: Some("checkout".into()),
        service_version: Some("1.2".into()),
        service_namespace: Some("shop".into()),
        resource_attributes: [("region".to_owned(), "eu".to_owned())].into(),
        span_name_prefix: "checkout.".into(),
        create_child_spans: false,
        batch_size: Some(7),
        max_body: Some(1_000_000),
        ..OpenTelemetryConfig::default()
    };
    expected.auth.token = Some("hunter2".into());
    expected.retry.max_retries = 9;
    let variables = [
        ("PROFILING_OTEL_NAME", "second"),
        ("PROFILING_OTEL_OTLP_ENDPOINT", "http://h:1"),
        ("PROFILING_OTEL_TRACES_ENDPOINT", "http://t:1/x"),
        ("PROFILING_OTEL_METRICS_ENDPOINT", "http://m:1/x"),
        ("PROFILING_OTEL_PROTOCOL", "http/json"),
        ("PROFILING_OTEL_TRACES_PROTOCOL", "http/protobuf"),
        ("PROFILING_OTEL_METRICS_PROTOCOL", "grpc"),
        ("PROFILING_OTEL_HEADERS", "a=hunter2"),
        ("PROFILING_OTEL_TRACES_HEADERS", "b=hunter2"),
        ("PROFILING_OTEL_METRICS_HEADERS", "c=hunter2"),
        ("PROFILING_OTEL_TOKEN", "hunter2"),
        ("PROFILING_OTEL_COMPRESSION", "gzip"),
        ("PROFILING_OTEL_TRACES_COMPRESSION", "none"),
        ("PROFILING_OTEL_METRICS_COMPRESSION", "gzip"),
        ("PROFILING_OTEL_TIMEOUT_SECONDS", "1"),
        ("PROFILING_OTEL_TRACES_TIMEOUT", "2s"),
        ("PROFILING_OTEL_METRICS_TIMEOUT", "3s"),
        ("PROFILING_OTEL_CONNECT_TIMEOUT", "4s"),
        ("PROFILING_OTEL_TLS_CA_FILE", "/ca"),
        ("PROFILING_OTEL_TRACES_TLS_CA_FILE", "/ca-t"),
        ("PROFILING_OTEL_METRICS_TLS_CA_FILE", "/ca-m"),
        ("PROFILING_OTEL_PROXY", "http://proxy:3128"),
        ("PROFILING_OTEL_LOCAL_ADDRESS", "127.0.0.1"),
        ("PROFILING_OTEL_TEMPORALITY", "lowmemory"),
        ("PROFILING_OTEL_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
        ("PROFILING_OTEL_EXPLICIT_BOUNDS", "0.5, 1"),
        ("PROFILING_OTEL_SERVICE_NAME", "checkout"),
        ("PROFILING_OTEL_SERVICE_VERSION", "1.2"),
        ("PROFILING_OTEL_SERVICE_NAMESPACE", "shop"),
        ("PROFILING_OTEL_RESOURCE_ATTRIBUTES", "region=eu"),
        ("PROFILING_OTEL_SPAN_NAME_PREFIX", "checkout."),
        ("PROFILING_OTEL_CREATE_CHILD_SPANS", "false"),
        ("PROFILING_OTEL_BATCH_SIZE", "7"),
        ("PROFILING_OTEL_MAX_BODY", "1MB"),
        ("PROFILING_OTEL_RETRY_MAX_RETRIES", "9"),
    ];
    assert_eq!(read_from(&variables).unwrap(), expected);
    assert!(!format!("{expected:?}").contains("hunter2"));
    assert_eq!(read_from(&[]).unwrap(), OpenTelemetryConfig::default());
    let both = [("PROFILING_OTEL_TIMEOUT", "1s"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000")];
    assert_eq!(read_from(&both).unwrap().timeout, seconds(1));
    assert_eq!(read_from(&both[1..]).unwrap().timeout, seconds(5));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let base = OpenTelemetryConfig::default;
    let mut retry = crate::RetryConfig::default();
    retry.retry_on_status_codes.push(418);
    let exponential = Some(HistogramAggregation::Exponential);
    for (config, said) in [
        (OpenTelemetryConfig { explicit_bounds: vec![1.0, 1.0], ..base() }, "ascend"),
        (OpenTelemetryConfig { explicit_bounds: vec![f64::INFINITY], ..base() }, "finite"),
        (
            OpenTelemetryConfig {
                explicit_bounds: vec![1.0],
                default_histogram_aggregation: exponential,
                ..base()
            },
            "remove one",
        ),
        (OpenTelemetryConfig { batch_size: Some(0), ..base() }, "batch_size"),
        (OpenTelemetryConfig { retry, ..base() }, "429, 502, 503 and 504"),
        (
            OpenTelemetryConfig {
                service_name: Some("a".into()),
                resource_attributes: [("service.name".to_owned(), "b".to_owned())].into(),
                ..base()
            },
            "already",
        ),
        (OpenTelemetryConfig { endpoint: endpoint("http://h:14268/api/traces"), ..base() }, "http://h:4318"),
    ] {
        let error = OpenTelemetryExporter::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.message().contains(said), "{error}");
    }
}

#[test]
fn what_is_not_wanted_is_counted_and_nothing_is_sent_of_it() {
    let nowhere = OpenTelemetryConfig {
        // Nobody listens on this port.
        endpoint: endpoint("http://127.0.0.1:1"),
        create_child_spans: false,
        ..OpenTelemetryConfig::default()
    };
    let exporter = OpenTelemetryExporter::new(nowhere).unwrap();
    let mut spans = [sample::span(1), sample::span(0), sample::span(2)];
    spans[0].parent_id = [1; 8];
    spans[2].parent_id = [1; 8];
    let batch = Batch::new(id(), Signal::Spans(Arc::new(spans.clone().into_iter().collect())));
    let receipt = run(exporter.export(batch)).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (0, 1));
    assert_eq!(receipt.dropped.of(DropReason::Filtered), 2);
    // Its parent is elsewhere.
    spans[2].parent_is_remote = true;
    let batch = Batch::new(id(), Signal::Spans(Arc::new(spans.into_iter().collect())));
    assert_eq!(run(exporter.export(batch)).unwrap_err().kind(), ErrorKind::Unavailable);
}

/// A snapshot in which two scopes measured in turns.
fn in_turns(points: usize) -> Batch {
    let scopes = ["a", "b"].map(|name| Arc::new(Scope { name: name.into(), version: "1".into() }));
    let point = |at: usize| Point {
        series: Arc::new(Series {
            scope: scopes[at % 2].clone(),
            attributes: [KeyValue::new("at", at as i64)].into_iter().collect(),
            start: std::time::UNIX_EPOCH,
        }),
        total: Number::U64(at as u64),
        change: Number::U64(at as u64),
        exemplars: Vec::new(),
    };
    let descriptor = Arc::new(Descriptor { name: "n".into(), ..Descriptor::default() });
    let data = Data::Gauge((0..points).map(point).collect());
    let metrics = vec![Metric { descriptor, data }];
    Batch::new(id(), Signal::Metrics(Arc::new(ProfileMetrics { metrics, ..ProfileMetrics::none() })))
}

fn fitting<F: wire::Format>(batch: &Batch, limit: usize) -> Option<usize> {
    match wire::write::<F>(batch, &Style::default(), limit) {
        Ok(written) => {
            assert!(written.body.len() <= limit);
            assert_eq!(written.items, batch.len());
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
            Some(error.fitting().expect("a number"))
        }
    }
}

/// Whatever the limit: what is said to fit does, and nearly as much as could.
fn holds<F: wire::Format>(batch: &Batch) {
    let whole = wire::write::<F>(batch, &Style::default(), usize::MAX).unwrap();
    let each = whole.body.len() / batch.len();
    for limit in (0..whole.body.len() + 100).step_by(97) {
        let Some(items) = fitting::<F>(batch, limit) else { continue };
        assert!(items < batch.len());
        if items > 0 {
            let (first, _) = batch.split(items).unwrap();
            assert_eq!(fitting::<F>(&first, limit), None, "{items} of {} in {limit}", batch.len());
        }
        assert!(items * each * 5 / 4 + 3 * each + 200 > limit, "only {items} in {limit}");
    }
}

#[test]
fn as_much_fits_as_is_said() {
    let spans: Vec<_> = (1..100).map(sample::span).collect();
    let spans = Batch::new(id(), Signal::Spans(Arc::new(spans.into_iter().collect())));
    let sums = sample::snapshot((0..100).map(|at| (at, 7)));
    let sums = Batch::new(id(), Signal::Metrics(Arc::new(sums)));
    for batch in [&spans, &sums, &in_turns(100)] {
        holds::<protobuf::Protobuf>(batch);
        holds::<json::JsonForm>(batch);
    }
}

#[test]
fn a_set_that_spans_share_is_written_as_if_each_had_its_own() {
    let set = |n: i64| Attributes::new([KeyValue::new("n", n), KeyValue::new("text", "long".repeat(40))]);
    let (a, b, none) = (set(1), set(2), Attributes::default());
    let shared = [&a, &a, &b, &a, &none, &none, &a, &b, &b].map(Clone::clone);
    let own = shared.each_ref().map(|set| Attributes::new(set.iter().cloned()));
    let written = |sets: &[Attributes]| {
        let span = |attributes: &Attributes| Span { attributes: attributes.clone(), ..sample::span(1) };
        let batch = Batch::new(id(), sample::spans(sets.iter().map(span)));
        wire::write::<protobuf::Protobuf>(&batch, &Style::default(), usize::MAX).unwrap().body
    };
    assert_eq!(written(&shared), written(&own));
}
