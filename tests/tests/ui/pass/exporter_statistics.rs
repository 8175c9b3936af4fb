//! Every statistic, and every kind that a source can be sent as.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};
use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

static SENT: Sent = Sent::new();

#[derive(Debug, Deserialize, Exporter)]
#[metric(count = "function.calls.duration", stat = count)]
#[metric(max = "function.calls.duration", stat = max)]
#[metric(mean = "function.calls.duration", stat = mean, kind = gauge)]
#[metric(p50 = "function.calls.duration", stat = p50, unit = "us")]
#[metric(p90 = "function.calls.duration", stat = p90)]
#[metric(p95 = "function.calls.duration", stat = p95)]
#[metric(p99 = "function.calls.duration", stat = p99)]
#[metric(sum = "function.calls.duration", stat = sum, kind = counter)]
#[metric(rate = "function.calls.duration", stat = rate, kind = rate)]
#[metric(total = "function.calls", stat = total)]
#[metric(histogram = "function.calls.duration", kind = histogram)]
#[metric(kind = "total_calls", kind = gauge)]
#[metric(stat = "function.calls", stat = rate, kind = gauge)]
#[metric(r#type = "concurrent_calls")]
struct All;

impl Transmit for All {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        SENT.keep(payload)
    }
}

fn main() {
    export(&All).unwrap();
    let text = SENT.text();
    for (name, kind) in [
        ("count", "counter"),
        ("max", "gauge"),
        ("mean", "gauge"),
        ("p50", "gauge"),
        ("p90", "gauge"),
        ("p95", "gauge"),
        ("p99", "gauge"),
        ("sum", "counter"),
        ("rate", "gauge"),
        ("total", "gauge"),
        ("histogram", "histogram"),
        ("kind", "gauge"),
        ("stat", "gauge"),
        ("type", "gauge"),
    ] {
        let part = format!(r#"{{"name":"{name}","kind":"{kind}""#);
        assert!(text.contains(&part), "{part} is missing from {text}");
    }
}
