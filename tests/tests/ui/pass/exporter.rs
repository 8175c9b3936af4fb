//! A derived exporter: metrics by name, by statistic and by function, an attribute, and its kind.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};
use exporters::{Endpoint, Exporter, Payload, ProfileMetrics, Receipt, Result, Secret, Transmit, kinds};
use serde::Deserialize;

static SENT: Sent = Sent::new();

/// Posts call statistics to Acme.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "acme", encode = json)]
#[metric(throughput = "messages_per_second", kind = gauge, unit = "{message}/s", help = "Messages processed")]
#[metric(calls = "function.calls", stat = total)]
#[metric(latency_p95 = "function.calls.duration", stat = p95, unit = "ms")]
#[metric(share = Self::share, unit = "1")]
#[metric(third = |metrics| metrics.error_rate().map(|rate| rate * 3.0),)]
#[metric("acme.error.rate" = "error_rate")]
pub struct Acme {
    endpoint: Endpoint,
    token: Secret,
    #[exporter(attribute = "deployment.environment.name")]
    environment: String,
}

impl Acme {
    fn share(metrics: &ProfileMetrics) -> Option<f64> {
        metrics.error_rate().map(|rate| 1.0 - rate)
    }
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        assert!(self.endpoint.is_https() && !self.token.is_empty());
        SENT.keep(payload)
    }
}

fn main() {
    let acme = Acme {
        endpoint: "https://acme.example".parse().unwrap(),
        token: "secret".into(),
        environment: "production".to_owned(),
    };
    assert_eq!(acme.info().kind, "acme");
    let capability = acme.capability();
    assert!(capability.metrics && !capability.spans && capability.mapping.is_some());
    export(&acme).unwrap();
    let text = SENT.text();
    for part in [
        r#""attributes":{"deployment.environment.name":"production"}"#,
        r#"{"name":"calls","kind":"gauge""#,
        r#"{"name":"latency_p95","kind":"gauge","unit":"ms""#,
        r#"{"name":"share","kind":"gauge","unit":"1","value":0.6"#,
        r#"{"name":"third","kind":"gauge","value":1.0"#,
        r#"{"name":"acme.error.rate","kind":"gauge","unit":"1","value":0.3"#,
    ] {
        assert!(text.contains(part), "{part} is missing from {text}");
    }
    assert!(!text.contains("throughput"), "nothing logs here: {text}");
    let kinds = kinds().unwrap();
    assert!(["acme"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}
