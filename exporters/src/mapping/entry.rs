//! One metric of a mapping: name, source, statistic, kind, unit, help.

use super::{
    statistics::{NAMED, Named, RECORDED},
    wrong,
};
use crate::{ProfileMetrics, Result, settings::nearest};
use serde::Deserialize;
use std::{borrow::Cow, fmt, ptr};

/// What a metric is, for those who read it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MetricKind {
    /// A value that stands for itself.
    Gauge,
    /// A count that only grows.
    Counter,
    /// A count's change, a second; a gauge.
    Rate,
    /// A distribution.
    Histogram,
}

/// What is made of a recorded metric's series.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Statistic {
    /// The change in the interval, a second.
    Rate,
    /// Everything since the start.
    Total,
    /// Of a histogram: the mean.
    Mean,
    /// Of a histogram: the median.
    P50,
    /// Of a histogram: the 90th percentile.
    P90,
    /// Of a histogram: the 95th percentile.
    P95,
    /// Of a histogram: the 99th percentile.
    P99,
    /// Of a histogram: the largest value.
    Max,
    /// Of a histogram: how many values, a counter.
    Count,
    /// Of a histogram: their sum, a counter.
    Sum,
}

impl Statistic {
    const ALL: [(&'static str, Self); 10] = [
        ("count", Self::Count),
        ("max", Self::Max),
        ("mean", Self::Mean),
        ("p50", Self::P50),
        ("p90", Self::P90),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("rate", Self::Rate),
        ("sum", Self::Sum),
        ("total", Self::Total),
    ];

    fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, statistic)| *statistic).ok_or_else(|| {
            let known = Self::ALL.map(|(known, _)| known);
            wrong(format!(
                "there is no such statistic{}; there are {}",
                nearest(name, &known),
                known.join(", ")
            ))
        })
    }

    /// What it is, made of something of this kind; `None` where it cannot be.
    const fn kind(self, of: MetricKind) -> Option<MetricKind> {
        match (self, of) {
            (Self::Count | Self::Sum, MetricKind::Histogram) => Some(MetricKind::Counter),
            (Self::Rate, MetricKind::Counter | MetricKind::Histogram) => Some(MetricKind::Rate),
            (Self::Total, MetricKind::Counter) => Some(MetricKind::Gauge),
            (
                Self::Mean | Self::P50 | Self::P90 | Self::P95 | Self::P99 | Self::Max,
                MetricKind::Histogram,
            ) => Some(MetricKind::Gauge),
            _ => None,
        }
    }
}

/// Where a metric's value comes from.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Source {
    /// A statistic over all functions or messages: one series.
    Named(&'static str),
    /// A recorded metric, series by series; with a statistic, what that makes of each.
    Recorded(&'static str, Option<Statistic>),
    /// The program's own computation: one series, absent where it gives `None`.
    Computed(fn(&ProfileMetrics) -> Option<f64>),
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(a), Self::Named(b)) => a == b,
            (Self::Recorded(a, x), Self::Recorded(b, y)) => a == b && x == y,
            (Self::Computed(a), Self::Computed(b)) => ptr::fn_addr_eq(*a, *b),
            _ => false,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Recorded(name, None) => f.write_str(name),
            Self::Recorded(name, Some(statistic)) => write!(f, "{name}:{statistic:?}"),
            Self::Computed(_) => f.write_str("computed"),
        }
    }
}

/// One metric of a [`Mapping`](super::Mapping).
#[derive(Clone, Debug, PartialEq)]
pub struct MetricMapping {
    pub(super) name: Cow<'static, str>,
    pub(super) source: Source,
    pub(super) kind: Option<MetricKind>,
    pub(super) unit: Option<Cow<'static, str>>,
    pub(super) help: Option<Cow<'static, str>>,
}

impl MetricMapping {
    /// `name` is made of `source`: a statistic such as `p95_latency_ms`, a recorded metric such as `function.calls`, or a
    /// statistic of one, such as `function.calls.duration:p95`.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where there is no such source; it names the nearest.
    pub fn new(name: impl Into<Cow<'static, str>>, source: &str) -> Result<Self> {
        let (of, statistic) = match source.split_once(':') {
            Some((of, statistic)) => (of, Some(Statistic::named(statistic)?)),
            None => (source, None),
        };
        let named = NAMED.iter().find(|named| named.name == of).map(|named| Source::Named(named.name));
        let recorded =
            || RECORDED.iter().find(|(name, _)| *name == of).map(|(name, _)| Source::Recorded(name, None));
        let source = named.or_else(recorded).ok_or_else(|| {
            let known: Vec<&str> = super::names().collect();
            wrong(format!("there is no such source{}; there are {}", nearest(of, &known), known.join(", ")))
        })?;
        let metric = Self::from_source(name.into(), source);
        statistic.map_or(Ok(metric.clone()), |statistic| metric.stat(statistic))
    }

    /// `name` is what `compute` gives.
    pub fn computed(name: impl Into<Cow<'static, str>>, compute: fn(&ProfileMetrics) -> Option<f64>) -> Self {
        Self::from_source(name.into(), Source::Computed(compute))
    }

    pub(crate) const fn from_source(name: Cow<'static, str>, source: Source) -> Self {
        Self { name, source, kind: None, unit: None, help: None }
    }

    /// Everything at once, as a macro knows it.
    #[doc(hidden)]
    pub const fn known(
        name: &'static str,
        source: Source,
        kind: Option<MetricKind>,
        unit: Option<&'static str>,
        help: Option<&'static str>,
    ) -> Self {
        const fn borrowed(text: Option<&'static str>) -> Option<Cow<'static, str>> {
            match text {
                Some(text) => Some(Cow::Borrowed(text)),
                None => None,
            }
        }
        Self { name: Cow::Borrowed(name), source, kind, unit: borrowed(unit), help: borrowed(help) }
    }

    /// Sets which statistic of a recorded metric it is.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where the source has no such statistic.
    pub fn stat(mut self, statistic: Statistic) -> Result<Self> {
        match self.source {
            Source::Recorded(name, _) => {
                let of = recorded_kind(name);
                if statistic.kind(of).is_none() {
                    return Err(wrong(format!("a {} has no such statistic", describe(of)))
                        .with_context("source", name));
                }
                self.source = Source::Recorded(name, Some(statistic));
                Ok(self)
            }
            _ => Err(wrong("only a recorded metric, such as function.calls.duration, has statistics")),
        }
    }

    /// Sets what it is, if not what its source is: a counter can also be sent as a `rate`, or as a `gauge` of its total.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where its source cannot be that.
    pub fn kind(mut self, kind: MetricKind) -> Result<Self> {
        self.kind = Some(kind);
        self.check()?;
        Ok(self)
    }

    /// Sets the unit. A time is converted between `ns`, `us`, `ms`, `s`, `min` and `h`, unless it is a histogram.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<Cow<'static, str>>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Sets what it means, for people.
    #[must_use]
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What it is, before a wish is heeded.
    pub(super) fn natural_kind(&self) -> MetricKind {
        match self.source {
            Source::Named(_) => self.named().map_or(MetricKind::Gauge, Named::kind),
            Source::Recorded(name, statistic) => {
                let of = recorded_kind(name);
                statistic.and_then(|statistic| statistic.kind(of)).unwrap_or(of)
            }
            Source::Computed(_) => MetricKind::Gauge,
        }
    }

    /// What it is.
    pub(super) fn made_kind(&self) -> MetricKind {
        self.kind.unwrap_or_else(|| self.natural_kind())
    }

    pub(super) fn named(&self) -> Option<&'static Named> {
        let Source::Named(name) = self.source else { return None };
        NAMED.iter().find(|named| named.name == name)
    }

    /// The recorded metrics that it is made of.
    pub(super) fn sources(&self) -> &[&'static str] {
        match &self.source {
            Source::Named(_) => self.named().map_or(&[], |named| named.of),
            Source::Recorded(name, _) => std::slice::from_ref(name),
            // It may have looked at anything.
            Source::Computed(_) => &[],
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let natural = self.natural_kind();
        let possible = match self.kind {
            None => true,
            Some(kind) if kind == natural => true,
            Some(MetricKind::Gauge) => natural != MetricKind::Histogram,
            Some(MetricKind::Rate) => natural == MetricKind::Counter,
            Some(_) => false,
        };
        if !possible {
            return Err(wrong(format!(
                "this is a {}, and cannot be sent as what was asked for",
                describe(natural)
            ))
            .with_context("metric", &self.name));
        }
        Ok(())
    }
}

fn recorded_kind(name: &str) -> MetricKind {
    RECORDED.iter().find(|(known, _)| *known == name).map_or(MetricKind::Gauge, |(_, kind)| *kind)
}

fn describe(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Gauge => "gauge",
        MetricKind::Counter => "counter",
        MetricKind::Rate => "rate",
        MetricKind::Histogram => "histogram",
    }
}
