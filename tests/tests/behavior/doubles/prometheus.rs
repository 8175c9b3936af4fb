//! A scrape of the Prometheus exporter, read as Prometheus reads it: line by line.

use crate::double::{Double, Seen};
use exporters::{
    AnyExporter,
    prometheus::{PrometheusConfig, PrometheusExporter},
};

pub(crate) struct Scrape(PrometheusExporter);

impl Scrape {
    pub(crate) fn new() -> Self {
        Self(PrometheusExporter::new(PrometheusConfig::default()).unwrap())
    }
}

// The page is rendered outside the locks that a panic would leave poisoned.
impl std::panic::RefUnwindSafe for Scrape {}

impl Double for Scrape {
    fn kind(&self) -> &'static str {
        "prometheus"
    }

    fn exporter(&self) -> AnyExporter {
        AnyExporter::new(self.0.clone())
    }

    fn seen(&self) -> Seen {
        page(std::str::from_utf8(&self.0.render(None).body).unwrap())
    }

    fn cumulative(&self) -> bool {
        true
    }
}

/// What a page of text 0.0.4 says.
pub(crate) fn page(text: &str) -> Seen {
    let mut seen = Seen::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} has no value"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line:?} has no number"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        assert!(!name.is_empty() && name.chars().all(is_name) && labels.ends_with('}'), "{line:?}");
        let label = |key: &str| {
            let start = labels.find(&format!("{key}=\""))? + key.len() + 2;
            labels[start..].split('"').next()
        };
        let Some(function) = label("function") else { continue };
        match name {
            "function_calls_total" => {
                seen.add_calls(function, label("result").unwrap_or_default(), value as u64)
            }
            "function_calls_duration_seconds_count" => seen.add_durations(function, value as u64),
            _ => {}
        }
    }
    seen
}
