//! `Acme`, a complete exporter: the struct says what is sent and as what, and one method sends it.

use exporters::{
    Endpoint, Error, ErrorKind, Exporter, Payload, ProfileMetrics, Receipt, Result, Secret, Transmit,
};
use serde::Deserialize;
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the receiver wants to see.
pub(crate) const TOKEN: &str = "an example's token";

/// Posts call statistics to Acme.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "acme", encode = json)]
#[metric(calls = "function.calls", help = "Calls that have ended")]
#[metric(latency_p95 = "function.calls.duration", stat = p95, unit = "ms")]
#[metric("acme.error.rate" = "error_rate")]
#[metric(availability = Self::availability, help = "Share of calls that did not fail")]
pub(crate) struct Acme {
    #[serde(default = "receiver")]
    endpoint: Endpoint,
    #[serde(default = "token")]
    token: Secret,
    #[serde(default = "environment")]
    #[exporter(attribute = "deployment.environment.name")]
    environment: String,
}

impl Acme {
    fn availability(metrics: &ProfileMetrics) -> Option<f64> {
        metrics.error_rate().map(|rate| 1.0 - rate)
    }
}

impl Transmit for Acme {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        let status = self.post(&payload).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "Acme cannot be reached").with_source(error)
        })?;
        // What went wrong decides what happens to the payload: sent again later, split, or given up.
        let kind = match status {
            200..300 => return Ok(payload.receipt()),
            401 | 403 => ErrorKind::Unauthorized,
            413 => ErrorKind::PayloadTooLarge,
            429 => ErrorKind::RateLimited,
            500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Rejected,
        };
        Err(Error::new(kind, "Acme did not take it").with_context("status", status))
    }
}

impl Acme {
    /// Posts a payload; gives the status of the answer.
    async fn post(&self, payload: &Payload) -> io::Result<u16> {
        let uri = self.endpoint.uri();
        if self.endpoint.is_https() {
            return Err(io::Error::other("this example speaks plain HTTP only"));
        }
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
        let (path, kind, len) = (uri.path(), payload.content_type, payload.body.len());
        let head = self.token.expose(|token| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
            )
        });
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&payload.body).await?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer).await?;
        let status = answer.get(9..12).and_then(|status| str::from_utf8(status).ok()?.parse().ok());
        status.ok_or_else(|| io::Error::other("that is no HTTP"))
    }
}

/// The default endpoint: a receiver in this program.
fn receiver() -> Endpoint {
    let address = examples::receive(TOKEN).expect("a port on loopback");
    format!("http://{address}/v1/metrics").parse().expect("a URL")
}

fn token() -> Secret {
    TOKEN.into()
}

fn environment() -> String {
    "example".to_owned()
}
