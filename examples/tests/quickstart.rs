//! The quickstart as its user meets it: what it prints, serves, refuses, and how it ends.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{calls, example, get};

fn quickstart(arguments: &[&str]) -> Command {
    example("quickstart", arguments)
}

/// A directory of which all answers are known: 6 files, 7 + 2 + 1 + 10 + 4,000 words.
fn known(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(root.join("sub/.git")).expect("a directory");
    let write = |path: &str, content: &[u8]| fs::write(root.join(path), content).expect("a file");
    write("a.txt", b"one two, three\nfour five six-seven");
    write("b.txt", b"one two");
    write("sub/c.txt", "é".as_bytes());
    write("sub/latin-1.txt", b"stra\xdfe");
    // Bytes 59 and 60 are one character.
    write("sub/long.txt", format!("{} {}\u{e9}", "word ".repeat(9).trim(), "x".repeat(14)).as_bytes());
    write("sub/large.txt", "word ".repeat(4000).as_bytes());
    write("sub/.git/left-out.txt", b"left out");
    root
}

/// The number in the line of the summary that begins with `name`.
fn summary(output: &str, name: &str) -> u64 {
    let line = output.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().expect(name)
}

/// Calls, errors, panics and cancelled calls in the table's row of `function`.
fn row(output: &str, function: &str) -> [String; 4] {
    let mut rows = output.lines().map(|line| line.split_whitespace().map(str::to_owned));
    let row =
        rows.find(|row| row.clone().next().is_some_and(|name| name.ends_with(&format!("::{function}"))));
    let columns: Vec<_> = row.expect(function).skip(1).take(4).collect();
    columns.try_into().expect(function)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// `command` must fail with the status of bad input and say why in one line that contains `said`.
fn refused(command: &mut Command, said: &str) {
    let Output { status, stdout, stderr } = command.output().expect("the quickstart");
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("quickstart: ") && stderr.contains(said), "{stderr}");
}

#[test]
fn refuses_bad_input_in_one_line() {
    refused(&mut quickstart(&["/no/such/directory"]), "/no/such/directory: No such file");
    refused(&mut quickstart(&["--sevre"]), "--sevre");
    refused(&mut quickstart(&["--listen"]), "--listen");
    refused(&mut quickstart(&["--listen", "localhost"]), "localhost");
    refused(&mut quickstart(&["--listen", "127.0.0.1:99999"]), "127.0.0.1:99999");
    refused(&mut quickstart(&["--rounds", "-1"]), "-1");
    refused(&mut quickstart(&[".", "second"]), "second");
    refused(&mut quickstart(&[file!()]), file!());
    for options in [&[][..], &["--serve"]] {
        refused(quickstart(options).env("PROFILING_DISABLED", "perhaps"), "PROFILING_DISABLED");
        refused(
            quickstart(options).env("PROFILING_PROMETHEUS_LISTEN", "nowhere"),
            "PROFILING_PROMETHEUS_LISTEN",
        );
        refused(quickstart(options).env("PROFILING_INTERVAL", "10"), "PROFILING_INTERVAL");
    }
    refused(&mut quickstart(&["--listen", "0.0.0.0:0"]), "0.0.0.0:0");
}

#[test]
fn refuses_a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    refused(&mut quickstart(&["--listen", &address]), &address);
}

#[test]
fn helps() {
    let output = quickstart(&["--help"]).output().expect("the quickstart");
    assert!(output.status.success());
    let help = text(&output.stdout);
    assert!(help.starts_with("Usage: quickstart") && help.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn knows_the_answers() {
    let root = known("answers");
    let output =
        quickstart(&["--rounds", "3", root.to_str().expect("UTF-8")]).output().expect("the quickstart");
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
    let output = text(&output.stdout);
    assert_eq!(summary(&output, "files"), 3 * 6);
    assert_eq!(summary(&output, "distinct"), 5);
    assert_eq!(summary(&output, "words"), 3 * 4020);
    assert_eq!(summary(&output, "unreadable"), 0);
    assert_eq!(summary(&output, "not UTF-8"), 3);
    assert_eq!(summary(&output, "panicked"), 3);
    assert_eq!(summary(&output, "aborted"), 3);

    assert_eq!(row(&output, "process"), ["18", "3", "-", "-"]);
    assert_eq!(row(&output, "decode"), ["18", "3", "-", "-"]);
    assert_eq!(row(&output, "count_words"), ["15", "-", "-", "-"]);
    assert_eq!(row(&output, "title"), ["15", "-", "3", "-"]);
    assert_eq!(row(&output, "watch"), ["3", "-", "-", "3"]);
    assert_eq!(row(&output, "Index::add"), ["18", "-", "-", "-"]);
    assert!(!output.contains('\u{1b}') && output.lines().skip(1).all(|line| line.chars().count() <= 100));
}

#[test]
fn serves_until_interrupted() {
    let root = known("serving");
    let arguments = ["--listen", "127.0.0.1:0", "--rounds", "2", root.to_str().expect("UTF-8")];
    let mut child = quickstart(&arguments).spawn().expect("the quickstart");
    let mut lines =
        BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let url = lines.find_map(|line| line.strip_prefix("serving ").map(str::to_owned)).expect("an address");
    // The last line of the summary, which comes when all rounds are done.
    assert_eq!(lines.find(|line| line.starts_with("aborted")).as_deref(), Some("aborted     2"));

    let (_, page) = get(url.trim());
    let calls = |function: &str, result: &str| calls(&page, function, result);
    assert_eq!(calls("process", "ok"), 10.0, "{page}");
    assert_eq!(calls("process", "error"), 2.0);
    assert_eq!(calls("title", "error"), 2.0);
    assert_eq!(calls("watch", "cancelled"), 2.0);

    let stopped = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(stopped.success());
    assert!(lines.any(|line| line.contains("count_words")), "no table at the end");
    assert_eq!(child.wait().expect("its status").code(), Some(0));
}
