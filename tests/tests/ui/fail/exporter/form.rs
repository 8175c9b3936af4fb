use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[exporter]
#[exporter = "acme"]
#[exporter(kind, encode = "json", max_items = 0, max_bytes = "1MB", register, health = 3, crate = "path" kind = "acme")]
#[metric(calls = "total_calls", kind = "gauge" unit = 1, help = "Calls")]
struct Acme {
    #[exporter(attribute = host)]
    host: String,
    #[exporter(attribute = " ")]
    port: u16,
    #[exporter]
    name: String,
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
