//! What was recorded arrives exactly once, whatever the exporter's backend does meanwhile.

use super::{
    LONG, alone, assert_balanced, assert_exact, changes,
    scripted::{Gate, Scripted, Step},
    work_times,
};
use exporters::{BufferConfig, DropReason, ErrorKind, LegOptions, MemoryExporter, Profiler};
use std::{thread, time::Duration};

#[test]
fn a_second_start_gives_the_profiler_that_runs() {
    let _alone = alone();
    let (first, second) = (MemoryExporter::new(), MemoryExporter::new());
    let profiler = Profiler::builder().exporter(first.clone()).start().unwrap();
    let again = Profiler::builder().exporter(second.clone()).start().unwrap();
    let init = exporters::init().unwrap();
    work_times(30);
    again.flush(LONG).unwrap();
    work_times(12);
    init.flush(LONG).unwrap();
    assert_exact(&first.batches(), 42);
    assert_eq!((first.batches().len(), second.batches().len()), (2, 0));
    let report = init.shutdown(LONG);
    assert_balanced(&report.legs[0]);
    assert!(profiler.shutdown(LONG).legs.is_empty() && !profiler.is_recording() && !again.is_recording());
    // Nothing is recorded any more, and a new profiler does not tell of it.
    work_times(5);
    let third = MemoryExporter::new();
    let profiler = Profiler::builder().exporter(third.clone()).start().unwrap();
    work_times(7);
    profiler.shutdown(LONG).into_result().unwrap();
    assert_exact(&third.batches(), 7);
}

#[test]
fn every_flush_sends_what_is_new() {
    let _alone = alone();
    let memory = MemoryExporter::new();
    let profiler = Profiler::builder().exporter(memory.clone()).start().unwrap();
    for round in 1..=10 {
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| work_times(100)))));
        profiler.flush(LONG).unwrap();
        assert_exact(&memory.batches(), 400 * round);
    }
    profiler.shutdown(LONG).into_result().unwrap();
    assert_eq!(memory.batches().len(), 11);
    assert_exact(&memory.batches(), 4000);
}

/// Two threads that record while `meanwhile` runs, with intervals as short as they get.
fn busy(exporter: &Scripted, meanwhile: impl FnOnce(&Profiler)) -> exporters::LegReport {
    let interval = Duration::from_millis(1);
    // So that what waits is merged.
    let options = LegOptions::default().with_buffer(BufferConfig::default().with_size(1));
    let builder = Profiler::builder().interval(interval).exporter_with(exporter.clone(), options);
    let profiler = builder.start().unwrap();
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| work_times(50_000))));
        meanwhile(&profiler);
    });
    let mut report = profiler.shutdown(LONG);
    let leg = report.legs.pop().unwrap();
    assert_balanced(&leg);
    assert!(leg.error.is_none(), "{leg:?}");
    leg
}

#[test]
fn a_backend_that_fails_for_a_while_gets_the_exact_sums_later() {
    let _alone = alone();
    let kinds = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited];
    let exporter = Scripted::new("failing", kinds.into_iter().cycle().take(12).map(Step::Fail));
    let leg = busy(&exporter, |profiler| {
        while exporter.refused().len() < 12 {
            // It may be one of those that succeed.
            let _ = profiler.flush(LONG);
        }
    });
    assert_exact(&exporter.taken(), 100_000);
    let ledger = leg.ledger;
    assert!(ledger.merged > 0 && ledger.dropped.total() == 0 && ledger.buffered == 0, "{ledger:?}");
}

#[test]
fn a_backend_that_stalls_gets_the_exact_sums_later() {
    let _alone = alone();
    let gate = Gate::default();
    let exporter = Scripted::new("stalling", [Step::Wait(gate.clone())]);
    let leg = busy(&exporter, |profiler| {
        for _ in 0..5 {
            assert_eq!(profiler.flush(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
        }
        gate.open();
        profiler.flush(LONG).unwrap();
    });
    assert_exact(&exporter.taken(), 100_000);
    let ledger = leg.ledger;
    assert!(ledger.merged > 0 && ledger.dropped.total() == 0 && ledger.buffered == 0, "{ledger:?}");
}

#[test]
fn what_no_retry_would_cure_is_dropped_and_told() {
    let _alone = alone();
    let exporter = Scripted::new("refusing", [Step::Succeed, Step::Fail(ErrorKind::Rejected)]);
    let profiler = Profiler::builder().exporter(exporter.clone()).start().unwrap();
    work_times(10);
    profiler.flush(LONG).unwrap();
    work_times(20);
    assert_eq!(profiler.flush(LONG).unwrap_err().kind(), ErrorKind::Rejected);
    work_times(40);
    let leg = profiler.shutdown(LONG).legs.pop().unwrap();
    assert_balanced(&leg);
    let refused = exporter.refused()[0].len() as u64;
    assert_eq!((leg.ledger.dropped.of(DropReason::Refused), leg.ledger.dropped.total()), (refused, refused));
    assert_eq!((changes(&exporter.taken()), changes(&exporter.refused())), ((50, 50), (20, 20)));
}

#[test]
fn a_flush_that_fails_says_whose_it_was_and_why() {
    let _alone = alone();
    let rejected = "rejected: as the test has it, endpoint: there, exporter: first: the cause";
    let stalled = "timeout: the exporter was not done at the deadline, exporter: first";
    let gate = Gate::default();
    for (step, deadline, expected) in [
        (Step::Wait(gate.clone()), Duration::ZERO, stalled),
        (Step::Fail(ErrorKind::Rejected), LONG, rejected),
    ] {
        let first = LegOptions::default().with_name("first");
        let builder = Profiler::builder().exporter_with(Scripted::new("scripted", [step]), first);
        let profiler = builder.exporter(MemoryExporter::new()).start().unwrap();
        assert_eq!(profiler.flush(deadline).unwrap_err().to_string(), expected);
        gate.open();
        profiler.shutdown(LONG).into_result().unwrap();
    }
}

#[test]
fn refused_items_are_counted_and_never_more_than_there_were() {
    let _alone = alone();
    let exporter = Scripted::new("partial", [Step::Reject(3), Step::Reject(usize::MAX)]);
    let profiler = Profiler::builder().exporter(exporter.clone()).start().unwrap();
    profiler.flush(LONG).unwrap();
    let leg = profiler.shutdown(LONG).legs.pop().unwrap();
    assert_balanced(&leg);
    let lens: Vec<_> = exporter.taken().iter().map(|batch| batch.len() as u64).collect();
    assert_eq!((leg.ledger.exported, leg.ledger.rejected), (lens[0] - 3, lens[1] + 3));
}

#[test]
fn what_fails_until_the_end_is_still_held() {
    let _alone = alone();
    for size in [1, usize::MAX] {
        let exporter = Scripted::new("down", (0..3).map(|_| Step::Fail(ErrorKind::Unavailable)));
        let options = LegOptions::default().with_buffer(BufferConfig::default().with_size(size));
        let profiler = Profiler::builder().exporter_with(exporter.clone(), options).start().unwrap();
        work_times(10);
        (0..2).for_each(|_| assert!(profiler.flush(LONG).is_err()));
        let leg = profiler.shutdown(LONG).legs.pop().unwrap();
        assert_balanced(&leg);
        let last = exporter.refused().pop().unwrap();
        assert_eq!(changes(std::slice::from_ref(&last)), (10, 10));
        // The snapshots wait one by one while there is room, else as one, beside the one that was tried.
        let snapshots = if size == 1 { 2 } else { 3 };
        assert_eq!(leg.ledger.buffered, snapshots * last.len() as u64);
        assert_eq!(leg.ledger.merged, (3 - snapshots) * last.len() as u64);
        assert_eq!(leg.error.map(|error| error.kind()), Some(ErrorKind::Unavailable));
    }
}

#[test]
fn waits_without_end_are_taken() {
    let _alone = alone();
    let memory = MemoryExporter::new();
    let profiler = Profiler::builder().interval(Duration::MAX).exporter(memory.clone()).start().unwrap();
    work_times(10);
    profiler.flush(Duration::MAX).unwrap();
    profiler.shutdown(Duration::MAX).into_result().unwrap();
    assert_exact(&memory.batches(), 10);
}

#[test]
fn who_flushes_while_it_ends_does_not_wait_for_what_never_comes() {
    let _alone = alone();
    for _ in 0..50 {
        let profiler = Profiler::builder().exporter(MemoryExporter::new()).start().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while profiler.is_recording() {
                        profiler.flush(LONG).unwrap();
                    }
                });
            }
            profiler.flush(LONG).unwrap();
            profiler.shutdown(LONG).into_result().unwrap();
        });
        let ledger = profiler.ledger()[0].1;
        assert_eq!(ledger.buffered, 0, "{ledger:?}");
    }
}
