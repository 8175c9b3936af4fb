//! A profiler's life, of which each stage is somewhere else in its host: `host HOST PLACES END`.

use super::{LONG, start, work_times};
use exporters::Profiler;
use std::{
    error::Error,
    pin::pin,
    process::{ExitCode, exit},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{LocalSet, spawn_blocking},
};

/// What the program runs its own work on.
struct Host {
    runtime: Option<Runtime>,
    local: Option<LocalSet>,
}

impl Host {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let multi = |workers| Builder::new_multi_thread().worker_threads(workers).build().map(Some);
        let (runtime, local) = match name {
            "multi_1" => (multi(1)?, None),
            "multi_2" | "dropped" => (multi(2)?, None),
            "current_thread" => (Some(Builder::new_current_thread().build()?), None),
            "local_set" => (Some(Builder::new_current_thread().build()?), Some(LocalSet::new())),
            "none" => (None, None),
            _ => return Err(format!("no host {name}").into()),
        };
        Ok(Self { runtime, local })
    }

    /// Runs a stage in an async function (`a`), where it may block (`b`), or on the thread itself (`t`).
    fn run<T: Send + 'static>(
        &self,
        place: char,
        stage: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Box<dyn Error>> {
        Ok(match (&self.runtime, &self.local, place) {
            (_, _, 't') => stage(),
            (Some(runtime), None, 'a') => {
                runtime.block_on(async { tokio::spawn(async { stage() }).await })?
            }
            (Some(runtime), Some(local), 'a') => {
                local.block_on(runtime, async { tokio::task::spawn_local(async { stage() }).await })?
            }
            (Some(runtime), _, 'b') => runtime.block_on(async { spawn_blocking(stage).await })?,
            (None, _, 'a') => block_on(async { stage() }),
            (None, _, 'b') => thread::spawn(stage).join().map_err(|_| "the stage panicked")?,
            _ => return Err(format!("no place {place}").into()),
        })
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Where there is no runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// Starts, records, flushes, and ends by `end`: a shutdown, `exit`, or a return from `main`.
pub(crate) fn run(name: &str, places: &str, end: &str) -> Result<ExitCode, Box<dyn Error>> {
    let [begin, record, flush, last, dropped] = places.chars().collect::<Vec<_>>()[..] else {
        return Err("a place for each of five stages".into());
    };
    let mut host = Host::new(name)?;
    let profiler = host.run(begin, start)??;
    if name == "dropped" {
        host.runtime = None;
    }
    host.run(record, || work_times(100))?;
    let of = profiler.clone();
    host.run(flush, move || of.flush(LONG))??;
    host.run(record, || work_times(50))?;
    let of = profiler.clone();
    match end {
        "shutdown" => host.run(last, move || shutdown(&of))??,
        "exit" => host.run(last, || {
            println!("the end");
            exit(0)
        })?,
        "return" => {}
        _ => return Err(format!("no end {end}").into()),
    }
    host.run(dropped, move || drop(profiler))?;
    println!("the end");
    Ok(ExitCode::SUCCESS)
}

/// The books add up, and nothing is left.
fn shutdown(profiler: &Profiler) -> Result<(), String> {
    let report = profiler.shutdown(LONG);
    let settled = |ledger: exporters::Ledger| {
        ledger.is_balanced() && ledger.exported > 0 && ledger.exported == ledger.accepted
    };
    match report.legs.iter().all(|leg| leg.error.is_none() && settled(leg.ledger)) {
        true => Ok(()),
        false => Err(format!("{report:?}")),
    }
}
