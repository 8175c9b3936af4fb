//! The built-in exporters, one folder a backend.

#[cfg(feature = "prometheus")]
pub mod prometheus;
