//! What an instrumented call costs: subjects, each in a process of its own, and their floors in the same process, in turn with them.
//!
//! No benchmarking framework: most subjects install something global, and a floor that ran at another time would leave the ratio to the
//! machine's mood.

pub mod floors;
mod instructions;
mod measure;

use std::io::Write as _;
use std::time::Duration;

use crate::{Arguments, Result, extremes, median, verdict};
use floors::{Run, drive, repeat};
use measure::{Effort, Sample};

/// The most that a call of ours may add.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Times what two readings of the time-stamp counter add.
    Ratio(f64),
    /// So many of them.
    Nanoseconds(f64),
    /// Shown for information.
    Nothing,
}

/// One measured function.
#[derive(Debug)]
pub struct Subject {
    /// What it is called in the table, and asked for by.
    pub name: &'static str,
    /// What it is compared with: the same function without instrumentation, or with less.
    pub baseline: fn() -> Result<Run>,
    /// Instrumented calls in one call of the function.
    pub calls: u32,
    /// What is promised of it.
    pub target: Target,
    /// The most instructions it may add.
    pub instructions: Option<f64>,
    /// Takes part in a quick run.
    pub quick: bool,
    /// Sets up the whole process for the subject.
    pub start: fn() -> Result<Run>,
    /// How to see that it recorded spans, where it is to.
    pub spans: Option<Spans>,
}

impl Subject {
    /// Nothing is promised of it, and it is left out of quick runs.
    #[must_use]
    pub const fn new(name: &'static str, baseline: fn() -> Result<Run>, start: fn() -> Result<Run>) -> Self {
        let (target, instructions) = (Target::Nothing, None);
        Self { name, baseline, calls: 1, target, instructions, quick: false, start, spans: None }
    }
}

/// The spans of a subject's calls.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// How many a call is to have.
    pub a_call: f64,
    /// Has all that were recorded delivered, and tells of how many it knows.
    pub received: fn() -> Result<Received>,
}

/// What became of spans.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Delivered to the exporter.
    pub received: u64,
    /// Counted as lost by whoever lost them; `None` of a subject that does not count, or not all.
    pub lost: Option<u64>,
}

impl Spans {
    /// The share that was lost of those of so many calls; not a number where there were to be none.
    fn lost(&self, calls: u64) -> Result<f64> {
        let Received { received, lost } = (self.received)()?;
        let (wanted, told) = (calls as f64 * self.a_call, received + lost.unwrap_or_default());
        // Where a sampler decides, their number is not exact.
        let unsure = if self.a_call < 1.0 { 0.25 * wanted } else { 0.0 };
        let most = wanted + unsure;
        let least = if lost.is_some() { wanted - unsure } else { 0.0 };
        if !(least..=most).contains(&(told as f64)) || received == 0 && wanted > 0.0 {
            return Err(format!("of {wanted} spans {received} received, {lost:?} lost").into());
        }
        Ok(lost.map_or(wanted - received as f64, |lost| lost as f64) / wanted)
    }
}

/// The baseline of a function that is called alone.
///
/// # Errors
///
/// None; as for the other baselines.
pub fn function() -> Result<Run> {
    Ok(repeat(floors::bare))
}

/// That of one that calls another.
///
/// # Errors
///
/// None.
pub fn nested() -> Result<Run> {
    Ok(repeat(floors::bare_nested))
}

/// That of an async one which is ready at once.
///
/// # Errors
///
/// None.
pub fn async_ready() -> Result<Run> {
    Ok(repeat(|x| drive(floors::bare_async(x, 0))))
}

/// That of an async one which is ready at its eighth poll.
///
/// # Errors
///
/// None.
pub fn async_8_polls() -> Result<Run> {
    Ok(repeat(|x| drive(floors::bare_async(x, 7))))
}

/// Measures `subjects` as the command line asks, and prints the table.
///
/// # Errors
///
/// A subject could not be set up or measured, or did not record what it should.
pub fn main(subjects: &[Subject]) -> Result<()> {
    let arguments = Arguments::of_process();
    match arguments.child() {
        Some([what, name, which, calls]) if what == "count" => {
            instructions::count(subjects, name, which, calls.parse()?)
        }
        Some([what, name, threads, rounds, turn]) if what == "time" => {
            let effort = Effort { rounds: rounds.parse()?, turn: Duration::from_micros(turn.parse()?) };
            let sample = measure::time(find(subjects, name)?, threads.parse()?, effort)?;
            // On a line of its own: peers may have begun one.
            println!("\n{} {} {} {}", sample.added, sample.time_stamps, sample.instants, sample.lost);
            Ok(())
        }
        Some(words) => Err(format!("cannot do {words:?}").into()),
        None if arguments.has("--instructions") => instructions::report(subjects, &arguments),
        None => report(subjects, &arguments),
    }
}

fn find<'a>(subjects: &'a [Subject], name: &str) -> Result<&'a Subject> {
    Ok(subjects.iter().find(|subject| subject.name == name).ok_or_else(|| format!("no subject {name:?}"))?)
}

/// One line of the table: a subject on so many threads, and what each process found.
struct Row<'a> {
    subject: &'a Subject,
    threads: usize,
    samples: Vec<Sample>,
}

fn report(subjects: &[Subject], arguments: &Arguments) -> Result<()> {
    let quick = arguments.quick();
    let (processes, rounds, turn) = if quick { (1, "3", "300") } else { (9, "15", "1000") };
    let mut rows: Vec<Row<'_>> = subjects
        .iter()
        .filter(|subject| arguments.selects(subject.name) && (subject.quick || !quick))
        .flat_map(|subject| [1, 2].map(|threads| Row { subject, threads, samples: Vec::new() }))
        .collect();
    println!("{}", crate::machine());
    // All subjects once, then all once more: what disturbs the machine for a while disturbs them all.
    for process in 1..=processes {
        for row in &mut rows {
            crate::progress(&format!("process {process} of {processes}: {}", row.subject.name));
            let words = ["time", row.subject.name, &row.threads.to_string(), rounds, turn];
            match crate::child(&words)?[..] {
                [added, time_stamps, instants, lost] => {
                    row.samples.push(Sample { added, time_stamps, instants, lost });
                }
                ref other => return Err(format!("{words:?} printed {other:?}").into()),
            }
        }
    }
    crate::progress("");
    print(&rows)
}

fn print(rows: &[Row<'_>]) -> Result<()> {
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
    let spans = rows.iter().any(|row| row.subject.spans.is_some());
    let lost = if spans { "lost" } else { "" };
    writeln!(
        out,
        "\n{:<39}{:>7}{:>10}{:>10}{:>16}{lost:>9}{:>9}  verdict",
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
        let lost = median(row.samples.iter().map(|sample| sample.lost));
        let lost = if lost.is_nan() { String::new() } else { format!("{:.1} %", lost * 100.0) };
        writeln!(
            out,
            "{:<39}{:>7}{added:>10.1}{ratio:>10.2}{range:>16}{lost:>9}{target:>9}  {verdict}",
            row.subject.name, row.threads
        )?;
    }
    Ok(())
}
