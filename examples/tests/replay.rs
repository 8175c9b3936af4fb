//! Records go from one directory to another.

#[expect(dead_code, reason = "nothing here serves a page")]
mod common;

use common::example;
use exporters::{Exporter, FileConfig, FileExporter, FileFormat, profiled};
use std::{fs, path::Path};

#[profiled]
fn charge() {}

/// A record of something that was profiled.
fn record(directory: &Path) {
    let profiler = exporters::test();
    charge();
    let mut config = FileConfig::new(directory);
    config.format = FileFormat::Records;
    let id = exporters::BatchId { instance: 1, leg: "checkout".into(), sequence: 7, part: 0 };
    let batch = exporters::Batch::new(id, exporters::Signal::Metrics(profiler.snapshot().into()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(FileExporter::new(config).expect("right").export(batch)).expect("a disk");
}

/// The status, and what it said.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = example("replay", arguments).output().expect("the example");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn what_was_put_aside_is_sent_and_gone() {
    let temp = std::env::temp_dir().join(format!("exporters-replay-{}", std::process::id()));
    let (from, to) = (temp.join("from"), temp.join("to"));
    record(&from);
    let (from, to) = (from.to_str().expect("Unicode"), to.to_str().expect("Unicode"));
    let (status, said) = run(&[from, "--type", "memory", "--capacity", "0.5"]);
    assert_eq!((status, said.contains("capacity")), (Some(2), true), "{said}");

    let (status, said) = run(&[from, "--type", "file", "--directory", to]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("1 batches sent: ") && said.contains("1 files done"), "{said}");
    assert_eq!(fs::read_dir(from).expect("a directory").count(), 0);
    let file = fs::read_dir(to).expect("a directory").next().expect("a file").expect("a file").path();
    let line: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file).expect("text")).expect("JSON");
    assert_eq!(line["id"], "00000000000000000000000000000001/checkout/7/0");
    let names: Vec<_> =
        line["metrics"].as_array().expect("a list").iter().map(|m| m["name"].clone()).collect();
    assert!(names.contains(&"function.calls".into()), "{names:?}");

    for (arguments, part) in [
        (&["--help"][..], "Usage: replay DIRECTORY"),
        (&[from], "--type is missing"),
        (&["--type", "memory"], "the directory is missing"),
        (&[from, "--type", "fiel", "--directory", to], "did you mean `file`?"),
        (&[from, "--type"], "the value is missing"),
        (&[from, to, "--type", "memory"], "one directory only"),
    ] {
        let (status, said) = run(arguments);
        assert_eq!(status, Some(if arguments == ["--help"] { 0 } else { 2 }), "{said}");
        assert!(said.contains(part), "{said}");
    }
    fs::remove_dir_all(temp).expect("our own directory");
}
