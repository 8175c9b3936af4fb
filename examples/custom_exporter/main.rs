//! An exporter of one's own, [`Acme`]. What arrives at the receiver, which the example starts itself, is printed.
//!
//! ```text
//! cargo run --example custom_exporter
//! ```
//!
//! Variables override the settings: `PROFILING_ACME_ENDPOINT=http://host:port/path`, and `PROFILING_ACME_TOKEN=..`, or
//! `PROFILING_ACME_TOKEN_FILE=/run/secrets/acme`.

mod acme;

use acme::Acme;
use exporters::{Profiler, Result, Settings, profiled};
use std::time::Duration;

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
