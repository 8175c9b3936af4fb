//! An endpoint that takes a payload in any of the formats of the HTTP exporter.

use super::prometheus::page;
use crate::double::{Answer, Double, Script, Seen};
use exporters::{AnyExporter, Settings};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Condvar, Mutex},
};
use tests::hostile::{Asked, Hostile, reset};

/// What an HTTP exporter sends to.
pub(crate) struct Http {
    server: Server,
    format: &'static str,
}

/// Decodes payloads, and answers as it is told.
pub(crate) struct Server {
    server: Hostile,
    state: Arc<State>,
}

/// What the server's threads share with the test.
#[derive(Default)]
struct State {
    script: Script,
    seen: Mutex<Seen>,
    ids: Mutex<Vec<String>>,
    over: Mutex<bool>,
    ended: Condvar,
    /// Whether payloads hold totals.
    cumulative: bool,
}

impl Http {
    pub(crate) fn json() -> Self {
        Self { server: Server::new(json), format: "json" }
    }

    pub(crate) fn messagepack() -> Self {
        let server = Server::new(|body| document(&rmp_serde::from_slice(body).unwrap()));
        Self { server, format: "messagepack" }
    }

    pub(crate) fn csv() -> Self {
        Self { server: Server::new(csv), format: "csv" }
    }

    pub(crate) fn prometheus() -> Self {
        let server = Server::with(true, |asked| page(std::str::from_utf8(&asked.body).unwrap()));
        Self { server, format: "prometheus" }
    }
}

impl Server {
    pub(crate) fn new(decode: fn(&[u8]) -> Seen) -> Self {
        Self::with(false, move |asked| decode(&asked.body))
    }

    /// `cumulative`: payloads hold totals.
    pub(super) fn with(cumulative: bool, decode: impl Fn(&Asked) -> Seen + Send + Sync + 'static) -> Self {
        let state = Arc::new(State { cumulative, ..State::default() });
        let shared = state.clone();
        Self { server: Hostile::start(move |asked, stream| shared.answer(asked, stream, &decode)), state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.server.requests()
    }

    pub(crate) fn script(&self, answers: &[Answer]) -> bool {
        self.state.script.set(answers);
        true
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.state.ids.lock().unwrap().clone()
    }
}

impl State {
    fn answer(
        &self,
        asked: &Asked,
        stream: &mut TcpStream,
        decode: &dyn Fn(&Asked) -> Seen,
    ) -> io::Result<()> {
        match self.script.next(asked.body.len()) {
            None => {
                let mut seen = self.seen.lock().unwrap();
                match self.cumulative {
                    true => seen.replace(decode(asked)),
                    false => seen.plus(&decode(asked)),
                }
                drop(seen);
                self.ids.lock().unwrap().extend(asked.header("Idempotency-Key").map(str::to_owned));
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            }
            Some(Answer::Status(status, retry_after)) => {
                let retry_after =
                    retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 {status} No\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n{retry_after}\r\n"
                );
                stream.write_all(head.as_bytes())
            }
            Some(Answer::Close | Answer::AtMost(_)) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Answer::Reset) => {
                reset(stream);
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Some(Answer::Stall) => {
                let over = self.over.lock().unwrap();
                drop(self.ended.wait_while(over, |over| !*over).unwrap());
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }
}

impl Drop for Server {
    /// Lets go of those who stall.
    fn drop(&mut self) {
        *self.state.over.lock().unwrap() = true;
        self.state.ended.notify_all();
    }
}

impl std::panic::RefUnwindSafe for Server {}

impl Double for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn exporter(&self) -> AnyExporter {
        let (address, format) = (self.server.address(), self.format);
        // What the backend answers is to be seen, not what comes of trying again.
        let settings = format!(
            "{{ endpoint: 'http://{address}/v1', format: {format}, timeout: 500ms, retry: {{ max_retries: 0 }} }}"
        );
        AnyExporter::of_kind("http", Settings::from_yaml(&settings).unwrap()).unwrap()
    }

    fn seen(&self) -> Seen {
        self.server.seen()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.server.script(answers)
    }

    fn ids(&self) -> Vec<String> {
        self.server.ids()
    }

    fn cumulative(&self) -> bool {
        self.server.state.cumulative
    }
}

pub(crate) fn json(body: &[u8]) -> Seen {
    document(&serde_json::from_slice(body).unwrap())
}

pub(super) fn document(document: &serde_json::Value) -> Seen {
    let mut seen = Seen::default();
    for item in document["metrics"].as_array().into_iter().flatten() {
        let text = |key: &str| item["attributes"][key].as_str().unwrap_or_default();
        match item["name"].as_str().unwrap() {
            "function.calls" => {
                seen.add_calls(text("function"), text("result"), item["value"].as_u64().unwrap())
            }
            "function.calls.duration" => {
                let buckets: u64 =
                    item["counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
                let count = item["count"].as_u64().unwrap();
                assert_eq!(buckets + item["zero_count"].as_u64().unwrap(), count);
                seen.add_durations(text("function"), count);
            }
            _ => {}
        }
    }
    seen
}

fn csv(body: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for row in ::csv::Reader::from_reader(body).into_records() {
        let row = row.unwrap();
        let attributes: serde_json::Value = serde_json::from_str(&row[5]).unwrap();
        let attribute = |key: &str| attributes[key].as_str().unwrap_or_default();
        match &row[2] {
            "function.calls" => {
                seen.add_calls(attribute("function"), attribute("result"), row[6].parse().unwrap());
            }
            "function.calls.duration" => seen.add_durations(attribute("function"), row[8].parse().unwrap()),
            _ => {}
        }
    }
    seen
}
