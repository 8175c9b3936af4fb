#![doc = include_str!("../../README.md")]

mod backends;
mod error;
mod exporter;
mod model;

#[cfg(feature = "prometheus")]
pub use backends::prometheus::{self, PrometheusConfig, PrometheusExporter};
pub use error::{Error, ErrorKind, Result};
pub use exporter::{AnyExporter, Capability, Exporter, Health, Info, Layer, MemoryExporter, Receipt};
pub use model::*;
