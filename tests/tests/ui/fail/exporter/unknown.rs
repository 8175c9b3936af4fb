use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[exporter(kidn = "acme", encoding = json, colour = red)]
#[metric(calls = "total_calls", units = "1", latency = "p95_latency_ms")]
struct Acme {
    #[exporter(atribute = "host")]
    host: String,
    #[exporter(kind = "acme")]
    port: u16,
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
