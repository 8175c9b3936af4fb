//! Unary calls of gRPC over HTTP/2: one message there, one back, and a status after it.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use super::{
    Client, Request,
    failure::{certificate_refused, failure, timed_out},
    http::{LARGEST_ANSWER, WHO, decompressed},
    status::LONGEST_WAIT,
};
use crate::{
    Error, ErrorKind, Result,
    encode::{Field, Fields},
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, TE, USER_AGENT},
};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The type of the detail that tells how long to wait.
const RETRY_INFO: &[u8] = b"google.rpc.RetryInfo";

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u32,
    /// Whether it says that the message was too long, for which there is no status.
    too_large: bool,
    /// How long the backend asks to be left alone.
    retry_after: Option<Duration>,
    /// Cut after 64 KiB.
    pub(crate) message: Bytes,
    /// From asking to the end of the answer.
    pub(crate) response_time: Duration,
}

impl Reply {
    /// Whether it is our credentials that are wrong.
    pub(crate) fn refuses_credentials(&self) -> bool {
        matches!(self.status, 7 | 16)
    }

    /// # Errors
    /// The one that the status is, unless it is success: <https://opentelemetry.io/docs/specs/otlp/#failures>. Nothing of what the
    /// backend wrote goes into it.
    pub(crate) fn check(&self) -> Result<()> {
        let (kind, message) = match self.status {
            0 => return Ok(()),
            8 | 11 if self.too_large => {
                (ErrorKind::PayloadTooLarge, "the payload is too large for the backend")
            }
            8 if self.retry_after.is_some() => {
                (ErrorKind::RateLimited, "the backend asks for fewer requests")
            }
            4 => (ErrorKind::Timeout, "the backend did not answer in time"),
            1 | 10 | 11 | 14 | 15 => (ErrorKind::Unavailable, "the backend failed"),
            7 | 16 => (ErrorKind::Unauthorized, "the backend refused the credentials: see `auth`"),
            12 => (ErrorKind::Rejected, "the backend has no such service: see `endpoint`"),
            _ => (ErrorKind::Rejected, "the backend refused the payload"),
        };
        let error = Error::new(kind, message).with_context("grpc-status", self.status);
        Err(match self.retry_after.filter(|_| error.is_retryable()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
    }
}

/// A message with what stands before it.
pub(crate) fn framed(message: &[u8], compressed: bool) -> Bytes {
    let mut frame = Vec::with_capacity(PREFIX + message.len());
    frame.push(u8::from(compressed));
    // A longer one is refused before by whoever limits the bytes of a payload.
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

impl Client {
    /// Calls a method with a [framed] message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) async fn call(&self, request: Request<'_>) -> Result<Reply> {
        let start = Instant::now();
        let end = start.checked_add(self.timeout).unwrap_or(start);
        let endpoint = request.endpoint;
        let failed =
            |error: reqwest::Error| failure(error, self.connect_timeout).with_context("endpoint", endpoint);
        let late = |_| timed_out(self.timeout).with_context("endpoint", endpoint);

        let mut headers = request.headers;
        headers.insert(USER_AGENT, HeaderValue::from_static(WHO));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let timeout = self.timeout.as_millis().clamp(1, 99_999_999);
        if let Ok(timeout) = HeaderValue::from_str(&format!("{timeout}m")) {
            headers.insert("grpc-timeout", timeout);
        }
        let pool = self.pool()?;
        let sending = pool.request(request.method, endpoint.uri().to_string());
        let sending = sending.headers(headers).body(request.body).send();
        let response = timeout_at(end, sending).await.map_err(late)?.map_err(failed)?;
        let http_status = response.status().as_u16();
        let (said, body) = timeout_at(end, read(response)).await.map_err(late)?.map_err(failed)?;
        let status = match (number(&said), http_status) {
            (Some(status), _) => status,
            (None, 200) => {
                let message = "what came was not an answer of gRPC: is this the port for it, mostly 4317?";
                return Err(Error::new(ErrorKind::Unavailable, message).with_context("endpoint", endpoint));
            }
            (None, http_status) => match certificate_refused(http_status, &body) {
                Some(error) => return Err(error.with_context("endpoint", endpoint)),
                None => of_http(http_status),
            },
        };
        let text = said.get("grpc-message").map_or(&b""[..], HeaderValue::as_bytes);
        let text = String::from_utf8_lossy(text).replace("%20", " ").to_lowercase();
        Ok(Reply {
            status,
            too_large: text.contains("too large") || text.contains("larger than"),
            retry_after: said.get("grpc-status-details-bin").and_then(|own| retry_info(own.as_bytes())),
            message: unframed(&body),
            response_time: start.elapsed(),
        })
    }
}

/// Headers and trailers in one, and the beginning of the body.
async fn read(response: reqwest::Response) -> reqwest::Result<(HeaderMap, Vec<u8>)> {
    let (head, mut from) = http::Response::<reqwest::Body>::from(response).into_parts();
    let (mut said, mut body) = (head.headers, Vec::new());
    while let Some(frame) = from.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                let room = (PREFIX + LARGEST_ANSWER).saturating_sub(body.len());
                body.extend_from_slice(data.get(..room).unwrap_or(&data));
            }
            Err(other) => said.extend(other.into_trailers().unwrap_or_default()),
        }
    }
    Ok((said, body))
}

fn number(said: &HeaderMap) -> Option<u32> {
    said.get("grpc-status")?.to_str().ok()?.trim().parse().ok()
}

/// What a proxy means that knows nothing of gRPC: <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>.
fn of_http(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

fn unframed(body: &[u8]) -> Bytes {
    let message = body.get(PREFIX..).unwrap_or_default();
    match body.first() {
        Some(1) => decompressed(message),
        _ => Bytes::copy_from_slice(message),
    }
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`, and never more than a day.
fn retry_info(encoded: &[u8]) -> Option<Duration> {
    let encoded = encoded.strip_suffix(b"=").unwrap_or(encoded);
    let encoded = encoded.strip_suffix(b"=").unwrap_or(encoded);
    let status = BASE64_STANDARD_NO_PAD.decode(encoded).ok()?;
    let details = Fields::of(&status).filter_map(|(number, field)| field.bytes().filter(|_| number == 3));
    details.filter_map(delay).next()
}

fn delay(any: &[u8]) -> Option<Duration> {
    fn part(message: &[u8], wanted: u64) -> Option<&[u8]> {
        Fields::of(message).find(|(number, _)| *number == wanted)?.1.bytes()
    }
    let value = part(any, 2).filter(|_| part(any, 1).is_some_and(|kind| kind.ends_with(RETRY_INFO)))?;
    let delay = part(value, 1)?;
    let mut wait = Duration::ZERO;
    for (number, field) in Fields::of(delay) {
        match (number, field) {
            (1, Field::Number(seconds)) => {
                wait = wait.saturating_add(Duration::from_secs(seconds.min(LONGEST_WAIT.as_secs())));
            }
            (2, Field::Number(nanos)) => {
                wait = wait.saturating_add(Duration::from_nanos(nanos.min(999_999_999)));
            }
            _ => {}
        }
    }
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(status: u32, too_large: bool, seconds: Option<u64>) -> Reply {
        let retry_after = seconds.map(Duration::from_secs);
        Reply { status, too_large, retry_after, message: Bytes::new(), response_time: Duration::ZERO }
    }

    #[test]
    fn statuses_have_kinds() {
        use ErrorKind::*;
        assert!(reply(0, false, None).check().is_ok());
        for (status, too_large, seconds, kind) in [
            (1, false, None, Unavailable),
            (2, false, None, Rejected),
            (3, false, None, Rejected),
            (4, false, None, Timeout),
            (7, false, None, Unauthorized),
            (8, false, None, Rejected),
            (8, false, Some(5), RateLimited),
            (8, true, None, PayloadTooLarge),
            (11, true, None, PayloadTooLarge),
            (11, false, None, Unavailable),
            (12, false, None, Rejected),
            (13, false, Some(5), Rejected),
            (14, false, Some(5), Unavailable),
            (16, false, None, Unauthorized),
            (99, false, None, Rejected),
        ] {
            let error = reply(status, too_large, seconds).check().unwrap_err();
            assert_eq!(error.kind(), kind, "{status}");
            let wait = seconds.filter(|_| error.is_retryable()).map(Duration::from_secs);
            assert_eq!(error.retry_after(), wait, "{status}");
        }
    }

    #[test]
    fn a_delay_is_found_among_the_details() {
        let encoded = |delay: &[u8]| {
            let message = |key: u8, content: &[u8]| [&[key, content.len() as u8], content].concat();
            let value = message(0x0a, delay);
            let any =
                [message(0x0a, b"type.googleapis.com/google.rpc.RetryInfo"), message(0x12, &value)].concat();
            let status = [&[0x08, 14][..], &message(0x12, b"busy"), &message(0x1a, &any)].concat();
            BASE64_STANDARD_NO_PAD.encode(status)
        };
        let seconds = retry_info(encoded(b"\x08\x07").as_bytes());
        assert_eq!(seconds, Some(Duration::from_secs(7)));
        assert_eq!(retry_info((encoded(b"\x08\x07") + "==").as_bytes()), seconds);
        assert_eq!(retry_info(encoded(b"\x10\x05").as_bytes()), Some(Duration::from_nanos(5)));
        assert_eq!(retry_info(encoded(b"\x08\xff\xff\xff\xff\x7f").as_bytes()), Some(LONGEST_WAIT));
        assert_eq!(retry_info(b"CA4"), None);
    }

    proptest! {
        #[test]
        fn any_details_will_do(bytes: Vec<u8>) {
            retry_info(&bytes);
            retry_info(BASE64_STANDARD_NO_PAD.encode(&bytes).as_bytes());
        }
    }
}
