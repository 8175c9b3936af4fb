//! Sending a payload: the headers that tell what it is, and what `#[exporter(http(..))]` expands to.

use super::{
    Answer, Client, Options, Request, Statuses, TlsConfig,
    auth::{basic, bearer, header_name, plain},
};
use crate::{BatchId, Endpoint, Payload, Receipt, Result, Secret};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use std::{fmt::Write, sync::OnceLock, time::Duration};

/// For a whole exchange, unless set.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// For connecting, unless set.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a payload that is sent again, so that the backend can tell
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a payload is, and which.
pub(crate) fn payload_headers(content_type: &'static str, id: &BatchId) -> HeaderMap {
    let key = id.to_string().bytes().fold(String::from("\""), |mut key, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => key.push(char::from(byte)),
            _ => _ = write!(key, "%{byte:02X}"),
        }
        key
    });
    let key = HeaderValue::from_str(&(key + "\"")).ok().map(|key| (IDEMPOTENCY_KEY, key));
    key.into_iter().chain([(CONTENT_TYPE, HeaderValue::from_static(content_type))]).collect()
}

/// Sends the payloads of all exporters of one derived type: `static HTTP: HttpTransmit = HttpTransmit::new();`.
#[derive(Debug, Default)]
pub struct HttpTransmit {
    plain: OnceLock<Client>,
    encrypted: OnceLock<Client>,
}

/// How a derived exporter says who it is.
#[derive(Clone, Copy, Debug)]
pub enum AuthRef<'a> {
    /// Not at all.
    None,
    /// `Authorization: Bearer`.
    Bearer(&'a Secret),
    /// A header of this name.
    ApiKey(&'a str, &'a Secret),
    /// `Authorization: Basic`, with a user and a password.
    Basic(&'a str, &'a Secret),
}

impl HttpTransmit {
    /// Opens nothing yet.
    pub const fn new() -> Self {
        Self { plain: OnceLock::new(), encrypted: OnceLock::new() }
    }

    /// Posts `payload` to `path` below `endpoint`, or to `endpoint` where `path` is empty, within 10 s.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where path or credentials cannot be sent; else as
    /// [`HttpExporter`](crate::HttpExporter) with its default settings.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        path: &str,
        auth: AuthRef<'_>,
        payload: Payload,
    ) -> Result<Receipt> {
        let joined = if path.is_empty() { endpoint.clone() } else { endpoint.join(path)? };
        let (items, bytes) = (payload.items, payload.body.len());
        let answer = self.post(&joined, auth, payload, &Statuses::default()).await?;
        Ok(Receipt::accepted(items).with_transfer(bytes, answer.response_time))
    }

    /// Posts `payload` to `endpoint`, of whose answer `statuses` are those that say to try again.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) async fn post(
        &self,
        endpoint: &Endpoint,
        auth: AuthRef<'_>,
        payload: Payload,
        statuses: &Statuses,
    ) -> Result<Answer> {
        let mut headers = payload_headers(payload.content_type, &payload.id);
        match auth {
            AuthRef::None => {}
            AuthRef::Bearer(token) => _ = headers.insert(AUTHORIZATION, bearer(token)?),
            AuthRef::Basic(user, password) => _ = headers.insert(AUTHORIZATION, basic(user, Some(password))?),
            AuthRef::ApiKey(name, key) => {
                _ = headers.insert(header_name("auth", name)?, plain("auth", key)?);
            }
        }
        let request = Request { method: Method::POST, endpoint, headers, body: payload.body };
        let answer = self.client(endpoint.is_https())?.send(request).await?;
        answer.check(statuses).map_err(|error| error.with_context("endpoint", endpoint))?;
        Ok(answer)
    }

    fn client(&self, https: bool) -> Result<&Client> {
        let cell = if https { &self.encrypted } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = Client::new(
            https,
            Options {
                timeout: TIMEOUT,
                connect_timeout: CONNECT_TIMEOUT,
                tls: &TlsConfig::default(),
                proxy: None,
                local_address: None,
            },
        )?;
        Ok(cell.get_or_init(|| client))
    }
}
