//! Programs with a spool that are killed at any moment: what was on the disk arrives.

use super::{full, tell};
use std::{
    collections::HashMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tests::{
    Temp,
    killed::{kill_after, some},
};

#[test]
fn what_was_on_the_disk_arrives() {
    let kills = if full() { 200 } else { 20 };
    let temp = Temp::new();
    let child = |scenario| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_file_child"));
        child.arg(scenario).arg(&temp.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        child
    };
    let (mut kept, mut said) = (0, Vec::new());
    for _ in 0..kills {
        let (lines, killed) = kill_after(child("spool").spawn().unwrap(), some());
        assert!(killed);
        kept +=
            lines.iter().rev().find_map(|line| line.strip_prefix("kept ")?.parse::<u64>().ok()).unwrap_or(0);
        said.extend(lines);
    }
    let began = Instant::now();
    let output = child("drain").output().unwrap();
    let took = began.elapsed();
    assert!(output.status.success(), "{}", output.status);
    said.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));

    let (mut calls, mut twice) = (HashMap::new(), 0);
    for (id, count) in said.iter().filter_map(|line| line.strip_prefix("took ")?.rsplit_once(' ')) {
        let count: u64 = count.parse().unwrap();
        if let Some(before) = calls.insert(id, count) {
            assert_eq!(before, count, "{id}");
            twice += 1;
        }
    }
    let sum: u64 = calls.values().sum();
    // Of each that was killed, what it was about to say.
    assert!((kept..=kept + 3 * kills).contains(&sum), "{sum} of {kept}");
    assert!(twice <= kills, "{twice} came again");
    assert!(!full() || took <= Duration::from_secs(1), "{took:?}");
    tell(
        "`kill -9` of programs with a spool",
        "no call that was on the disk is lost, no name means two things, and a restart takes 1 s at most",
        format_args!(
            "{kills} kills, {kept} calls on the disk, none lost, {twice} batches twice, restart {took:.0?}"
        ),
    );
}
