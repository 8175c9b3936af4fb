//! What a server of gRPC may say: in trailers, in headers alone, or nothing of it at all.

use super::{batch, config, export};
use exporters::{
    ErrorKind, OpenTelemetryConfig, OpenTelemetryExporter, OtlpProtocol, Receipt, Result, Signal,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use std::{net::SocketAddr, thread, time::Duration};
use tests::data;

/// An answer: the status of HTTP, the message with its prefix, and what is said after it.
#[derive(Clone, Copy, Default)]
struct Said {
    status: u16,
    message: &'static [u8],
    trailers: &'static [(&'static str, &'static str)],
    /// In headers, without a body.
    at_once: bool,
}

/// A request as it came.
type Call = (HeaderMap, Vec<u8>);

/// Answers one call on one connection; ends when the client lets go.
fn server(said: Said) -> (SocketAddr, thread::JoinHandle<Vec<Call>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut calls = Vec::new();
        while let Some(Ok((request, respond))) = connection.accept().await {
            calls.push(answer(request, respond, said));
        }
        let mut all = Vec::new();
        for call in calls {
            all.push(call.await.unwrap());
        }
        all
    };
    (address, thread::spawn(move || super::runtime().block_on(serve)))
}

fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    said: Said,
) -> tokio::task::JoinHandle<Call> {
    let pairs = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        let pair = |(key, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(key), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    };
    tokio::spawn(async move {
        let (head, mut body) = request.into_parts();
        let mut all = Vec::new();
        while let Some(Ok(part)) = body.data().await {
            let _ = body.flow_control().release_capacity(part.len());
            all.extend_from_slice(&part);
        }
        let mut response = Response::builder().status(said.status).body(()).unwrap();
        if said.at_once {
            *response.headers_mut() = pairs(said.trailers);
            respond.send_response(response, true).unwrap();
        } else {
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(said.message.into(), false).unwrap();
            stream.send_trailers(pairs(said.trailers)).unwrap();
        }
        let mut headers = head.headers;
        headers.insert("path", head.uri.path().parse().unwrap());
        (headers, all)
    })
}

/// What comes of one point, and what the server saw.
fn answered(said: Said) -> (Result<Receipt>, HeaderMap, Vec<u8>) {
    let (address, serving) = server(said);
    let settings = OpenTelemetryConfig {
        protocol: Some(OtlpProtocol::Grpc),
        timeout: Some(Duration::from_secs(20)),
        ..config(address)
    };
    let exporter = OpenTelemetryExporter::new(settings).unwrap();
    let points = (0..5).map(|_| data::point([], exporters::Number::U64(1))).collect();
    let metrics = data::snapshot(vec![data::metric("calls", "{call}", data::counter(points))]);
    let result = export(&exporter, batch(Signal::Metrics(metrics.into())));
    drop(exporter);
    let (headers, body) = serving.join().unwrap().remove(0);
    (result, headers, body)
}

#[test]
fn a_call_is_one_message_there_and_a_status_back() {
    let said = Said { status: 200, message: &[0; 5], trailers: &[("grpc-status", "0")], at_once: false };
    let (result, headers, body) = answered(said);
    assert_eq!(result.unwrap().accepted, 5);
    for (key, value) in [
        ("path", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "20000m"),
    ] {
        assert_eq!(headers[key], value);
    }
    assert_eq!((body[0], body.len()), (0, 5 + u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize));
    tests::otlp::Request::read("/v1/metrics", &body[5..]).check();
    let partial = Said { message: b"\0\0\0\0\x08\x0a\x06\x08\x03\x12\x02no", ..said };
    let receipt = answered(partial).0.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (2, 3));
}

#[test]
fn statuses_become_errors() {
    let said = |trailers, at_once| answered(Said { status: 200, trailers, at_once, message: b"" }).0;
    for at_once in [false, true] {
        let error = said(&[("grpc-status", "14"), ("grpc-message", "hunter2")], at_once).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let error = said(&[("grpc-status", "3")], at_once).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        let error = said(&[("grpc-status", "16")], at_once).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        let large = [("grpc-status", "8"), ("grpc-message", "Received%20message%20larger%20than%20max")];
        let large: &'static [_] = Box::leak(Box::new(large));
        assert_eq!(said(large, at_once).unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    }
    let of_http = |status| answered(Said { status, at_once: true, ..Said::default() }).0.unwrap_err().kind();
    assert_eq!(of_http(503), ErrorKind::Unavailable);
    assert_eq!(of_http(401), ErrorKind::Unauthorized);
    assert_eq!(of_http(404), ErrorKind::Rejected);
    assert_eq!(of_http(200), ErrorKind::Unavailable, "no status of gRPC at all");
}
