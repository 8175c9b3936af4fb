//! What a server of gRPC may say: in trailers, in headers alone, or nothing of it at all.

use super::{batch, config, export};
use exporters::{
    ErrorKind, OpenTelemetryConfig, OpenTelemetryExporter, OtlpProtocol, Receipt, Result, Signal,
};
use std::time::Duration;
use tests::{
    data,
    grpc::{Answer, Call, Grpc, Said},
};

/// What comes of five points, and what the server saw.
fn answered(said: Said) -> (Result<Receipt>, Call) {
    let server = Grpc::start(move |_| Answer::Said(said.clone()));
    let settings = OpenTelemetryConfig {
        protocol: Some(OtlpProtocol::Grpc),
        timeout: Some(Duration::from_secs(20)),
        ..config(server.address())
    };
    let exporter = OpenTelemetryExporter::new(settings).unwrap();
    let points = (0..5).map(|_| data::point([], exporters::Number::U64(1))).collect();
    let metrics = data::snapshot(vec![data::metric("calls", "{call}", data::counter(points))]);
    let result = export(&exporter, batch(Signal::Metrics(metrics.into())));
    (result, server.calls().remove(0))
}

#[test]
fn a_call_is_one_message_there_and_a_status_back() {
    let (result, Call { path, headers, body }) = answered(Said::fine());
    assert_eq!(result.unwrap().accepted, 5);
    assert_eq!(path, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
    for (key, value) in [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "20000m")]
    {
        assert_eq!(headers[key], value);
    }
    assert_eq!((body[0], body.len()), (0, 5 + u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize));
    tests::otlp::Request::read("/v1/metrics", &body[5..]).check();
    let partial = Said { message: b"\0\0\0\0\x08\x0a\x06\x08\x03\x12\x02no".to_vec(), ..Said::fine() };
    let receipt = answered(partial).0.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (2, 3));
}

#[test]
fn statuses_become_errors() {
    for at_once in [false, true] {
        let said = |said: Said| answered(Said { at_once, ..said }).0.unwrap_err();
        let text = |text: &str| vec![("grpc-message", text.to_owned())];
        let error = said(Said::status(14, text("hunter2")));
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        for (status, kind) in [
            (1, ErrorKind::Unavailable),
            (2, ErrorKind::Rejected),
            (3, ErrorKind::Rejected),
            (4, ErrorKind::Timeout),
            (7, ErrorKind::Unauthorized),
            (8, ErrorKind::Rejected),
            (10, ErrorKind::Unavailable),
            (12, ErrorKind::Rejected),
            (13, ErrorKind::Rejected),
            (16, ErrorKind::Unauthorized),
        ] {
            let error = said(Said::status(status, Vec::new()));
            assert_eq!((error.kind(), error.retry_after()), (kind, None), "{error}");
        }
        for (status, kind, wait) in [
            (8, ErrorKind::RateLimited, Some(Duration::from_secs(5))),
            (14, ErrorKind::Unavailable, Some(Duration::from_secs(5))),
            (13, ErrorKind::Rejected, None),
        ] {
            let error = said(Said::wait(status, 5));
            assert_eq!((error.kind(), error.retry_after()), (kind, wait), "{error}");
        }
        let large = said(Said::status(8, text("Received%20message%20larger%20than%20max")));
        assert_eq!(large.kind(), ErrorKind::PayloadTooLarge, "{large}");
    }
    let of_http = |status| answered(Said::http(status)).0.unwrap_err().kind();
    assert_eq!(of_http(503), ErrorKind::Unavailable);
    assert_eq!(of_http(401), ErrorKind::Unauthorized);
    assert_eq!(of_http(404), ErrorKind::Rejected);
    assert_eq!(of_http(200), ErrorKind::Unavailable, "no status of gRPC at all");
}
