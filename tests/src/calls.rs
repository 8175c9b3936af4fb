//! What tests of the profiler as a whole share: there is one a process, and its exporters are told of calls.

use exporters::{Batch, Data, Profiler};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Waits until nobody else has a profiler. There is one a process: who starts one holds this.
pub fn alone() -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    Alone(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// That nobody else has a profiler.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

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

/// The calls of `function` that `batches` tell of as new: in sum over the results, and in the histogram.
pub fn changes<'a>(batches: impl IntoIterator<Item = &'a Batch>, function: &str) -> (u64, u64) {
    let (mut calls, mut durations) = (0, 0);
    for batch in batches {
        let Some(metrics) = batch.metrics().map(|metrics| metrics.slice(batch.range())) else { continue };
        if let Some(Data::Sum(sum)) = metrics.metric("function.calls").map(|metric| &metric.data) {
            let of = sum.points.iter().filter(|p| p.series.attributes.get_str("function") == Some(function));
            calls += of.map(|point| point.change.as_f64() as u64).sum::<u64>();
        }
        durations += metrics.function(function).latency().count();
    }
    (calls, durations)
}
