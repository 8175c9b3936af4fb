//! Five backends that never answer: shutdown is on time, and all that was left is in the dead letters.

use super::{LONG, assert_settled, assert_sum, backend::Backend, full, tell, work_times};
use exporters::{
    AnyExporter, DeadLetterConfig, ErrorKind, LegOptions, MemoryExporter, Profiler, ResilienceConfig,
    ResilienceLayer, replay,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use tests::{Temp, calls::alone, until};

const HOLES: usize = 5;
const CALLS: u64 = 20_000;
const DEADLINE: Duration = Duration::from_secs(2);

#[test]
fn shutdown_is_on_time_and_what_is_left_is_in_the_dead_letters() {
    let _alone = alone();
    let (runs, bound) = if full() { (20, Duration::from_millis(2100)) } else { (2, LONG) };
    let worst = (0..runs).map(|_| run()).max().unwrap();
    assert!(worst < bound, "{worst:?}");
    tell(
        "five black holes, `shutdown(2s)`",
        "at most 2.1 s, nothing lost",
        format_args!("{worst:.3?} at worst in {runs} runs, 0 lost"),
    );
}

/// How long the shutdown takes.
fn run() -> Duration {
    // A disk that others keep busy may take longer than there is time left.
    let temp = if full() { Temp::new() } else { Temp::in_memory() };
    let good = MemoryExporter::with_capacity(usize::MAX);
    let mut builder = Profiler::builder().interval(Duration::from_millis(20)).exporter(good.clone());
    let mut holes = Vec::new();
    for hole in 0..HOLES {
        let directory = temp.0.join(hole.to_string());
        let dead_letter = Some(DeadLetterConfig::file(&directory));
        let layer =
            ResilienceLayer::new(ResilienceConfig { dead_letter, ..ResilienceConfig::default() }).unwrap();
        let options = LegOptions::default().with_name(format!("hole-{hole}"));
        builder =
            builder.exporter_with(AnyExporter::new(Backend::black_hole()).layer(layer.clone()), options);
        holes.push((layer, directory));
    }
    let profiler = builder.start().unwrap();
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(|| work_times(CALLS)))));
    until("several snapshots in every leg", || {
        let held = profiler.ledger().iter().map(|(_, ledger)| ledger.accepted).min().unwrap();
        if held > 50 { Ok(()) } else { Err(format!("{held} items")) }
    });
    work_times(CALLS);

    let began = Instant::now();
    let report = profiler.shutdown(DEADLINE);
    let took = began.elapsed();

    assert_settled(&report.legs[0]);
    assert_sum(&good.batches(), 3 * CALLS);
    assert_eq!(report.legs.len(), 1 + HOLES);
    for (leg, (layer, directory)) in report.legs[1..].iter().zip(holes) {
        assert_settled(leg);
        let ledger = leg.ledger;
        assert_eq!(ledger.dead_lettered + ledger.merged, ledger.accepted, "{ledger:?}");
        // It has not even said that it ended.
        assert_eq!(leg.error.as_ref().map(|error| error.kind()), Some(ErrorKind::Timeout));
        assert_eq!(layer.dead_letters().unwrap().stats().items, ledger.dead_lettered);
        let memory = MemoryExporter::with_capacity(usize::MAX);
        let replayed = replay(&directory, AnyExporter::new(memory.clone())).unwrap();
        assert_eq!((replayed.accepted, replayed.rejected, replayed.corrupt), (ledger.dead_lettered, 0, 0));
        assert_sum(&memory.batches(), 3 * CALLS);
    }
    took
}
