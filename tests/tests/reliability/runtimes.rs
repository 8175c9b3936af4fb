//! A profiler in every async runtime and in none: each stage of its life in a future, where it may block, or on a plain thread.

use super::{LONG, full, program::run, tell};
use std::time::Duration;
use tests::calls::alone;

const HOSTS: [&str; 6] = ["multi_1", "multi_2", "current_thread", "local_set", "none", "dropped"];
/// In a future, where it may block, on the thread that began.
const PLACES: [char; 3] = ['a', 'b', 't'];
/// Start, record, flush, shut down, drop.
const STAGES: usize = 5;

/// Where each stage is: all of them together, and each alone elsewhere; in the long form, every combination.
fn lives() -> Vec<String> {
    if full() {
        let stage = |lives: Vec<String>, _| {
            lives.iter().flat_map(|life| PLACES.map(|place| format!("{life}{place}"))).collect()
        };
        return (0..STAGES).fold(vec![String::new()], stage);
    }
    let together = PLACES.map(|place| place.to_string().repeat(STAGES));
    let alone = (0..STAGES).map(|at| format!("{}b{}", "a".repeat(at), "a".repeat(STAGES - at - 1)));
    together.into_iter().chain(alone).collect()
}

/// How long a life takes, of which all 150 calls have arrived.
fn live(host: &str, places: &str, end: &str) -> Duration {
    let ended = run(&["host", host, places, end], &[("PROFILING_INTERVAL", "10ms")]);
    let what = format!("{host} {places} {end}: {ended:?}");
    assert_eq!((ended.status.code(), ended.calls_sent()), (Some(0), 150), "{what}");
    assert_eq!((&*ended.stdout, &*ended.stderr), ("the end\n", ""), "{what}");
    ended.took
}

#[test]
fn every_stage_works_anywhere_in_every_runtime() {
    let _alone = alone();
    let (mut cells, mut slowest) = (0, Duration::ZERO);
    let mut cell = |host, places: &str, end| {
        cells += 1;
        slowest = slowest.max(live(host, places, end));
    };
    for host in HOSTS {
        lives().iter().for_each(|places| cell(host, places, "shutdown"));
        PLACES.iter().for_each(|place| cell(host, &place.to_string().repeat(STAGES), "exit"));
        cell(host, "aaaaa", "return");
    }
    assert!(slowest < LONG);
    tell(
        "start, record, flush, end in six kinds of hosts, in futures, where they may block, at the program's exit",
        "no hang, no panic, every call sent once",
        format_args!("{cells} of {cells}, the slowest program {slowest:.2?}"),
    );
}
