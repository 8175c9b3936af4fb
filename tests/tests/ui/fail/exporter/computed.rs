use exporters::{Exporter, Payload, ProfileMetrics, Receipt, Result, Transmit};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[metric(absent = Self::absent)]
#[metric(certain = certain)]
#[metric(number = |metrics| metrics.total_calls())]
struct Acme;

fn certain(metrics: &ProfileMetrics) -> f64 {
    metrics.interval_seconds()
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

fn main() {}
