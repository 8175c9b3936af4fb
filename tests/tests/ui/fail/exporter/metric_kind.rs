use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[metric(misspelt = "total_calls", kind = guage)]
#[metric(gauge = "function.calls.concurrent", kind = counter)]
#[metric(statistic = "error_rate", kind = rate)]
#[metric(counter = "function.calls", kind = histogram)]
#[metric(histogram = "function.calls.duration", kind = gauge)]
#[metric(rate = "function.calls.duration", kind = rate)]
#[metric(count = "function.calls.duration", kind = counter)]
#[metric(made = "function.calls.duration", stat = p95, kind = counter)]
#[metric(computed = |_| None, kind = counter)]
struct Acme;

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
