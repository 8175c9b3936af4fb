//! Functions register themselves: a program finds those of a crate that it only links.

use std::{collections::BTreeSet, process::Command};

/// Runs the program that prints what is registered, built with these arguments.
fn registered(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--package", "tests", "--bin", "linked"])
        .args(arguments)
        .args(["--target-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/linking")])
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    out.lines().map(str::to_owned).collect()
}

#[track_caller]
fn all_are_there(registered: &BTreeSet<String>) {
    for line in [
        "linked::own 1",
        "tests::linking::never_called 0",
        "tests::linking::never_instantiated 0",
        "tests::linking::Hidden::never_named 0",
    ] {
        assert!(registered.contains(line), "{line} is missing from {registered:#?}");
    }
}

#[test]
fn linked_as_usual() {
    all_are_there(&registered(&[]));
}

#[test]
fn linked_with_lto() {
    let lto = r#"profile.release.lto="fat""#;
    all_are_there(&registered(&["--release", "--config", lto, "--config", "profile.release.strip=true"]));
}
