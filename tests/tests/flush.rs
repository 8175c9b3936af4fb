//! However many threads end intervals at the same time, an exporter sees one after the other.

use exporters::{Data, MemoryExporter, Profiler, Signal, profiled};
use std::{thread, time::Duration};

const DEADLINE: Duration = Duration::from_secs(30);

#[profiled]
fn called() {}

#[test]
fn snapshots_come_in_order() {
    let memory = MemoryExporter::new();
    let builder = Profiler::builder().interval(Duration::from_millis(1));
    let profiler = builder.exporter(memory.clone()).start().unwrap();
    let calls = || {
        (0..200).for_each(|_| {
            called();
            profiler.flush(DEADLINE).unwrap();
        });
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(calls))));
    profiler.shutdown(DEADLINE).into_result().unwrap();

    let mut before = None;
    for batch in memory.batches() {
        let Signal::Metrics(metrics) = batch.signal() else { panic!("not metrics") };
        let Some(Data::Sum(calls)) = metrics.metric("function.calls").map(|metric| &metric.data) else {
            panic!("no calls")
        };
        let total: f64 = calls.points.iter().map(|point| point.total.as_f64()).sum();
        if let Some((end, least)) = before {
            assert!(metrics.interval.start >= end && total >= least);
        }
        before = Some((metrics.interval.end, total));
    }
    assert_eq!(before.map(|(_, total)| total), Some(800.0));
}
