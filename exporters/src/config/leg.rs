//! One entry of `exporters:`: the settings of a leg, and those of its exporter.

use super::{sampler::SamplerKind, variables::prefix};
#[cfg(feature = "prometheus")]
use crate::prometheus::PrometheusExporter;
use crate::{
    AnyExporter, BufferConfig, Error, ErrorKind, Exporter, LegOptions, Mapping, MonitorConfig, MonitorLayer,
    ResilienceConfig, ResilienceLayer, Result, Sampler, Settings, duration,
    exporter::factory::Kinds,
    mapping::{EntryConfig, FilterConfig},
    routes::settings::{config_of, exporter},
    settings::{Key, Node, Origin, Scope, Value, Wrong},
};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// Settings of the leg that may also stand among those of its exporter, which is where many look for them.
pub(super) const EITHER: &[&str] = &[
    "batch_size",
    "flush_interval",
    "flush_interval_seconds",
    "metrics_mapping",
    "custom_metrics",
    "filter",
    "trace_sampler",
    "trace_sample_rate",
];

/// How one exporter is fed: an entry of `exporters:` but for its `config:`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LegConfig {
    /// What it is called in logs and ledgers; the type, if absent. Unique.
    pub(crate) name: Option<String>,
    /// The kind of exporter.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether it is there at all.
    pub(crate) enabled: bool,
    /// The most items it is sent at once. Default: 100; of the type `opentelemetry` as many as fit in a payload.
    pub(crate) batch_size: Option<usize>,
    /// How often it is sent what waits; may also stand in `buffer`. 30 s, if absent.
    #[serde(alias = "flush_interval_seconds", deserialize_with = "duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) flush_interval: Option<Duration>,
    /// How what was recorded waits.
    pub(crate) buffer: BufferConfig,
    /// Which metrics are sent: by the name of their source, or, with `source`, by any name. All, if absent.
    #[serde(alias = "custom_metrics")]
    metrics_mapping: BTreeMap<String, EntryConfig>,
    /// Labels of every series.
    #[serde(alias = "additional_labels")]
    labels: BTreeMap<String, String>,
    /// Which metrics are sent, by the names they are sent by.
    filter: FilterConfig,
    /// Which traces it is sent, of those that are recorded: one of OpenTelemetry's samplers. By the trace's identity alone; behind
    /// `parentbased_`, a sampler means the same. All, if absent.
    trace_sampler: Option<SamplerKind>,
    /// The share of all traces that it is sent, from 0 to 1. All, if absent.
    trace_sample_rate: Option<f64>,
    /// What is done about a backend that fails; nothing but repeating, if absent.
    resilience: Option<ResilienceConfig>,
    /// Whether and how it is watched.
    monitor: Option<MonitorConfig>,
}

/// How many items most exporters are sent at once, where nobody says.
const BATCH_SIZE: usize = 100;

impl Default for LegConfig {
    fn default() -> Self {
        Self {
            name: None,
            kind: String::new(),
            enabled: true,
            batch_size: None,
            flush_interval: None,
            buffer: BufferConfig::default(),
            metrics_mapping: BTreeMap::new(),
            labels: BTreeMap::new(),
            filter: FilterConfig::default(),
            trace_sampler: None,
            trace_sample_rate: None,
            resilience: None,
            monitor: None,
        }
    }
}

/// What a leg ends in.
#[derive(Debug)]
pub(crate) enum Sink {
    Exporter(AnyExporter),
    /// Served to whoever asks, not sent.
    #[cfg(feature = "prometheus")]
    Scrape(PrometheusExporter),
}

impl Sink {
    /// What its ledger and batches are called, unless somebody says otherwise.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Exporter(exporter) => exporter.info().name.into_owned(),
            #[cfg(feature = "prometheus")]
            Self::Scrape(exporter) => exporter.info().name.into_owned(),
        }
    }

    /// Whether it is one of which there can be only one.
    pub(super) fn is_scrape(&self) -> bool {
        !matches!(self, Self::Exporter(_))
    }
}

impl LegConfig {
    /// What a leg is started with, but for its mapping.
    pub(crate) fn options(&self) -> Result<LegOptions> {
        let Self { name, kind, batch_size, flush_interval, buffer, monitor, .. } = self;
        // A receiver of OTLP that takes its time for each request, and gets a few spans with each, is soon behind.
        let usual = (kind != "opentelemetry").then_some(BATCH_SIZE);
        let interval = buffer.flush_interval.or(*flush_interval).unwrap_or(BufferConfig::IN_FILES);
        Ok(LegOptions {
            name: name.clone(),
            batch_size: batch_size.or(usual),
            buffer: buffer.clone().with_flush_interval(interval),
            trace_sampler: self.trace_sampler()?,
            monitor: monitor.clone().map(MonitorLayer::new).transpose()?,
            ..LegOptions::default()
        })
    }

    fn trace_sampler(&self) -> Result<Option<Sampler>> {
        let kind = match (self.trace_sampler, self.trace_sample_rate) {
            (None, None) => return Ok(None),
            (kind, _) => kind.unwrap_or(SamplerKind::TraceIdRatio),
        };
        kind.sampler(self.trace_sample_rate).map(Some)
    }

    /// The mapping.
    fn mapping(&self) -> Result<Mapping> {
        Mapping::from_config(&self.metrics_mapping, &self.labels, &self.filter)
    }

    /// Reads an entry: the leg, and what it ends in. `None` where it is not enabled.
    pub(super) fn read(
        mut entry: Node,
        path: &str,
        kinds: &Kinds,
        scope: Scope,
    ) -> Result<Option<(Self, Mapping, Sink)>> {
        let at = |wrong: Wrong| wrong.into_error(path);
        let origin = entry.origin.clone();
        if !matches!(entry.value, Value::Map(_)) {
            let found = entry.kind();
            return Err(at(Wrong::new(format!(
                "expected an exporter, `type:` and its settings, found {found}"
            ))
            .at(&origin)));
        }
        let (kind, kind_origin) = match &entry.take("type") {
            Some((key, Node { value: Value::Scalar { text, .. }, origin })) if !text.is_empty() => {
                let node = Node { value: Value::plain(text.clone()), origin: origin.clone() };
                entry.put(key.clone(), node);
                (text.clone(), key.origin.clone())
            }
            _ => {
                return Err(at(Wrong::new(format!(
                    "`type` is required: one of {}",
                    kinds.names().join(", ")
                ))
                .at(&origin)));
            }
        };
        let (mut config, config_path) = config_of(&kind, &mut entry, path);
        for name in EITHER {
            if let Some((key, node)) = config.take(name) {
                if entry.has(name) {
                    let twice = Wrong::new("this setting is given twice: beside `config` and in it");
                    return Err(at(twice.within(*name).at(&key.origin)));
                }
                entry.put(key, node);
            }
        }
        for name in ["flush_interval", "flush_interval_seconds"] {
            let within = entry.find(&["buffer"]).and_then(|buffer| buffer.take(name));
            if let Some((key, node)) = within {
                if entry.has(name) {
                    let twice = Wrong::new("this setting is given twice: beside `buffer` and in it");
                    return Err(at(twice.within(name).at(&key.origin)));
                }
                entry.put(key, node);
            }
        }
        let fallback = entry.find(&["resilience"]).and_then(|resilience| resilience.take("fallback"));
        let fallback = fallback.filter(|(_, entry)| !entry.is_null());
        let origins: BTreeMap<String, Origin> = entry.origins();
        let origin_of = |name: &str| origins.get(name).unwrap_or(&origin);
        let leg: Self = Settings { node: entry, path: path.to_owned(), scope: scope.clone() }.read()?;
        if !leg.enabled {
            return Ok(None);
        }
        let placed = |error: Error, setting: &str, origin: &Origin| {
            error.placed(&format!("{path}.{setting}"), origin.place())
        };
        let registration = kinds.find(&kind).map_err(|error| placed(error, "type", &kind_origin))?;
        if leg.batch_size == Some(0) {
            let error = Error::new(ErrorKind::ConfigInvalid, "this setting must be at least 1");
            return Err(placed(error, "batch_size", origin_of("batch_size")));
        }
        if let Err(error) = leg.buffer.check() {
            return Err(error.placed(&format!("{path}.buffer"), origin_of("buffer").place()));
        }
        if let Err(error) = leg.trace_sampler() {
            return Err(placed(error, "trace_sample_rate", origin_of("trace_sample_rate")));
        }
        if kind == "conditional" && !leg.metrics_mapping.is_empty() {
            let message =
                "this would hide from the conditions what was recorded, which they judge; leave it out";
            let error = Error::new(ErrorKind::ConfigInvalid, message);
            return Err(placed(error, "metrics_mapping", origin_of("metrics_mapping")));
        }
        let mapping = leg.mapping().map_err(|error| {
            let origin = error.context("setting").map_or(&origin, origin_of).clone();
            error.placed(path, origin.place())
        })?;
        let origin = config.origin.clone();
        let settings = Settings { node: config, path: config_path.clone(), scope: scope.clone() };
        let sink = match &*kind {
            #[cfg(feature = "prometheus")]
            "prometheus" => settings
                .read()
                .and_then(|config| PrometheusExporter::with_mapping(config, mapping.clone()))
                .map(Sink::Scrape),
            _ => registration.build(settings).map(Sink::Exporter),
        };
        let mut sink = sink.map_err(|error| error.placed(&config_path, origin.place()))?;
        let given = [
            ("buffer", origins.contains_key("buffer")),
            ("resilience", leg.resilience.is_some()),
            ("monitor", leg.monitor.is_some()),
        ];
        for (name, given) in given {
            if sink.is_scrape() && given {
                let error = Error::new(
                    ErrorKind::ConfigInvalid,
                    "this exporter is scraped, not sent to; leave it out",
                );
                return Err(placed(error, name, origin_of(name)));
            }
        }
        if let (Sink::Exporter(exporter), Some(config)) = (&mut sink, leg.resilience.clone()) {
            let layer = ResilienceLayer::new(config)
                .map_err(|error| placed(error, "resilience", origin_of("resilience")))?;
            let layer = match fallback {
                Some((_, entry)) => {
                    layer.with_fallback(spare(entry, &format!("{path}.resilience.fallback"), &scope)?)
                }
                None => layer,
            };
            *exporter = exporter.clone().layer(layer);
        }
        leg.options().map_err(|error| placed(error, "monitor", origin_of("monitor")))?;
        Ok(Some((leg, mapping, sink)))
    }

    /// The entry that only variables give.
    pub(super) fn from_variables(kind: &str) -> Node {
        let origin = Origin::Variables(prefix(kind).into());
        let mut entry = Node::empty(origin.clone());
        entry.put(
            Key { name: "type".into(), origin: origin.clone() },
            Node { value: Value::plain(kind), origin },
        );
        entry
    }
}

/// The exporter of a fallback. What it writes to files is to be replayed, unless somebody says otherwise.
fn spare(mut entry: Node, path: &str, scope: &Scope) -> Result<AnyExporter> {
    if entry.text("type") == Some("file") {
        let origin = entry.origin.clone();
        let key = |name: &str| Key { name: name.into(), origin: origin.clone() };
        let (at, mut config) = match entry.take("config") {
            Some((at, config)) if !config.is_null() => (at, config),
            _ => (key("config"), Node::empty(origin.clone())),
        };
        if !config.has("format") {
            config.put(key("format"), Node { value: Value::plain("records"), origin: origin.clone() });
        }
        entry.put(at, config);
    }
    exporter(entry, path, scope)
}
