//! From a batch to a request.

use super::{HttpConfig, Transformer};
use crate::{
    Batch, Error, ErrorKind, Result, encode::Encoded, foreign::quietly, transport::transmit::payload_headers,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};

/// What is sent of a batch.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    /// Items that cannot be written.
    pub(super) skipped: usize,
}

/// # Errors
/// Those of encoding; [`Unexpected`](ErrorKind::Unexpected) where the transformer panics.
pub(super) fn write(
    config: &HttpConfig,
    transformer: Option<&Transformer>,
    batch: &Batch,
) -> Result<Written> {
    let limit = config.max_body.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let (body, content_type, skipped) = match (transformer, batch.metrics()) {
        (Some(transformer), Some(metrics)) => {
            let body = transformed(transformer, &metrics.slice(batch.range()))?;
            if limit.is_some_and(|limit| body.len() > limit) {
                let message = "what the transformer made is larger than a payload may be";
                return Err(Error::new(ErrorKind::PayloadTooLarge, message));
            }
            (body, "application/json", 0)
        }
        _ => {
            let attributes = config.attributes.iter().map(|(key, value)| (&**key, &**value));
            let attributes: Vec<_> = attributes.collect();
            let Encoded { payload, skipped } = config.format.encode(batch, &attributes, limit)?;
            (payload.body, payload.content_type, skipped)
        }
    };
    let mut headers = payload_headers(content_type, batch.id());
    if let Some(encoding) = config.compression.content_encoding() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Ok(Written { body: config.compression.compress(body)?, headers, skipped })
}

/// The program's own code: it may panic, and that costs this batch alone.
fn transformed(transformer: &Transformer, metrics: &crate::ProfileMetrics) -> Result<Bytes> {
    let panicked = |_| Err(Error::new(ErrorKind::Unexpected, "the transformer panicked"));
    quietly(|| transformer(metrics)).unwrap_or_else(panicked)
}
