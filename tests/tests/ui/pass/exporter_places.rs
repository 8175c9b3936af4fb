//! In functions and modules, two of one name among them, beside names that the macro's output could meet.

#[path = "../exporter.rs"]
mod common;

use common::{Sent, export};

static SENT: Sent = Sent::new();

mod inner {
    #![allow(dead_code)]
    use ::exporters::{Exporter, Payload, Receipt, Transmit};

    pub struct Result;
    pub struct Vec;
    pub struct Derived;
    pub mod exporters {}
    #[allow(non_snake_case)]
    pub fn Some() {}
    #[allow(non_upper_case_globals)]
    pub const batch: u8 = 0;

    #[derive(Debug, serde::Deserialize, Exporter)]
    #[exporter(kind = "inner", crate = ::exporters)]
    #[metric(batch = |metrics| metrics.error_rate())]
    pub struct Place {
        pub batch: u8,
        pub kind: Option<::exporters::Secret>,
    }

    impl Transmit for Place {
        async fn transmit(&self, payload: Payload) -> ::exporters::Result<Receipt> {
            super::SENT.keep(payload)
        }
    }
}

fn within() -> impl exporters::Exporter {
    use exporters::{Exporter, Payload, Receipt, Result, Transmit};

    #[derive(Debug, serde::Deserialize, Exporter)]
    #[exporter(kind = "outer")]
    #[metric(failed = Self::failed)]
    struct Place(());

    impl Place {
        fn failed(metrics: &exporters::ProfileMetrics) -> Option<f64> {
            Some(metrics.total_calls() as f64)
        }
    }

    impl Transmit for Place {
        async fn transmit(&self, payload: Payload) -> Result<Receipt> {
            SENT.keep(payload)
        }
    }

    Place(())
}

fn main() {
    export(&inner::Place { batch: 1, kind: None }).unwrap();
    assert!(SENT.text().contains(r#"{"name":"batch""#), "{}", SENT.text());
    export(&within()).unwrap();
    assert!(SENT.text().contains(r#"{"name":"failed","kind":"gauge","value":3.0}"#), "{}", SENT.text());
    let kinds = exporters::kinds().unwrap();
    assert!(["inner", "outer"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}
