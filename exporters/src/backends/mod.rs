//! The built-in exporters, one folder a backend.

#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "prometheus")]
pub mod prometheus;
