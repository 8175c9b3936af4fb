//! A thousand threads, and functions that panic where they should not.

use super::{LONG, alone, assert_exact, work_times};
use exporters::{Data, MemoryExporter, ProfileMetrics, Profiler, profiled};
use std::{
    panic::{catch_unwind, resume_unwind},
    sync::Barrier,
    thread,
    time::Duration,
};

/// Calls of `function`, by how they ended.
fn calls(metrics: &ProfileMetrics, function: &str, error: Option<&str>) -> u64 {
    let Some(Data::Sum(sum)) = metrics.metric("function.calls").map(|metric| &metric.data) else { return 0 };
    let points = sum.points.iter().filter(|point| {
        let attributes = &point.series.attributes;
        attributes.get_str("function") == Some(function) && attributes.get_str("error.type") == error
    });
    points.map(|point| point.total.as_f64() as u64).sum()
}

#[test]
fn a_thousand_threads_count_exactly() {
    let _alone = alone();
    const THREADS: usize = 1000;
    let memory = MemoryExporter::with_capacity(usize::MAX);
    let interval = Duration::from_millis(5);
    let profiler = Profiler::builder().interval(interval).exporter(memory.clone()).start().unwrap();
    let together = Barrier::new(THREADS);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let together = &together;
            let thread = thread::Builder::new().stack_size(128 * 1024);
            let run = move || {
                work_times(5);
                // All of them live at once.
                together.wait();
                work_times(n as u64 % 10);
            };
            thread.spawn_scoped(scope, run).unwrap();
        }
    });
    // One after the other: each continues what an ended one left.
    for _ in 0..100 {
        thread::spawn(|| work_times(5)).join().unwrap();
    }
    profiler.shutdown(LONG).into_result().unwrap();
    assert_exact(&memory.batches(), 1000 * 5 + 100 * 45 + 100 * 5);
}

#[profiled]
fn unwinds() {
    let _cleanup = PanicsInDrop;
    resume_unwind(Box::new(()));
}

#[profiled]
fn unwinds_inside() {
    let _cleanup = CallsInDrop;
    resume_unwind(Box::new(()));
}

#[profiled]
fn in_drop() {}

/// Panics while its thread panics, and catches that.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        assert!(catch_unwind(unwinds_inside).is_err());
    }
}

struct CallsInDrop;

impl Drop for CallsInDrop {
    fn drop(&mut self) {
        in_drop();
    }
}

#[test]
fn panics_while_panicking_count_exactly() {
    let profiler = exporters::test();
    for _ in 0..100 {
        assert!(catch_unwind(unwinds).is_err());
    }
    let metrics = profiler.snapshot();
    let panics = |function| calls(&metrics, function, Some("panic"));
    assert_eq!((panics("unwinds"), panics("unwinds_inside"), panics("in_drop")), (100, 100, 0));
    assert_eq!((calls(&metrics, "unwinds", None), calls(&metrics, "in_drop", None)), (0, 100));
    assert_eq!(metrics.function("unwinds").concurrent_calls(), 0);
    assert_eq!(metrics.function("unwinds_inside").latency().count(), 100);
}
