//! Alerts: raised once, cleared once, and not on every value near the threshold.

use super::{AlertConfig, MonitorStats};
use crate::Info;
use std::fmt;

/// Something about an exporter is not as it should be, or is again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// The exporter.
    pub exporter: Info,
    /// What it is about.
    pub kind: AlertKind,
    /// Whether it is raised; else it is over.
    pub raised: bool,
    /// The value: seconds, percent, or items.
    pub value: f64,
    /// The threshold, in the same unit.
    pub threshold: f64,
}

/// What an [`Alert`] is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AlertKind {
    /// The 95th percentile of the durations of exports, in seconds.
    ExportLatencyP95,
    /// The share of exports that succeed, in percent.
    SuccessRate,
    /// Items that wait.
    QueueDepth,
}

impl AlertKind {
    /// Its name, for example `queue_depth`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExportLatencyP95 => "export_latency_p95",
            Self::SuccessRate => "success_rate",
            Self::QueueDepth => "queue_depth",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which are raised.
#[derive(Debug, Default)]
pub(super) struct Alerts([bool; 3]);

impl Alerts {
    /// What there is to tell now.
    pub(super) fn check(
        &mut self,
        config: &AlertConfig,
        stats: &MonitorStats,
        exporter: &Info,
    ) -> Vec<Alert> {
        let AlertConfig { export_latency_p95, success_rate_percent, queue_depth } = *config;
        let values = [
            (
                AlertKind::ExportLatencyP95,
                stats
                    .latency_p95
                    .zip(export_latency_p95)
                    .map(|(value, threshold)| (value.as_secs_f64(), threshold.as_secs_f64())),
            ),
            (AlertKind::SuccessRate, stats.success_rate_percent.zip(success_rate_percent)),
            (
                AlertKind::QueueDepth,
                stats.queue_depth.zip(queue_depth).map(|(value, threshold)| (value as f64, threshold as f64)),
            ),
        ];
        let mut told = Vec::new();
        for ((kind, values), raised) in values.into_iter().zip(&mut self.0) {
            let Some((value, threshold)) = values else { continue };
            let (bad, good) = match kind {
                AlertKind::SuccessRate => (value < threshold, value >= threshold + (100.0 - threshold) / 2.0),
                _ => (value > threshold, value <= threshold * 0.9),
            };
            if (*raised && good) || (!*raised && bad) {
                *raised = bad;
                told.push(Alert { exporter: exporter.clone(), kind, raised: bad, value, threshold });
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_alert_is_raised_once_and_cleared_once() {
        let mut alerts = Alerts::default();
        let mut told = |seconds, percent, depth| {
            let stats = MonitorStats {
                latency_p95: Some(Duration::from_secs_f64(seconds)),
                success_rate_percent: Some(percent),
                queue_depth: Some(depth),
                ..MonitorStats::default()
            };
            let told = alerts.check(&AlertConfig::default(), &stats, &Info::new("script"));
            told.iter().map(|alert| (alert.kind.as_str(), alert.raised)).collect::<Vec<_>>()
        };
        assert_eq!(told(1.0, 95.0, 1000), []);
        assert_eq!(told(1.1, 95.0, 1001), [("export_latency_p95", true), ("queue_depth", true)]);
        assert_eq!(told(1.1, 94.9, 1001), [("success_rate", true)]);
        // Near the threshold, nothing is over yet.
        assert_eq!(told(0.91, 97.4, 901), []);
        assert_eq!(told(1.5, 0.0, 5000), []);
        let over = [("export_latency_p95", false), ("success_rate", false), ("queue_depth", false)];
        assert_eq!(told(0.9, 97.5, 900), over);
        assert_eq!(told(1.0, 95.0, 1000), []);
    }

    #[test]
    fn what_was_not_measured_and_what_nobody_asked_for_raises_nothing() {
        let mut alerts = Alerts::default();
        let exporter = Info::new("script");
        assert_eq!(alerts.check(&AlertConfig::default(), &MonitorStats::default(), &exporter), []);
        let never = AlertConfig { export_latency_p95: None, success_rate_percent: None, queue_depth: None };
        let stats = MonitorStats { queue_depth: Some(1_000_000), ..MonitorStats::default() };
        assert_eq!(alerts.check(&never, &stats, &exporter), []);
    }
}
