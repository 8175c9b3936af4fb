//! Where and how one signal is sent, made of the settings once.

use super::config::{OfSignal, OpenTelemetryConfig, OtlpProtocol, RETRIED};
use crate::{
    Compression, Endpoint, Error, ErrorKind, Result,
    transport::{Auth, Client, Options, Request, Statuses, check_url, grpc::framed},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_ENCODING};
use std::{sync::Arc, time::Duration};

/// Where receivers are by default.
const DEFAULT: &str = "http://localhost:4318";
/// Those of gRPC.
const DEFAULT_GRPC: &str = "http://localhost:4317";

/// Added to the endpoint of all signals for spans.
pub(super) const TRACES: &str = "v1/traces";
/// The same for metrics.
pub(super) const METRICS: &str = "v1/metrics";

/// Where spans or metrics are sent.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) protocol: OtlpProtocol,
    compression: Compression,
    client: Client,
    auth: Arc<Auth>,
    statuses: Statuses,
}

/// What a receiver took.
#[derive(Debug)]
pub(super) struct Taken {
    /// What it said.
    pub(super) answer: Bytes,
    /// Bytes that were sent.
    pub(super) bytes: usize,
    pub(super) response_time: Duration,
}

impl Target {
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where it is none to which OTLP can be sent.
    pub(super) fn new(config: &OpenTelemetryConfig, signal: OfSignal<'_>) -> Result<Self> {
        let endpoint = resolve(config.endpoint.as_ref(), &signal)?;
        check_url(&endpoint)?;
        let options = Options {
            timeout: signal.timeout,
            connect_timeout: config.connect_timeout,
            tls: signal.tls,
            proxy: config.proxy.as_ref(),
            local_address: config.local_address,
        };
        let client = match signal.protocol {
            OtlpProtocol::Grpc => Client::of_grpc(endpoint.is_https(), options)?,
            OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => Client::new(endpoint.is_https(), options)?,
        };
        Ok(Self {
            client,
            auth: Arc::new(Auth::new(&config.auth, signal.headers, &endpoint)?),
            protocol: signal.protocol,
            compression: signal.compression,
            statuses: Statuses::retried(&RETRIED[..]),
            endpoint,
        })
    }

    /// Sends a request; once more, where a secret that was refused is another one now.
    ///
    /// # Errors
    /// What the receiver answers, and why there is no answer.
    pub(super) async fn send(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Taken> {
        let body = self.compression.compress(body.into())?;
        match self.protocol {
            OtlpProtocol::Grpc => self.call(headers, body).await,
            OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => self.post(headers, body).await,
        }
        .map_err(|error| match error.context("endpoint").is_some() {
            true => error,
            false => error.with_context("endpoint", &self.endpoint),
        })
    }

    async fn post(&self, mut headers: HeaderMap, body: Bytes) -> Result<Taken> {
        if let Some(encoding) = self.compression.content_encoding() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let mut answer = self.client.send(self.request(&headers, &body)?).await?;
        if answer.refuses_credentials() && self.refresh().await {
            answer = self.client.send(self.request(&headers, &body)?).await?;
        }
        answer.check(&self.statuses)?;
        Ok(Taken { answer: answer.body, bytes: body.len(), response_time: answer.response_time })
    }

    async fn call(&self, mut headers: HeaderMap, body: Bytes) -> Result<Taken> {
        let encoding = self.compression.content_encoding();
        if let Some(encoding) = encoding {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        let body = framed(&body, encoding.is_some());
        let mut reply = self.client.call(self.request(&headers, &body)?).await?;
        if reply.refuses_credentials() && self.refresh().await {
            reply = self.client.call(self.request(&headers, &body)?).await?;
        }
        reply.check()?;
        Ok(Taken { answer: reply.message, bytes: body.len(), response_time: reply.response_time })
    }

    fn request(&self, headers: &HeaderMap, body: &Bytes) -> Result<Request<'_>> {
        let (mut headers, body) = (headers.clone(), body.clone());
        self.auth.apply(&mut headers)?;
        Ok(Request { method: Method::POST, endpoint: &self.endpoint, headers, body })
    }

    /// A text of the receiver, in which no credential is shown.
    pub(super) fn hide(&self, text: &str) -> String {
        self.auth.hide(text)
    }

    /// Reads the credentials again, away from the runtime's threads; tells whether they are others now.
    async fn refresh(&self) -> bool {
        let auth = self.auth.clone();
        tokio::task::spawn_blocking(move || auth.refresh()).await.unwrap_or(false)
    }
}

/// A signal's own endpoint as it is, else that of all with the signal's path; with gRPC, either with that of the service.
fn resolve(base: Option<&Endpoint>, signal: &OfSignal<'_>) -> Result<Endpoint> {
    if signal.protocol == OtlpProtocol::Grpc {
        return resolve_grpc(base, signal);
    }
    if let Some(own) = signal.endpoint {
        return match misplaced(own, signal.path) {
            Some(cure) => Err(wrong(signal.setting, own, &cure)),
            None => Ok(own.clone()),
        };
    }
    let base = match base {
        Some(base) => base.clone(),
        None => DEFAULT.parse()?,
    };
    let or = ", or set `traces_endpoint` and `metrics_endpoint`, which are used as they are";
    below(&base, signal.path, or)
}

/// The endpoint of all signals with the path of one; `or` is added to the cure where it has one already.
///
/// # Errors
/// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where it has one already, or is for another protocol.
pub(super) fn below(base: &Endpoint, path: &str, or: &str) -> Result<Endpoint> {
    let own = base.uri().path().trim_end_matches('/');
    let root = strip_signals(own);
    let cure = match root.len() < own.len() {
        true => Some(format!("the path of a signal is added to it: set it to {}{or}", at(base, root))),
        false => misplaced(base, ""),
    };
    match cure {
        Some(cure) => Err(wrong("endpoint", base, &cure)),
        None => base.join(path),
    }
}

fn resolve_grpc(base: Option<&Endpoint>, signal: &OfSignal<'_>) -> Result<Endpoint> {
    let (setting, endpoint) = match (signal.endpoint, base) {
        (Some(own), _) => (signal.setting, own.clone()),
        (None, Some(base)) => ("endpoint", base.clone()),
        (None, None) => ("endpoint", DEFAULT_GRPC.parse()?),
    };
    let path = endpoint.uri().path().trim_end_matches('/');
    let root = strip_signals(path);
    if root.len() < path.len() {
        let cure =
            format!("with `protocol: grpc` it has no path of a signal: set it to {}", at(&endpoint, root));
        return Err(wrong(setting, &endpoint, &cure));
    }
    match misplaced(&endpoint, "") {
        Some(cure) => Err(wrong(setting, &endpoint, &cure)),
        None => endpoint.join(signal.method),
    }
}

fn wrong(setting: &'static str, endpoint: &Endpoint, cure: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("nobody takes OTLP at this endpoint: {cure}"))
        .with_context("setting", setting)
        .with_context("endpoint", endpoint)
}

/// Whether it is one of another protocol, or has its path twice; and which to use.
fn misplaced(endpoint: &Endpoint, path: &str) -> Option<String> {
    let (port, own) = (endpoint.uri().port_u16(), endpoint.uri().path().trim_end_matches('/'));
    let who = match port {
        _ if own.ends_with("/api/traces") => "Jaeger's own protocol",
        _ if own.ends_with("/api/v2/spans") || own.ends_with("/api/v1/spans") => "Zipkin's protocol",
        Some(14268 | 14250) if own.is_empty() => "Jaeger's own protocol",
        Some(9411) if own.is_empty() => "Zipkin's protocol",
        _ if !path.is_empty() && strip_signals(own).len() + 2 * "/v1/traces".len() <= own.len() => {
            let root = strip_signals(own);
            return Some(format!(
                "its path is there twice: set it to {}",
                at(endpoint, &format!("{root}/{path}"))
            ));
        }
        _ => return None,
    };
    let host = endpoint.uri().host().unwrap_or_default();
    let scheme = endpoint.uri().scheme_str().unwrap_or_default();
    let root = if path.is_empty() { "" } else { "/" };
    Some(format!("it is for {who}: set it to {scheme}://{host}:4318{root}{path}"))
}

/// A path without those of signals at its end.
fn strip_signals(mut path: &str) -> &str {
    while let Some(shorter) = path.strip_suffix("/v1/traces").or_else(|| path.strip_suffix("/v1/metrics")) {
        path = shorter.trim_end_matches('/');
    }
    path
}

/// The same place with another path, without what may be secret.
fn at(endpoint: &Endpoint, path: &str) -> String {
    let shown = endpoint.to_string();
    let place = shown.strip_suffix(endpoint.uri().path()).unwrap_or(&shown);
    format!("{place}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(config: &OpenTelemetryConfig) -> Result<[String; 2]> {
        let [traces, metrics] = config.of_signals();
        let of = |signal: Option<OfSignal<'_>>| {
            resolve(config.endpoint.as_ref(), &signal.unwrap()).map(|endpoint| endpoint.uri().to_string())
        };
        Ok([of(traces)?, of(metrics)?])
    }

    fn of(endpoint: &str) -> OpenTelemetryConfig {
        OpenTelemetryConfig::new(endpoint.parse().unwrap())
    }

    #[test]
    fn a_base_has_its_path_added_and_an_own_endpoint_is_used_as_it_is() {
        for (base, traces, metrics) in [
            ("http://h:4318", "http://h:4318/v1/traces", "http://h:4318/v1/metrics"),
            ("http://h:4318/", "http://h:4318/v1/traces", "http://h:4318/v1/metrics"),
            ("https://h/otlp/?k=v", "https://h/otlp/v1/traces?k=v", "https://h/otlp/v1/metrics?k=v"),
        ] {
            assert_eq!(resolved(&of(base)).unwrap(), [traces, metrics]);
        }
        let default = ["http://localhost:4318/v1/traces", "http://localhost:4318/v1/metrics"];
        assert_eq!(resolved(&OpenTelemetryConfig::default()).unwrap(), default);
        let mut config = of("http://h:4318");
        config.metrics_endpoint = Some("http://m/opentelemetry/v1/metrics".parse().unwrap());
        assert_eq!(
            resolved(&config).unwrap(),
            ["http://h:4318/v1/traces", "http://m/opentelemetry/v1/metrics"]
        );
        config.traces_endpoint = Some("http://t/".parse().unwrap());
        assert_eq!(resolved(&config).unwrap()[0], "http://t/");
    }

    #[test]
    fn what_is_no_place_for_otlp_is_refused_with_the_one_to_use() {
        for (base, cure) in [
            ("http://h:4318/v1/traces", "set it to http://h:4318, or set `traces_endpoint`"),
            ("http://h:4318/x/v1/metrics/", "set it to http://h:4318/x, or"),
            ("http://h:4318/v1/traces/v1/traces", "set it to http://h:4318, or"),
            ("http://jaeger:14268/api/traces", "Jaeger's own protocol: set it to http://jaeger:4318,"),
            ("http://jaeger:14268", "set it to http://jaeger:4318,"),
            ("http://zipkin:9411/api/v2/spans", "Zipkin's protocol: set it to http://zipkin:4318,"),
        ] {
            let error = resolved(&of(base)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            let error = error.to_string();
            assert!(error.contains(cure) && error.contains("setting: endpoint"), "{error}");
        }
        for (own, cure) in [
            ("http://me:hunter2@h:4318/v1/traces/v1/traces", "set it to http://h:4318/v1/traces,"),
            ("http://j:14268/api/traces", "set it to http://j:4318/v1/traces,"),
            ("https://z/api/v2/spans", "set it to https://z:4318/v1/traces,"),
        ] {
            let config =
                OpenTelemetryConfig { traces_endpoint: Some(own.parse().unwrap()), ..Default::default() };
            let error = resolved(&config).unwrap_err().to_string();
            assert!(error.contains(cure) && error.contains("setting: traces_endpoint"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_service_has_a_path_of_its_own() {
        let grpc = |endpoint: Option<&str>| OpenTelemetryConfig {
            protocol: Some(OtlpProtocol::Grpc),
            endpoint: endpoint.map(|endpoint| endpoint.parse().unwrap()),
            ..Default::default()
        };
        let service = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(resolved(&grpc(None)).unwrap()[0], format!("http://localhost:4317/{service}"));
        assert_eq!(resolved(&grpc(Some("https://h"))).unwrap()[0], format!("https://h/{service}"));
        let error = resolved(&grpc(Some("http://h:4317/v1/traces"))).unwrap_err().to_string();
        assert!(error.contains("set it to http://h:4317,"), "{error}");
    }
}
