//! The configuration of a profiler: service, interval, exporters.

use super::{
    leg::{LegConfig, Sink},
    sampler::SamplerConfig,
    variables::{self, Addresses},
};
use crate::{
    KeepConfig, KeyValue, Mapping, Result, Sampler, Settings,
    backends::KINDS,
    duration,
    exporter::factory::Kinds,
    settings::{Environment, Names, Node, Origin, Scope, Wrong},
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
    /// Which traces are recorded: one of OpenTelemetry's samplers, and what is kept besides.
    sampler: Option<SamplerConfig>,
    /// Whether spans say which thread their call began on, by OpenTelemetry's `thread.id` and `thread.name`: about 40 bytes of each.
    /// Default: yes.
    thread_attributes: Option<bool>,
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
    pub(crate) sampler: Option<Sampler>,
    pub(crate) keep: Option<KeepConfig>,
    pub(crate) thread_attributes: Option<bool>,
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
        let error = crate::Error::new(crate::ErrorKind::ConfigInvalid, message);
        Err(error.with_context("file", file.display()))
    }

    pub(super) fn build(
        general: Node,
        entries: Vec<Node>,
        kinds: &Kinds,
        environment: &Environment,
    ) -> Result<Self> {
        let origin_of = |name| general.origins().remove(name).unwrap_or_else(|| general.origin.clone());
        let (attributes_origin, sampler_origin) = (origin_of("attributes"), origin_of("sampler"));
        let scope = Scope::new(environment.clone(), "PROFILING");
        let general: General = Settings { node: general, path: String::new(), scope }.read()?;
        let sampler = general.sampler.as_ref().map(SamplerConfig::sampler).transpose();
        let keep = general.sampler.and_then(|sampler| sampler.keep);
        let checked = keep.as_ref().map_or(Ok(()), KeepConfig::check);
        let sampler = checked.and(sampler).map_err(|error| error.placed("", sampler_origin.place()))?;
        let addresses = Addresses::of(&entries);
        addresses.check(environment)?;
        let (mut legs, mut running, mut names) = (Vec::new(), Vec::new(), Names::of("exporter"));
        for (at, entry) in entries.into_iter().enumerate() {
            let (path, origin) = (format!("exporters[{at}]"), entry.origin.clone());
            let Some(leg) = LegConfig::read(entry, &path, kinds, addresses.scope(at, environment))? else {
                continue;
            };
            if leg.2.is_scrape() && legs.iter().any(|(.., sink): &(_, _, Sink)| sink.is_scrape()) {
                let message =
                    "a program has one scrape endpoint; remove one of the exporters of the type `prometheus`";
                return Err(Wrong::new(message).at(&origin).into_error(&path));
            }
            let name = leg.0.name.clone().unwrap_or_else(|| leg.2.name());
            names.add(&name).map_err(|error| error.placed(&format!("{path}.name"), origin.place()))?;
            legs.push(leg);
            running.push(at);
        }
        addresses.refuse_unknown(environment, &running)?;
        let attributes = Names::check("attribute", general.attributes.keys().map(String::as_str));
        attributes.map_err(|error| error.placed("attributes", attributes_origin.place()))?;
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
            sampler,
            keep,
            thread_attributes: general.thread_attributes,
            legs,
        })
    }
}
