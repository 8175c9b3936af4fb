//! Derived exporters with `encode = otlp`: a real receiver takes both signals of them, each where OTLP has it.

use super::{
    answers::{counters, span, spans},
    batch, export, metrics, random,
    receivers::{Agent, some},
    rows::{self, Sent},
};
use exporters::{Batch, Endpoint, ErrorKind, Exporter, Number, Receipt, Result, Secret, Signal, SpanContext};
use std::{net::SocketAddr, sync::Arc};
use tests::{data, hostile::Hostile, otlp};

#[derive(Debug, Exporter)]
#[exporter(encode = otlp, register = false, http(auth = bearer(token)))]
struct Collector {
    endpoint: Endpoint,
    token: Secret,
    #[exporter(attribute = "deployment.environment.name")]
    environment: &'static str,
}

/// In a folder of the URL, and with little room.
#[derive(Debug, Exporter)]
#[exporter(encode = otlp, register = false, max_items = 100, max_bytes = LIMIT, http(path = "/otlp/", endpoint = url))]
struct Small {
    url: Endpoint,
}

const LIMIT: usize = 1000;

fn at(address: SocketAddr, path: &str) -> Endpoint {
    format!("http://{address}{path}").parse().unwrap()
}

fn collector(endpoint: Endpoint) -> Collector {
    Collector { endpoint, token: "hunter2".into(), environment: "production" }
}

/// Batches of either signal, whatever is in them.
fn batches(of_each: usize) -> impl Iterator<Item = Batch> {
    let snapshots = some(random::snapshot(), of_each).into_iter().map(metrics);
    let spans = some(random::spans(), of_each).into_iter();
    snapshots.chain(spans.map(|spans| batch(Signal::Spans(Arc::new(spans.into_iter().collect())))))
}

#[test]
fn another_decoder_finds_every_item_of_a_derived_exporter() {
    let Some(agent) = Agent::start() else { return };
    let exporter = collector(at(agent.address, ""));
    let (mut compared, mut left_out) = (0, 0);
    for (number, batch) in batches(20).enumerate() {
        let receipt = export(&exporter, batch.clone()).unwrap();
        let expected = rows::expected(&batch, Sent::default());
        let request = agent.taken(&batch);
        let found = request.as_ref().map(rows::decoded).unwrap_or_default();
        let difference = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!((difference, found.len()), (None, expected.len()), "batch {number}");
        assert_eq!((receipt.accepted, receipt.rejected), (found.len(), batch.len() - found.len()));
        if let Some(request) = &request {
            let environment = request.resource().attributes.into_iter();
            let environment: Vec<_> =
                environment.filter(|own| own.key == "deployment.environment.name").collect();
            let [own] = &*environment else { panic!("{environment:?}") };
            let production = otlp::Value::StringValue("production".into());
            assert_eq!(own.value.as_ref().and_then(|value| value.value.as_ref()), Some(&production));
        }
        (compared, left_out) = (compared + found.len(), left_out + receipt.rejected);
    }
    assert!(compared > 150 && left_out > 0, "{compared} items, and {left_out} left out");
}

/// As a leg does it: what does not fit goes in parts.
fn in_parts(exporter: &impl Exporter, batch: Batch, each: &mut impl FnMut(Batch, Receipt)) {
    let error = match export(exporter, batch.clone()) {
        Ok(receipt) => return each(batch, receipt),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error}");
    let (first, rest) = batch.split(error.fitting().unwrap()).expect("an item fits");
    in_parts(exporter, first, each);
    in_parts(exporter, rest, each);
}

#[test]
fn what_does_not_fit_goes_in_parts_each_of_which_is_a_request() {
    let server = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let exporter = Small { url: at(server.address(), "/base") };
    let capability = exporter.capability();
    assert_eq!((capability.max_items, capability.max_bytes), (Some(100), Some(LIMIT)));
    assert!(capability.metrics && capability.spans);
    let many = (1..=200).map(|id| exporters::Span {
        context: SpanContext { trace_id: [1; 16], span_id: [id; 8], ..SpanContext::default() },
        ..span(None)
    });
    for (batch, path) in [(counters(200), "/base/otlp/v1/metrics"), (spans(many), "/base/otlp/v1/traces")] {
        let (mut found, mut parts) = (Vec::new(), 0);
        in_parts(&exporter, batch.clone(), &mut |part, receipt| {
            let asked = server.requests().pop().unwrap();
            assert_eq!((asked.path(), asked.header("content-type")), (path, Some("application/x-protobuf")));
            assert_eq!((receipt.accepted, receipt.bytes), (part.len(), asked.body.len()));
            assert!(asked.body.len() <= LIMIT, "{} bytes", asked.body.len());
            let request = otlp::Request::read(asked.path(), &asked.body);
            request.check();
            found.extend(rows::decoded(&request));
            parts += 1;
        });
        found.sort();
        assert_eq!(found, rows::expected(&batch, Sent::default()));
        // No more of them than about twice what there have to be.
        assert!((5..60).contains(&parts), "{parts} parts");
    }
}

fn answered(answer: &str, batch: Batch) -> (Result<Receipt>, Hostile) {
    let server = Hostile::answer(answer.to_owned());
    (export(&collector(at(server.address(), "")), batch), server)
}

#[test]
fn what_the_receiver_refused_and_what_it_was_not_sent_is_rejected() {
    let ten = || spans((1..=10).map(|_| span(None)));
    let partial = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\n\u{6}\u{8}\u{3}\u{12}\u{2}no";
    let (receipt, server) = answered(partial, ten());
    let receipt = receipt.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (7, 3));
    let asked = &server.requests()[0];
    assert_eq!((asked.path(), asked.header("authorization")), ("/v1/traces", Some("Bearer hunter2")));

    // Of three, one has no finite value; of the others, three are refused.
    let points = [1.0, f64::NAN, 2.0].map(|value| data::point([], Number::F64(value)));
    let gauge = exporters::Data::Gauge(points.to_vec());
    let some = metrics(data::snapshot(vec![data::metric("ratio", "1", gauge)]));
    let receipt = answered(partial, some).0.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (0, 3));

    // Where none has a form, nothing is sent.
    let nobody = exporters::Span { context: SpanContext::default(), ..span(None) };
    let (receipt, server) = answered(partial, spans([nobody]));
    let receipt = receipt.unwrap();
    assert_eq!((receipt.accepted, receipt.rejected, server.connections()), (0, 1, 0));
}

#[test]
fn the_specification_says_when_a_derived_exporter_is_worth_another_try() {
    for (status, kind) in [
        (401, ErrorKind::Unauthorized),
        (413, ErrorKind::PayloadTooLarge),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::Rejected),
        (503, ErrorKind::Unavailable),
    ] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        let error = answered(&answer, counters(1)).0.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(error.to_string().contains("/v1/metrics"), "{error}");
    }
}

#[test]
fn an_endpoint_of_one_signal_is_refused_with_the_one_to_use() {
    let server = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let error = export(&collector(at(server.address(), "/x/v1/traces")), counters(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let cure = format!("set it to http://{}/x", server.address());
    assert!(error.to_string().contains(&cure) && !error.to_string().contains("traces_endpoint"), "{error}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_exporter_for_any_endpoint_names_the_one_for_otlp() {
    let mut config = exporters::HttpConfig::new("http://127.0.0.1:1/v1/metrics".parse().unwrap());
    config.format = exporters::PayloadFormat::Otlp;
    let error = exporters::HttpExporter::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("type: opentelemetry"), "{error}");
}
