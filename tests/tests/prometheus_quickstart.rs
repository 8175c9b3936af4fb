//! The quickstart under a real Prometheus: what it answers is what the quickstart prints when it ends.

// A test fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Command, Stdio},
};
use tests::{Process, prometheus::Prometheus};

const ROUNDS: f64 = 3.0;

/// Builds the example, and says where it is.
fn quickstart() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--package", "examples", "--example", "quickstart", "--message-format=json"]);
    let output = build.stderr(Stdio::null()).output().expect("cargo");
    assert!(output.status.success(), "the quickstart does not build");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let executable = messages
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    executable.expect("an executable")
}

/// Calls, errors, panics and cancellations of every function, from the table at the end.
fn table(output: &str) -> BTreeMap<String, [f64; 4]> {
    let rows = output.lines().skip_while(|line| !line.starts_with("function ")).skip(1);
    let number =
        |cell: &str| if cell == "-" { 0.0 } else { cell.parse().unwrap_or_else(|_| panic!("{cell}")) };
    rows.filter_map(|row| {
        let mut cells = row.split_whitespace();
        let name = cells.next()?.rsplit("::").next()?.to_owned();
        let numbers: Vec<_> = cells.take(4).map(number).collect();
        Some((name, numbers.try_into().ok()?))
    })
    .collect()
}

#[test]
fn prometheus_answers_what_the_quickstart_prints() {
    let executable = quickstart();
    for native_histograms in [false, true] {
        let mut process = Process::start("quickstart", |directory| {
            let root = directory.join("files");
            fs::create_dir(&root).unwrap();
            fs::write(root.join("a.txt"), "one two three").unwrap();
            fs::write(root.join("b.txt"), "one two\n").unwrap();
            fs::write(root.join("latin-1.txt"), b"stra\xdfe").unwrap();
            // The title ends inside a character: a panic, which is caught.
            fs::write(
                root.join("long.txt"),
                format!("{} {}\u{e9}", "word ".repeat(9).trim(), "x".repeat(14)),
            )
            .unwrap();
            // Large enough to be watched, and the watch to be aborted.
            fs::write(root.join("large.txt"), "word ".repeat(4000)).unwrap();
            let mut command = Command::new(&executable);
            command.args(["--listen", "127.0.0.1:0", "--rounds", &ROUNDS.to_string()]).arg(root);
            command.stdout(Stdio::piped());
            command
        });
        let mut output = BufReader::new(process.child().stdout.take().unwrap());
        let mut until = |start: &str| loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ended without `{start}`");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        };
        let url = until("serving");
        let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap();
        // The last line of the summary: all rounds are done, and it serves what they came to.
        let aborted: f64 = until("aborted").parse().unwrap();
        assert_eq!(aborted, ROUNDS);

        let Some(prometheus) = Prometheus::start(address.parse().unwrap(), native_histograms) else { return };
        let calls = |function: &str, result: &str| {
            format!("sum(function_calls_total{{function=\"{function}\",{result}}})")
        };
        prometheus.expect("up", 1.0);
        prometheus.expect(&calls("process", "result=\"ok\""), ROUNDS * 4.0);
        prometheus.expect(&calls("process", "result=\"error\",error_type!=\"panic\""), ROUNDS);
        prometheus.expect(&calls("title", "error_type=\"panic\""), ROUNDS);
        prometheus.expect(&calls("watch", "result=\"cancelled\""), ROUNDS);
        assert_eq!(prometheus.last_error(), Ok(String::new()));

        let all = "sum by (function, result, error_type) (function_calls_total)";
        let mut seen = BTreeMap::<String, [f64; 4]>::new();
        for (labels, value) in prometheus.query(all).unwrap() {
            let name = labels["function"].rsplit("::").next().unwrap().to_owned();
            let row = seen.entry(name).or_default();
            row[0] += value;
            match (&*labels["result"], labels.get("error_type").map(|kind| &**kind)) {
                ("ok", _) => {}
                ("error", Some("panic")) => row[2] += value,
                ("error", _) => row[1] += value,
                _ => row[3] += value,
            }
        }
        let of = |function: &str| match native_histograms {
            true => format!("histogram_count(function_calls_duration_seconds{{function=\"{function}\"}})"),
            false => format!("function_calls_duration_seconds_count{{function=\"{function}\"}}"),
        };
        for function in ["process", "read", "title", "watch", "round"] {
            prometheus.expect(&of(function), seen[function][0]);
        }
        drop(prometheus);

        let stopped = Command::new("kill").arg(process.child().id().to_string()).status().unwrap();
        assert!(stopped.success());
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let mut printed = table(&rest);
        // Called once more for the summary that comes before the table.
        for list in [&mut seen, &mut printed] {
            list.remove("most_used");
        }
        assert!(printed.len() > 10, "{rest}");
        assert_eq!(seen, printed, "{rest}");
        assert_eq!(process.child().wait().unwrap().code(), Some(0), "{}", process.stderr());
    }
}
