//! What it takes to have the spans of calls arrive at a receiver, and how many of them do.

use std::time::Duration;

use benches::{Result, median, verdict};

use crate::producers::{Produced, produce};
use crate::receiver::{Received, Receiver};

/// What is asked of everybody.
struct Scenario {
    name: &'static str,
    /// Spans a second; 0 for as many as can be.
    rate: u64,
    seconds: f64,
    /// What the receiver takes for a request.
    delay: Duration,
    /// Whether ours may lose none.
    lossless: bool,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "1,000,000 a second",
        rate: 1_000_000,
        seconds: 4.0,
        delay: Duration::ZERO,
        lossless: true,
    },
    Scenario {
        name: "100,000 a second, 20 ms a request",
        rate: 100_000,
        seconds: 4.0,
        delay: Duration::from_millis(20),
        lossless: true,
    },
    Scenario { name: "flat out", rate: 0, seconds: 1.0, delay: Duration::ZERO, lossless: false },
];

const SUBJECTS: [&str; 6] =
    [OURS, LEAN, "exporters, async", "opentelemetry-otlp", "fastrace-opentelemetry", FLOOR];
const OURS: &str = "exporters";
/// Without attributes.
const LEAN: &str = "exporters, no thread attributes";
const FLOOR: &str = "by hand";

/// Times the floor's, of ours.
const MOST_CPU: f64 = 4.0;
const MOST_RESIDENT: f64 = 64.0 * MIB;
const MOST_BYTES: f64 = 100.0;
const MIB: f64 = 1_048_576.0;

/// One process' run, a second or a million spans at a time.
#[derive(Debug)]
struct Run {
    offered: f64,
    received: f64,
    lost: f64,
    /// Of those that were received.
    cpu_a_million: f64,
    peak: f64,
    bytes_a_span: f64,
    spans_a_request: f64,
    /// Lost, and not counted as such.
    unaccounted: f64,
}

/// Prints the tables.
pub(crate) fn report(quick: bool) -> Result<()> {
    let rounds = if quick { 1 } else { 3 };
    println!("\nend to end; {}", benches::machine());
    println!(
        "CPU is that of the producing process for each million spans that arrived, less what keeping to the rate costs."
    );
    for scenario in &SCENARIOS {
        let time = Duration::from_secs_f64(if quick { scenario.seconds / 10.0 } else { scenario.seconds });
        let mut runs = [const { Vec::new() }; SUBJECTS.len()];
        for round in 1..=rounds {
            benches::progress(&format!("{}, round {round} of {rounds}", scenario.name));
            let pacing = pacing(scenario, time)?;
            let mut batch = 0.0;
            for (who, runs) in SUBJECTS.iter().zip(&mut runs) {
                let run = measure(scenario, time, who, pacing, batch)?;
                if *who == OURS {
                    batch = run.spans_a_request;
                }
                runs.push(run);
            }
        }
        benches::progress("");
        print(scenario, &runs);
    }
    Ok(())
}

/// CPU seconds of a process that does nothing else than keep to the rate.
fn pacing(scenario: &Scenario, time: Duration) -> Result<f64> {
    if scenario.rate == 0 {
        return Ok(0.0);
    }
    Ok(produce("nobody", scenario.rate, time, 0, 0)?.cpu_seconds)
}

fn measure(scenario: &Scenario, time: Duration, who: &str, pacing: f64, batch: f64) -> Result<Run> {
    // The floor shows what sending costs, at whatever rate.
    let (rate, pacing) = if who == FLOOR { (0, 0.0) } else { (scenario.rate, pacing) };
    let receiver = Receiver::start(scenario.delay)?;
    let produced = produce(who, rate, time, receiver.port, batch as u64)?;
    let Received { spans, bytes, requests } = receiver.stop()?;
    if spans == 0 {
        return Err(format!("nothing came of {produced:?} by {who}").into());
    }
    let Produced { spans: made, seconds, until_sent, cpu_seconds, peak, counted_lost } = produced;
    let (received, missing) = (spans as f64, made - spans as f64);
    Ok(Run {
        offered: made / seconds,
        received: received / until_sent,
        lost: missing / made,
        cpu_a_million: (cpu_seconds - pacing) / received * 1e6,
        peak,
        bytes_a_span: bytes as f64 / received,
        spans_a_request: received / requests as f64,
        unaccounted: (missing - counted_lost).abs(),
    })
}

fn print(scenario: &Scenario, runs: &[Vec<Run>; SUBJECTS.len()]) {
    println!(
        "\n{:<34}{:>12}{:>12}{:>9}{:>9}{:>9}{:>10}{:>8}{:>10}",
        scenario.name,
        "offered/s",
        "received/s",
        "lost",
        "CPU s/M",
        "x floor",
        "peak MiB",
        "B/span",
        "a request"
    );
    let middle = |at: usize, value: fn(&Run) -> f64| median(runs[at].iter().map(value));
    let floor = middle(SUBJECTS.len() - 1, |run| run.cpu_a_million);
    for (at, who) in SUBJECTS.iter().enumerate() {
        let of = |value| middle(at, value);
        let cpu = of(|run| run.cpu_a_million);
        println!(
            "{who:<34}{:>12.0}{:>12.0}{:>9}{cpu:>9.3}{:>9.1}{:>10.1}{:>8.1}{:>10.0}",
            of(|run| run.offered),
            of(|run| run.received),
            format!("{:.2} %", of(|run| run.lost) * 100.0),
            cpu / floor,
            of(|run| run.peak) / MIB,
            of(|run| run.bytes_a_span),
            of(|run| run.spans_a_request),
        );
    }
    // In no run.
    let most = |value: fn(&Run) -> f64| runs[0].iter().map(value).fold(0.0, f64::max);
    let promise = |what: &str, met: bool| println!("  {OURS}: {what}: {}", verdict(met));
    promise("what it counts as lost is what is missing", most(|run| run.unaccounted) == 0.0);
    promise(
        &format!("at most {:.0} MiB resident", MOST_RESIDENT / MIB),
        most(|run| run.peak) <= MOST_RESIDENT,
    );
    let bytes = middle(1, |run| run.bytes_a_span);
    promise(&format!("at most {MOST_BYTES} bytes a span without attributes"), bytes <= MOST_BYTES);
    if scenario.lossless {
        promise("nothing lost", most(|run| run.lost) == 0.0);
        let ratio = middle(0, |run| run.cpu_a_million) / floor;
        promise(&format!("CPU at most {MOST_CPU} times that by hand"), ratio <= MOST_CPU);
    }
}
