//! The examples, one a capability, each runnable with `cargo run --release --example NAME`:
//!
//! - `quickstart`: real work on a directory tree, and where its time went, as a table and as metrics;
//! - `axum_metrics` (`--features axum`): the metrics on a page of the server that a program has anyway;
//! - `custom_exporter` (`--features custom`): an exporter of one's own, of which one method is written.

#[cfg(feature = "custom")]
mod receiver;

#[cfg(feature = "custom")]
pub use receiver::receive;
