//! The profiler as a whole: what exporters get, when they fail, inside every host, and at the program's end.

mod crowd;
mod environment;
mod exit;
mod faults;
mod flush;
mod fork;
mod hosts;
mod ledger;
mod leg;
mod program;
mod report;
mod scripted;

use exporters::{Batch, LegReport, profiled};
use std::time::Duration;
use tests::calls::alone;

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

#[profiled]
fn work(ok: bool) -> Result<(), std::fmt::Error> {
    if ok { Ok(()) } else { Err(std::fmt::Error) }
}

/// Calls `work` so often; one call in ten fails.
fn work_times(times: u64) {
    for n in 0..times {
        let _ = work(!n.is_multiple_of(10));
    }
}

/// The calls of `work` that `batches` tell of as new: in sum over the results, and in the histogram.
fn changes(batches: &[Batch]) -> (u64, u64) {
    tests::calls::changes(batches, "work")
}

/// Every call arrived exactly once, and the last total says the same.
fn assert_exact(batches: &[Batch], calls: u64) {
    assert_eq!(changes(batches), (calls, calls));
    let last = batches.last().and_then(Batch::metrics).expect("a batch");
    assert_eq!(last.function("work").total_calls(), calls);
}

/// The books add up.
fn assert_balanced(leg: &LegReport) {
    assert!(leg.ledger.accepted > 0 && leg.ledger.is_balanced(), "{leg:?}");
}
