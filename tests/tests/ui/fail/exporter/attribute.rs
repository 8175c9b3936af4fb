use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[exporter(attribute = "acme")]
struct Acme {
    #[exporter(encode = json)]
    host: String,
}

#[derive(Debug, Deserialize, Exporter)]
struct List {
    #[exporter(attribute = "hosts")]
    hosts: Vec<String>,
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

impl Transmit for List {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
