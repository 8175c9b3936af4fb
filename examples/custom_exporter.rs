//! An exporter of one's own: the struct says what is sent and as what, one method sends it. What arrives at the receiver,
//! which the example starts itself, is printed: `cargo run --release --example custom_exporter --features examples/custom`.
//!
//! Variables override the settings: `PROFILING_ACME_ENDPOINT=http://host:port/path`, and `PROFILING_ACME_TOKEN=..`, or
//! `PROFILING_ACME_TOKEN_FILE=/run/secrets/acme`. `https`, a pool of connections and so on are what
//! `#[exporter(http(..))]` has.

use exporters::{
    Endpoint, Error, ErrorKind, Exporter, Payload, ProfileMetrics, Profiler, Receipt, Result, Secret,
    Settings, Transmit, profiled,
};
use serde::Deserialize;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the receiver wants to see.
const TOKEN: &str = "an example's token";

/// Posts call statistics to Acme.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "acme", encode = json)]
#[metric(calls = "function.calls", help = "Calls that have ended")]
#[metric(latency_p95 = "function.calls.duration", stat = p95, unit = "ms")]
#[metric("acme.error.rate" = "error_rate")]
#[metric(availability = Self::availability, help = "Share of calls that did not fail")]
struct Acme {
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

#[profiled]
fn charge(amount: u32) -> std::result::Result<u32, &'static str> {
    if amount.is_multiple_of(4) { Err("declined") } else { Ok(amount) }
}

#[profiled]
fn checkout(orders: u32) -> u32 {
    (1..=orders).filter_map(|amount| charge(amount).ok()).sum()
}

fn main() -> Result<()> {
    let acme: Acme = Settings::from_env("PROFILING_ACME").read()?;
    let profiler = Profiler::builder().service("custom_exporter").exporter(acme).start()?;
    println!("sold for {}", checkout(20));
    profiler.flush(Duration::from_secs(5))?;
    profiler.shutdown(Duration::from_secs(5)).into_result()
}
