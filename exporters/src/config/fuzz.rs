//! What a program reads of a file and the environment, of artificial ones: for fuzzing, and for replaying what that found.

use super::Config;
use crate::{
    Builder, Error, ErrorKind, Result, Settings,
    settings::{Environment, Node, Scope, Value, variable_name},
};
use serde::de::DeserializeOwned;
use std::path::{Component, Path};

/// A world of its own: nothing of the process is read, and of the file system only what is in `folder`, where the secrets are.
/// What an endpoint over `https` needs of the system's authorities is read all the same.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The environment.
    pub variables: &'a [(&'a str, &'a str)],
    /// The only folder.
    pub folder: &'a Path,
}

/// As [`Builder::from_file`], or, without a text, [`Builder::from_env`], up to what opens a socket.
///
/// # Errors
/// As these, and where a file outside the folder would be read.
pub fn configuration(text: Option<&str>, world: World<'_>) -> Result<()> {
    let environment = world.environment()?;
    let config = match text {
        Some(text) => {
            world.check(&super::yaml::parse(text, "fuzz.yaml", &environment)?)?;
            Config::parse(text, "fuzz.yaml", &environment)?
        }
        None => Config::from_env(&environment)?,
    };
    Builder::checked(config, &environment)
}

/// As `config:` of an exporter of a kind called `fuzz` whose settings are a `T`.
///
/// # Errors
/// As [`Settings::read`], and where a file outside the folder would be read.
pub fn settings<T: DeserializeOwned>(text: &str, world: World<'_>) -> Result<T> {
    let environment = world.environment()?;
    let node = super::yaml::parse(text, "fuzz.yaml", &environment)?;
    world.check(&node)?;
    let scope = Scope::new(environment, "PROFILING_FUZZ");
    Settings { node, path: "exporters[0].config".into(), scope }.read()
}

impl World<'_> {
    fn environment(&self) -> Result<Environment> {
        for (name, text) in self.variables {
            // OpenTelemetry's variables for files.
            let is_file =
                ["_FILE", "CERTIFICATE", "CLIENT_KEY"].iter().any(|end| variable_name(name).ends_with(end));
            let is_list_with_file = name.starts_with("PROFILING_") && text.contains("file");
            if *name == "PROFILING_EXPORTERS_CONFIG"
                || is_file && !self.contains(text)
                || is_list_with_file && text.contains('=')
            {
                return Err(outside());
            }
        }
        let secrets = ("PROFILING_SECRETS_DIR".to_owned(), self.folder.display().to_string());
        let variables = self.variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Ok(variables.chain([secrets]).collect())
    }

    /// Refuses every name of a file that is elsewhere.
    fn check(&self, node: &Node) -> Result<()> {
        match &node.value {
            Value::Scalar { .. } => Ok(()),
            Value::List(list) => list.iter().try_for_each(|node| self.check(node)),
            Value::Map(entries) => entries.iter().try_for_each(|(key, node)| match &node.value {
                Value::Scalar { text, .. } if key.name.ends_with("file") && !self.contains(text) => {
                    Err(outside())
                }
                _ => self.check(node),
            }),
        }
    }

    fn contains(&self, file: &str) -> bool {
        let file = Path::new(file);
        file.starts_with(self.folder) && file.components().all(|part| part != Component::ParentDir)
    }
}

fn outside() -> Error {
    Error::new(ErrorKind::ConfigInvalid, "only files in the folder may be read here")
}
