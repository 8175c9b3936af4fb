//! The configuration of a profiler: service, interval, exporters.

use super::{
    leg::{LegConfig, Sink},
    variables::{self, Addresses},
};
use crate::{
    Error, ErrorKind, KeyValue, Mapping, Result, Sampler, Settings,
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
    /// Which traces are recorded: one of OpenTelemetry's samplers. None, if absent.
    sampler: Option<SamplerConfig>,
}

/// Which traces are recorded.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct SamplerConfig {
    /// `always_on`, `always_off`, `traceidratio`, or one of these behind `parentbased_`.
    #[serde(rename = "type")]
    kind: SamplerKind,
    /// The share of all traces that are recorded, from 0 to 1. Default: 0.1.
    ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum SamplerKind {
    AlwaysOn,
    AlwaysOff,
    #[serde(rename = "traceidratio")]
    TraceIdRatio,
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

impl SamplerConfig {
    fn sampler(&self) -> Result<Sampler> {
        use SamplerKind::{
            AlwaysOff, AlwaysOn, ParentBasedAlwaysOff, ParentBasedAlwaysOn, ParentBasedTraceIdRatio,
            TraceIdRatio,
        };
        let wrong = |message| {
            Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", "sampler.ratio"))
        };
        let ratio = self.ratio.unwrap_or(0.1);
        if !(0.0..=1.0).contains(&ratio) {
            return wrong("this setting must be from 0 to 1");
        }
        if self.ratio.is_some() && !matches!(self.kind, TraceIdRatio | ParentBasedTraceIdRatio) {
            return wrong(
                "this sampler takes no ratio; leave it out, or use `traceidratio` or `parentbased_traceidratio`",
            );
        }
        Ok(match self.kind {
            AlwaysOn => Sampler::AlwaysOn,
            AlwaysOff => Sampler::AlwaysOff,
            TraceIdRatio => Sampler::TraceIdRatio(ratio),
            ParentBasedAlwaysOn => Sampler::parent_based(Sampler::AlwaysOn),
            ParentBasedAlwaysOff => Sampler::parent_based(Sampler::AlwaysOff),
            ParentBasedTraceIdRatio => Sampler::parent_based(Sampler::TraceIdRatio(ratio)),
        })
    }
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
        let sampler = sampler.map_err(|error| error.placed("", sampler_origin.place()))?;
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
            legs,
        })
    }
}
