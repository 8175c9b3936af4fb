//! Two exporters of one kind in a program: an error that says where both are.

use exporters::{ErrorKind, Exporter, Payload, Receipt, Result, Transmit};
use serde::Deserialize;

mod one {
    use super::*;

    #[derive(Debug, Deserialize, Exporter)]
    #[exporter(kind = "acme")]
    pub(crate) struct Acme;

    impl Transmit for Acme {
        async fn transmit(&self, payload: Payload) -> Result<Receipt> {
            Ok(payload.receipt())
        }
    }
}

mod other {
    use super::*;

    #[derive(Debug, Deserialize, Exporter)]
    #[exporter(kind = "acme")]
    pub(crate) struct Another;

    impl Transmit for Another {
        async fn transmit(&self, payload: Payload) -> Result<Receipt> {
            Ok(payload.receipt())
        }
    }
}

#[test]
fn both_places_are_told() {
    let error = exporters::kinds().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let text = error.to_string();
    assert!(text.contains("kind: acme"), "{text}");
    for (path, line) in [("kind_twice::one::Acme", 11), ("kind_twice::other::Another", 25)] {
        let place = format!("{path} ({}:{line})", file!());
        assert!(text.contains(&place), "{place} is not in {text}");
    }
}
