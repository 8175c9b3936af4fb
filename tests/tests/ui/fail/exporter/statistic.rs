use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[metric(misspelt = "function.calls.duration", stat = p59)]
#[metric(quoted = "function.calls.duration", stat = "p95")]
#[metric(of_a_counter = "function.calls", stat = p95)]
#[metric(of_a_gauge = "function.calls.concurrent", stat = max)]
#[metric(of_a_histogram = "log.messages.duration", stat = total)]
#[metric(of_a_statistic = "p95_latency_ms", stat = p95)]
#[metric(of_a_function = |_| None, stat = p95)]
struct Acme;

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
