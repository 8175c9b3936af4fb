//! A unit struct, and one without fields.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};
use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

static SENT: Sent = Sent::new();

#[derive(Clone, Copy, Debug, Deserialize, Exporter)]
#[exporter()]
struct r#Unit;

#[derive(Debug, Deserialize, exporters::Exporter)]
struct Empty {}

impl Transmit for Unit {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        SENT.keep(payload)
    }
}

impl Transmit for Empty {
    fn transmit(&self, payload: Payload) -> impl Future<Output = Result<Receipt>> + Send {
        std::future::ready(SENT.keep(payload))
    }
}

fn main() {
    for receipt in [export(&Unit), export(&Empty {})] {
        assert!(receipt.unwrap().accepted > 0);
        assert!(SENT.text().contains(r#""attributes":{},"#), "{}", SENT.text());
    }
    let kinds = exporters::kinds().unwrap();
    assert!(["empty", "unit"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}
