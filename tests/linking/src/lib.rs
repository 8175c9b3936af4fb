//! Functions that nothing calls, and an exporter that nothing makes, for a program that only names the crate.

use exporters::{Exporter, Payload, Receipt, Result, Transmit};

/// Is registered, though nothing calls it.
#[exporters::profiled]
pub fn never_called() {}

/// A generic function: its site is one, whatever it is called with, even if that is nothing.
#[exporters::profiled]
pub fn never_instantiated<T>(_: T) {}

/// A private type, whose methods are registered all the same.
struct Hidden;

#[exporters::profiled]
impl Hidden {
    #[allow(dead_code)]
    async fn never_named(&self) {}
}

/// A private exporter, which is registered all the same.
#[derive(Debug, serde::Deserialize, Exporter)]
#[exporter(kind = "never-made")]
struct NeverMade {}

impl Transmit for NeverMade {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}
