//! Samplers as a configuration file has them.

use crate::{Error, ErrorKind, KeepConfig, Result, Sampler};
use serde::Deserialize;

/// Which traces are recorded.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct SamplerConfig {
    /// `always_on`, `always_off`, `traceidratio`, or one of these behind `parentbased_`. Default:
    /// `parentbased_traceidratio`.
    #[serde(rename = "type")]
    kind: SamplerKind,
    /// The share of all traces that are recorded, from 0 to 1. Default: 0.1.
    ratio: Option<f64>,
    /// Which traces are exported whatever the sampler decided. None, if absent.
    pub(super) keep: Option<KeepConfig>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum SamplerKind {
    AlwaysOn,
    AlwaysOff,
    #[serde(rename = "traceidratio")]
    TraceIdRatio,
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    #[default]
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

impl SamplerConfig {
    pub(super) fn sampler(&self) -> Result<Sampler> {
        self.kind.sampler(self.ratio).map_err(|error| error.with_context("setting", "sampler.ratio"))
    }
}

impl SamplerKind {
    /// The share, of those that take one, is 0.1 if it is absent.
    pub(super) fn sampler(self, ratio: Option<f64>) -> Result<Sampler> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        let share = ratio.unwrap_or(0.1);
        if !(0.0..=1.0).contains(&share) {
            return wrong("this setting must be from 0 to 1");
        }
        if ratio.is_some() && !matches!(self, Self::TraceIdRatio | Self::ParentBasedTraceIdRatio) {
            return wrong(
                "this sampler takes no ratio; leave it out, or use `traceidratio` or `parentbased_traceidratio`",
            );
        }
        Ok(match self {
            Self::AlwaysOn => Sampler::AlwaysOn,
            Self::AlwaysOff => Sampler::AlwaysOff,
            Self::TraceIdRatio => Sampler::TraceIdRatio(share),
            Self::ParentBasedAlwaysOn => Sampler::parent_based(Sampler::AlwaysOn),
            Self::ParentBasedAlwaysOff => Sampler::parent_based(Sampler::AlwaysOff),
            Self::ParentBasedTraceIdRatio => Sampler::parent_based(Sampler::TraceIdRatio(share)),
        })
    }
}
