//! Exporters that panic or never answer cost nobody but themselves.

use super::{
    LONG, alone, assert_balanced, assert_exact, changes,
    scripted::{Gate, Scripted, Step},
    work_times,
};
use exporters::{DropReason, ErrorKind, LegOptions, MemoryExporter, Profiler, prometheus::PrometheusConfig};
use std::time::{Duration, Instant};
use tests::until;

#[test]
fn a_panic_in_export_costs_that_batch_alone() {
    let _alone = alone();
    for step in [Step::Panic, Step::PanicTwice, Step::PanicAtOnce] {
        let (bad, good) =
            (Scripted::new("bad", [step.clone(), Step::Succeed, step.clone()]), MemoryExporter::new());
        let profiler = Profiler::builder().exporter(bad.clone()).exporter(good.clone()).start().unwrap();
        for round in 0..4 {
            work_times(10);
            let kind = profiler.flush(LONG).err().map(|error| error.kind());
            assert_eq!(kind, (round % 2 == 0).then_some(ErrorKind::Unexpected), "{step:?}");
        }
        let report = profiler.shutdown(LONG);
        report.legs.iter().for_each(assert_balanced);
        let lost = bad.refused().iter().map(|batch| batch.len() as u64).sum();
        assert_eq!(
            (report.legs[0].ledger.dropped.of(DropReason::Panicked), report.legs[1].ledger.dropped.total()),
            (lost, 0)
        );
        assert_exact(&good.batches(), 40);
        assert_eq!((changes(&bad.taken()), changes(&bad.refused())), ((20, 20), (20, 20)), "{step:?}");
    }
}

#[test]
fn a_panic_when_a_future_is_dropped_does_not_undo_its_answer() {
    let _alone = alone();
    let bad =
        Scripted::ending("bad", (0..3).map(|_| Step::PanicInDrop), Step::PanicInDrop, Step::PanicInDrop);
    let good = MemoryExporter::new();
    let profiler = Profiler::builder().exporter(bad.clone()).exporter(good.clone()).start().unwrap();
    for _ in 0..3 {
        work_times(10);
        profiler.flush(LONG).unwrap();
    }
    let report = profiler.shutdown(LONG);
    report.legs.iter().for_each(assert_balanced);
    report.into_result().unwrap();
    assert_exact(&good.batches(), 30);
    assert_exact(&bad.taken(), 30);
}

#[test]
fn a_panic_in_flush_or_shutdown_is_told_and_nothing_is_lost() {
    let _alone = alone();
    for step in [Step::Panic, Step::PanicTwice, Step::PanicAtOnce] {
        let bad = Scripted::ending("bad", [], step.clone(), step);
        let good = MemoryExporter::new();
        let profiler = Profiler::builder().exporter(bad.clone()).exporter(good.clone()).start().unwrap();
        for _ in 0..2 {
            work_times(10);
            assert_eq!(profiler.flush(LONG).unwrap_err().kind(), ErrorKind::Unexpected);
        }
        let report = profiler.shutdown(LONG);
        report.legs.iter().for_each(assert_balanced);
        let kinds: Vec<_> =
            report.legs.iter().map(|leg| leg.error.as_ref().map(|error| error.kind())).collect();
        assert_eq!(kinds, [Some(ErrorKind::Unexpected), None]);
        assert_exact(&good.batches(), 20);
        assert_exact(&bad.taken(), 20);
    }
}

#[test]
fn exporters_that_never_answer_share_one_deadline() {
    let _alone = alone();
    const DEADLINE: Duration = Duration::from_secs(1);
    for holes in [1, 5] {
        let never = Gate::default();
        let good = MemoryExporter::new();
        let mut builder = Profiler::builder();
        for hole in 0..holes {
            let options = LegOptions::default().with_name(format!("hole-{hole}"));
            builder = builder.exporter_with(Scripted::new("hole", [Step::Wait(never.clone())]), options);
        }
        let profiler = builder.exporter(good.clone()).start().unwrap();
        work_times(10);
        let began = Instant::now();
        let report = profiler.shutdown(DEADLINE);
        let took = began.elapsed();
        assert!(took >= DEADLINE && took < 5 * DEADLINE, "{took:?}");
        report.legs.iter().for_each(assert_balanced);
        for leg in &report.legs[..holes] {
            assert_eq!(leg.error.as_ref().map(|error| error.kind()), Some(ErrorKind::Timeout));
            assert_eq!((leg.ledger.buffered, leg.ledger.exported), (leg.ledger.accepted, 0));
        }
        let last = &report.legs[holes];
        assert!(last.error.is_none() && last.ledger.buffered == 0, "{last:?}");
        assert_exact(&good.batches(), 10);
        // A second one does nothing, and does not wait.
        assert!(profiler.shutdown(LONG).legs.is_empty());
        assert!(report.into_result().unwrap_err().to_string().contains("exporter: hole-0"));
    }
}

#[test]
fn an_exporter_that_blocks_its_thread_holds_up_nobody_else() {
    let _alone = alone();
    let gate = Gate::default();
    let blocked = Scripted::new("blocked", [Step::Block(gate.clone())]);
    let good = MemoryExporter::new();
    let listen = "127.0.0.1:0".parse().unwrap();
    let profiler = Profiler::builder()
        .exporter(blocked.clone())
        .exporter(good.clone())
        .prometheus(PrometheusConfig { listen, ..Default::default() })
        .start()
        .unwrap();
    for round in 1..=3 {
        work_times(10);
        assert_eq!(profiler.flush(Duration::from_millis(50)).unwrap_err().kind(), ErrorKind::Timeout);
        until("the other exporter's batch", || match good.batches().len() {
            n if n == round => Ok(()),
            n => Err(format!("{n} batches")),
        });
    }
    let page = tests::http::get(profiler.listening().unwrap(), "/metrics", &[]).unwrap();
    assert_eq!(page.status, 200);
    let report = profiler.shutdown(Duration::from_millis(300));
    report.legs.iter().for_each(assert_balanced);
    assert_eq!(report.legs[0].error.as_ref().map(|error| error.kind()), Some(ErrorKind::Timeout));
    assert!(report.legs[1].error.is_none());
    assert_exact(&good.batches(), 30);
    gate.open();
}

#[test]
fn an_exporter_that_never_ends_is_left_behind() {
    let _alone = alone();
    let never = Step::Wait(Gate::default());
    let hole = Scripted::ending("hole", [], never.clone(), never);
    let profiler = Profiler::builder().exporter(hole.clone()).start().unwrap();
    work_times(10);
    let short = Duration::from_millis(100);
    assert_eq!(profiler.flush(short).unwrap_err().kind(), ErrorKind::Timeout);
    work_times(10);
    let leg = profiler.shutdown(Duration::from_secs(2)).legs.pop().unwrap();
    assert_balanced(&leg);
    assert_eq!(leg.error.map(|error| error.kind()), Some(ErrorKind::Timeout));
    // It hangs in the flush, and when it is shut down; what came in between is sent all the same.
    assert!(leg.ledger.exported > 0 && leg.ledger.buffered == 0);
    assert_exact(&hole.taken(), 20);
}
