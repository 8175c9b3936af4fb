//! What receivers may say, and what becomes of it; and the settings that can be seen in a request.

use super::{batch, config, export, metrics};
use exporters::{
    Attributes, Batch, Compression, DropReason, ErrorKind, Exporter, HistogramAggregation, KeyValue, Number,
    OpenTelemetryConfig, OpenTelemetryExporter, Receipt, Resource, Result, Signal, Span, SpanContext,
    SpanKind, Spans, Status,
};
use std::time::{Duration, SystemTime};
use tests::{
    data,
    hostile::Hostile,
    otlp::{Data, Request, Value},
};

pub(crate) fn counters(items: u64) -> Batch {
    let points = (0..items).map(|at| data::point([KeyValue::new("at", at as i64)], Number::U64(at)));
    metrics(data::snapshot(vec![data::metric("calls", "{call}", data::counter(points.collect()))]))
}

pub(crate) fn span(parent: Option<bool>) -> Span {
    Span {
        context: SpanContext { trace_id: [1; 16], span_id: [2; 8], ..SpanContext::default() },
        parent_id: if parent.is_some() { [3; 8] } else { [0; 8] },
        parent_is_remote: parent == Some(true),
        name: "charge".into(),
        kind: SpanKind::Internal,
        start: SystemTime::now(),
        end: SystemTime::now(),
        attributes: Attributes::default(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: Status::Unset,
        scope: Default::default(),
    }
}

pub(crate) fn spans(spans: impl IntoIterator<Item = Span>) -> Batch {
    batch(Signal::Spans(std::sync::Arc::new(spans.into_iter().collect())))
}

/// What comes of ten points where the receiver answers so.
fn answered(head: &str, body: &[u8]) -> Result<Receipt> {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = Hostile::answer([head.as_bytes(), body].concat());
    export(&OpenTelemetryExporter::new(config(server.address())).unwrap(), counters(10))
}

#[test]
fn a_partial_success_is_in_the_receipt() {
    for (body, rejected) in [
        (&b""[..], 0),
        (b"\x0a\x00", 0),
        (b"\x0a\x06\x08\x03\x12\x02no", 3),
        // A warning.
        (b"\x0a\x04\x12\x02no", 0),
        (b"\x0a\x03\x08\xac\x02", 10),
        (b"{\"partialSuccess\":{\"rejectedDataPoints\":\"4\",\"errorMessage\":\"no\"}}", 4),
        (b"<html>fine</html>", 0),
    ] {
        for status in ["200 OK", "202 Accepted"] {
            let receipt = answered(status, body).unwrap();
            assert_eq!((receipt.accepted, receipt.rejected), (10 - rejected, rejected), "{body:?}");
            assert!(receipt.bytes > 0);
        }
    }
}

#[test]
fn the_specification_says_what_may_be_sent_again() {
    for status in [429, 502, 503, 504] {
        let error = answered(&format!("{status} No\r\nRetry-After: 7"), b"").unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
    for status in [307, 400, 404, 405, 408, 409, 415, 500, 501, 505] {
        let error = answered(&format!("{status} No\r\nRetry-After: 7"), b"").unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Rejected, None), "{error}");
    }
    assert_eq!(answered("401 No", b"").unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(answered("413 No", b"").unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    let error = answered("503 No", b"\x0a\x07hunter2").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

/// What a receiver is sent, and the receipt.
fn sent(set: impl FnOnce(&mut OpenTelemetryConfig), batch: Batch) -> (Request, Receipt, String) {
    let server = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut config = config(server.address());
    set(&mut config);
    let receipt = export(&OpenTelemetryExporter::new(config).unwrap(), batch).unwrap();
    let requests = server.requests();
    let [one] = &*requests else { panic!("{} requests", requests.len()) };
    let request = Request::read(one.path(), &one.body);
    request.check();
    (request, receipt, one.head.clone())
}

fn attribute(request: &Request, key: &str) -> Option<String> {
    let resource = request.resource();
    let found = resource.attributes.iter().find(|own| own.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_settings_of_spans_are_heeded() {
    let set = |config: &mut OpenTelemetryConfig| {
        config.span_name_prefix = "shop.".into();
        config.create_child_spans = false;
        config.service_name = Some("checkout".into());
        config.headers = [("X-Team".to_owned(), "a".into())].into();
        config.traces_headers = [("X-Team".to_owned(), "t".into())].into();
    };
    let (request, receipt, head) = sent(set, spans([span(None), span(Some(false)), span(Some(true))]));
    let found = request.spans();
    assert_eq!(found.len(), 2, "those without a parent here");
    assert!(found.iter().all(|(_, span)| span.name == "shop.charge"));
    assert_eq!(found.iter().map(|(_, span)| span.flags).collect::<Vec<_>>(), [0x100, 0x300]);
    assert_eq!((receipt.accepted, receipt.dropped.of(DropReason::Filtered)), (2, 1));
    assert_eq!(attribute(&request, "service.name"), Some("checkout".into()));
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/traces ") && head.contains("\r\nx-team: t\r\n"), "{head}");
}

#[test]
fn the_settings_of_metrics_are_heeded() {
    let histogram = || {
        let histogram = data::histogram(&[0.0, 0.5, 0.75, 1.0, 3.0]);
        let data = exporters::Data::ExponentialHistogram(vec![data::point([], histogram)]);
        metrics(data::snapshot(vec![data::metric("duration", "s", data)]))
    };
    let set = |config: &mut OpenTelemetryConfig| {
        config.explicit_bounds = vec![0.5, 1.0];
        config.service_version = Some("1.2".into());
        config.resource_attributes = [("region".to_owned(), "eu".to_owned())].into();
    };
    let (request, ..) = sent(set, histogram());
    let [(_, metric)] = &*request.metrics() else { panic!("one metric") };
    let Some(Data::Histogram(found)) = &metric.data else { panic!("{metric:?}") };
    let point = &found.data_points[0];
    assert_eq!((point.count, point.sum, point.max), (5, Some(5.25), Some(3.0)));
    assert_eq!((&*point.explicit_bounds, &*point.bucket_counts), (&[0.5, 1.0][..], &[2, 2, 1][..]));
    for (key, text) in [("service.name", "tests"), ("service.version", "1.2"), ("region", "eu")] {
        assert_eq!(attribute(&request, key).as_deref(), Some(text));
    }
    let explicit = |config: &mut OpenTelemetryConfig| {
        config.default_histogram_aggregation = Some(HistogramAggregation::Explicit);
    };
    let (request, ..) = sent(explicit, histogram());
    let Some(Data::Histogram(found)) = &request.metrics()[0].1.data else { panic!("{request:?}") };
    assert_eq!(found.data_points[0].explicit_bounds.len(), 14);
}

#[test]
fn spans_are_of_their_resource() {
    let server = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let exporter = OpenTelemetryExporter::new(config(server.address())).unwrap();
    let attributes = [KeyValue::new("service.name", "checkout")].into_iter().collect();
    let spans = Spans::new(std::sync::Arc::new(Resource { attributes }), vec![span(None)]);
    export(&exporter, batch(Signal::Spans(std::sync::Arc::new(spans)))).unwrap();
    let request = server.requests().pop().unwrap();
    let found = attribute(&Request::read(request.path(), &request.body), "service.name");
    assert_eq!(found.as_deref(), Some("checkout"));
}

#[test]
fn a_span_is_small() {
    let all = (0..100u8).map(|at| {
        let mut one = span(Some(false));
        one.context.span_id = [at + 1; 8];
        one.name = "checkout::charge".into();
        one
    });
    let server = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut config = config(server.address());
    let exporter = |config: &OpenTelemetryConfig| OpenTelemetryExporter::new(config.clone()).unwrap();
    let batch = spans(all);
    let bytes = export(&exporter(&config), batch.clone()).unwrap().bytes;
    assert!(bytes <= 100 * 100, "{bytes} bytes for 100 spans");
    config.compression = Some(Compression::Gzip);
    let compressed = export(&exporter(&config), batch).unwrap().bytes;
    assert!(compressed < bytes / 3, "{compressed} bytes of {bytes}");
}

#[test]
fn what_is_too_large_says_how_much_is_not() {
    let server = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let exporter =
        OpenTelemetryExporter::new(OpenTelemetryConfig { max_body: Some(2000), ..config(server.address()) });
    let exporter = exporter.unwrap();
    assert_eq!(exporter.capability().max_bytes, Some(2000));
    let mut rest = counters(100);
    let mut accepted = 0;
    loop {
        match export(&exporter, rest.clone()) {
            Ok(receipt) => {
                accepted += receipt.accepted;
                break;
            }
            Err(error) => {
                let (first, second) = rest.split(error.fitting().unwrap()).unwrap();
                accepted += export(&exporter, first).unwrap().accepted;
                rest = second;
            }
        }
    }
    assert_eq!(accepted, 100);
    assert!(server.requests().iter().all(|asked| asked.body.len() <= 2000));
}
