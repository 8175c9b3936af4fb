//! A receiver of OTLP, over HTTP and over gRPC.

use super::http::Server;
use crate::double::{Answer, Double, Script, Seen};
use exporters::{AnyExporter, ErrorKind, Settings};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tests::{
    grpc::{self, Call, Grpc, Said},
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
        let server = Server::with(cumulative, |asked| decode(asked.path(), &asked.body));
        Self { server, cumulative, settings }
    }
}

impl Double for Otlp {
    fn kind(&self) -> &'static str {
        "opentelemetry"
    }

    fn exporter(&self) -> AnyExporter {
        exporter(self.server.address(), self.settings)
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
            Answer::Status(502..=504, _) | Answer::Close | Answer::Reset => ErrorKind::Unavailable,
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

/// The same over gRPC.
pub(crate) struct OtlpOverGrpc {
    server: Grpc,
    state: Arc<State>,
}

/// What the server's thread shares with the test.
#[derive(Default)]
struct State {
    script: Script,
    seen: Mutex<Seen>,
    ids: Mutex<Vec<String>>,
}

impl OtlpOverGrpc {
    pub(crate) fn new() -> Self {
        let state = Arc::<State>::default();
        let shared = state.clone();
        Self { server: Grpc::start(move |call| shared.answer(call)), state }
    }
}

impl State {
    fn answer(&self, call: &Call) -> grpc::Answer {
        let Some(answer) = self.script.next(call.body.len()) else {
            let path = if call.path.contains("TraceService") { "/v1/traces" } else { "/v1/metrics" };
            self.seen.lock().unwrap().replace(decode(path, &call.body[5..]));
            let id = call.headers.get("Idempotency-Key").map(|id| id.to_str().unwrap().to_owned());
            self.ids.lock().unwrap().extend(id);
            return grpc::Answer::Said(Said::fine());
        };
        grpc::Answer::Said(match answer {
            Answer::Status(400, _) => Said::status(3, Vec::new()),
            Answer::Status(401, _) => Said::status(16, Vec::new()),
            Answer::Status(403, _) => Said::status(7, Vec::new()),
            Answer::Status(404, _) => Said::status(12, Vec::new()),
            Answer::Status(413, _) => {
                Said::status(8, vec![("grpc-message", "message larger than max".into())])
            }
            Answer::Status(429, Some(seconds)) => Said::wait(8, seconds as u8),
            Answer::Status(429, None) => Said::status(8, Vec::new()),
            Answer::Status(500, _) => Said::status(13, Vec::new()),
            Answer::Status(503, Some(seconds)) => Said::wait(14, seconds as u8),
            Answer::Status(503, None) => Said::status(14, Vec::new()),
            Answer::Status(status, _) => Said::http(status),
            Answer::Close | Answer::AtMost(_) => return grpc::Answer::Close,
            Answer::Reset => return grpc::Answer::Reset,
            Answer::Stall => return grpc::Answer::Stall,
        })
    }
}

impl std::panic::RefUnwindSafe for OtlpOverGrpc {}

impl Double for OtlpOverGrpc {
    fn kind(&self) -> &'static str {
        "opentelemetry"
    }

    fn exporter(&self) -> AnyExporter {
        exporter(self.server.address(), "protocol: grpc")
    }

    fn seen(&self) -> Seen {
        self.state.seen.lock().unwrap().clone()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.state.script.set(answers);
        true
    }

    /// What is exhausted may come back only where it says when.
    fn becomes(&self, answer: Answer) -> ErrorKind {
        match answer {
            Answer::Status(401 | 403, _) => ErrorKind::Unauthorized,
            Answer::Status(413, _) => ErrorKind::PayloadTooLarge,
            Answer::Status(429, Some(_)) => ErrorKind::RateLimited,
            Answer::Status(503, _) | Answer::Close | Answer::Reset => ErrorKind::Unavailable,
            Answer::Status(..) => ErrorKind::Rejected,
            Answer::Stall | Answer::AtMost(_) => ErrorKind::Timeout,
        }
    }

    fn ids(&self) -> Vec<String> {
        self.state.ids.lock().unwrap().clone()
    }

    fn cumulative(&self) -> bool {
        true
    }
}

/// What the receiver answers is to be seen, not what comes of trying again.
fn exporter(address: SocketAddr, settings: &str) -> AnyExporter {
    let settings = format!(
        "{{ endpoint: 'http://{address}', {settings}, timeout: 500ms, retry: {{ max_retries: 0 }} }}"
    );
    AnyExporter::of_kind("opentelemetry", Settings::from_yaml(&settings).unwrap()).unwrap()
}

fn decode(path: &str, body: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let request = Request::read(path, body);
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
