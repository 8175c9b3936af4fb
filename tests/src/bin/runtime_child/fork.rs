//! Forks while other threads record.

use super::{LONG, start, work, work_times};
use exporters::{LegPatch, MemoryExporter, Profiler, profiled};
use std::{
    io,
    process::{ExitCode, exit},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// What the child of a fork gives as its status.
type Child<'a> = &'a dyn Fn() -> i32;

/// Forks; the child does `child` and ends as programs do. Gives its status.
fn fork(child: Child<'_>) -> io::Result<i32> {
    // SAFETY: the child goes on with one thread, as a child of `fork` in a program with many may that allocates with glibc.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => exit(child()),
        id => {
            let mut status = 0;
            // SAFETY: waits for the process just made.
            if unsafe { libc::waitpid(id, &raw mut status, 0) } != id {
                return Err(io::Error::last_os_error());
            }
            Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -status })
        }
    }
}

/// A child that does not know of the profiler: it records nothing, and its parent's handle does nothing.
fn innocent(profiler: &Profiler) -> i32 {
    work_times(3);
    if profiler.is_recording() || profiler.snapshot().function("work").total_calls() > 0 {
        return 2;
    }
    // With no thread left to do it, these would wait for ever.
    let idle = profiler.flush(LONG).is_ok()
        && profiler.ledger().is_empty()
        && profiler.update_config("sink", LegPatch::default()).is_ok()
        && profiler.shutdown(LONG).legs.is_empty();
    if idle { 0 } else { 3 }
}

/// A child that starts a profiler of its own.
fn anew() -> i32 {
    work_times(5);
    let memory = MemoryExporter::new();
    let Ok(profiler) = Profiler::builder().exporter(memory.clone()).start() else { return 4 };
    work_times(7);
    let joined = thread::spawn(|| work_times(10)).join().is_ok();
    if !joined || profiler.flush(LONG).is_err() {
        return 5;
    }
    work_times(3);
    if profiler.shutdown(LONG).into_result().is_err() {
        return 6;
    }
    let counts: Vec<u64> = memory
        .batches()
        .iter()
        .filter_map(|batch| batch.metrics())
        .map(|metrics| metrics.function("work").total_calls())
        .collect();
    if counts == [17, 20] { 0 } else { 7 }
}

/// A child that leaves its own profiler to the end of the program.
fn unattended() -> i32 {
    let started = Profiler::builder().exporter(MemoryExporter::new()).start();
    work_times(7);
    if started.is_ok() { 0 } else { 8 }
}

/// Prints the process and how often it called `work`.
pub(crate) fn many(forks: u32) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let profiler = exporters::Builder::from_env()?
        .interval(Duration::from_millis(1))
        .exporter(super::sink::Sink::default())
        .start()?;
    let stop = AtomicBool::new(false);
    let calls = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0;
                    while !stop.load(Relaxed) {
                        let _ = work(calls % 10 > 0);
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let mut calls = 0;
        let mut failed = None;
        for n in 0..forks {
            let child: Child<'_> = match n % 10 {
                0 => &anew,
                5 => &unattended,
                _ => &|| innocent(&profiler),
            };
            match fork(child) {
                Ok(0) => {}
                other => {
                    failed = Some(format!("child {n}: {other:?}"));
                    break;
                }
            }
            work_times(2);
            calls += 2;
        }
        stop.store(true, Relaxed);
        for thread in threads {
            match thread.join() {
                Ok(more) => calls += more,
                Err(_) => failed = Some("a thread panicked".to_owned()),
            }
        }
        failed.map_or(Ok(calls), Err)
    })?;
    profiler.shutdown(LONG).into_result()?;
    println!("{} {calls}", std::process::id());
    Ok(ExitCode::SUCCESS)
}

/// A call that is running when the process forks.
#[profiled(name = "work")]
fn forks() -> io::Result<i32> {
    fork(&|| {
        let memory = MemoryExporter::new();
        let Ok(profiler) = Profiler::builder().exporter(memory.clone()).start() else { return 2 };
        work_times(4);
        let metrics = profiler.snapshot();
        // The call that forked is its parent's.
        let (calls, running) =
            (metrics.function("work").total_calls(), metrics.function("work").concurrent_calls());
        if (calls, running) == (4, 0) { 0 } else { 3 }
    })
}

pub(crate) fn in_call() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let profiler = start()?;
    work_times(10);
    match forks()? {
        0 => {}
        status => return Err(format!("the child: {status}").into()),
    }
    profiler.shutdown(LONG).into_result()?;
    Ok(ExitCode::SUCCESS)
}
