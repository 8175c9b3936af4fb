//! What one instrumented call costs: ours, the floors and the peers.
//!
//! No benchmarking framework: a subject needs a process to itself (most install something global), and its floors must run in the same
//! process, in turn with it, or the machine's mood decides the ratio.
//!
//! ```text
//! cargo bench -p benches --bench call                      # time
//! cargo bench -p benches --bench call -- --instructions    # counted by callgrind
//! cargo bench -p benches --bench call -- --quick           # shows that everything runs
//! cargo bench -p benches --bench call -- hotpath           # the subjects whose name contains the word
//! ```

mod floors;
mod instructions;
mod measure;
mod ours;
mod peers;
mod subjects;

use std::io::Write as _;
use std::time::Duration;

use benches::{Arguments, Result, extremes, median, verdict};
use measure::{Effort, Sample};
use subjects::{SUBJECTS, Subject, Target};

fn main() -> Result<()> {
    let arguments = Arguments::of_process();
    match arguments.child() {
        Some([what, name, calls]) if what == "count" => instructions::count(name, calls.parse()?),
        Some([what, name, threads, rounds, turn]) if what == "time" => {
            let effort = Effort { rounds: rounds.parse()?, turn: Duration::from_micros(turn.parse()?) };
            let sample = measure::time(subjects::find(name)?, threads.parse()?, effort)?;
            // On a line of its own: peers may have begun one.
            println!("\n{} {} {}", sample.added, sample.time_stamps, sample.instants);
            Ok(())
        }
        Some(words) => Err(format!("cannot do {words:?}").into()),
        None if arguments.has("--instructions") => instructions::report(&arguments),
        None => report(&arguments),
    }
}

/// One line of the table: a subject on so many threads, and what each process found.
struct Row {
    subject: &'static Subject,
    threads: usize,
    samples: Vec<Sample>,
}

fn report(arguments: &Arguments) -> Result<()> {
    let quick = arguments.quick();
    let (processes, rounds, turn) = if quick { (1, "3", "300") } else { (9, "15", "1000") };
    let mut rows: Vec<Row> = SUBJECTS
        .iter()
        .filter(|subject| arguments.selects(subject.name) && (subject.quick || !quick))
        .flat_map(|subject| [1, 2].map(|threads| Row { subject, threads, samples: Vec::new() }))
        .collect();
    println!("{}", benches::machine());
    // All subjects once, then all once more: what disturbs the machine for a while disturbs them all.
    for process in 1..=processes {
        for row in &mut rows {
            benches::progress(&format!("process {process} of {processes}: {}", row.subject.name));
            let words = ["time", row.subject.name, &row.threads.to_string(), rounds, turn];
            match benches::child(&words)?[..] {
                [added, time_stamps, instants] => row.samples.push(Sample { added, time_stamps, instants }),
                ref other => return Err(format!("{words:?} printed {other:?}").into()),
            }
        }
    }
    benches::progress("");
    print(&rows)
}

fn print(rows: &[Row]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for threads in [1, 2] {
        let of = |value: fn(&Sample) -> f64| {
            median(
                rows.iter()
                    .filter(|row| row.threads == threads)
                    .flat_map(|row| row.samples.iter().map(value)),
            )
        };
        let (time_stamps, instants) = (of(|sample| sample.time_stamps), of(|sample| sample.instants));
        let ratio = instants / time_stamps;
        writeln!(
            out,
            "floors, {threads} thread(s): two time-stamp reads {time_stamps:.1} ns, two Instant::now {instants:.1} ns ({ratio:.2}x)"
        )?;
    }
    writeln!(
        out,
        "\n{:<39}{:>7}{:>10}{:>10}{:>16}{:>9}  verdict",
        "added to a call", "threads", "ns", "x 2 TSC", "min..max", "at most"
    )?;
    for row in rows {
        let added = median(row.samples.iter().map(|sample| sample.added));
        let ratio = median(row.samples.iter().map(Sample::ratio));
        let (least, most) = extremes(row.samples.iter().map(Sample::ratio));
        let (target, verdict) = match row.subject.target {
            Target::Ratio(target) => (format!("{target}x"), verdict(ratio <= target)),
            Target::Nanoseconds(target) => (format!("{target} ns"), verdict(added <= target)),
            Target::Nothing => (String::new(), ""),
        };
        let range = format!("{least:.2}..{most:.2}");
        writeln!(
            out,
            "{:<39}{:>7}{added:>10.1}{ratio:>10.2}{range:>16}{target:>9}  {verdict}",
            row.subject.name, row.threads
        )?;
    }
    Ok(())
}
