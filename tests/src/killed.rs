//! Children that are killed at some moment or other.

use std::{
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader},
    process::Child,
};

/// Kills it, by `SIGKILL`, when it has said so many lines; gives all that it said to the end, and whether it was killed. Its
/// standard output has to be a pipe.
pub fn kill_after(mut child: Child, lines: u64) -> (Vec<String>, bool) {
    let mut said = Vec::new();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    said.extend(out.by_ref().take(lines as usize).map(Result::unwrap));
    child.kill().unwrap();
    // What it said before it heard of it counts as well.
    said.extend(out.map(Result::unwrap));
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "{status}");
    (said, !status.success())
}

/// From 1 to 40, each time another number.
pub fn some() -> u64 {
    RandomState::new().hash_one(()) % 40 + 1
}
