use exporters::{Exporter, Payload, Receipt, Result, Transmit};

#[derive(Debug, Exporter)]
struct Acme;

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
