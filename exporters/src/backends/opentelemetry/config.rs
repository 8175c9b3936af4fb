//! `OpenTelemetryConfig`: every setting of the OpenTelemetry exporter.

use super::target::{METRICS, TRACES};
use crate::{
    AuthConfig, Compression, Endpoint, Error, ErrorKind, Result, RetryConfig, Secret, TlsConfig,
    settings::Names,
    transport::transmit::{CONNECT_TIMEOUT, TIMEOUT},
};
use serde::Deserialize;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Settings of [`OpenTelemetryExporter`](super::OpenTelemetryExporter); all have defaults.
///
/// Those that begin with `traces_` and `metrics_` stand, for that signal, in the place of the one without. What is left out is,
/// for an exporter from a file or from variables, what OpenTelemetry's own variables say, `OTEL_EXPORTER_OTLP_…`: see
/// [`from_env`](super::OpenTelemetryExporter::from_env).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OpenTelemetryConfig {
    /// Tells two OpenTelemetry exporters apart. Default: `opentelemetry`.
    pub name: Option<String>,
    /// Whether spans are sent. Default: yes, or what `OTEL_TRACES_EXPORTER` says, of which `otlp` means yes.
    pub traces: Option<bool>,
    /// Whether metrics are sent. Default: yes, or what `OTEL_METRICS_EXPORTER` says.
    pub metrics: Option<bool>,
    /// Where the receiver is; `/v1/traces` and `/v1/metrics` are added to the path. Default: `http://localhost:4318`.
    #[serde(alias = "otlp_endpoint")]
    pub endpoint: Option<Endpoint>,
    /// Where spans are sent, as it is.
    pub traces_endpoint: Option<Endpoint>,
    /// Where metrics are sent, as it is.
    pub metrics_endpoint: Option<Endpoint>,
    /// How requests are written. Default: `http/protobuf`.
    pub protocol: Option<OtlpProtocol>,
    /// How requests with spans are written.
    pub traces_protocol: Option<OtlpProtocol>,
    /// How requests with metrics are written.
    pub metrics_protocol: Option<OtlpProtocol>,
    /// More headers. Their values are taken for secrets.
    pub headers: BTreeMap<String, Secret>,
    /// Headers of requests with spans.
    pub traces_headers: BTreeMap<String, Secret>,
    /// Headers of requests with metrics.
    pub metrics_headers: BTreeMap<String, Secret>,
    /// Credentials. Default: none.
    pub auth: AuthConfig,
    /// How requests are compressed. Default: not at all.
    pub compression: Option<Compression>,
    /// How requests with spans are compressed.
    pub traces_compression: Option<Compression>,
    /// How requests with metrics are compressed.
    pub metrics_compression: Option<Compression>,
    /// For a whole exchange: connecting, sending, and reading the answer to its end. Default: 10 s.
    #[serde(alias = "timeout_seconds", deserialize_with = "crate::duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub timeout: Option<Duration>,
    /// The same for spans.
    #[serde(deserialize_with = "crate::duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub traces_timeout: Option<Duration>,
    /// The same for metrics.
    #[serde(deserialize_with = "crate::duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub metrics_timeout: Option<Duration>,
    /// For finding the host, connecting, and agreeing on encryption. Default: 5 s.
    #[serde(alias = "connect_timeout_seconds", deserialize_with = "crate::duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub connect_timeout: Duration,
    /// Whom to trust, and how to show who we are, where an endpoint is `https`.
    pub tls: TlsConfig,
    /// The same for spans.
    pub traces_tls: Option<TlsConfig>,
    /// The same for metrics.
    pub metrics_tls: Option<TlsConfig>,
    /// An HTTP proxy, for example `http://user:password@proxy:3128`. Default: none; the environment's `HTTP_PROXY` is not
    /// heeded.
    pub proxy: Option<Endpoint>,
    /// The address to connect from. Default: the system's choice.
    pub local_address: Option<IpAddr>,
    /// Whether counters and histograms are sent as totals or as changes. Default: `cumulative`.
    #[serde(alias = "temporality_preference")]
    pub temporality: Option<Temporality>,
    /// How distributions are sent that were recorded over exponential buckets. Default: as they are, unless
    /// [`explicit_bounds`](Self::explicit_bounds) are set.
    pub default_histogram_aggregation: Option<HistogramAggregation>,
    /// The upper bounds of explicit buckets, in the metric's unit. Default: powers of four from 2⁻²⁰ to 2⁶, on which recorded
    /// buckets end, so that the counts are exact; at a bound where none ends, a bucket that holds it is counted above it.
    pub explicit_bounds: Vec<f64>,
    /// `service.name`, over what the program says everywhere.
    pub service_name: Option<String>,
    /// `service.version`, likewise.
    pub service_version: Option<String>,
    /// `service.namespace`, likewise.
    pub service_namespace: Option<String>,
    /// More attributes of the resource, over what the program says everywhere. Default: none.
    #[serde(alias = "attributes")]
    pub resource_attributes: BTreeMap<String, String>,
    /// Put before the name of every span, for example `checkout.`. Default: nothing.
    pub span_name_prefix: String,
    /// Whether spans are sent that have a parent in this process. Those that are left out are counted as dropped: filtered.
    /// Default: `true`.
    pub create_child_spans: bool,
    /// The most items in one request. Default: no limit.
    pub batch_size: Option<usize>,
    /// The most bytes of one request, before compression. Default: 4 MB, which is what most receivers take.
    #[serde(deserialize_with = "crate::size::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub max_body: Option<u64>,
    /// How failed attempts are repeated. After which statuses, OTLP's specification says: 429, 502, 503 and 504. An exporter that
    /// is made in code repeats nothing by itself: put it in a [`RetryLayer`](crate::RetryLayer).
    #[serde(alias = "retry_config")]
    pub retry: RetryConfig,
}

/// How requests are written, and sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// Protobuf over HTTP.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// JSON over HTTP.
    #[serde(rename = "http/json")]
    HttpJson,
    /// Protobuf over gRPC. The endpoint has no path of a signal; by default it is `http://localhost:4317`.
    #[serde(rename = "grpc")]
    Grpc,
}

impl OtlpProtocol {
    /// As configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
            Self::Grpc => "grpc",
        }
    }
}

/// Whether counters and histograms are sent as totals since the start of a series or as changes in an interval. Gauges and what
/// goes up and down have a value at any moment, and are sent as it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Temporality {
    /// Totals.
    #[default]
    Cumulative,
    /// Changes.
    Delta,
    /// Changes of what is recorded when it happens, which is all that there is here.
    LowMemory,
}

/// What distributions are sent as.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum HistogramAggregation {
    /// Over exponential bounds, as they are recorded.
    #[default]
    #[serde(rename = "base2_exponential_bucket_histogram")]
    Exponential,
    /// Over [explicit bounds](OpenTelemetryConfig::explicit_bounds).
    #[serde(rename = "explicit_bucket_histogram")]
    Explicit,
}

/// OTLP's own: <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>.
pub(super) const RETRIED: [u16; 4] = [429, 502, 503, 504];

/// Where servers of gRPC draw the line, unless told otherwise; those of HTTP take more.
const MAX_BODY: u64 = 4_000_000;

impl Default for OpenTelemetryConfig {
    fn default() -> Self {
        Self {
            name: None,
            traces: None,
            metrics: None,
            endpoint: None,
            traces_endpoint: None,
            metrics_endpoint: None,
            protocol: None,
            traces_protocol: None,
            metrics_protocol: None,
            headers: BTreeMap::new(),
            traces_headers: BTreeMap::new(),
            metrics_headers: BTreeMap::new(),
            auth: AuthConfig::default(),
            compression: None,
            traces_compression: None,
            metrics_compression: None,
            timeout: None,
            traces_timeout: None,
            metrics_timeout: None,
            connect_timeout: CONNECT_TIMEOUT,
            tls: TlsConfig::default(),
            traces_tls: None,
            metrics_tls: None,
            proxy: None,
            local_address: None,
            temporality: None,
            default_histogram_aggregation: None,
            explicit_bounds: Vec::new(),
            service_name: None,
            service_version: None,
            service_namespace: None,
            resource_attributes: BTreeMap::new(),
            span_name_prefix: String::new(),
            create_child_spans: true,
            batch_size: None,
            max_body: Some(MAX_BODY),
            retry: RetryConfig::default(),
        }
    }
}

impl OpenTelemetryConfig {
    /// The defaults, for a receiver at `endpoint`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        self.retry.check()?;
        let statuses = &self.retry.retry_on_status_codes;
        if *statuses != RetryConfig::default().retry_on_status_codes && *statuses != RETRIED {
            return wrong(
                "`retry.retry_on_status_codes` is not a choice here: OTLP says 429, 502, 503 and 504; leave it out",
            );
        }
        let ascending = self.explicit_bounds.is_sorted_by(|a, b| a < b);
        if !ascending || !self.explicit_bounds.iter().all(|bound| bound.is_finite()) {
            return wrong("`explicit_bounds` must be finite and ascend");
        }
        if self.aggregation() == HistogramAggregation::Exponential && !self.explicit_bounds.is_empty() {
            return wrong(
                "`explicit_bounds` need `default_histogram_aggregation: explicit_bucket_histogram`; remove one",
            );
        }
        if (self.traces, self.metrics) == (Some(false), Some(false)) {
            return wrong(
                "neither `traces` nor `metrics` are sent; switch one on, or leave the exporter out",
            );
        }
        if self.batch_size == Some(0) {
            return wrong("`batch_size` must be at least 1");
        }
        let names = self.resource_attributes.keys().map(String::as_str);
        Names::check("attribute", names.chain(self.service().into_iter().map(|(key, _)| key)))
            .map_err(|error| error.with_context("setting", "resource_attributes"))
    }

    /// What is set of the service.
    pub(super) fn service(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("service.name", &self.service_name),
            ("service.version", &self.service_version),
            ("service.namespace", &self.service_namespace),
        ];
        all.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?))).collect()
    }

    pub(super) fn aggregation(&self) -> HistogramAggregation {
        self.default_histogram_aggregation.unwrap_or(match self.explicit_bounds.is_empty() {
            true => HistogramAggregation::Exponential,
            false => HistogramAggregation::Explicit,
        })
    }

    /// The bounds of explicit buckets, if these are wanted.
    pub(super) fn bounds(&self) -> Option<Vec<f64>> {
        match self.aggregation() {
            HistogramAggregation::Exponential => None,
            HistogramAggregation::Explicit if self.explicit_bounds.is_empty() => {
                Some((-10..=3).map(|n| 2f64.powi(2 * n)).collect())
            }
            HistogramAggregation::Explicit => Some(self.explicit_bounds.clone()),
        }
    }

    /// What the settings come to for spans, and for metrics, of those that are sent.
    pub(super) fn of_signals(&self) -> [Option<OfSignal<'_>>; 2] {
        let timeout = |own: Option<Duration>| own.or(self.timeout).unwrap_or(TIMEOUT);
        let traces = OfSignal {
            path: TRACES,
            method: "opentelemetry.proto.collector.trace.v1.TraceService/Export",
            setting: "traces_endpoint",
            endpoint: self.traces_endpoint.as_ref(),
            protocol: self.traces_protocol.or(self.protocol).unwrap_or_default(),
            headers: or_whole(&self.traces_headers, &self.headers),
            compression: self.traces_compression.or(self.compression).unwrap_or_default(),
            timeout: timeout(self.traces_timeout),
            tls: self.traces_tls.as_ref().unwrap_or(&self.tls),
        };
        let metrics = OfSignal {
            path: METRICS,
            method: "opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            setting: "metrics_endpoint",
            endpoint: self.metrics_endpoint.as_ref(),
            protocol: self.metrics_protocol.or(self.protocol).unwrap_or_default(),
            headers: or_whole(&self.metrics_headers, &self.headers),
            compression: self.metrics_compression.or(self.compression).unwrap_or_default(),
            timeout: timeout(self.metrics_timeout),
            tls: self.metrics_tls.as_ref().unwrap_or(&self.tls),
        };
        [(traces, self.traces), (metrics, self.metrics)].map(|(of, sent)| (sent != Some(false)).then_some(of))
    }
}

fn or_whole<'a>(
    own: &'a BTreeMap<String, Secret>,
    whole: &'a BTreeMap<String, Secret>,
) -> &'a BTreeMap<String, Secret> {
    if own.is_empty() { whole } else { own }
}

/// The settings of one signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfSignal<'a> {
    /// Added to the endpoint of all signals.
    pub(super) path: &'static str,
    /// The same where the protocol is gRPC.
    pub(super) method: &'static str,
    /// Its own endpoint is called.
    pub(super) setting: &'static str,
    pub(super) endpoint: Option<&'a Endpoint>,
    pub(super) protocol: OtlpProtocol,
    pub(super) headers: &'a BTreeMap<String, Secret>,
    pub(super) compression: Compression,
    pub(super) timeout: Duration,
    pub(super) tls: &'a TlsConfig,
}
