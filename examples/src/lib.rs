//! The examples, one a capability, each runnable with `cargo run --release --example NAME`:
//!
//! - `quickstart`: real work on a directory tree, and where its time went, as a table and as metrics;
//! - `axum_metrics` (`--features axum`): the metrics on a page of the server that a program has anyway.
