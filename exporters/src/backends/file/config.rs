//! `FileConfig`: every setting of the file exporter.

use crate::{Durability, Error, ErrorKind, Result, journal};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Settings of [`FileExporter`](super::FileExporter); all but the directory have defaults.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Tells two file exporters apart. Default: `file`.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the files are. It is made when the first one is, for the process's own user alone.
    #[serde(alias = "output_directory")]
    pub directory: PathBuf,
    /// What the files' names begin with: letters, digits, hyphens, underscores and dots. Default: `exporters`.
    #[serde(default = "file_prefix")]
    pub file_prefix: String,
    /// What a line is. Default: JSON for people.
    #[serde(default)]
    pub format: FileFormat,
    /// Written in every line for people, beside the service's own attributes. Default: none.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// When a new file begins. Default: both by time and by size.
    #[serde(default)]
    pub rotation_policy: RotationPolicy,
    /// The time that one file is for, in whole seconds; hours begin with the hour, days with the day, in UTC. Default: 1 h.
    #[serde(
        default = "rotation_interval",
        alias = "rotation_interval_seconds",
        deserialize_with = "crate::duration::deserialize"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub rotation_interval: Duration,
    /// The most bytes of one file; only a line that is larger by itself makes a larger one. Default: 100 MB.
    #[serde(
        default = "max_file_size",
        alias = "max_file_size_mb",
        deserialize_with = "crate::size::deserialize"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_file_size: u64,
    /// The most bytes of all files; then the oldest ones are deleted. Default: 10 GB.
    #[serde(
        default = "max_total_size",
        alias = "max_total_size_mb",
        deserialize_with = "crate::size::deserialize"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_total_size: u64,
    /// The age, since it was written last, at which a file is deleted; that is looked after when a new one begins. Default: none.
    #[serde(default, alias = "retention_seconds", deserialize_with = "crate::duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub retention: Option<Duration>,
    /// When a batch counts as written. Default: when it is on the disk.
    #[serde(default)]
    pub durability: Durability,
}

/// What a line of a file is. Either way it is JSON, and one batch: written as a whole, or not at all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileFormat {
    /// For people and their programs, in `*.jsonl`: what [`PayloadFormat::Json`](crate::PayloadFormat::Json) has, with the batch's
    /// identity as `id`. `jq '.metrics[] | select(.name == "function.calls")'` shows a metric.
    #[default]
    Json,
    /// For [`replay`](crate::replay()), in `*.records`: the batch without any loss, with a checksum.
    Records,
}

/// When a new file begins.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RotationPolicy {
    /// Every [`rotation_interval`](FileConfig::rotation_interval).
    Time,
    /// When one would be larger than [`max_file_size`](FileConfig::max_file_size).
    Size,
    /// Both.
    #[default]
    Both,
}

fn file_prefix() -> String {
    "exporters".to_owned()
}
const fn rotation_interval() -> Duration {
    Duration::from_secs(3600)
}
const fn max_file_size() -> u64 {
    100_000_000
}
const fn max_total_size() -> u64 {
    10_000_000_000
}

impl FileConfig {
    /// The defaults, for `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            name: None,
            directory: directory.into(),
            file_prefix: file_prefix(),
            format: FileFormat::default(),
            attributes: BTreeMap::new(),
            rotation_policy: RotationPolicy::default(),
            rotation_interval: rotation_interval(),
            max_file_size: max_file_size(),
            max_total_size: max_total_size(),
            retention: None,
            durability: Durability::default(),
        }
    }

    /// How its lines are kept.
    pub(super) fn options(&self) -> Result<journal::Options> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        journal::check_prefix(&self.file_prefix)?;
        if self.directory.as_os_str().is_empty() {
            return wrong("`directory` must not be empty");
        }
        if self.rotation_interval < Duration::from_secs(1) {
            return wrong("`rotation_interval` must be at least 1s");
        }
        if self.max_file_size > self.max_total_size {
            return wrong("`max_file_size` must not be larger than `max_total_size`");
        }
        Ok(journal::Options {
            directory: self.directory.clone(),
            prefix: self.file_prefix.clone(),
            extension: match self.format {
                FileFormat::Json => "jsonl",
                FileFormat::Records => journal::RECORDS,
            },
            durability: self.durability,
            period: (self.rotation_policy != RotationPolicy::Size).then_some(self.rotation_interval),
            max_file: (self.rotation_policy != RotationPolicy::Time).then_some(self.max_file_size),
            max_total: Some(self.max_total_size),
            when_full: journal::WhenFull::DeleteOldest,
            retention: self.retention,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Settings,
        settings::{Node, Origin, Scope},
    };

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let scope = Scope::new(environment, "PROFILING_FILE");
        Settings { node: Node::empty(Origin::Code), path: String::new(), scope }
    }

    #[test]
    fn every_field_has_its_variable() {
        let directory = ("PROFILING_FILE_OUTPUT_DIRECTORY", "/var/log/profiling");
        let mut expected = FileConfig::new("/var/log/profiling");
        assert_eq!(settings(&[directory]).read::<FileConfig>().unwrap(), expected);
        expected.name = Some("second".into());
        expected.file_prefix = "metrics".into();
        expected.format = FileFormat::Records;
        expected.attributes = [("region".to_owned(), "eu".to_owned())].into();
        expected.rotation_policy = RotationPolicy::Size;
        expected.rotation_interval = Duration::from_secs(86_400);
        expected.max_file_size = 5_000_000;
        expected.max_total_size = 1 << 30;
        expected.retention = Some(Duration::from_secs(3600));
        expected.durability = Durability::Flushed;
        let variables = [
            directory,
            ("PROFILING_FILE_NAME", "second"),
            ("PROFILING_FILE_FILE_PREFIX", "metrics"),
            ("PROFILING_FILE_FORMAT", "records"),
            ("PROFILING_FILE_ATTRIBUTES", "region=eu"),
            ("PROFILING_FILE_ROTATION_POLICY", "size"),
            ("PROFILING_FILE_ROTATION_INTERVAL", "1d"),
            ("PROFILING_FILE_MAX_FILE_SIZE_MB", "5"),
            ("PROFILING_FILE_MAX_TOTAL_SIZE", "1GiB"),
            ("PROFILING_FILE_RETENTION_SECONDS", "3600"),
            ("PROFILING_FILE_DURABILITY", "flushed"),
        ];
        assert_eq!(settings(&variables).read::<FileConfig>().unwrap(), expected);
        expected.options().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = FileConfig::new("/var/log/profiling");
        let prefix = |prefix: &str| FileConfig { file_prefix: prefix.into(), ..base.clone() };
        for (config, setting) in [
            (FileConfig::new(""), "directory"),
            (FileConfig { rotation_interval: Duration::from_millis(5), ..base.clone() }, "rotation_interval"),
            (FileConfig { max_total_size: 5, ..base.clone() }, "max_total_size"),
            (prefix(""), "file_prefix"),
            (prefix("../x"), "file_prefix"),
            (prefix("a/b"), "file_prefix"),
            (prefix(".hidden"), "file_prefix"),
            (prefix("a\0"), "file_prefix"),
            (prefix("{hostname}"), "file_prefix"),
            (prefix(&"a".repeat(101)), "file_prefix"),
        ] {
            let error = config.options().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.message().contains(setting), "{error}");
        }
    }
}
