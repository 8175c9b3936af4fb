//! An exporter that panics with one batch in a hundred loses that batch alone, and the others nothing.

use super::{
    LONG, assert_settled, assert_sum,
    backend::{Answer, Backend},
    full, tell, work_times,
};
use exporters::{AnyExporter, ConditionalExporter, DropReason, LegOptions, MemoryExporter, Profiler};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tests::calls::alone;

#[test]
fn one_batch_in_a_hundred() {
    let _alone = alone();
    let rounds: u64 = if full() { 10_000 } else { 300 };
    let lost = Arc::new(Mutex::new(Vec::new()));
    let (exports, panicked) = (AtomicU64::new(0), lost.clone());
    let bad = Backend::new(move |batch| match exports.fetch_add(1, Relaxed) % 100 {
        37 => {
            panicked.lock().unwrap().push(batch.clone());
            Answer::Panic
        }
        _ => Answer::Take,
    });
    let (asked, routed) = (AtomicU64::new(0), MemoryExporter::with_capacity(usize::MAX));
    let condition = move |_: &_| match asked.fetch_add(1, Relaxed) % 100 {
        73 => std::panic::resume_unwind(Box::new("as the test has it")),
        _ => true,
    };
    let route = ConditionalExporter::builder()
        .route("nearly always", condition, AnyExporter::new(routed.clone()))
        .build()
        .unwrap();
    let good = MemoryExporter::with_capacity(usize::MAX);
    let profiler = Profiler::builder()
        .interval(LONG * 60)
        .exporter_with(bad.clone(), LegOptions::default().with_name("bad"))
        .exporter_with(route, LegOptions::default().with_name("route"))
        .exporter(good.clone())
        .start()
        .unwrap();
    for _ in 0..rounds {
        work_times(10);
        // It tells of the panic, where there was one.
        let _ = profiler.flush(LONG);
    }
    let report = profiler.shutdown(LONG);
    report.legs.iter().for_each(assert_settled);
    let [of_bad, of_route, of_good] = [0, 1, 2].map(|leg| report.legs[leg].ledger);

    assert_sum(&good.batches(), 10 * rounds);
    assert_eq!(of_good.exported, of_good.accepted);
    let lost = lost.lock().unwrap();
    assert_eq!(lost.len() as u64, rounds / 100);
    let items: u64 = lost.iter().map(|batch| batch.len() as u64).sum();
    assert_eq!((of_bad.dropped.of(DropReason::Panicked), of_bad.exported), (items, of_bad.accepted - items));
    assert_sum(&bad.taken(), 10 * (rounds - rounds / 100));
    assert_sum(&*lost, 10 * (rounds / 100));
    assert_eq!(of_route.dropped.of(DropReason::Panicked), of_route.accepted - of_route.exported);
    assert_sum(&routed.batches(), 10 * (rounds - rounds / 100));
    tell(
        "exporter and condition that panic with 1 % of batches",
        "those batches alone",
        format_args!("{} and {0} of {rounds}, the others exact", lost.len()),
    );
}
