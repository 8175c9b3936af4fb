//! The books add up whoever reads them, whenever, and say at the end what was lost.

use super::{
    LONG, alone, assert_balanced, assert_exact,
    scripted::{Gate, Scripted, Step},
    work_times,
};
use exporters::{BufferConfig, Builder, ErrorKind, LegOptions, Profiler};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use tests::until;

#[test]
fn it_adds_up_for_every_thread_at_every_moment() {
    let _alone = alone();
    let steps = [
        Step::Succeed,
        Step::Reject(1),
        Step::Fail(ErrorKind::Unavailable),
        Step::Succeed,
        Step::Fail(ErrorKind::Timeout),
        Step::Succeed,
    ];
    let exporter = Scripted::new("moody", steps.into_iter().cycle().take(600));
    let options =
        LegOptions::default().with_buffer(BufferConfig::default().with_size(100)).with_batch_size(7);
    let builder = Profiler::builder().interval(Duration::from_millis(1));
    let profiler = builder.exporter_with(exporter.clone(), options).start().unwrap();
    let done = AtomicBool::new(false);
    let reads = thread::scope(|scope| {
        let read = || {
            let mut reads = 0_u64;
            while !done.load(Relaxed) {
                for (_, ledger) in profiler.ledger() {
                    assert!(ledger.is_balanced(), "{ledger:?}");
                }
                reads += 1;
            }
            reads
        };
        let readers = [(); 2].map(|()| scope.spawn(read));
        until("the script's end", || {
            work_times(10);
            let batches = exporter.taken().len() + exporter.refused().len();
            if batches >= 600 { Ok(()) } else { Err(format!("{batches} batches")) }
        });
        done.store(true, Relaxed);
        readers.map(|reader| reader.join().unwrap())
    });
    assert!(reads.iter().all(|reads| *reads > 0));
    let leg = profiler.shutdown(LONG).legs.pop().unwrap();
    assert_balanced(&leg);
    let ledger = leg.ledger;
    assert_eq!((ledger.attempts_unknown, ledger.rejected, ledger.buffered), (100, 100, 0));
    let taken: usize = exporter.taken().iter().map(exporters::Batch::len).sum();
    assert_eq!(ledger.exported + ledger.rejected, taken as u64);
    assert_eq!(profiler.ledger(), [("moody".to_owned(), ledger)], "it is still there after the end");
}

/// Intervals end only when they are asked to.
fn quiet() -> Builder {
    Profiler::builder().interval(Duration::from_secs(3600))
}

#[test]
fn a_backend_that_stalls_until_the_end_shows_what_was_lost() {
    let _alone = alone();
    const DEADLINE: Duration = Duration::from_millis(300);
    let never = Gate::default();
    let exporter = Scripted::new("stalled", [Step::Succeed, Step::Succeed, Step::Wait(never)]);
    let options = LegOptions::default().with_batch_size(5);
    let profiler = quiet().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    assert_eq!(profiler.flush(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
    let began = Instant::now();
    let report = profiler.shutdown(DEADLINE);
    assert!(began.elapsed() < DEADLINE * 10);
    let leg = &report.legs[0];
    assert_balanced(leg);
    assert_eq!(leg.error.as_ref().map(|error| error.kind()), Some(ErrorKind::Timeout));
    assert_eq!((leg.ledger.exported, leg.ledger.buffered), (10, leg.ledger.accepted - 10));
}

#[test]
fn what_a_dead_backend_had_not_taken_goes_out_once_it_lives() {
    let _alone = alone();
    let (taken, dead) = ((0..3).map(|_| Step::Succeed), Step::Fail(ErrorKind::Unavailable));
    let exporter = Scripted::new("reborn", taken.chain([dead]));
    let options = LegOptions::default().with_batch_size(4);
    let profiler = quiet().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    assert_eq!(profiler.flush(LONG).unwrap_err().kind(), ErrorKind::Unavailable);
    let (_, ledger) = profiler.ledger().remove(0);
    assert!(ledger.is_balanced());
    assert_eq!((ledger.exported, ledger.buffered), (12, ledger.accepted - 12));
    profiler.shutdown(LONG).into_result().unwrap();
    assert_exact(&exporter.taken(), 10);
    let (_, ledger) = profiler.ledger().remove(0);
    assert_eq!(ledger.exported, ledger.accepted, "nothing was merged, nor sent again that had gone");
    // The one that failed is the same batch still.
    assert_eq!(exporter.taken()[3].id(), exporter.refused()[0].id());
}
