//! Judges of pages: `promtool`, and the reference parser of OpenMetrics.

use crate::program;
use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// `promtool check metrics`.
#[derive(Debug)]
pub struct Promtool(PathBuf);

impl Promtool {
    /// `None` where it is not installed (see [`program`]).
    pub fn find() -> Option<Self> {
        program("BACKEND_PROMTOOL").map(Self)
    }

    /// Reads a page of text 0.0.4. Findings about style are not errors: generated names have none.
    ///
    /// # Errors
    /// What it said.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn check(&self, page: &[u8]) -> Result<(), String> {
        let mut command = Command::new(&self.0);
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("promtool");
        // What it does not read it complains about itself.
        let _ = child.stdin.take().expect("piped").write_all(page);
        let output = child.wait_with_output().expect("promtool");
        match output.status.code() {
            Some(0 | 3) => Ok(()),
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

/// The strict parser of Python's `prometheus_client`, in one process for many pages.
#[derive(Debug)]
pub struct OpenMetrics {
    child: Child,
    pages: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

/// One sample as the parser understood it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The sample's name.
    pub name: String,
    /// The type of its family.
    pub kind: String,
    /// The unit of its family.
    pub unit: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

const SCRIPT: &str = r#"
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
while size := sys.stdin.buffer.readline():
    page = sys.stdin.buffer.read(int(size)).decode()
    try:
        print(json.dumps([[s.name, f.type, f.unit, list(s.labels.items()), repr(float(s.value))]
            for f in text_string_to_metric_families(page) for s in f.samples]), flush=True)
    except Exception as error:
        print(json.dumps(repr(error)), flush=True)
"#;

impl OpenMetrics {
    /// `None` where it is not installed (see [`program`]).
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Option<Self> {
        let python = program("BACKEND_PYTHON")?;
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).env("PYTHONIOENCODING", "utf-8");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python");
        let pages = child.stdin.take().expect("piped");
        let verdicts = BufReader::new(child.stdout.take().expect("piped"));
        Some(Self { child, pages, verdicts })
    }

    /// Reads a page of OpenMetrics.
    ///
    /// # Errors
    /// What the parser said.
    ///
    /// # Panics
    /// Where it does not answer.
    pub fn parse(&mut self, page: &[u8]) -> Result<Vec<Parsed>, String> {
        writeln!(self.pages, "{}", page.len()).expect("python");
        self.pages.write_all(page).expect("python");
        self.pages.flush().expect("python");
        let mut verdict = String::new();
        self.verdicts.read_line(&mut verdict).expect("python");
        let verdict: serde_json::Value = serde_json::from_str(&verdict).expect("JSON");
        let Some(samples) = verdict.as_array() else { return Err(verdict.to_string()) };
        Ok(samples.iter().map(|sample| parsed(sample).expect("a sample")).collect())
    }
}

fn parsed(sample: &serde_json::Value) -> Option<Parsed> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let labels = sample[3].as_array()?.iter().map(|pair| Some((text(&pair[0])?, text(&pair[1])?)));
    Some(Parsed {
        name: text(&sample[0])?,
        kind: text(&sample[1])?,
        unit: text(&sample[2])?,
        labels: labels.collect::<Option<_>>()?,
        value: sample[4].as_str()?.parse().ok()?,
    })
}

impl Drop for OpenMetrics {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
