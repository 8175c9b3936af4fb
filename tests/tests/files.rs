//! Files and dead letters under `kill -9`, on a disk that is full, and in a directory that is taken away.

use exporters::{AnyExporter, MemoryExporter, replay};
use std::{
    collections::HashSet,
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tests::{
    Temp,
    killed::{kill_after, some},
};

const KILLS: usize = 20;
const NOBODY: u32 = 65_534;

fn child(scenario: &str, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_file_child"));
    command.arg(scenario).arg(directory).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Has a child write, and be killed, again and again; gives what it was acknowledged.
fn acknowledged(scenario: &str, directory: &Path) -> HashSet<String> {
    let mut all = HashSet::new();
    for _ in 0..KILLS {
        let (said, killed) = kill_after(child(scenario, directory).spawn().unwrap(), some());
        assert!(killed && !said.is_empty());
        let new = said.len();
        let before = all.len();
        all.extend(said);
        assert_eq!(all.len(), before + new, "no identity twice");
    }
    all
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The identities of what a replay sends.
fn replayed(directory: &Path) -> HashSet<String> {
    let memory = MemoryExporter::with_capacity(1_000_000);
    let report = replay(directory, AnyExporter::new(memory.clone())).unwrap();
    assert!(report.corrupt == 0 && report.error.is_none() && report.in_use == 0, "{report:?}");
    assert!(files(directory).is_empty(), "all files are done");
    memory.take().iter().map(|batch| batch.id().to_string()).collect()
}

/// Every one that was acknowledged is there, and of others at most the one that a killed child was at.
fn assert_complete(there: &HashSet<String>, acknowledged: &HashSet<String>) {
    let lost: Vec<_> = acknowledged.difference(there).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let more = there.len() - acknowledged.len();
    assert!(more <= KILLS, "{more} that nobody was told of");
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let temp = Temp::new();
    let all = acknowledged("records", &temp.0);
    assert_complete(&replayed(&temp.0), &all);
}

#[test]
fn a_killed_writer_leaves_lines_that_can_be_read() {
    let temp = Temp::new();
    let all = acknowledged("json", &temp.0);
    let mut there = HashSet::new();
    let (mut torn, files) = (0, files(&temp.0));
    for file in &files {
        let text = fs::read(file).unwrap();
        let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
        torn += usize::from(!lines.pop().unwrap().is_empty());
        for line in lines {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            assert!(there.insert(line["id"].as_str().unwrap().to_owned()), "no line twice");
        }
    }
    assert!(torn <= 1, "those before were repaired by the next one");
    assert!(files.len() > 1, "they rotate meanwhile");
    assert_complete(&there, &all);
}

#[test]
fn dead_letters_outlive_their_writer_and_their_replay() {
    let temp = Temp::new();
    let all = acknowledged("dead_letters", &temp.0);
    let mut sent = HashSet::new();
    let mut killed = 0;
    for _ in 0..KILLS {
        let (said, by_us) = kill_after(child("replay", &temp.0).spawn().unwrap(), some());
        killed += usize::from(by_us);
        sent.extend(said);
    }
    assert!(killed > 0);
    sent.extend(replayed(&temp.0));
    assert_complete(&sent, &all);
}

/// It ends well, having come to its end.
fn assert_passes(mut command: Command, scenario: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), scenario);
}

#[test]
fn a_disk_that_is_full_tears_no_line_and_is_written_again_when_there_is_room() {
    let temp = Temp::new();
    // A mount that nobody else sees, and that goes with the child.
    let script = "mount -t tmpfs -o size=64k,mode=700 none \"$1\" && exec \"$0\" full \"$1\"";
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(arguments).args(["--mount", "sh", "-c"]);
        command
    };
    let ways: [&[&str]; 2] = [&[], &["--map-root-user"]];
    let may = |way: &&&[&str]| {
        let mut command = unshare(way);
        let tried = command.arg("mount -t tmpfs none \"$0\"").arg(&temp.0).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let Some(way) = ways.iter().find(may) else {
        let required = std::env::var("EXPORTERS_REQUIRE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(!required, "nothing may be mounted here");
        return eprintln!("LEFT OUT: a full disk: nothing may be mounted here");
    };
    let mut command = unshare(way);
    command.args([script, env!("CARGO_BIN_EXE_file_child")]).arg(&temp.0);
    assert_passes(command, "full");
}

#[test]
fn a_write_that_ends_in_the_middle_of_a_line_is_taken_back() {
    let temp = Temp::new();
    assert_passes(child("limit", &temp.0), "limit");
}

#[test]
fn a_directory_that_is_taken_away_is_used_again_when_it_is_back() {
    let temp = Temp::new();
    let directory = temp.0.join("own");
    fs::create_dir(&directory).unwrap();
    // Root may do everything; so it is somebody else, who must be able to start the child.
    let program = temp.0.join("file_child");
    fs::copy(env!("CARGO_BIN_EXE_file_child"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.arg("permissions").arg(&directory);
    // SAFETY: it only asks.
    if unsafe { libc::geteuid() } == 0 {
        chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    assert_passes(command, "permissions");
}
