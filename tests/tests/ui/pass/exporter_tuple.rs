//! A tuple struct, called like its kind, with a field that is an attribute.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};
use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

static SENT: Sent = Sent::new();

#[derive(Debug, Deserialize, Exporter)]
#[exporter(max_items = 10, max_bytes = 1024 * 1024)]
struct HTTPSink2(#[exporter(attribute = "port")] u16, Option<String>);

impl Transmit for HTTPSink2 {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        SENT.keep(payload)
    }
}

fn main() {
    let sink = HTTPSink2(8080, None);
    assert_eq!(sink.info().kind, "http_sink2");
    let capability = sink.capability();
    assert!(capability.metrics && capability.spans && capability.mapping.is_none());
    assert_eq!((capability.max_items, capability.max_bytes), (Some(10), Some(1_048_576)));
    export(&sink).unwrap();
    assert!(SENT.text().contains(r#""attributes":{"port":"8080"}"#), "{}", SENT.text());
    assert!(SENT.text().contains(r#""name":"function.calls""#), "{}", SENT.text());
    let kinds = exporters::kinds().unwrap();
    assert!(["http_sink2"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}
