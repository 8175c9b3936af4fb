//! What a pass file with an exporter needs: a batch of what it recorded, and what was sent.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};

use exporters::{Batch, BatchId, Exporter, Payload, ProfileMetrics, Receipt, Result, Signal};

/// What exporters of a file have sent.
#[derive(Debug)]
pub struct Sent(Mutex<Vec<Payload>>);

impl Sent {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Keeps a payload, and takes all of it.
    pub fn keep(&self, payload: Payload) -> Result<Receipt> {
        let receipt = payload.receipt();
        self.0.lock().unwrap().push(payload);
        Ok(receipt)
    }

    /// The latest payload, as text.
    pub fn text(&self) -> String {
        let payloads = self.0.lock().unwrap();
        String::from_utf8_lossy(&payloads.last().expect("a payload").body).into_owned()
    }
}

#[exporters::profiled]
fn work(good: bool) -> std::result::Result<(), ()> {
    if good { Ok(()) } else { Err(()) }
}

/// Three calls of `work`, one of which failed.
pub fn snapshot() -> ProfileMetrics {
    let profiler = exporters::test();
    let _ = (work(true), work(true), work(false));
    profiler.snapshot()
}

/// Sends such a snapshot.
pub fn export(exporter: &impl Exporter) -> Result<Receipt> {
    let id = BatchId { instance: 1, leg: "leg".into(), sequence: 0, part: 0 };
    let batch = Batch::new(id, Signal::Metrics(Arc::new(snapshot())));
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(exporter.export(batch))
}
