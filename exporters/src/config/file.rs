//! The configuration of a profiler: service, interval, exporters.

use super::{
    leg::{LegConfig, Sink},
    variables,
};
use crate::{
    Error, ErrorKind, KeyValue, Mapping, Result, Settings,
    backends::KINDS,
    duration,
    exporter::factory::Kinds,
    settings::{Environment, Node, Origin, Scope, Value, Wrong},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Everything but `exporters:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct General {
    /// Who reports.
    service: Service,
    /// More attributes of the service, by OpenTelemetry's names.
    attributes: BTreeMap<String, String>,
    /// How long an interval is: how often what changed is read. Default: 10s.
    #[serde(deserialize_with = "duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    interval: Option<Duration>,
    /// How long an attribute set may be idle before its series ends. Default: 1h.
    #[serde(deserialize_with = "duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    series_idle_for: Option<Duration>,
}

/// Who reports.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
struct Service {
    /// `service.name`
    name: Option<String>,
    /// `service.version`
    version: Option<String>,
    /// `service.namespace`
    namespace: Option<String>,
    /// `deployment.environment.name`
    environment: Option<String>,
}

/// A configuration that was read and found right.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// What the service is, below what `OTEL_RESOURCE_ATTRIBUTES` says.
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) interval: Option<Duration>,
    pub(crate) series_idle_for: Option<Duration>,
    pub(crate) legs: Vec<(LegConfig, Mapping, Sink)>,
}

impl Config {
    /// What the environment says, and the file that it names.
    pub(crate) fn from_env(environment: &Environment) -> Result<Self> {
        match environment.get("PROFILING_EXPORTERS_CONFIG") {
            Some(file) => Self::load(Path::new(file), environment),
            None => {
                let kinds = Kinds::registered(KINDS)?;
                let on = variables::kinds_of_variables(environment, &kinds.names());
                let entries = on.into_iter().map(LegConfig::from_variables).collect();
                Self::build(Node::empty(Origin::Code), entries, &kinds, environment)
            }
        }
    }

    /// Without the feature `yaml` no file can be read.
    #[cfg(not(feature = "yaml"))]
    pub(crate) fn load(file: &Path, _: &Environment) -> Result<Self> {
        let message = "a configuration file needs the feature `yaml` of `exporters`";
        Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("file", file.display()))
    }

    /// What a file says, and over it the environment.
    #[cfg(feature = "yaml")]
    pub(crate) fn load(file: &Path, environment: &Environment) -> Result<Self> {
        let name = file.display().to_string();
        let unreadable = |error: std::io::Error| {
            Error::new(ErrorKind::ConfigInvalid, "the configuration cannot be read")
                .with_context("file", &name)
                .with_context("reason", error.kind())
        };
        use std::io::Read;
        let mut text = String::new();
        let limit = super::yaml::MAX_BYTES as u64 + 1;
        std::fs::File::open(file)
            .and_then(|open| open.take(limit).read_to_string(&mut text))
            .map_err(unreadable)?;
        Self::parse(&text, &name, environment)
    }

    /// The same of a text; `file` is what it is called in errors.
    #[cfg(feature = "yaml")]
    pub(crate) fn parse(text: &str, file: &str, environment: &Environment) -> Result<Self> {
        let mut node = super::yaml::parse(text, file, environment)?;
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

    fn build(general: Node, entries: Vec<Node>, kinds: &Kinds, environment: &Environment) -> Result<Self> {
        let scope = Some(Scope::new(environment.clone(), "PROFILING"));
        let general: General = Settings { node: general, path: String::new(), scope }.read()?;
        let mut legs = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            legs.extend(LegConfig::read(entry, &format!("exporters[{at}]"), kinds, environment)?);
        }
        let running: Vec<String> = legs.iter().map(|(leg, ..)| leg.kind.clone()).collect();
        variables::refuse_unknown(environment, kinds, &running)?;
        let Service { name, version, namespace, environment } = general.service;
        let service = [
            ("service.name", name),
            ("service.version", version),
            ("service.namespace", namespace),
            ("deployment.environment.name", environment),
        ];
        let service = service.into_iter().filter_map(|(key, text)| Some(KeyValue::new(key, text?)));
        let attributes =
            general.attributes.into_iter().map(|(key, text)| KeyValue::new(key, text)).chain(service);
        Ok(Self {
            attributes: attributes.collect(),
            interval: general.interval,
            series_idle_for: general.series_idle_for,
            legs,
        })
    }
}
