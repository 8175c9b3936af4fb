//! Every encoding; Prometheus' takes no spans.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};
use exporters::{Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

static SENT: Sent = Sent::new();

macro_rules! encoded {
    ($($name:ident $format:ident,)*) => {
        $(#[derive(Debug, Deserialize, Exporter)]
        #[exporter(encode = $format)]
        struct $name;

        impl Transmit for $name {
            async fn transmit(&self, payload: Payload) -> Result<Receipt> {
                SENT.keep(payload)
            }
        })*
    };
}
encoded! {
    Json json,
    Csv csv,
    Text prometheus,
    Packed messagepack,
    Collected otlp,
}

/// `transmit`, too, to the path of each signal.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(encode = otlp, http(path = "/otlp"))]
struct Posted {
    endpoint: exporters::Endpoint,
}

fn main() {
    export(&Json).unwrap();
    assert!(SENT.text().starts_with(r#"{"resource":"#), "{}", SENT.text());
    export(&Csv).unwrap();
    assert!(SENT.text().starts_with("start,end,name,"), "{}", SENT.text());
    export(&Text).unwrap();
    assert!(SENT.text().contains("function_calls_total{"), "{}", SENT.text());
    export(&Packed).unwrap();
    assert!(SENT.text().contains("function.calls.duration"), "{}", SENT.text());
    export(&Collected).unwrap();
    assert!(SENT.text().contains("function.calls.duration"), "{}", SENT.text());
    assert!(Collected.capability().spans && !Text.capability().spans && Csv.capability().spans && Packed.capability().spans);
    let kinds = exporters::kinds().unwrap();
    assert!(["collected", "csv", "json", "packed", "posted", "text"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}
