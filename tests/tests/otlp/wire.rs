//! Whatever a batch holds, another decoder finds exactly that in the request, in both forms.

use super::{batch, config, export, random, rows};
use exporters::{
    Batch, Compression, OpenTelemetryConfig, OpenTelemetryExporter, OtlpProtocol, ProfileMetrics, Signal,
    Span, Temporality,
};
use proptest::prelude::*;
use rows::Sent;
use std::sync::Arc;
use tests::{hostile::Hostile, otlp::Request};

/// Takes everything, and shows the last request.
struct Receiver(Hostile);

impl Receiver {
    fn start() -> Self {
        Self(Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    }

    /// What arrives of a batch that is sent with these settings; nothing, where nothing is sent.
    fn take(&self, set: impl FnOnce(&mut OpenTelemetryConfig), batch: Batch) -> Option<Request> {
        let mut config = config(self.0.address());
        set(&mut config);
        let exporter = OpenTelemetryExporter::new(config).unwrap();
        let before = self.0.requests().len();
        let items = batch.len();
        let receipt = export(&exporter, batch).unwrap();
        assert_eq!(receipt.accepted + receipt.rejected + receipt.dropped.total() as usize, items);
        let requests = self.0.requests();
        assert_eq!(requests.len() - before, usize::from(receipt.accepted > 0));
        let last = requests.last().filter(|_| requests.len() > before)?;
        let body = match last.header("content-encoding") {
            None => last.body.clone(),
            Some("gzip") => {
                let mut body = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*last.body), &mut body)
                    .unwrap();
                body
            }
            Some("zstd") => zstd::stream::decode_all(&*last.body).unwrap(),
            other => panic!("{other:?}"),
        };
        let json = body.first() == Some(&b'{');
        let media_type = if json { "application/json" } else { "application/x-protobuf" };
        assert_eq!(last.header("content-type"), Some(media_type));
        Some(Request::read(last.path(), &body))
    }
}

/// A part of a batch.
fn part(batch: Batch, (from, to): (usize, usize)) -> Batch {
    let (from, to) = (from.min(to), from.max(to));
    let end = match batch.split(to) {
        Some((first, _)) => first,
        None => batch,
    };
    match end.split(from) {
        Some((_, second)) => second,
        None => end,
    }
}

fn check(batch: Batch, sent: Sent, request: Option<Request>) {
    let expected = rows::expected(&batch, sent);
    let Some(request) = request else {
        assert!(expected.is_empty(), "{expected:#?}");
        return;
    };
    request.check();
    assert_eq!(rows::decoded(&request), expected);
}

/// Protobuf or JSON, compressed or not.
fn forms() -> impl Strategy<Value = (OtlpProtocol, Compression)> {
    proptest::sample::select(vec![
        (OtlpProtocol::HttpProtobuf, Compression::None),
        (OtlpProtocol::HttpProtobuf, Compression::Gzip),
        (OtlpProtocol::HttpProtobuf, Compression::Zstd),
        (OtlpProtocol::HttpJson, Compression::None),
        (OtlpProtocol::HttpJson, Compression::Gzip),
    ])
}

fn of_metrics(metrics: ProfileMetrics) -> Batch {
    batch(Signal::Metrics(Arc::new(metrics)))
}

fn of_spans(spans: Vec<Span>) -> Batch {
    batch(Signal::Spans(Arc::new(spans.into_iter().collect())))
}

#[test]
fn metrics_are_read_as_they_were() {
    let receiver = Receiver::start();
    let case = (random::snapshot(), forms(), any::<bool>(), (0..20usize, 0..20usize));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(128));
    let run = runner.run(&case, |(metrics, (protocol, compression), delta, range)| {
        let batch = part(of_metrics(metrics), range);
        let set = |config: &mut OpenTelemetryConfig| {
            (config.protocol, config.compression) = (Some(protocol), Some(compression));
            config.temporality = delta.then_some(Temporality::Delta);
        };
        let request = receiver.take(set, batch.clone());
        check(batch, Sent { delta }, request);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn spans_are_read_as_they_were() {
    let receiver = Receiver::start();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(128));
    let run = runner.run(&(random::spans(), forms(), (0..12usize, 0..12usize)), |(spans, form, range)| {
        let batch = part(of_spans(spans), range);
        let set = |config: &mut OpenTelemetryConfig| {
            (config.protocol, config.compression) = (Some(form.0), Some(form.1));
        };
        let request = receiver.take(set, batch.clone());
        check(batch, Sent::default(), request);
        Ok(())
    });
    run.unwrap();
}
