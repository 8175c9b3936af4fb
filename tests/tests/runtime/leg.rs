//! How an exporter is sent what was recorded: how often, how much at once, and that this can be changed.

use super::{
    LONG, alone, assert_balanced, assert_exact, changes,
    scripted::{Gate, Scripted, Step},
    work_times,
};
use exporters::{
    Batch, BufferConfig, Builder, DropReason, ErrorKind, Ledger, LegOptions, LegPatch, MemoryExporter,
    Profiler,
};
use std::{collections::HashSet, time::Duration};
use tests::until;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);

fn ledger(profiler: &Profiler) -> Ledger {
    profiler.ledger()[0].1
}

/// Waits for what the ledger is to say.
fn until_ledger(profiler: &Profiler, what: &str, is: impl Fn(&Ledger) -> bool) {
    until(what, || match ledger(profiler) {
        ledger if is(&ledger) => Ok(()),
        ledger => Err(format!("{ledger:?}")),
    });
}

/// Many short intervals.
fn busy() -> Builder {
    Profiler::builder().interval(Duration::from_millis(1))
}

/// Intervals end only when they are asked to.
fn quiet() -> Builder {
    Profiler::builder().interval(NEVER)
}

fn assert_unique(batches: &[Batch]) {
    let ids: HashSet<_> = batches.iter().map(Batch::id).collect();
    assert_eq!(ids.len(), batches.len());
}

#[test]
fn snapshots_wait_to_be_sent_together() {
    let _alone = alone();
    let exporter = MemoryExporter::with_capacity(usize::MAX);
    let options = LegOptions::default()
        .with_buffer(BufferConfig::default().with_flush_interval(NEVER).with_size(1_000_000));
    let profiler = busy().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    until_ledger(&profiler, "items that wait", |ledger| ledger.buffered > 100 && ledger.merged == 0);
    assert!(exporter.batches().is_empty());
    profiler.flush(LONG).unwrap();
    // Each with its own interval.
    assert!(exporter.batches().len() > 1);
    work_times(10);
    until_ledger(&profiler, "items that wait again", |ledger| ledger.buffered > 100);
    let before = exporter.batches().len();
    profiler.shutdown(LONG).into_result().unwrap();
    assert!(exporter.batches().len() > before + 1);
    assert_exact(&exporter.batches(), 20);
}

#[test]
fn snapshots_go_when_they_have_waited_long_enough() {
    let _alone = alone();
    let exporter = MemoryExporter::with_capacity(usize::MAX);
    let options = LegOptions::default().with_buffer(
        BufferConfig::default().with_flush_interval(Duration::from_millis(30)).with_size(1_000_000),
    );
    let profiler = busy().exporter_with(exporter.clone(), options).start().unwrap();
    for round in 1..=3 {
        work_times(10);
        until("the calls", || match changes(&exporter.batches()) {
            (calls, _) if calls == 10 * round => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    profiler.shutdown(LONG).into_result().unwrap();
    assert_exact(&exporter.batches(), 30);
}

#[test]
fn what_could_not_go_goes_when_it_has_waited_long_enough() {
    let _alone = alone();
    let exporter = Scripted::new("down", (0..3).map(|_| Step::Fail(ErrorKind::Unavailable)));
    let options = LegOptions::default()
        .with_buffer(BufferConfig::default().with_flush_interval(Duration::from_millis(30)));
    let profiler = quiet().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    assert_eq!(profiler.flush(LONG).unwrap_err().kind(), ErrorKind::Unavailable);
    // Though nothing comes any more.
    until_ledger(&profiler, "the items", |ledger| ledger.exported == ledger.accepted);
    assert_exact(&exporter.taken(), 10);
    assert_eq!(exporter.refused().len(), 3);
    profiler.shutdown(LONG).into_result().unwrap();
}

#[test]
fn a_full_queue_goes_at_once() {
    let _alone = alone();
    let exporter = MemoryExporter::with_capacity(usize::MAX);
    let options = LegOptions::default().with_buffer(BufferConfig::default().with_flush_interval(NEVER));
    let profiler = busy().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    until_ledger(&profiler, "items that were sent", |ledger| ledger.exported > 3_000);
    profiler.shutdown(LONG).into_result().unwrap();
    assert_exact(&exporter.batches(), 10);
}

#[test]
fn a_queue_in_front_of_a_stalled_backend_does_not_grow() {
    let _alone = alone();
    let gate = Gate::default();
    let exporter = Scripted::new("stalled", [Step::Wait(gate.clone())]);
    let options = LegOptions::default().with_buffer(BufferConfig::default().with_size(500));
    let profiler = busy().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    until_ledger(&profiler, "many snapshots", |ledger| {
        assert!(ledger.is_balanced() && ledger.buffered < 1_500, "{ledger:?}");
        ledger.accepted > 20_000
    });
    work_times(10);
    gate.open();
    let leg = profiler.shutdown(LONG).legs.pop().unwrap();
    assert_balanced(&leg);
    assert!(leg.error.is_none() && leg.ledger.merged > 10_000 && leg.ledger.dropped.total() == 0, "{leg:?}");
    assert_exact(&exporter.taken(), 20);
}

#[test]
fn a_snapshot_is_sent_in_batches_of_the_size_that_was_asked_for() {
    let _alone = alone();
    let exporter = MemoryExporter::with_capacity(usize::MAX);
    let options = LegOptions::default().with_batch_size(3);
    let profiler = quiet().exporter_with(exporter.clone(), options).start().unwrap();
    for _ in 0..2 {
        work_times(10);
        profiler.flush(LONG).unwrap();
    }
    let batches = exporter.batches();
    assert_unique(&batches);
    assert_eq!(changes(&batches), (20, 20));
    let items = ledger(&profiler).accepted as usize / 2;
    let of = |sequence| batches.iter().filter(move |batch| batch.id().sequence == sequence);
    for sequence in [1, 2] {
        let lens: Vec<usize> = of(sequence).map(Batch::len).collect();
        assert_eq!((lens.len(), lens.iter().sum()), (items.div_ceil(3), items));
        assert!(lens.iter().rev().skip(1).all(|len| *len == 3), "{lens:?}");
    }
    // The same parts have the same numbers, whichever snapshot they are of.
    assert!(of(1).map(|batch| batch.id().part).eq(of(2).map(|batch| batch.id().part)));
    profiler.shutdown(LONG).into_result().unwrap();
}

#[test]
fn what_is_too_large_is_made_smaller_down_to_single_items() {
    let _alone = alone();
    for (most, tells) in [(1, false), (1, true), (4, false), (4, true)] {
        let exporter = Scripted::taking(most, tells);
        let profiler = quiet().exporter(exporter.clone()).start().unwrap();
        work_times(10);
        let leg = profiler.shutdown(LONG).legs.pop().unwrap();
        assert_balanced(&leg);
        assert!(leg.error.is_none() && leg.ledger.exported == leg.ledger.accepted, "{leg:?}");
        let (taken, refused) = (exporter.taken(), exporter.refused());
        assert_eq!(changes(&taken), (10, 10));
        assert!(taken.iter().all(|batch| batch.len() <= most));
        assert_unique(&[taken, refused].concat());
    }
}

#[test]
fn single_items_that_are_too_large_are_dropped() {
    let _alone = alone();
    let exporter = Scripted::taking(0, false);
    let profiler = quiet().exporter(exporter.clone()).start().unwrap();
    work_times(10);
    let leg = profiler.shutdown(LONG).legs.pop().unwrap();
    assert_balanced(&leg);
    assert_eq!(leg.ledger.dropped.of(DropReason::TooLarge), leg.ledger.accepted);
    assert_eq!(leg.error.map(|error| error.kind()), Some(ErrorKind::PayloadTooLarge));
    // Each half once.
    assert_eq!(exporter.refused().len() as u64, 2 * leg.ledger.accepted - 1);
}

#[test]
fn settings_change_while_it_runs() {
    let _alone = alone();
    let exporter = Scripted::new("changing", (0..100).map(|_| Step::Succeed));
    let options = LegOptions::default()
        .with_buffer(BufferConfig::default().with_flush_interval(NEVER).with_size(1_000_000));
    let profiler = busy().exporter_with(exporter.clone(), options).start().unwrap();
    work_times(10);
    profiler.flush(LONG).unwrap();
    assert!(exporter.taken().iter().all(|batch| batch.id().part == 0));

    let before = exporter.taken().len();
    profiler.update_config("changing", LegPatch::default().with_batch_size(2)).unwrap();
    profiler.flush(LONG).unwrap();
    let taken = exporter.taken();
    assert!(taken.len() > before && taken[before..].iter().all(|batch| batch.len() <= 2));

    // What waits goes without a flush.
    work_times(10);
    let patch: LegPatch =
        serde_json::from_str(r#"{"buffer": {"flush_interval": "20ms"}, "batch_size": 1000000}"#).unwrap();
    profiler.update_config("changing", patch).unwrap();
    until("the calls", || match changes(&exporter.taken()) {
        (20, 20) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(exporter.taken().last().is_some_and(|batch| batch.len() > 2));
    profiler.shutdown(LONG).into_result().unwrap();
}

#[test]
fn a_queue_is_made_smaller_while_the_backend_is_down() {
    let _alone = alone();
    let exporter = Scripted::new("down", (0..4).map(|_| Step::Fail(ErrorKind::Unavailable)));
    let options = LegOptions::default().with_buffer(BufferConfig::default().with_size(1_000_000));
    let profiler = quiet().exporter_with(exporter.clone(), options).start().unwrap();
    for _ in 0..4 {
        work_times(10);
        assert!(profiler.flush(LONG).is_err());
    }
    assert_eq!(ledger(&profiler).merged, 0);
    profiler
        .update_config("down", LegPatch::default().with_buffer(BufferConfig::default().with_size(1)))
        .unwrap();
    assert!(ledger(&profiler).merged > 0);
    profiler.shutdown(LONG).into_result().unwrap();
    assert_exact(&exporter.taken(), 40);
}

#[test]
fn a_change_that_makes_no_sense_is_refused_with_the_cure() {
    let _alone = alone();
    let named = |name| LegOptions::default().with_name(name);
    let builder = Profiler::builder()
        .exporter_with(MemoryExporter::new(), named("primary"))
        .exporter_with(MemoryExporter::new(), named("archive"));
    let profiler = builder.start().unwrap();
    let names: Vec<String> = profiler.ledger().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["primary", "archive"]);

    let error = profiler.update_config("primry", LegPatch::default().with_batch_size(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let text = error.to_string();
    assert!(
        text.contains("did you mean `primary`?, exporter: primry, there are: primary, archive"),
        "{text}"
    );
    let zeros = [
        ("batch_size", LegPatch::default().with_batch_size(0)),
        ("size", LegPatch::default().with_buffer(BufferConfig::default().with_size(0))),
        (
            "flush_interval",
            LegPatch::default().with_buffer(BufferConfig::default().with_flush_interval(Duration::ZERO)),
        ),
    ];
    for (setting, patch) in zeros {
        let error = profiler.update_config("primary", patch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(setting), "{error}");
    }
    profiler.shutdown(LONG).into_result().unwrap();
}

#[test]
fn a_patch_is_read_with_units_and_refuses_what_nobody_knows() {
    let read = serde_json::from_str::<LegPatch>;
    let patch = read(r#"{"buffer": {"flush_interval": "1.5s", "size": 7}, "batch_size": null}"#).unwrap();
    let wanted = LegPatch::default()
        .with_buffer(BufferConfig::default().with_flush_interval(Duration::from_millis(1500)).with_size(7));
    assert_eq!(patch, wanted);
    assert_eq!(read("{}").unwrap(), LegPatch::default());
    for (wrong, cure) in [
        (r#"{"buffer": {"flush_interval": "30"}}"#, "500ms, 10s or 1m"),
        (r#"{"buffer": {"flush": "30s"}}"#, "flush_interval"),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(cure), "{error}");
    }
}

#[test]
fn two_exporters_of_one_name_are_refused_with_the_cure() {
    let _alone = alone();
    let both = || quiet().exporter(MemoryExporter::new());
    let error = both().exporter(MemoryExporter::new()).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let text = error.to_string();
    assert!(text.contains("with_name") && text.contains("exporter: memory"), "{text}");
    let none = LegOptions::default().with_name("second").with_buffer(BufferConfig::default().with_size(0));
    let error = both().exporter_with(MemoryExporter::new(), none).start().unwrap_err();
    assert!(error.to_string().contains("setting: size, exporter: second"), "{error}");
    let second = LegOptions::default().with_name("second");
    let profiler = both().exporter_with(MemoryExporter::new(), second).start().unwrap();
    profiler.shutdown(LONG).into_result().unwrap();
}
