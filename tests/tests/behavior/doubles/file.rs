//! Reads back what is in the files, with a JSON parser alone.

use super::http::document;
use crate::double::{Double, Seen};
use exporters::{AnyExporter, Settings};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A directory that goes when the case ends.
pub(crate) struct Files {
    directory: PathBuf,
    format: &'static str,
}

impl Files {
    pub(crate) fn json() -> Self {
        Self::new("json")
    }

    pub(crate) fn records() -> Self {
        Self::new("records")
    }

    fn new(format: &'static str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("exporters-behavior-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        Self { directory: std::env::temp_dir().join(name), format }
    }

    /// The lines of all files, in order; every one is complete.
    fn lines(&self) -> Vec<Value> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
        let lines = texts.flat_map(|text| {
            assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
        });
        lines.collect()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Double for Files {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn exporter(&self) -> AnyExporter {
        let (directory, format) = (self.directory.display(), self.format);
        // Rotated often, so that a case is spread over files.
        let settings = format!("{{ output_directory: '{directory}', format: {format}, max_file_size: 5kB }}");
        AnyExporter::of_kind("file", Settings::from_yaml(&settings).unwrap()).unwrap()
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for line in self.lines() {
            seen.plus(&if self.format == "json" { document(&line) } else { record(&line) });
        }
        seen
    }

    fn ids(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["id"].to_string()).collect()
    }
}

fn record(line: &Value) -> Seen {
    let mut seen = Seen::default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for metric in list(&line["metrics"]["metrics"]) {
        let data = &metric["data"];
        let text = |point: &Value, key: &str| {
            point["series"]["attributes"][key]["string"].as_str().unwrap_or_default().to_owned()
        };
        match metric["descriptor"]["name"].as_str().unwrap() {
            "function.calls" => list(&data["sum"]["points"]).iter().for_each(|point| {
                let calls = point["change"]["u64"].as_u64().unwrap();
                seen.add_calls(&text(point, "function"), &text(point, "result"), calls);
            }),
            "function.calls.duration" => {
                for point in list(&data["exponential_histogram"]) {
                    let change = &point["change"];
                    let counts = list(&change["positive"]["counts"]);
                    let counts = counts.iter().chain([&change["zero_count"]]);
                    let count = counts.map(|count| count.as_u64().unwrap()).sum();
                    seen.add_durations(&text(&point, "function"), count);
                }
            }
            _ => {}
        }
    }
    seen
}
