//! Exporters made by the derive: one whose author wrote `transmit`, and one that is sent over HTTP without.

use super::http::{Server, json};
use crate::double::{Answer, Double, Script, Seen};
use exporters::{
    AnyExporter, Endpoint, Error, Exporter, Payload, Receipt, Result, Secret, Settings, Transmit,
};
use serde::Deserialize;
use std::sync::{Arc, Mutex};

/// Its backend is in it.
#[derive(Clone, Debug, Default, Deserialize, Exporter)]
#[exporter(kind = "behavior_by_hand", encode = json)]
pub(crate) struct ByHand {
    #[serde(skip)]
    backend: Arc<Backend>,
}

#[derive(Debug, Default)]
struct Backend {
    script: Script,
    seen: Mutex<Seen>,
    ids: Mutex<Vec<String>>,
}

impl ByHand {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Transmit for ByHand {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        let backend = &self.backend;
        match backend.script.next(payload.body.len()) {
            None => {
                backend.seen.lock().unwrap().plus(&json(&payload.body));
                backend.ids.lock().unwrap().push(payload.id.to_string());
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
        self.backend.seen.lock().unwrap().clone()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.backend.script.set(answers);
        true
    }

    fn ids(&self) -> Vec<String> {
        self.backend.ids.lock().unwrap().clone()
    }
}

/// Posts to an endpoint.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "behavior_over_http", encode = json, http(path = "/v1", auth = bearer(token)))]
struct Posts {
    endpoint: Endpoint,
    token: Secret,
}

pub(crate) struct OverHttp(Server);

impl OverHttp {
    pub(crate) fn new() -> Self {
        Self(Server::new(json))
    }
}

impl Double for OverHttp {
    fn kind(&self) -> &'static str {
        "behavior_over_http"
    }

    fn exporter(&self) -> AnyExporter {
        let settings = format!("{{ endpoint: 'http://{}', token: canary }}", self.0.address());
        AnyExporter::of_kind("behavior_over_http", Settings::from_yaml(&settings).unwrap()).unwrap()
    }

    fn seen(&self) -> Seen {
        for asked in self.0.requests() {
            assert_eq!(asked.header("Authorization"), Some("Bearer canary"));
        }
        self.0.seen()
    }

    fn script(&self, answers: &[Answer]) -> bool {
        self.0.script(answers)
    }

    fn ids(&self) -> Vec<String> {
        self.0.ids()
    }
}
