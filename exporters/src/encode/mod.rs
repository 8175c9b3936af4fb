//! Formats that two or more exporters share: a batch goes in, a [`Payload`] comes out.

mod compress;
mod csv;
mod document;
#[cfg(feature = "opentelemetry")]
mod fields;
mod json;
#[cfg(feature = "messagepack")]
mod messagepack;
#[cfg(feature = "file")]
pub(crate) mod record;
#[cfg(test)]
mod tests;
mod time;
mod walk;

pub use compress::Compression;
#[cfg(feature = "file")]
pub use record::again as record_again;
pub(crate) use time::Rfc3339;
#[cfg(feature = "opentelemetry")]
pub(crate) use {
    document::Sink,
    fields::{Field, Fields},
    json::Json,
};

use crate::{Batch, Error, ErrorKind, Payload, Result};
use serde::Deserialize;

/// How a payload is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PayloadFormat {
    /// One JSON object a batch; `metrics` or `spans` in it is a list with one object an item.
    #[default]
    Json,
    /// Comma-separated values, as RFC 4180 has them: a header, and one line an item. The column `attributes` is a JSON object.
    Csv,
    /// Prometheus' text 0.0.4; metrics only.
    #[cfg(feature = "prometheus")]
    Prometheus,
    /// What [`Json`](Self::Json) has, as MessagePack.
    #[cfg(feature = "messagepack")]
    MessagePack,
    /// An `ExportMetricsServiceRequest` or `ExportTraceServiceRequest` of OTLP, as protobuf, with counters and histograms as totals.
    /// For `#[exporter(encode = otlp)]`; [`HttpExporter`](crate::HttpExporter) refuses it, since
    /// [`OpenTelemetryExporter`](crate::OpenTelemetryExporter) is there.
    #[cfg(feature = "opentelemetry")]
    Otlp,
}

impl PayloadFormat {
    /// The media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            #[cfg(feature = "prometheus")]
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            #[cfg(feature = "messagepack")]
            Self::MessagePack => "application/vnd.msgpack",
            #[cfg(feature = "opentelemetry")]
            Self::Otlp => "application/x-protobuf",
        }
    }
}

/// What was made of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct Encoded {
    /// What to send.
    pub payload: Payload,
    /// Items that cannot be written: their value is not a finite number, or the format has no form for them.
    pub skipped: usize,
}

/// About as many bytes as an item becomes, so that a body seldom has to grow.
const BYTES_OF_ITEM: usize = 256;

impl PayloadFormat {
    /// Writes a batch, with `attributes` beside the resource's, in at most `max_bytes`.
    ///
    /// # Errors
    /// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) where it does not fit; the error says how many items would have.
    /// [`Unsupported`](ErrorKind::Unsupported) for spans in Prometheus' format.
    pub fn encode(
        self,
        batch: &Batch,
        attributes: &[(&str, &str)],
        max_bytes: Option<usize>,
    ) -> Result<Encoded> {
        let limit = max_bytes.unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(batch.len().saturating_mul(BYTES_OF_ITEM).min(limit));
        let written = match self {
            PayloadFormat::Json => document::write(batch, attributes, limit, &mut json::Json(&mut body)),
            PayloadFormat::Csv => csv::write(batch, attributes, limit, &mut body),
            #[cfg(feature = "prometheus")]
            PayloadFormat::Prometheus => {
                crate::backends::prometheus::write(batch, attributes, limit, &mut body)?
            }
            #[cfg(feature = "messagepack")]
            PayloadFormat::MessagePack => {
                document::write(batch, attributes, limit, &mut messagepack::MessagePack(&mut body))
            }
            #[cfg(feature = "opentelemetry")]
            PayloadFormat::Otlp => {
                crate::backends::opentelemetry::write(batch, attributes, limit, &mut body)?
            }
        };
        if written.items < batch.len() {
            return Err(too_large(written.items, limit));
        }
        let items = batch.len().saturating_sub(written.skipped);
        let payload = Payload::new(body, self.content_type(), items, batch.id().clone())
            .with_signal(batch.signal().kind());
        Ok(Encoded { payload, skipped: written.skipped })
    }
}

/// A batch for people: what [`PayloadFormat::Json`] has, with its identity, in a line; and how many items cannot be written.
#[cfg(feature = "file")]
pub(crate) fn json_line(batch: &Batch, attributes: &[(&str, &str)]) -> (Vec<u8>, usize) {
    use document::Sink;
    let mut line = Vec::new();
    let mut json = json::Json(&mut line);
    json.begin_map(1);
    json.key("id");
    json.text(&batch.id().to_string());
    json.entry();
    // The rest of the map is a map of its own, whose begin is not wanted.
    let begin = json.len();
    let written = document::write(batch, attributes, usize::MAX, &mut json);
    line.remove(begin);
    line.push(b'\n');
    (line, written.skipped)
}

/// How far a writer got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Items behind it: written, or skipped.
    pub(crate) items: usize,
    pub(crate) skipped: usize,
}

fn too_large(fitting: usize, limit: usize) -> Error {
    let error = Error::new(ErrorKind::PayloadTooLarge, "the batch is larger than a payload may be")
        .with_context("bytes", limit);
    error.with_fitting(fitting)
}
