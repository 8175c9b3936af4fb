//! The configuration from a file.

use super::{Config, yaml};
use crate::{
    Error, ErrorKind, Result, Settings,
    backends::KINDS,
    exporter::factory::Kinds,
    named_file,
    settings::{Environment, Node, Origin, Scope, Value, Wrong},
};
use std::{
    io::{self, Read},
    path::Path,
};

impl Config {
    /// What a file says, and over it the environment.
    pub(crate) fn load(file: &Path, environment: &Environment) -> Result<Self> {
        let name = file.display().to_string();
        let unreadable = |error: io::Error| {
            Error::new(ErrorKind::ConfigInvalid, "the configuration cannot be read")
                .with_context("file", &name)
                .with_context("reason", named_file::reason(&error))
        };
        let mut bytes = Vec::new();
        let limit = yaml::MAX_BYTES as u64 + 1;
        named_file::open(file)
            .and_then(|open| open.take(limit).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        // Of a file that is too large, the last character may be half of one.
        let text = match str::from_utf8(&bytes) {
            Err(error) if bytes.len() <= yaml::MAX_BYTES => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                return Err(Wrong::new("this is not UTF-8")
                    .at(&Origin::File { file: name.into(), line })
                    .into());
            }
            _ => String::from_utf8_lossy(&bytes),
        };
        Self::parse(&text, &name, environment)
    }

    /// The same of a text; `file` is what it is called in errors.
    pub(crate) fn parse(text: &str, file: &str, environment: &Environment) -> Result<Self> {
        let mut node = yaml::parse(text, file, environment)?;
        let entries = match node.take("exporters") {
            None => Vec::new(),
            Some((_, Node { value: Value::List(entries), .. })) => entries,
            Some((_, other)) if other.is_null() => Vec::new(),
            Some((key, other)) => {
                let message = format!("expected a list of exporters, found {}", other.kind());
                return Err(Wrong::new(message).within("exporters").at(&key.origin).into());
            }
        };
        Self::build(node, entries, &Kinds::registered(KINDS)?, environment)
    }
}

impl Settings {
    /// Settings written as YAML: a mapping, as `config:` in a file has it. `${VAR}` and a secret that is given by name, `x_secret`,
    /// are looked up in the environment; no variable is over a setting.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) with the line, where this is not YAML.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let environment = Environment::of_process();
        let node = yaml::parse(text, "settings", &environment)?;
        Ok(Self { node, path: String::new(), scope: Scope::of(environment, Vec::new(), Vec::new()) })
    }
}
