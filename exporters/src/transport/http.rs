//! The HTTP client: pooled connections, one deadline for a whole exchange, and answers that cannot grow.

use super::{
    Statuses, TlsConfig,
    failure::{certificate_refused, failure, timed_out},
    status::retry_after,
    tls,
};
use crate::{Endpoint, Error, ErrorKind, Result};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, RETRY_AFTER, USER_AGENT},
};
use std::{
    fmt,
    io::Read,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::{self, Handle},
    time::{Instant, timeout_at},
};

/// The most that is read of an answer, and the most that is made of it by decompression.
pub(super) const LARGEST_ANSWER: usize = 64 * 1024;
/// Shorter than what servers and load balancers usually grant (60 s), so that it is us who close an idle connection.
const IDLE: Duration = Duration::from_secs(55);
/// Pools kept; whoever exports from more runtimes than that opens connections more often.
const POOLS: usize = 8;
pub(super) const WHO: &str = concat!("exporters/", env!("CARGO_PKG_VERSION"));

/// How to reach a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    /// For a whole exchange, the answer's body included.
    pub(crate) timeout: Duration,
    /// For name look-up, connection and TLS handshake.
    pub(crate) connect_timeout: Duration,
    pub(crate) tls: &'a TlsConfig,
    pub(crate) proxy: Option<&'a Endpoint>,
    pub(crate) local_address: Option<IpAddr>,
}

/// What to send.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    /// How long the backend asks to be left alone.
    retry_after: Option<Duration>,
    /// Decompressed, and cut after 64 KiB. For backends that say more than a status; never for an error's text.
    pub(crate) body: Bytes,
    /// From asking to the end of the answer.
    pub(crate) response_time: Duration,
}

impl Answer {
    /// Whether it is our credentials that are wrong.
    pub(crate) fn refuses_credentials(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    /// # Errors
    /// The one that the status is, unless it is success.
    pub(crate) fn check(&self, statuses: &Statuses) -> Result<()> {
        match certificate_refused(self.status.as_u16(), &self.body) {
            Some(error) => Err(error),
            None => statuses.error(self.status, self.retry_after).map_or(Ok(()), Err),
        }
    }
}

/// Sends requests, each within one deadline. Follows no redirect, heeds no proxy of the environment, repeats nothing.
pub(crate) struct Client {
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    tls: rustls::ClientConfig,
    /// HTTP/2, and nothing else.
    #[cfg(feature = "opentelemetry")]
    http2: bool,
    https: bool,
    proxy: Option<reqwest::Proxy>,
    local_address: Option<IpAddr>,
    /// A connection lives on the runtime that opened it, so each runtime has connections of its own.
    pools: Mutex<Vec<(runtime::Id, reqwest::Client)>>,
}

impl Client {
    /// A client for endpoints that are `https`, or for those that are not.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where an option is wrong, or a file it names.
    pub(crate) fn new(https: bool, options: Options<'_>) -> Result<Self> {
        let proxied = options.proxy.is_some_and(Endpoint::is_https);
        let tls = match https || proxied {
            true => tls::client_config(options.tls)?,
            false if options.tls.is_default() => tls::without_tls()?,
            false => {
                let message =
                    "`tls` is set, but the endpoint is not encrypted: make it https://, or remove `tls`";
                return Err(Error::new(ErrorKind::ConfigInvalid, message));
            }
        };
        let proxy = options.proxy.map(|proxy| {
            let wrong = |_| Error::new(ErrorKind::ConfigInvalid, "`proxy` is not a URL that can be used");
            reqwest::Proxy::all(proxy.uri().to_string()).map_err(wrong)
        });
        let client = Self {
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            tls,
            #[cfg(feature = "opentelemetry")]
            http2: false,
            https,
            proxy: proxy.transpose()?,
            local_address: options.local_address,
            pools: Mutex::default(),
        };
        client.build()?;
        Ok(client)
    }

    /// The same, for calls of gRPC.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn of_grpc(https: bool, options: Options<'_>) -> Result<Self> {
        let mut client = Self::new(https, options)?;
        client.tls.alpn_protocols = vec![b"h2".to_vec()];
        client.http2 = true;
        client.build()?;
        Ok(client)
    }

    fn build(&self) -> Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .https_only(self.https)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .local_address(self.local_address)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE);
        #[cfg(not(feature = "opentelemetry"))]
        let builder = builder.http1_only();
        #[cfg(feature = "opentelemetry")]
        let builder = if self.http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
        let builder = match &self.proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        };
        builder.build().map_err(|error| {
            let message = "the settings make no HTTP client";
            Error::new(ErrorKind::ConfigInvalid, message).with_source(error.without_url())
        })
    }

    /// The connections of the runtime we are in.
    pub(super) fn pool(&self) -> Result<reqwest::Client> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::new(
                ErrorKind::Unexpected,
                "exporting over HTTP needs a tokio runtime with time and IO enabled",
            )
        })?;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools.iter().find(|(id, _)| *id == runtime.id()) {
            return Ok(pool.clone());
        }
        let pool = self.build()?;
        if pools.len() >= POOLS {
            pools.remove(0);
        }
        pools.push((runtime.id(), pool.clone()));
        Ok(pool)
    }

    /// Sends `request`. An answer is one whatever its status: see [`Answer::check`].
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) and [`Unavailable`](ErrorKind::Unavailable). An answer that says success but breaks off is
    /// an error too: better sent twice than not at all.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer> {
        let start = Instant::now();
        let end = start.checked_add(self.timeout).unwrap_or(start);
        let endpoint = request.endpoint;
        let failed =
            |error: reqwest::Error| failure(error, self.connect_timeout).with_context("endpoint", endpoint);
        let late = |_| timed_out(self.timeout).with_context("endpoint", endpoint);

        let mut headers = request.headers;
        headers.insert(USER_AGENT, HeaderValue::from_static(WHO));
        // Nothing that we need of an answer is long.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let pool = self.pool()?;
        let sending = pool
            .request(request.method, endpoint.uri().to_string())
            .headers(headers)
            .body(request.body)
            .send();
        let response = timeout_at(end, sending).await.map_err(late)?.map_err(failed)?;

        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER);
        let retry_after = wait.and_then(|value| retry_after(value.as_bytes(), SystemTime::now()));
        let compressed = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        let body = match timeout_at(end, read(response)).await {
            Ok(Ok(body)) if compressed => decompressed(&body),
            Ok(Ok(body)) => body,
            // A refusal needs no body.
            _ if !status.is_success() => Bytes::new(),
            Ok(Err(error)) => return Err(failed(error)),
            Err(elapsed) => return Err(late(elapsed)),
        };
        Ok(Answer { status, retry_after, body, response_time: start.elapsed() })
    }
}

/// The beginning of the body; what comes after it is left unread, and the connection given up.
async fn read(mut response: reqwest::Response) -> reqwest::Result<Bytes> {
    let mut body = Vec::new();
    while body.len() < LARGEST_ANSWER
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(chunk.get(..LARGEST_ANSWER - body.len()).unwrap_or(&chunk));
    }
    Ok(body.into())
}

/// As much as there is of it: it may have been cut.
pub(super) fn decompressed(body: &[u8]) -> Bytes {
    let mut text = Vec::new();
    // What was read before an error stays.
    let _ = GzDecoder::new(body).take(LARGEST_ANSWER as u64).read_to_end(&mut text);
    text.into()
}

/// Finds now what would be found when sending: not all that is a URI is a URL.
///
/// # Errors
/// [`ConfigInvalid`](ErrorKind::ConfigInvalid).
pub(crate) fn check_url(endpoint: &Endpoint) -> Result<()> {
    let wrong = |_| {
        Error::new(ErrorKind::ConfigInvalid, "`endpoint` is not a URL that can be reached")
            .with_context("endpoint", endpoint)
    };
    reqwest::Url::parse(&endpoint.uri().to_string()).map(drop).map_err(wrong)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("https", &self.https).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
