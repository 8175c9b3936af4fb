//! `PrometheusConfig`: every setting of the scrape endpoint, checked before anything is opened.

use crate::{
    Error, ErrorKind, Result,
    settings::{Environment, Names},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Settings of [`PrometheusExporter`](super::PrometheusExporter); all have defaults.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Where to listen. Default: `127.0.0.1:9464`; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub listen: SocketAddr,
    /// The path that is answered. Default: `/metrics`.
    #[serde(alias = "metrics_path")]
    pub path: String,
    /// Consents to an address that other machines can reach; there is no authentication. Default: `false`.
    pub allow_remote: bool,
    /// Connections served at a time; one more closes the oldest of those that have not asked yet. Default: 64.
    pub max_connections: usize,
    /// Upper bounds of the classic buckets of latencies, in seconds; powers of two, on which a bucket of the recorded
    /// histogram ends, so that the counts are exact. Default: powers of four from 2⁻²⁰ (1 µs) to 2⁶ (64 s).
    pub classic_buckets: Vec<f64>,
    /// Whether pages in protobuf carry native histograms beside the classic buckets. Default: `true`.
    pub native_histograms: bool,
    /// Put before every metric's name, with an underscore. Default: nothing.
    pub namespace: Option<String>,
    /// Labels of every series. Default: none.
    #[serde(alias = "additional_labels")]
    pub labels: BTreeMap<String, String>,
    /// Whether series say which crate measured them, in `otel_scope_name` and `otel_scope_version`. Default: `true`, as
    /// OpenTelemetry's specification has it.
    pub scope_labels: bool,
    /// Whether the resource's attributes are shown, as the labels of `target_info`. Default: `true`.
    pub target_info: bool,
    /// Whether OpenMetrics pages say when each series started, in one more series each, `…_created`. Default: `false`.
    /// Protobuf pages always say it.
    pub created: bool,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9464).into(),
            path: "/metrics".into(),
            allow_remote: false,
            max_connections: 64,
            classic_buckets: (-10..=3).map(|n| 2f64.powi(2 * n)).collect(),
            native_histograms: true,
            namespace: None,
            labels: BTreeMap::new(),
            scope_labels: true,
            target_info: true,
            created: false,
        }
    }
}

impl PrometheusConfig {
    /// Takes the address from `OTEL_EXPORTER_PROMETHEUS_HOST` and `…_PORT`; tells whether either is set.
    pub(crate) fn listen_from_env(&mut self, environment: &Environment) -> Result<bool> {
        let wrong = |variable, takes| {
            Error::new(ErrorKind::ConfigInvalid, "an environment variable has a value that makes no sense")
                .with_context("variable", variable)
                .with_context("it takes", takes)
        };
        let (host, port) = ("OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT");
        let ip = |text: &str| match text {
            "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            text => text.parse::<IpAddr>().ok(),
        };
        let mut any = false;
        if let Some(text) = environment.get(host) {
            self.listen.set_ip(ip(text.trim()).ok_or_else(|| wrong(host, "an IP address or localhost"))?);
            any = true;
        }
        if let Some(text) = environment.get(port) {
            self.listen.set_port(text.trim().parse().map_err(|_| wrong(port, "a port, 0 to 65535"))?);
            any = true;
        }
        Ok(any)
    }

    /// Checks everything that a type cannot.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if !self.listen.ip().is_loopback() && !self.allow_remote {
            return wrong(
                "other machines could read the metrics without authentication: listen on 127.0.0.1, \
                 or consent with `allow_remote: true`",
            )
            .map_err(|error: Error| error.with_context("listen", self.listen));
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(|b| b.is_ascii_graphic() && b != b'?') {
            return wrong("`path` must start with `/`, and hold neither spaces nor a query");
        }
        if self.max_connections == 0 {
            return wrong("`max_connections` must be at least 1");
        }
        let labels = Names::check("label", self.labels.keys().map(String::as_str));
        labels.map_err(|error| error.with_context("setting", "labels"))?;
        self.exponents().map(|_| ())
    }

    /// The classic buckets' bounds as exponents of two.
    pub(super) fn exponents(&self) -> Result<Vec<i32>> {
        let exponent =
            |bound: &f64| Some(bound.log2() as i32).filter(|&n| bound.is_normal() && 2f64.powi(n) == *bound);
        let exponents: Option<Vec<_>> = self.classic_buckets.iter().map(exponent).collect();
        exponents.filter(|list| list.is_sorted_by(|a, b| a < b)).ok_or_else(|| {
            Error::new(
                ErrorKind::ConfigInvalid,
                "`classic_buckets` must be powers of two in ascending order, for example [0.25, 0.5, 1.0]",
            )
        })
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || D::Error::invalid_value(Unexpected::Str(""), &"an address such as 127.0.0.1:9464");
    text.trim().parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: PrometheusConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_valid_and_on_loopback() {
        let config = PrometheusConfig::default();
        config.check().unwrap();
        assert_eq!(config.exponents().unwrap(), (-20..=6).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_refused_names_the_cure() {
        let listen = "0.0.0.0:9464".parse().unwrap();
        assert!(
            refused(PrometheusConfig { listen, ..Default::default() }).contains("allow_remote"),
            "an address that others can reach"
        );
        PrometheusConfig { listen, allow_remote: true, ..Default::default() }.check().unwrap();
        for buckets in [
            vec![0.3],
            vec![1.0, 0.5],
            vec![1.0, 1.0],
            vec![f64::NAN],
            vec![f64::INFINITY],
            vec![0.0],
            vec![-1.0],
        ] {
            let config = PrometheusConfig { classic_buckets: buckets, ..Default::default() };
            assert!(refused(config).contains("powers of two"));
        }
        for path in ["", "metrics", "/a b", "/a?b"] {
            let config = PrometheusConfig { path: path.into(), ..Default::default() };
            assert!(refused(config).contains("path"));
        }
    }
}
