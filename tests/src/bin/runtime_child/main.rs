//! A program that a test starts to see how it ends: `runtime_child SCENARIO [ARGUMENT ..]`.

mod exit;
mod fork;
mod host;
mod sink;

use exporters::{Profiler, profiled};
use std::{env, fmt::Error, process::ExitCode, time::Duration};

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

#[profiled]
fn work(ok: bool) -> Result<(), Error> {
    if ok { Ok(()) } else { Err(Error) }
}

/// Calls `work` so often; one call in ten fails.
fn work_times(times: u64) {
    for n in 0..times {
        let _ = work(!n.is_multiple_of(10));
    }
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    match arguments[..] {
        ["exit", scenario] => exit::run(scenario),
        ["fork", forks] => fork::many(forks.parse()?),
        ["fork_in_call"] => fork::in_call(),
        ["host", host, places, end] => host::run(host, places, end),
        ["init"] => started(exporters::init),
        ["build"] => started(|| exporters::Profiler::builder().start()),
        _ => Err(format!("no scenario {arguments:?}").into()),
    }
}

/// Says what there is after `start`, as the environment has it.
fn started(
    start: fn() -> Result<exporters::Profiler, exporters::Error>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let profiler = start()?;
    let again = start()?;
    work_times(10);
    let listening = profiler.listening().map_or_else(|| "none".to_owned(), |address| address.to_string());
    let same = again.listening() == profiler.listening();
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    let calls = again.snapshot().function("work").total_calls();
    println!(
        "recording={} listening={listening} threads={threads} calls={calls} same={same}",
        profiler.is_recording()
    );
    profiler.shutdown(LONG).into_result()?;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(9) })
}

/// A profiler that sends to the test.
fn start() -> exporters::Result<Profiler> {
    exporters::Builder::from_env()?.exporter(sink::Sink::default()).start()
}
