//! `register = false`: only the program makes one, which need not be `Deserialize`.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};
use exporters::{Exporter, Payload, Receipt, Result, Transmit};

static SENT: Sent = Sent::new();

#[derive(Debug, Exporter)]
#[exporter(register = false)]
#[exporter(kind = "in-code")]
struct InCode {
    sent: &'static Sent,
    #[exporter(attribute = "dyn")]
    shown: Box<dyn Shown>,
}

trait Shown: std::fmt::Display + std::fmt::Debug + Send + Sync {}
impl Shown for &'static str {}

impl Transmit for InCode {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        self.sent.keep(payload)
    }
}

fn main() {
    let exporter = InCode { sent: &SENT, shown: Box::new("by \"trait\"") };
    assert_eq!(exporter.info().kind, "in-code");
    export(&exporter).unwrap();
    assert!(SENT.text().contains(r#"{"dyn":"by \"trait\""}"#), "{}", SENT.text());
    let built_in = ["conditional", "file", "http", "memory", "multi", "opentelemetry", "prometheus"];
    assert!(exporters::kinds().unwrap().iter().all(|kind| built_in.contains(kind)));
}
