//! The one method that the author of a derived exporter writes: sending a payload that is encoded already.

use super::Receipt;
use crate::{BatchId, Result, SignalKind};
use bytes::Bytes;
use std::future::Future;

/// Sends what `#[derive(Exporter)]` has encoded.
///
/// ```
/// # use exporters::{Payload, Receipt, Result, Transmit};
/// struct Print;
/// impl Transmit for Print {
///     async fn transmit(&self, payload: Payload) -> Result<Receipt> {
///         println!("{} {}", payload.content_type, payload.body.len());
///         Ok(payload.receipt())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how to send a payload",
    label = "does not implement `exporters::Transmit`",
    note = "write `impl Transmit for {Self}` with its one method, or have it written: `#[exporter(http(..))]`"
)]
pub trait Transmit: Send + Sync {
    /// Sends one payload. It may be called again with the same one; dropping its future abandons the attempt.
    ///
    /// # Errors
    /// What [`ErrorKind`](crate::ErrorKind) says: the kind decides whether the payload is sent again, split, or given up.
    fn transmit(&self, payload: Payload) -> impl Future<Output = Result<Receipt>> + Send;
}

/// A batch in the form that a backend takes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Payload {
    /// The encoded items.
    pub body: Bytes,
    /// The media type, for example `application/json`.
    pub content_type: &'static str,
    /// How many items it holds.
    pub items: usize,
    /// What they are: some backends take each in a place of its own.
    pub signal: SignalKind,
    /// The batch it was made from; the same when it is sent again, so that a backend can tell.
    pub id: BatchId,
}

impl Payload {
    /// A payload of metrics, made from the batch `id`.
    pub fn new(body: impl Into<Bytes>, content_type: &'static str, items: usize, id: BatchId) -> Self {
        Self { body: body.into(), content_type, items, signal: SignalKind::Metrics, id }
    }

    /// Sets what the items are.
    #[must_use]
    pub fn with_signal(mut self, signal: SignalKind) -> Self {
        self.signal = signal;
        self
    }

    /// That all of its items were taken.
    pub fn receipt(&self) -> Receipt {
        Receipt { bytes: self.body.len(), ..Receipt::accepted(self.items) }
    }
}
