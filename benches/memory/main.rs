//! Resident memory: calls that nobody scrapes, and many threads that call many functions.
//!
//! ```text
//! cargo bench -p benches --bench memory
//! cargo bench -p benches --bench memory -- --quick
//! ```

mod functions;

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use benches::{Arguments, Result, resident, verdict};
use exporters::prometheus::PrometheusConfig;
use exporters::{Profiler, profiled};
use functions::{ALL, COUNT, spin};

const MIB: f64 = 1024.0 * 1024.0;

/// Every function's durations lie within two octaves: from the shortest to four times as long.
const SHORTEST: Duration = Duration::from_nanos(250);
const LONGEST: Duration = Duration::from_nanos(900);
/// Calls of each function on each thread: two for each bucket of two octaves at scale 3.
const CALLS: u32 = 32;

fn main() -> Result<()> {
    let arguments = Arguments::of_process();
    match arguments.child() {
        Some([what, calls]) if what == "unscraped" => unscraped(calls.parse()?),
        Some([what, threads]) if what == "threads" => many_threads(threads.parse()?),
        Some(words) => Err(format!("cannot do {words:?}").into()),
        None => {
            let quick = arguments.quick();
            let (calls, threads) = if quick { (1_000_000, 32) } else { (10_000_000, 512) };
            println!("{:<64}{:>10}{:>10}  verdict", "resident memory grows by", "MiB", "at most");
            line(format!("{calls} calls that nobody scrapes"), &["unscraped", &calls.to_string()], 1.0)?;
            line(
                format!("{threads} threads that each call {COUNT} functions, in two octaves"),
                &["threads", &threads.to_string()],
                128.0,
            )
        }
    }
}

fn line(what: String, words: &[&str], most: f64) -> Result<()> {
    let found = benches::child(words)?;
    let grown = found.first().ok_or("no figure")? / MIB;
    println!("{what:<64}{grown:>10.2}{most:>10}  {}", verdict(grown <= most));
    Ok(())
}

fn print_growth(before: u64) -> Result<()> {
    println!("\n{}", resident()? as f64 - before as f64);
    Ok(())
}

/// Calls while intervals go by and the page waits to be scraped, once everything that the first calls bring is there.
fn unscraped(calls: u32) -> Result<()> {
    let builder = Profiler::builder().interval(Duration::from_millis(10)).prometheus(any_port());
    let profiler = builder.start()?;
    for _ in 0..10 {
        make_calls(calls / 100);
        profiler.flush(Duration::from_secs(5))?;
    }
    let before = resident()?;
    make_calls(calls);
    print_growth(before)
}

fn make_calls(calls: u32) {
    #[profiled]
    #[inline(never)]
    fn parse(text: &str) -> std::result::Result<u32, std::num::ParseIntError> {
        std::hint::black_box(text).parse()
    }
    #[profiled(attributes(queue = queue))]
    #[inline(never)]
    fn take(queue: u32) -> u32 {
        std::hint::black_box(queue)
    }
    for call in 0..calls / 2 {
        let _ = parse(if call % 16 == 0 { "x" } else { "7" });
        take(call % 8);
    }
}

fn any_port() -> PrometheusConfig {
    let mut config = PrometheusConfig::default();
    config.listen.set_port(0);
    config
}

/// All threads live at once, so that none continues what another left.
fn many_threads(threads: usize) -> Result<()> {
    let _profiler = Profiler::builder().prometheus(any_port()).start()?;
    let barrier = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                spin(SHORTEST); // The stack is there from now on.
                barrier.wait();
                barrier.wait();
                call_everything();
                barrier.wait();
                barrier.wait();
            })
        })
        .collect();
    barrier.wait();
    let before = resident()?;
    barrier.wait();
    barrier.wait();
    print_growth(before)?;
    barrier.wait();
    for worker in workers {
        worker.join().map_err(|_| "a thread panicked")?;
    }
    Ok(())
}

fn call_everything() {
    for call in 0..CALLS {
        let duration = SHORTEST + (LONGEST - SHORTEST) * call / CALLS;
        for function in ALL.iter().flatten() {
            function(duration);
        }
    }
}
