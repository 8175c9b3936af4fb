//! What exporters over the network share. Dependencies end here: only this folder names the HTTP client and the TLS library.

mod auth;
mod config;
mod failure;
#[cfg(feature = "opentelemetry")]
pub(crate) mod grpc;
mod http;
mod status;
mod tls;
pub(crate) mod transmit;

pub use auth::{AuthConfig, AuthKind};
pub use config::ExporterConfig;
pub use tls::TlsConfig;

pub(crate) use self::http::{Answer, Client, Options, Request, check_url};
pub(crate) use auth::Auth;
pub(crate) use config::Shorthand;
pub(crate) use status::Statuses;

/// `Retry-After`, for fuzzing.
pub fn retry_after(value: &[u8], now: std::time::SystemTime) -> Option<std::time::Duration> {
    status::retry_after(value, now)
}
