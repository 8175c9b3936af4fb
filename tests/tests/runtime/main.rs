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

use exporters::{Batch, Data, LegReport, Profiler, profiled};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

/// There is one profiler a process: who starts one holds this.
fn alone() -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    Alone(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Alone(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Drop for Alone {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(left) = Profiler::builder().start()
        {
            // So that the test which failed fails alone.
            let _ = left.shutdown(Duration::from_secs(1));
        }
    }
}

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
    let (mut calls, mut durations) = (0, 0);
    for batch in batches {
        let Some(metrics) = batch.metrics().map(|metrics| metrics.slice(batch.range())) else { continue };
        if let Some(Data::Sum(sum)) = metrics.metric("function.calls").map(|metric| &metric.data) {
            let of = sum.points.iter().filter(|p| p.series.attributes.get_str("function") == Some("work"));
            calls += of.map(|point| point.change.as_f64() as u64).sum::<u64>();
        }
        durations += metrics.function("work").latency().count();
    }
    (calls, durations)
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
