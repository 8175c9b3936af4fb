//! The examples, one a capability, each runnable with `cargo run --release --example NAME`:
//!
//! - `quickstart`: real work on a directory tree, and where its time went, as a table and as metrics;
//! - `axum_metrics` (`--features axum`): the metrics on a page of the server that a program has anyway;
//! - `custom_exporter`: an exporter of one's own, of which one method is written;
//! - `custom_exporter_http` (`--features http`): one of which none is;
//! - `distributed` (a package of its own): one trace through two services made with axum and reqwest;
//! - `exporters_yaml`: three exporters from a configuration file;
//! - `multi`: exporters made of several, one of which is down;
//! - `replay` (`--features file`): sends dead letters again;
//! - `resilient` (`--features file`): a backend that dies and comes back, and the books meanwhile.

mod receiver;

pub use receiver::receive;
