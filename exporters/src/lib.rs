#![doc = include_str!("../../README.md")]

mod error;
mod exporter;
mod model;

pub use error::{Error, ErrorKind, Result};
pub use exporter::{AnyExporter, Capability, Exporter, Health, Info, Layer, MemoryExporter, Receipt};
pub use model::*;
