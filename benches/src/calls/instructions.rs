//! Instructions that a call adds, counted by callgrind.

use std::process::Command;

use super::{Subject, find, measure};
use crate::{Arguments, Result, verdict};

/// A run of so many calls less a run of so many leaves the calls alone.
const CALLS: [u64; 2] = [2_000, 12_000];

/// Prints the table.
pub(crate) fn report(subjects: &[Subject], arguments: &Arguments) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("counting instructions needs `valgrind` on the PATH (package `valgrind`)".into());
    }
    println!("{:<40}{:>14}{:>12}   verdict", "instructions a call, calling thread", "added", "at most");
    for subject in subjects.iter().filter(|subject| arguments.selects(subject.name)) {
        let added =
            (a_call(subject.name, "itself")? - a_call(subject.name, "baseline")?) / f64::from(subject.calls);
        let (most, verdict) = match subject.instructions {
            Some(most) => (format!("{most:.0}"), verdict(added <= most)),
            None => (String::new(), ""),
        };
        println!("{:<40}{added:>14.1}{most:>12}   {verdict}", subject.name);
    }
    Ok(())
}

/// Instructions a call of a subject itself, or of its baseline.
fn a_call(name: &str, which: &str) -> Result<f64> {
    let [fewer, more] = [collected(name, which, CALLS[0])?, collected(name, which, CALLS[1])?];
    Ok((more - fewer) / (CALLS[1] - CALLS[0]) as f64)
}

fn collected(name: &str, which: &str, calls: u64) -> Result<f64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*counted_by_callgrind*",
        ])
        .arg(std::env::current_exe()?)
        .args(["--child", "count", name, which, &calls.to_string()])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let count =
        printed.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    Ok(count.ok_or_else(|| format!("valgrind counted nothing for {name:?}: {printed}"))?.parse()?)
}

/// In a child: makes the calls to be counted, and ends the process before anything else can run.
pub(crate) fn count(subjects: &[Subject], name: &str, which: &str, calls: u64) -> Result<()> {
    let subject = find(subjects, name)?;
    let run = if which == "baseline" { (subject.baseline)()? } else { (subject.start)()? };
    measure::count(&run, calls);
    Ok(())
}
