//! Which recorded quantity becomes which metric of a backend, and how that one is called.

mod apply;
mod entry;
mod glob;
mod statistics;

pub(crate) use apply::{Mapped, Mapper};
pub use entry::{MetricKind, MetricMapping, Source, Statistic};
pub(crate) use glob::Glob;
pub use statistics::names;
pub(crate) use statistics::{NAMED, Named, RECORDED};

use crate::{Error, ErrorKind, Result, settings::Names};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};

/// What of a snapshot goes to a backend, and how it is called there.
///
/// ```
/// # use exporters::{Mapping, MetricKind, MetricMapping};
/// let mapping = Mapping::default()
///     .metric(MetricMapping::new("throughput", "messages_per_second")?.help("Messages processed"))
///     .metric(MetricMapping::new("latency_p95", "function.calls.duration:p95")?.unit("ms"))
///     .label("environment", "production");
/// # Ok::<(), exporters::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    metrics: Cow<'static, [MetricMapping]>,
    labels: BTreeMap<String, String>,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

impl Mapping {
    /// These metrics, and no others.
    pub const fn of(metrics: &'static [MetricMapping]) -> Self {
        Self {
            metrics: Cow::Borrowed(metrics),
            labels: BTreeMap::new(),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    /// Adds a metric. Where there is one, what none asks for is left out; where there is none, all metrics go as they are.
    #[must_use]
    pub fn metric(mut self, metric: MetricMapping) -> Self {
        self.metrics.to_mut().push(metric);
        self
    }

    /// Adds a label to every series.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Lets only metrics through whose name fits this or another included glob (`*` is any text, `?` any character).
    #[must_use]
    pub fn include(mut self, glob: &str) -> Self {
        self.include.push(Glob::new(glob));
        self
    }

    /// Leaves metrics out whose name fits the glob, included or not.
    #[must_use]
    pub fn exclude(mut self, glob: &str) -> Self {
        self.exclude.push(Glob::new(glob));
        self
    }

    /// As a configuration file has it: metrics by the name of their source, or, with `source`, by any name.
    pub(crate) fn from_config(
        metrics: &BTreeMap<String, EntryConfig>,
        labels: &BTreeMap<String, String>,
        filter: &FilterConfig,
    ) -> Result<Self> {
        let build = |(key, entry): (&String, &EntryConfig)| {
            let source = entry.source.as_deref().unwrap_or(key);
            let name = entry.name.clone().unwrap_or_else(|| key.clone());
            let built = entry.build(name, source);
            built
                .map_err(|error| error.with_context("metric", key).with_context("setting", "metrics_mapping"))
        };
        let globs = |globs: &[String]| globs.iter().map(|glob| Glob::new(glob)).collect();
        let mapping = Self {
            metrics: metrics.iter().map(build).collect::<Result<Vec<_>>>()?.into(),
            labels: labels.clone(),
            include: globs(&filter.include),
            exclude: globs(&filter.exclude),
        };
        mapping.check()?;
        Ok(mapping)
    }

    /// Refuses names that are empty, or that two metrics have.
    pub(crate) fn check(&self) -> Result<()> {
        let labels = Names::check("label", self.labels.keys().map(String::as_str));
        labels.map_err(|error| error.with_context("setting", "labels"))?;
        let metrics = Names::check("metric", self.metrics.iter().map(|metric| &*metric.name));
        metrics.map_err(|error| error.with_context("setting", "metrics_mapping"))
    }

    /// With the metrics of `base`, and its labels under these, where no metrics are asked for.
    pub(crate) fn over(mut self, base: &Self) -> Self {
        if self.metrics.is_empty() {
            self.metrics = base.metrics.clone();
            let labels = std::mem::replace(&mut self.labels, base.labels.clone());
            self.labels.extend(labels);
        }
        self
    }

    /// Whether everything goes through as it is.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
            && self.labels.is_empty()
            && self.include.is_empty()
            && self.exclude.is_empty()
    }

    /// Whether the globs do, where a metric is called that.
    pub(crate) fn lets_through(&self, name: &str) -> bool {
        let fits = |globs: &[Glob]| globs.iter().any(|glob| glob.fits(name));
        (self.include.is_empty() || fits(&self.include)) && !fits(&self.exclude)
    }
}

/// Which metrics to send, by globs of their names.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FilterConfig {
    /// Only these.
    pub(crate) include: Vec<String>,
    /// Never these.
    pub(crate) exclude: Vec<String>,
}

/// One metric of `metrics_mapping`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EntryConfig {
    /// What the metric is called.
    #[serde(alias = "metric_name")]
    name: Option<String>,
    /// What it is: `gauge`, `counter`, `rate` or `histogram`.
    #[serde(rename = "type", alias = "metric_type", alias = "kind")]
    kind: Option<MetricKind>,
    /// In which unit it is sent, for example `ms`.
    unit: Option<String>,
    /// What it means.
    help: Option<String>,
    /// The statistic, or the recorded metric, it is made of; the key, if absent.
    #[serde(alias = "source_field")]
    source: Option<String>,
    /// Which statistic of a recorded metric: `rate`, `total`, `mean`, `p50`, `p90`, `p95`, `p99`, `max`, `count`, `sum`.
    stat: Option<Statistic>,
}

impl EntryConfig {
    fn build(&self, name: String, source: &str) -> Result<MetricMapping> {
        let mut metric = MetricMapping::new(name, source)?;
        if let Some(stat) = self.stat {
            metric = metric.stat(stat)?;
        }
        if let Some(kind) = self.kind {
            metric = metric.kind(kind)?;
        }
        if let Some(unit) = &self.unit {
            metric = metric.unit(unit.clone());
        }
        if let Some(help) = &self.help {
            metric = metric.help(help.clone());
        }
        metric.check()?;
        Ok(metric)
    }
}

fn wrong(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}
