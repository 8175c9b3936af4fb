//! What is in the files, read by a parser that is not ours.

use super::*;
use crate::{journal::tests::Temp, layers::script::batch, model::sample::changes};
use std::fs;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_line_for_people_is_one_batch() {
    let temp = Temp::new();
    let mut config = FileConfig::new(&temp.0);
    config.attributes = [("region".to_owned(), "eu".to_owned())].into();
    let exporter = FileExporter::new(config).unwrap();
    let batches = [batch(3), batch(2)];
    for batch in &batches {
        let receipt = run(exporter.export(batch.clone())).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected), (batch.len(), 0));
    }
    let [(name, text)] = &*temp.files() else { panic!("one file") };
    assert!(name.starts_with("exporters-") && name.ends_with(".jsonl"), "{name}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for (line, batch) in lines.iter().zip(&batches) {
        assert_eq!(line["id"], batch.id().to_string());
        assert_eq!(line["attributes"]["region"], "eu");
        assert_eq!(line["metrics"].as_array().unwrap().len(), batch.len());
    }
}

#[test]
fn a_record_is_the_batch() {
    let temp = Temp::new();
    let mut config = FileConfig::new(&temp.0);
    config.format = FileFormat::Records;
    let exporter = FileExporter::new(config).unwrap();
    let batch = batch(5);
    let (first, second) = batch.split(2).unwrap();
    run(exporter.export(first.clone())).unwrap();
    run(exporter.export(second.clone())).unwrap();
    let [(name, text)] = &*temp.files() else { panic!("one file") };
    assert!(name.ends_with(".records"), "{name}");
    for (line, part) in text.lines().zip([first, second]) {
        let (read, letter) = record::decode(line.as_bytes()).unwrap();
        assert_eq!((read.id(), changes(&read), letter), (part.id(), changes(&part), None));
    }
}

#[test]
fn health_follows_the_disk() {
    let temp = Temp::new();
    let directory = temp.0.join("d");
    fs::write(&directory, "in its place").unwrap();
    let exporter = FileExporter::new(FileConfig::new(&directory)).unwrap();
    assert!(run(exporter.health()).is_healthy(), "nothing was tried yet");
    let error = run(exporter.export(batch(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(directory.to_str().unwrap()), "{error}");
    assert!(matches!(run(exporter.health()), Health::Unhealthy(_)));
    fs::remove_file(&directory).unwrap();
    run(exporter.export(batch(1))).unwrap();
    assert!(run(exporter.health()).is_healthy());
}

#[test]
fn after_the_end_nothing_is_written() {
    let temp = Temp::new();
    let exporter = FileExporter::new(FileConfig::new(&temp.0)).unwrap();
    run(exporter.export(batch(1))).unwrap();
    for _ in 0..2 {
        run(exporter.shutdown()).unwrap();
    }
    assert_eq!(run(exporter.export(batch(1))).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(temp.files()[0].1.lines().count(), 1);
    assert!(!run(exporter.health()).is_healthy());
}
