//! OpenTelemetry's own variables, `OTEL_EXPORTER_OTLP_…`, below what the settings say.
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use super::config::{HistogramAggregation, OpenTelemetryConfig, OtlpProtocol, Temporality};
use crate::{
    Compression, Endpoint, Error, ErrorKind, Result, Secret, TlsConfig, foreign::tell, settings::Environment,
};
use std::{collections::BTreeMap, time::Duration};

/// The part of a variable's name that says of which signal it is; the first is of all.
const SIGNALS: [&str; 3] = ["", "TRACES_", "METRICS_"];

impl OpenTelemetryConfig {
    /// Fills in what is left out. Of the variables, a signal's own comes before that of all; a setting comes before either.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where an endpoint is not one, or headers are not. What else makes no sense is
    /// told, and left out, as the specification has it.
    pub(super) fn fill(&mut self, environment: &Environment) -> Result<()> {
        let of = |setting: &'static str| Variables { environment, setting };
        self.traces = self.traces.or_else(|| environment.lists("OTEL_TRACES_EXPORTER", "otlp"));
        self.metrics = self.metrics.or_else(|| environment.lists("OTEL_METRICS_EXPORTER", "otlp"));
        let own = [&mut self.protocol, &mut self.traces_protocol, &mut self.metrics_protocol];
        fill(own, of("PROTOCOL").parsed(protocol));
        let endpoints = self.endpoints(of("ENDPOINT"), of("INSECURE").parsed(boolean))?;
        let own = [&mut self.endpoint, &mut self.traces_endpoint, &mut self.metrics_endpoint];
        fill(own, endpoints);
        let own = [&mut self.compression, &mut self.traces_compression, &mut self.metrics_compression];
        fill(own, of("COMPRESSION").parsed(compression));
        let own = [&mut self.timeout, &mut self.traces_timeout, &mut self.metrics_timeout];
        fill(own, of("TIMEOUT").parsed(milliseconds));
        self.fill_headers(of("HEADERS").checked(headers)?);
        self.fill_tls(environment);
        let temporality = of("TEMPORALITY_PREFERENCE").of_metrics(temporality);
        self.temporality = self.temporality.or(temporality);
        let aggregation = of("DEFAULT_HISTOGRAM_AGGREGATION").of_metrics(aggregation);
        if self.explicit_bounds.is_empty() {
            self.default_histogram_aggregation = self.default_histogram_aggregation.or(aggregation);
        }
        Ok(())
    }

    /// Over gRPC, one may be without a scheme: it is encrypted then, unless `…_INSECURE` says otherwise.
    fn endpoints(
        &self,
        variables: Variables<'_>,
        insecure: [Option<bool>; 3],
    ) -> Result<[Option<Endpoint>; 3]> {
        let [all, traces, metrics] = variables.parsed(|text| Some(text.to_owned()));
        let parse = |text: &str, signal: &str| {
            let variable = || variables.name(signal);
            text.parse::<Endpoint>().map_err(|error| error.with_context("variable", variable()))
        };
        let (mut endpoints, signals) = ([None, None, None], self.of_signals());
        let sent = signals.iter().flatten().count();
        for ((own, of), at) in [traces, metrics].iter().zip(signals).zip(1..) {
            let Some(of) = of else { continue };
            let signal = if own.is_some() { SIGNALS[at] } else { SIGNALS[0] };
            endpoints[at] = match own.as_ref().or(all.as_ref()) {
                Some(place) if !place.contains("://") && of.protocol == OtlpProtocol::Grpc => {
                    let plain = insecure[at].or(insecure[0]).unwrap_or(false);
                    let scheme = if plain { "http" } else { "https" };
                    Some(parse(&format!("{scheme}://{place}"), signal)?)
                }
                _ => own.as_ref().map(|own| parse(own, signal)).transpose()?,
            };
        }
        if let Some(all) = all.filter(|all| all.contains("://") || endpoints.iter().flatten().count() < sent)
        {
            endpoints[0] = Some(parse(&all, SIGNALS[0])?);
        }
        Ok(endpoints)
    }

    fn fill_headers(&mut self, [all, traces, metrics]: [Option<BTreeMap<String, Secret>>; 3]) {
        if !self.headers.is_empty() {
            return;
        }
        self.headers = all.unwrap_or_default();
        for (own, variable) in [(&mut self.traces_headers, traces), (&mut self.metrics_headers, metrics)] {
            if own.is_empty() {
                *own = variable.unwrap_or_default();
            }
        }
    }

    /// Files are of no use where nothing is encrypted, which is no mistake of who sets them for all programs.
    fn fill_tls(&mut self, environment: &Environment) {
        if self.tls != TlsConfig::default() {
            return;
        }
        let files = |setting| Variables { environment, setting }.parsed(|file| Some(file.to_owned()));
        let [ca, certificate, key] = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"].map(files);
        let of_signal = |signal: usize| {
            let of = |files: &[Option<String>; 3]| {
                files.get(signal).cloned().flatten().or_else(|| files[0].clone()).map(Into::into)
            };
            TlsConfig { ca_file: of(&ca), client_cert_file: of(&certificate), client_key_file: of(&key) }
        };
        let encrypted =
            |own: &Option<Endpoint>| own.as_ref().or(self.endpoint.as_ref()).is_some_and(Endpoint::is_https);
        let signals = [
            (1, encrypted(&self.traces_endpoint), &mut self.traces_tls),
            (2, encrypted(&self.metrics_endpoint), &mut self.metrics_tls),
        ];
        for (signal, encrypted, own) in signals {
            if encrypted && own.is_none() {
                *own = Some(of_signal(signal));
            }
        }
    }
}

/// A setting of all signals comes before any variable.
fn fill<T>([all, traces, metrics]: [&mut Option<T>; 3], variables: [Option<T>; 3]) {
    if all.is_some() {
        return;
    }
    for (own, variable) in [all, traces, metrics].into_iter().zip(variables) {
        *own = own.take().or(variable);
    }
}

/// The variables of one setting.
#[derive(Clone, Copy)]
struct Variables<'a> {
    environment: &'a Environment,
    setting: &'static str,
}

impl Variables<'_> {
    fn name(&self, signal: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{signal}{}", self.setting)
    }

    /// What they say; what makes no sense is told.
    fn parsed<T>(self, parse: impl Fn(&str) -> Option<T>) -> [Option<T>; 3] {
        SIGNALS.map(|signal| self.of(signal, &parse))
    }

    fn of_metrics<T>(self, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.of("METRICS_", &parse)
    }

    fn of<T>(&self, signal: &str, parse: &impl Fn(&str) -> Option<T>) -> Option<T> {
        let variable = self.name(signal);
        let value = parse(self.environment.get(&variable)?.trim());
        if value.is_none() {
            tell!(variable, "this variable makes no sense, and is ignored");
        }
        value
    }

    /// What they say, without which nothing can be sent.
    fn checked<T>(self, parse: impl Fn(&str) -> Option<T>) -> Result<[Option<T>; 3]> {
        let mut all = [None, None, None];
        for (signal, value) in SIGNALS.iter().zip(&mut all) {
            let variable = self.name(signal);
            let Some(text) = self.environment.get(&variable) else { continue };
            let wrong = || Error::new(ErrorKind::ConfigInvalid, "this variable makes no sense");
            *value = Some(parse(text.trim()).ok_or_else(|| wrong().with_context("variable", variable))?);
        }
        Ok(all)
    }
}

fn protocol(text: &str) -> Option<OtlpProtocol> {
    match text {
        "http/protobuf" => Some(OtlpProtocol::HttpProtobuf),
        "http/json" => Some(OtlpProtocol::HttpJson),
        "grpc" => Some(OtlpProtocol::Grpc),
        _ => None,
    }
}

fn compression(text: &str) -> Option<Compression> {
    match text {
        "none" => Some(Compression::None),
        "gzip" => Some(Compression::Gzip),
        #[cfg(feature = "zstd")]
        "zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

fn boolean(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

fn temporality(text: &str) -> Option<Temporality> {
    match &*text.to_ascii_lowercase() {
        "cumulative" => Some(Temporality::Cumulative),
        "delta" => Some(Temporality::Delta),
        "lowmemory" => Some(Temporality::LowMemory),
        _ => None,
    }
}

fn aggregation(text: &str) -> Option<HistogramAggregation> {
    match &*text.to_ascii_lowercase() {
        "explicit_bucket_histogram" => Some(HistogramAggregation::Explicit),
        "base2_exponential_bucket_histogram" => Some(HistogramAggregation::Exponential),
        _ => None,
    }
}

/// `key=value,key=value` with percent-encoded values.
fn headers(text: &str) -> Option<BTreeMap<String, Secret>> {
    let pairs = crate::model::parse_list(text)?;
    let header = |pair: crate::KeyValue| match pair.value {
        crate::Value::String(text) => Some((pair.key.into_owned(), Secret::new(text.into_owned()))),
        _ => None,
    };
    pairs.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(config: OpenTelemetryConfig, variables: &[(&str, &str)]) -> Result<OpenTelemetryConfig> {
        let name = |(name, text): &(&str, &str)| (format!("OTEL_EXPORTER_OTLP_{name}"), (*text).to_owned());
        let mut config = config;
        config.fill(&variables.iter().map(name).collect()).map(|()| config)
    }

    #[test]
    fn exporters_that_are_chosen_say_what_is_sent() {
        let sends = |traces: &str, metrics: &str, config: OpenTelemetryConfig| {
            let variables = [("OTEL_TRACES_EXPORTER", traces), ("OTEL_METRICS_EXPORTER", metrics)];
            let set = variables.into_iter().filter(|(_, text)| !text.is_empty());
            let mut config = config;
            config.fill(&set.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()).unwrap();
            (config.traces, config.metrics)
        };
        let none = OpenTelemetryConfig::default;
        assert_eq!(sends("", "", none()), (None, None));
        assert_eq!(sends("otlp", "none", none()), (Some(true), Some(false)));
        assert_eq!(sends("console, OTLP", "prometheus", none()), (Some(true), Some(false)));
        let set = OpenTelemetryConfig { traces: Some(false), ..none() };
        assert_eq!(sends("otlp", "otlp", set), (Some(false), Some(true)));
    }

    fn endpoint(text: &str) -> Option<Endpoint> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn every_variable_is_read() {
        let config = filled(
            OpenTelemetryConfig::default(),
            &[
                ("ENDPOINT", "https://all"),
                ("TRACES_ENDPOINT", "https://traces/in"),
                ("METRICS_ENDPOINT", "http://metrics/in"),
                ("PROTOCOL", "http/json"),
                ("METRICS_PROTOCOL", "http/protobuf"),
                ("HEADERS", "a=b%2Cc, d=hunter2"),
                ("TRACES_HEADERS", "x=hunter2"),
                ("COMPRESSION", "gzip"),
                ("TRACES_COMPRESSION", "none"),
                ("TIMEOUT", "2500"),
                ("METRICS_TIMEOUT", "100"),
                ("CERTIFICATE", "/ca"),
                ("TRACES_CERTIFICATE", "/ca-traces"),
                ("CLIENT_CERTIFICATE", "/cert"),
                ("CLIENT_KEY", "/key"),
                ("METRICS_TEMPORALITY_PREFERENCE", "LowMemory"),
                ("METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
            ],
        )
        .unwrap();
        let files = |ca: &str| TlsConfig {
            ca_file: Some(ca.into()),
            client_cert_file: Some("/cert".into()),
            client_key_file: Some("/key".into()),
        };
        let expected = OpenTelemetryConfig {
            endpoint: endpoint("https://all"),
            traces_endpoint: endpoint("https://traces/in"),
            metrics_endpoint: endpoint("http://metrics/in"),
            protocol: Some(OtlpProtocol::HttpJson),
            metrics_protocol: Some(OtlpProtocol::HttpProtobuf),
            headers: [("a", "b,c"), ("d", "hunter2")].map(|(k, v)| (k.to_owned(), v.into())).into(),
            traces_headers: [("x".to_owned(), "hunter2".into())].into(),
            compression: Some(Compression::Gzip),
            traces_compression: Some(Compression::None),
            timeout: Some(Duration::from_millis(2500)),
            metrics_timeout: Some(Duration::from_millis(100)),
            // Metrics are not encrypted.
            traces_tls: Some(files("/ca-traces")),
            temporality: Some(Temporality::LowMemory),
            default_histogram_aggregation: Some(HistogramAggregation::Explicit),
            ..OpenTelemetryConfig::default()
        };
        assert_eq!(config, expected);
        assert!(!format!("{config:?}").contains("hunter2"));
        let config = filled(
            OpenTelemetryConfig::default(),
            &[("ENDPOINT", "https://h"), ("CERTIFICATE", "/ca"), ("METRICS_CERTIFICATE", "/m")],
        );
        let config = config.unwrap();
        assert_eq!(config.traces_tls.unwrap().ca_file, Some("/ca".into()));
        assert_eq!(config.metrics_tls.unwrap().ca_file, Some("/m".into()));
    }

    #[test]
    fn over_grpc_an_endpoint_needs_no_scheme() {
        let of = |variables: &[(&str, &str)]| {
            let variables = [&[("PROTOCOL", "grpc")], variables].concat();
            let config = filled(OpenTelemetryConfig::default(), &variables)?;
            Ok::<_, Error>(
                [config.traces_endpoint, config.metrics_endpoint].map(|own| own.or(config.endpoint.clone())),
            )
        };
        for (variables, traces, metrics) in [
            (&[("ENDPOINT", "h:4317")][..], "https://h:4317", "https://h:4317"),
            (&[("ENDPOINT", "h:4317"), ("INSECURE", "True")], "http://h:4317", "http://h:4317"),
            (&[("ENDPOINT", "h"), ("TRACES_INSECURE", "true")], "http://h", "https://h"),
            (
                &[("ENDPOINT", "h"), ("INSECURE", "true"), ("METRICS_INSECURE", "false")],
                "http://h",
                "https://h",
            ),
            (&[("ENDPOINT", "h"), ("INSECURE", "1")], "https://h", "https://h"),
            (&[("ENDPOINT", "https://h"), ("INSECURE", "true")], "https://h", "https://h"),
            (&[("ENDPOINT", "http://h"), ("INSECURE", "false")], "http://h", "http://h"),
            (
                &[("ENDPOINT", "http://h"), ("METRICS_ENDPOINT", "[::1]:4317")],
                "http://h",
                "https://[::1]:4317",
            ),
            (
                &[
                    ("ENDPOINT", "h"),
                    ("METRICS_PROTOCOL", "http/json"),
                    ("METRICS_ENDPOINT", "http://m/v1/metrics"),
                ],
                "https://h",
                "http://m/v1/metrics",
            ),
        ] {
            assert_eq!(of(variables).unwrap(), [endpoint(traces), endpoint(metrics)], "{variables:?}");
        }
        for variables in [
            &[("ENDPOINT", "hunter2:4317"), ("TRACES_PROTOCOL", "http/protobuf")][..],
            &[("TRACES_ENDPOINT", "hunter2:4317"), ("TRACES_PROTOCOL", "http/json"), ("INSECURE", "true")],
            &[("METRICS_ENDPOINT", "hunter 2")],
        ] {
            let error = of(variables).unwrap_err().to_string();
            assert!(error.contains(variables[0].0) && !error.contains("hunter"), "{error}");
        }
        let own = OpenTelemetryConfig { endpoint: endpoint("http://own"), ..OpenTelemetryConfig::default() };
        let variables = [("PROTOCOL", "grpc"), ("ENDPOINT", "h:4317")];
        let expected = OpenTelemetryConfig { protocol: Some(OtlpProtocol::Grpc), ..own.clone() };
        assert_eq!(filled(own, &variables).unwrap(), expected);
        // Files are for what is encrypted.
        let variables = [variables[0], variables[1], ("CERTIFICATE", "/ca"), ("METRICS_INSECURE", "true")];
        let config = filled(OpenTelemetryConfig::default(), &variables).unwrap();
        assert_eq!(config.traces_tls.unwrap().ca_file, Some("/ca".into()));
        assert_eq!(config.metrics_tls, None);
    }

    #[test]
    fn settings_come_before_variables() {
        let own = OpenTelemetryConfig {
            endpoint: endpoint("http://own"),
            traces_timeout: Some(Duration::from_secs(1)),
            headers: [("a".to_owned(), "own".into())].into(),
            temporality: Some(Temporality::Cumulative),
            explicit_bounds: vec![1.0],
            ..OpenTelemetryConfig::default()
        };
        let variables = [
            ("ENDPOINT", "http://variable"),
            ("TRACES_ENDPOINT", "http://variable"),
            ("TIMEOUT", "5"),
            ("TRACES_TIMEOUT", "5"),
            ("METRICS_HEADERS", "x=y"),
            ("METRICS_TEMPORALITY_PREFERENCE", "delta"),
            ("METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ];
        let expected = OpenTelemetryConfig { timeout: Some(Duration::from_millis(5)), ..own.clone() };
        assert_eq!(filled(own, &variables).unwrap(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_ignored_unless_nothing_could_be_sent() {
        let senseless = [
            ("TIMEOUT", "soon"),
            ("METRICS_TIMEOUT", "0"),
            ("PROTOCOL", "carrier pigeon"),
            ("COMPRESSION", "hunter2"),
            ("METRICS_TEMPORALITY_PREFERENCE", "x"),
            ("METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "x"),
        ];
        let config = filled(OpenTelemetryConfig::default(), &senseless).unwrap();
        assert_eq!(config, OpenTelemetryConfig::default());
        for (name, text) in
            [("ENDPOINT", "hunter2"), ("METRICS_ENDPOINT", "x"), ("TRACES_HEADERS", "hunter2")]
        {
            let error = filled(OpenTelemetryConfig::default(), &[(name, text)]).unwrap_err().to_string();
            assert!(error.contains(&format!("OTEL_EXPORTER_OTLP_{name}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
