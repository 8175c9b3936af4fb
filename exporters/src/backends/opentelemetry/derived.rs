//! OTLP for derived exporters: what is in a payload of theirs, where it is posted, and what the answer says of it.

use super::{
    answer::partial_success,
    config::RETRIED,
    protobuf::Protobuf,
    target,
    wire::{self, Style},
};
use crate::{
    Attributes, Batch, Endpoint, KeyValue, Payload, Receipt, Result, SignalKind,
    encode::Written,
    transport::{
        Statuses,
        transmit::{AuthRef, HttpTransmit},
    },
};

/// Writes a batch as protobuf, with attributes beside the resource's.
///
/// # Errors
/// [`PayloadTooLarge`](crate::ErrorKind::PayloadTooLarge) where it does not fit.
pub(crate) fn write(
    batch: &Batch,
    attributes: &[(&str, &str)],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<Written> {
    let attributes =
        attributes.iter().map(|(key, text)| KeyValue::new((*key).to_owned(), (*text).to_owned()));
    let style = Style { attributes: Attributes::new(attributes), ..Style::default() };
    let written = wire::write::<Protobuf>(batch, &style, limit)?;
    *out = written.body;
    Ok(Written { items: batch.len(), skipped: written.skipped })
}

/// Posts `payload` to the path of its signal below `path` below `endpoint`. What the receiver says that it refused is rejected.
///
/// # Errors
/// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where the endpoint is one of a signal already, or of another protocol; else as
/// [`HttpTransmit::send`], with the statuses of [`OpenTelemetryExporter`](crate::OpenTelemetryExporter).
pub async fn send(
    http: &HttpTransmit,
    endpoint: &Endpoint,
    path: &str,
    auth: AuthRef<'_>,
    payload: Payload,
) -> Result<Receipt> {
    let base = if path.is_empty() { endpoint.clone() } else { endpoint.join(path)? };
    let signal = match payload.signal {
        SignalKind::Metrics => target::METRICS,
        SignalKind::Spans => target::TRACES,
    };
    let (items, bytes) = (payload.items, payload.body.len());
    let answer = http
        .post(&target::below(&base, signal, "")?, auth, payload, &Statuses::retried(&RETRIED[..]))
        .await?;
    let refused = usize::try_from(partial_success(&answer.body).rejected).unwrap_or(usize::MAX).min(items);
    let receipt = Receipt::accepted(items - refused).with_rejected(refused);
    Ok(receipt.with_transfer(bytes, answer.response_time))
}
