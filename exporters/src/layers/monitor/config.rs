//! The settings of a [`MonitorLayer`](super::MonitorLayer).

use crate::{Error, ErrorKind, Result, duration};
use serde::Deserialize;
use std::time::Duration;

/// What is watched, and from when on it is told.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MonitorConfig {
    /// Whether durations of exports are kept. Default: `true`.
    #[serde(alias = "track_latency")]
    pub track_export_latency: bool,
    /// Whether bytes sent are counted. Default: `true`.
    #[serde(alias = "track_size")]
    pub track_export_size: bool,
    /// Whether the share of exports that succeed is kept. Default: `true`.
    pub track_success_rate: bool,
    /// Whether failures are counted by kind. Default: `true`.
    #[serde(alias = "track_error_types")]
    pub track_errors: bool,
    /// Whether the items that wait are watched. Default: `true`.
    pub track_queue_depth: bool,
    /// From when on there is an alert.
    #[serde(alias = "alert_thresholds")]
    pub alerts: AlertConfig,
}

/// From when on there is an alert; `null` for never.
///
/// A latency and a rate are those of the latest exports: of five minutes, and at least five. What was raised is cleared again when
/// the value is a tenth below its threshold; the success rate, when it is halfway from there to 100 %.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AlertConfig {
    /// The 95th percentile of the durations of exports is longer. Default: 1 s.
    #[serde(alias = "export_latency_p95_seconds", deserialize_with = "duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub export_latency_p95: Option<Duration>,
    /// Less than so many percent of exports succeed. Default: 95.
    pub success_rate_percent: Option<f64>,
    /// More items wait. Default: 1,000.
    pub queue_depth: Option<usize>,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            track_export_latency: true,
            track_export_size: true,
            track_success_rate: true,
            track_errors: true,
            track_queue_depth: true,
            alerts: AlertConfig::default(),
        }
    }
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            export_latency_p95: Some(Duration::from_secs(1)),
            success_rate_percent: Some(95.0),
            queue_depth: Some(1000),
        }
    }
}

impl MonitorConfig {
    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn check(&self) -> Result<()> {
        match self.alerts.success_rate_percent {
            Some(percent) if !(0.0..=100.0).contains(&percent) => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "`monitor.alerts.success_rate_percent` must be from 0 to 100",
            )),
            _ => Ok(()),
        }
    }
}
