use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "acme", kind = "emca")]
#[exporter(encode = json)]
#[exporter(encode = csv)]
#[metric(calls = "total_calls", unit = "1", unit = "2")]
#[metric("calls" = "calls_per_second")]
struct Acme {
    #[exporter(attribute = "host")]
    host: String,
    #[exporter(attribute = "host")]
    address: String,
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
