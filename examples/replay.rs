//! Sends again what was put aside: the dead letters of a directory, or the records that a fallback wrote there.
//!
//! ```text
//! cargo run --example replay --features examples/http -- \
//!     /var/log/profiling/dlq --type http --endpoint https://metrics.acme.example/v1
//! ```

use exporters::{AnyExporter, Result, RetryConfig, RetryLayer, Settings, TimeoutLayer, replay};
use std::{error::Error, path::PathBuf, process::ExitCode, time::Duration};

const HELP: &str = "\
Usage: replay DIRECTORY --type KIND [--SETTING VALUE]...
       replay DIRECTORY --type KIND --config FILE

Sends every batch of the files *.records in DIRECTORY, each with the identity that it had, and deletes
the files whose batches are all acknowledged. Stopped at any moment, it goes on there the next time. Ends
with 0 when nothing is left, with 1 when something is, with 2 when the arguments are wrong.

  --type KIND        which exporter sends them: http, file, …
  --SETTING VALUE    a setting of that exporter, for example --endpoint https://metrics.acme.example/v1
  --config FILE      all of its settings as YAML, as they stand under `config:` in exporters.yaml
  -h, --help         print this

Without a setting, the environment has them: PROFILING_HTTP_ENDPOINT, PROFILING_HTTP_TOKEN_FILE, …, which is the
place for secrets, since everybody on the machine can see the arguments of a program.
";

/// What the user asked for.
struct Arguments {
    directory: PathBuf,
    kind: String,
    settings: Settings,
}

impl Arguments {
    /// `None` where only help is wanted.
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, Box<dyn Error>> {
        let (mut directory, mut kind, mut file) = (None, None, None);
        let mut settings = serde_json::Map::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--") else {
                match &*argument {
                    "-h" => return Ok(None),
                    _ if directory.is_some() => {
                        return Err(format!("one directory only, not {argument} as well").into());
                    }
                    _ => directory = Some(argument.into()),
                }
                continue;
            };
            if option == "help" {
                return Ok(None);
            }
            let value = arguments.next().ok_or(format!("{argument}: the value is missing"))?;
            match option {
                "type" => kind = Some(value),
                "config" => file = Some(value),
                setting => _ = settings.insert(setting.replace('-', "_"), value.into()),
            }
        }
        let kind = kind.ok_or("--type is missing (--help says more)")?;
        let settings = match file {
            Some(_) if !settings.is_empty() => return Err("either --config or settings, not both".into()),
            Some(file) => {
                Settings::from_yaml(&std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?)?
            }
            None if settings.is_empty() => {
                Settings::from_env(&format!("PROFILING_{}", kind.to_uppercase().replace('-', "_")))
            }
            // JSON is YAML.
            None => Settings::from_yaml(&serde_json::Value::from(settings).to_string())?,
        };
        let directory = directory.ok_or("the directory is missing (--help says more)")?;
        Ok(Some(Self { directory, kind, settings }))
    }

    /// The exporter, patient, but not for ever.
    fn exporter(&self) -> Result<AnyExporter> {
        let exporter = AnyExporter::of_kind(&self.kind, self.settings.clone())?;
        let exporter = exporter.layer(TimeoutLayer::new(Duration::from_secs(30)));
        Ok(exporter.layer(RetryLayer::new(RetryConfig::default())?))
    }
}

fn main() -> ExitCode {
    let wrong = |error: &dyn std::fmt::Display| {
        eprintln!("replay: {error}");
        ExitCode::from(2)
    };
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return wrong(&error),
    };
    let exporter = match arguments.exporter() {
        Ok(exporter) => exporter,
        Err(error) => return wrong(&error),
    };
    let report = match replay(&arguments.directory, exporter) {
        Ok(report) => report,
        Err(error) => return wrong(&error),
    };
    println!("{} batches sent: {} items taken, {} refused", report.batches, report.accepted, report.rejected);
    println!("{} files done and deleted", report.files);
    for (count, what) in [
        (report.before, "batches had been sent before"),
        (report.refused, "batches refused; they stay"),
        (report.corrupt, "lines that are no records; they stay"),
        (report.in_use, "files in use, left alone"),
    ] {
        if count > 0 {
            println!("{count} {what}");
        }
    }
    if let Some(error) = &report.error {
        eprintln!("replay: {}{error}", if report.stopped { "stopped: " } else { "" });
    }
    match report.error.is_some() || report.corrupt + report.in_use > 0 {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
