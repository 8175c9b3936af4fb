//! What becomes of every call while backends are down, never answer or panic: it is where the books say, exactly.
//!
//! Short, unless `EXPORTERS_RELIABILITY` is `full`; `tests/reliability/run` makes a table of what is told here.

mod backend;
mod black_holes;
mod killed;
mod overflow;
mod overload;
mod panics;
#[path = "../runtime/program.rs"]
mod program;
mod retry_after;
mod runtimes;
mod user_code;

use exporters::{Batch, LegReport, profiled};
use std::{env, fmt, time::Duration};

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

/// Whether it is to take as long as it takes, on a machine that does nothing else.
fn full() -> bool {
    env::var("EXPORTERS_RELIABILITY").is_ok_and(|value| value == "full")
}

/// A line of the table.
fn tell(what: &str, wanted: &str, found: impl fmt::Display) {
    println!("| {what} | {wanted} | {found} |");
}

#[profiled]
fn work() {}

fn work_times(times: u64) {
    (0..times).for_each(|_| work());
}

/// These batches tell of so many calls as new, each once.
fn assert_sum<'a>(batches: impl IntoIterator<Item = &'a Batch>, calls: u64) {
    assert_eq!(tests::calls::changes(batches, "work"), (calls, calls));
}

/// The books add up, and nothing is held any more.
fn assert_settled(leg: &LegReport) {
    assert!(leg.ledger.accepted > 0 && leg.ledger.is_balanced() && leg.ledger.buffered == 0, "{leg:?}");
}
