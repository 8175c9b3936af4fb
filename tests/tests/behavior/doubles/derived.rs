//! Exporters made by the derive: one whose author wrote `transmit`, and one that is sent over HTTP without.

use super::http::{State, json, serve};
use crate::double::{Answer, Double, Seen};
use exporters::{
    AnyExporter, Endpoint, Error, ErrorKind, Exporter, Payload, Receipt, Result, Secret, Settings, Transmit,
};
use serde::Deserialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tests::hostile::Hostile;

/// Its backend is in it.
#[derive(Clone, Debug, Default, Deserialize, Exporter)]
#[exporter(kind = "behavior_by_hand", encode = json)]
pub(crate) struct ByHand {
    #[serde(skip)]
    backend: Arc<Mutex<Backend>>,
}

#[derive(Debug, Default)]
struct Backend {
    seen: Seen,
    script: VecDeque<Answer>,
    ids: Vec<String>,
}

impl ByHand {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Transmit for ByHand {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        let answer = {
            let mut backend = self.backend.lock().unwrap();
            match backend.script.front().copied() {
                Some(Answer::AtMost(bytes)) if payload.body.len() > bytes => Some(Answer::Status(413, None)),
                Some(Answer::AtMost(_)) => None,
                _ => backend.script.pop_front(),
            }
        };
        match answer {
            None => {
                let mut backend = self.backend.lock().unwrap();
                backend.seen.plus(&json(&payload.body));
                backend.ids.push(payload.id.to_string());
                Ok(payload.receipt())
            }
            Some(answer) => {
                let error = Error::new(self.becomes(answer), "as the test wants it");
                Err(match answer {
                    Answer::Status(_, Some(seconds)) => {
                        error.with_retry_after(std::time::Duration::from_secs(seconds))
                    }
                    _ => error,
                })
            }
        }
    }
}

impl Double for ByHand {
    fn kind(&self) -> &'static str {
        "behavior_by_hand"
    }

    fn exporter(&self) -> AnyExporter {
        AnyExporter::new(self.clone())
    }

    fn seen(&self) -> Seen {
        self.backend.lock().unwrap().seen.clone()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.backend.lock().unwrap().script = answers.iter().copied().collect();
        true
    }

    fn becomes(&self, answer: Answer) -> ErrorKind {
        match answer {
            Answer::Status(401 | 403, _) => ErrorKind::Unauthorized,
            Answer::Status(413, _) => ErrorKind::PayloadTooLarge,
            Answer::Status(429, _) => ErrorKind::RateLimited,
            Answer::Status(500 | 503, _) | Answer::Close => ErrorKind::Unavailable,
            Answer::Stall | Answer::AtMost(_) => ErrorKind::Timeout,
            Answer::Status(..) => ErrorKind::Rejected,
        }
    }

    fn ids(&self) -> Vec<String> {
        self.backend.lock().unwrap().ids.clone()
    }
}

/// Posts to an endpoint.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "behavior_over_http", encode = json, http(path = "/v1", auth = bearer(token)))]
struct Posts {
    endpoint: Endpoint,
    token: Secret,
}

pub(crate) struct OverHttp {
    server: Hostile,
    state: Arc<State>,
}

impl OverHttp {
    pub(crate) fn new() -> Self {
        let state = Arc::<State>::default();
        Self { server: serve(&state, json), state }
    }
}

impl Drop for OverHttp {
    fn drop(&mut self) {
        self.state.end();
    }
}

impl std::panic::RefUnwindSafe for OverHttp {}

impl Double for OverHttp {
    fn kind(&self) -> &'static str {
        "behavior_over_http"
    }

    fn exporter(&self) -> AnyExporter {
        let settings = format!("{{ endpoint: 'http://{}', token: canary }}", self.server.address());
        AnyExporter::of_kind("behavior_over_http", Settings::from_yaml(&settings).unwrap()).unwrap()
    }

    fn seen(&self) -> Seen {
        for asked in self.server.requests() {
            assert_eq!(asked.header("Authorization"), Some("Bearer canary"));
        }
        self.state.seen()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.state.script(answers);
        true
    }

    fn ids(&self) -> Vec<String> {
        self.state.ids()
    }
}
