//! What the OpenTelemetry exporter sends, read by others: the generated decoder of another project, and real receivers.

mod answers;
mod derived;
mod grpc;
mod random;
mod receivers;
mod rows;
mod tls;
mod wire;

use exporters::{Batch, BatchId, Exporter, OpenTelemetryConfig, Receipt, Result, Signal};
use std::{net::SocketAddr, sync::Arc, time::Duration};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn config(address: SocketAddr) -> OpenTelemetryConfig {
    OpenTelemetryConfig::new(format!("http://{address}").parse().unwrap())
}

fn batch(signal: Signal) -> Batch {
    Batch::new(BatchId { instance: 7, leg: "otlp".into(), sequence: 1, part: 0 }, signal)
}

fn metrics(metrics: exporters::ProfileMetrics) -> Batch {
    batch(Signal::Metrics(Arc::new(metrics)))
}

/// No future takes longer than this, unless it hangs.
fn export(exporter: &impl Exporter, batch: Batch) -> Result<Receipt> {
    let wait = async { tokio::time::timeout(Duration::from_secs(60), exporter.export(batch)).await };
    runtime().block_on(wait).expect("it hangs")
}
