//! `crate`: the library by another path.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};

mod vendored {
    pub use exporters as telemetry;
}
use vendored::telemetry::{Payload, Receipt, Result, Transmit};

static SENT: Sent = Sent::new();

#[derive(Debug, serde::Deserialize, vendored::telemetry::Exporter)]
#[exporter(crate = crate::vendored::telemetry)]
#[metric(calls = "total_calls", kind = rate)]
struct Moved;

impl Transmit for Moved {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        SENT.keep(payload)
    }
}

fn main() {
    export(&Moved).unwrap();
    assert!(SENT.text().contains(r#"{"name":"calls","kind":"gauge""#), "{}", SENT.text());
    let kinds = exporters::kinds().unwrap();
    assert!(["moved"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}
