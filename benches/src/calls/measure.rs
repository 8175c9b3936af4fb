//! One process: one subject, its baseline and the floors, interleaved round by round.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::Subject;
use super::floors::{self, Run, repeat};
use crate::{Result, median};

/// What one process found, in nanoseconds a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// What the subject adds to its baseline.
    pub(crate) added: f64,
    /// What two readings of the time-stamp counter add to the bare function.
    pub(crate) time_stamps: f64,
    /// What two `Instant::now` add to the bare function.
    pub(crate) instants: f64,
    /// Of the spans that were to be recorded, the share that was never received; not a number where there were to be none.
    pub(crate) lost: f64,
}

impl Sample {
    /// The unit in which calls are compared.
    pub(crate) fn ratio(&self) -> f64 {
        self.added / self.time_stamps
    }
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds a process.
    pub(crate) rounds: usize,
    /// How long each function runs in a round.
    pub(crate) turn: Duration,
}

/// Medians over the rounds of this process.
pub(crate) fn time(subject: &Subject, threads: usize, effort: Effort) -> Result<Sample> {
    let made = Arc::new(AtomicU64::new(0));
    let runs: Arc<[Run; 5]> = Arc::new([
        repeat(floors::bare),
        repeat(floors::two_time_stamps),
        repeat(floors::two_instants),
        (subject.baseline)()?,
        counting((subject.start)()?, made.clone()),
    ]);
    let counts: Arc<Vec<u64>> = Arc::new(runs.iter().map(|run| calls_in(run, effort.turn)).collect());
    let barrier = Arc::new(Barrier::new(threads));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (runs, counts, barrier) = (runs.clone(), counts.clone(), barrier.clone());
            thread::spawn(move || rounds(&runs, &counts, &barrier, effort.rounds))
        })
        .collect();
    let mut found = Vec::with_capacity(threads);
    for worker in workers {
        found.push(worker.join().map_err(|_| "a measuring thread panicked")?);
    }
    // A round counts as what its threads took on average.
    let middle =
        |which: usize| {
            median((0..effort.rounds).map(|round| {
                found.iter().map(|of_thread| of_thread[round][which]).sum::<f64>() / threads as f64
            }))
        };
    let [bare, time_stamps, instants, baseline, subject_itself] = std::array::from_fn(middle);
    Ok(Sample {
        added: (subject_itself - baseline) / f64::from(subject.calls),
        time_stamps: time_stamps - bare,
        instants: instants - bare,
        lost: match &subject.spans {
            Some(spans) => spans.lost(made.load(Relaxed))?,
            None => f64::NAN,
        },
    })
}

/// The same, but the calls are added to `made`.
fn counting(run: Run, made: Arc<AtomicU64>) -> Run {
    Box::new(move |count| {
        made.fetch_add(count, Relaxed);
        run(count);
    })
}

/// Nanoseconds a call, of each function in each round. The first round only warms up.
fn rounds(runs: &[Run; 5], counts: &[u64], barrier: &Barrier, rounds: usize) -> Vec<[f64; 5]> {
    let mut found = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let mut took = [0.0; 5];
        for turn in 0..runs.len() {
            // Another one begins each round, so that none always follows the same one.
            let which = (turn + round) % runs.len();
            barrier.wait();
            let start = Instant::now();
            runs[which](counts[which]);
            took[which] = start.elapsed().as_nanos() as f64 / counts[which] as f64;
        }
        if round > 0 {
            found.push(took);
        }
    }
    found
}

/// How many calls take about as long as `turn`.
fn calls_in(run: &Run, turn: Duration) -> u64 {
    let mut calls = 200;
    loop {
        let start = Instant::now();
        run(calls);
        let took = start.elapsed();
        if took * 2 > turn || calls > 1 << 24 {
            return ((turn.as_secs_f64() / took.as_secs_f64() * calls as f64) as u64).max(50);
        }
        calls *= 2;
    }
}

/// Makes `count` calls in a function that callgrind can be told to look into, once warm.
pub(crate) fn count(run: &Run, count: u64) {
    run(2_000);
    counted_by_callgrind(run, count);
}

#[inline(never)]
fn counted_by_callgrind(run: &Run, count: u64) {
    black_box(run)(count);
}
