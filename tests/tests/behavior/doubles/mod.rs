//! A double for each kind.

pub(crate) mod derived;
pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod layered;
pub(crate) mod memory;
pub(crate) mod opentelemetry;
pub(crate) mod prometheus;
pub(crate) mod routes;
