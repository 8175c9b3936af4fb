//! Functions and exporters register themselves: a program finds those of a crate that it only links.

use std::{collections::BTreeSet, io, process::Command};

/// What the program prints.
fn registered(program: &mut Command) -> io::Result<BTreeSet<String>> {
    let output = program.output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    Ok(out.lines().map(str::to_owned).collect())
}

#[track_caller]
fn all_are_there(registered: &BTreeSet<String>) {
    for line in [
        "linking::own 1",
        "linking::never_called 0",
        "linking::never_instantiated 0",
        "linking::Hidden::never_named 0",
        "kind never-made",
    ] {
        assert!(registered.contains(line), "{line} is missing from {registered:#?}");
    }
}

#[test]
fn linked_as_usual() -> io::Result<()> {
    all_are_there(&registered(&mut Command::new(env!("CARGO_BIN_EXE_linking")))?);
    Ok(())
}

#[test]
fn linked_with_lto() -> io::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--offline", "--package", "linking", "--release"]);
    for setting in [r#"lto="fat""#, "strip=true", "opt-level=1"] {
        cargo.args(["--config", &format!("profile.release.{setting}")]);
    }
    cargo.args(["--target-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/lto")]).env_remove("RUSTFLAGS");
    all_are_there(&registered(&mut cargo)?);
    Ok(())
}
