//! The struct's own `Deserialize`, with all that serde has, reads its settings.

#[path = "../exporter.rs"]
mod common;

use std::time::Duration;

use common::{Sent, export};
use exporters::{AnyExporter, Endpoint, Exporter, Payload, Receipt, Result, Secret, Settings, Transmit};
use serde::Deserialize;

static SENT: Sent = Sent::new();

#[derive(Clone, Debug, Deserialize, Exporter)]
#[exporter(kind = "acme-cloud")]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) struct AcmeCloud {
    #[serde(alias = "url", default = "endpoint")]
    #[exporter(attribute = "server.address")]
    endpoint: Endpoint,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(rename = "wait", with = "exporters::duration", default)]
    timeout: Duration,
}

fn endpoint() -> Endpoint {
    "https://me:secret@acme.example/v1".parse().unwrap()
}

impl Transmit for AcmeCloud {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        assert!(self.token.is_none() && self.timeout.is_zero());
        SENT.keep(payload)
    }
}

fn main() {
    let acme: AcmeCloud = Settings::from_env("PROFILING_ACME_CLOUD").read().unwrap();
    export(&AnyExporter::new(acme)).unwrap();
    assert!(SENT.text().contains(r#"{"server.address":"https://acme.example/v1"}"#), "{}", SENT.text());
}
