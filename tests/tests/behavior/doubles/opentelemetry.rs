//! A receiver of OTLP.

use super::http::Server;
use crate::double::{Answer, Double, Seen};
use exporters::{AnyExporter, ErrorKind, Settings};
use tests::{
    hostile::Asked,
    otlp::{Data, KeyValue, Number, Request, Value},
};

/// What an OpenTelemetry exporter sends to.
pub(crate) struct Otlp {
    server: Server,
    cumulative: bool,
    settings: &'static str,
}

impl Otlp {
    /// As it is by default: totals.
    pub(crate) fn protobuf() -> Self {
        Self::new(true, "protocol: http/protobuf")
    }

    /// Changes.
    pub(crate) fn json() -> Self {
        Self::new(false, "protocol: http/json, temporality: delta")
    }

    fn new(cumulative: bool, settings: &'static str) -> Self {
        Self { server: Server::with(cumulative, decode), cumulative, settings }
    }
}

impl Double for Otlp {
    fn kind(&self) -> &'static str {
        "opentelemetry"
    }

    fn exporter(&self) -> AnyExporter {
        let (address, settings) = (self.server.address(), self.settings);
        // What the receiver answers is to be seen, not what comes of trying again.
        let settings = format!(
            "{{ endpoint: 'http://{address}', {settings}, timeout: 500ms, retry: {{ max_retries: 0 }} }}"
        );
        AnyExporter::of_kind("opentelemetry", Settings::from_yaml(&settings).unwrap()).unwrap()
    }

    fn seen(&self) -> Seen {
        self.server.seen()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.server.script(answers)
    }

    /// The specification says what may be sent again: of failures of a server, not 500.
    fn becomes(&self, answer: Answer) -> ErrorKind {
        match answer {
            Answer::Status(401 | 403, _) => ErrorKind::Unauthorized,
            Answer::Status(413, _) => ErrorKind::PayloadTooLarge,
            Answer::Status(429, _) => ErrorKind::RateLimited,
            Answer::Status(502..=504, _) | Answer::Close => ErrorKind::Unavailable,
            Answer::Status(..) => ErrorKind::Rejected,
            Answer::Stall | Answer::AtMost(_) => ErrorKind::Timeout,
        }
    }

    fn ids(&self) -> Vec<String> {
        self.server.ids()
    }

    fn cumulative(&self) -> bool {
        self.cumulative
    }
}

fn decode(asked: &Asked) -> Seen {
    let mut seen = Seen::default();
    let request = Request::read(asked.path(), &asked.body);
    request.check();
    for (_, metric) in request.metrics() {
        match (&*metric.name, metric.data.unwrap()) {
            ("function.calls", Data::Sum(sum)) => {
                for point in sum.data_points {
                    let Some(Number::AsInt(calls)) = point.value else { panic!("{point:?}") };
                    let (function, result) =
                        (text(&point.attributes, "function"), text(&point.attributes, "result"));
                    seen.add_calls(&function, &result, calls as u64);
                }
            }
            ("function.calls.duration", Data::ExponentialHistogram(histogram)) => {
                for point in histogram.data_points {
                    seen.add_durations(&text(&point.attributes, "function"), point.count);
                }
            }
            _ => {}
        }
    }
    seen
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|own| own.value.clone());
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}
