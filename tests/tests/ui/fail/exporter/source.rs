use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[metric(throughput = "mesages_per_second")]
#[metric(calls = "function.cals", stat = rate)]
#[metric(latency = "function.calls.duration:p95")]
#[metric(field = function.calls)]
#[metric(number = 3)]
#[metric(missing)]
#[metric(acme.calls = "total_calls")]
#[metric("" = "total_calls")]
#[metric]
struct Acme {
    #[metric(calls = "total_calls")]
    host: String,
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {
    // It is an exporter all the same.
    exporters::AnyExporter::new(Acme { host: String::new() });
}
