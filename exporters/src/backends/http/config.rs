//! `HttpConfig`: every setting of the HTTP exporter.

use crate::{
    AuthConfig, Compression, Endpoint, Error, ErrorKind, ExporterConfig, PayloadFormat, Result, RetryConfig,
    Secret, TlsConfig,
    transport::{
        Options,
        transmit::{CONNECT_TIMEOUT, TIMEOUT},
    },
};
use http::Method;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, net::IpAddr, str::FromStr, time::Duration};

/// Settings of [`HttpExporter`](super::HttpExporter); all but the endpoint have defaults.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Tells two HTTP exporters apart. Default: `http`.
    #[serde(default)]
    pub name: Option<String>,
    /// Where payloads are sent, path and query included. A user and a password in it are sent as basic authentication.
    pub endpoint: Endpoint,
    /// How they are sent. Default: `POST`.
    #[serde(default)]
    pub method: HttpMethod,
    /// More headers, for example `Content-Type` where the backend wants another. Their values are taken for secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Credentials. Default: none.
    #[serde(default)]
    pub auth: AuthConfig,
    /// How payloads are written. Default: JSON.
    #[serde(default)]
    pub format: PayloadFormat,
    /// How payloads are compressed. Default: not at all.
    #[serde(default)]
    pub compression: Compression,
    /// Sent in every payload, beside the service's own attributes. Default: none.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The most items in one payload. Default: no limit; whoever [transforms](super::HttpExporter::with_transformer) gets all at
    /// once.
    #[serde(default)]
    pub batch_size: Option<usize>,
    /// The most bytes of one payload, before compression. Default: no limit; what the backend refuses as too large is split.
    #[serde(default, deserialize_with = "crate::size::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub max_body: Option<u64>,
    /// For a whole exchange: connecting, sending, and reading the answer to its end. Default: 10 s.
    #[serde(
        default = "timeout",
        alias = "timeout_seconds",
        deserialize_with = "crate::duration::deserialize"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub timeout: Duration,
    /// For finding the host, connecting, and agreeing on encryption. Default: 5 s.
    #[serde(
        default = "connect_timeout",
        alias = "connect_timeout_seconds",
        deserialize_with = "crate::duration::deserialize"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub connect_timeout: Duration,
    /// Whom to trust, and how to show who we are, where the endpoint is `https`.
    #[serde(default)]
    pub tls: TlsConfig,
    /// An HTTP proxy, for example `http://user:password@proxy:3128`. Default: none; the environment's `HTTP_PROXY` is not
    /// heeded.
    #[serde(default)]
    pub proxy: Option<Endpoint>,
    /// The address to connect from. Default: the system's choice.
    #[serde(default)]
    pub local_address: Option<IpAddr>,
    /// How failed attempts are repeated, and after which statuses. An exporter that is made in code repeats nothing by itself: put
    /// it in a [`RetryLayer`](crate::RetryLayer).
    #[serde(default, alias = "retry_config")]
    pub retry: RetryConfig,
}

/// The method of the requests: any that HTTP allows, for example `POST`, which is the default, `PUT` or `PATCH`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HttpMethod(pub(super) Method);

impl Default for HttpMethod {
    fn default() -> Self {
        Self(Method::POST)
    }
}

impl FromStr for HttpMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(ErrorKind::ConfigInvalid, "this is no method of HTTP, such as POST or PUT");
        Method::from_bytes(text.trim().to_ascii_uppercase().as_bytes()).map(Self).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for HttpMethod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| D::Error::custom(error.message()))
    }
}

const fn timeout() -> Duration {
    TIMEOUT
}
const fn connect_timeout() -> Duration {
    CONNECT_TIMEOUT
}

impl HttpConfig {
    /// The defaults, for `endpoint`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            name: None,
            endpoint,
            method: HttpMethod::default(),
            headers: BTreeMap::new(),
            auth: AuthConfig::default(),
            format: PayloadFormat::default(),
            compression: Compression::default(),
            attributes: BTreeMap::new(),
            batch_size: None,
            max_body: None,
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            tls: TlsConfig::default(),
            proxy: None,
            local_address: None,
            retry: RetryConfig::default(),
        }
    }

    pub(super) fn options(&self) -> Options<'_> {
        Options {
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            tls: &self.tls,
            proxy: self.proxy.as_ref(),
            local_address: self.local_address,
        }
    }
}

impl From<Endpoint> for HttpConfig {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint)
    }
}

impl From<ExporterConfig> for HttpConfig {
    /// All but the flush interval, which is for the layer that holds items back.
    fn from(config: ExporterConfig) -> Self {
        let ExporterConfig {
            name,
            endpoint,
            auth,
            batch_size,
            flush_interval: _,
            retry,
            compression,
            format,
        } = config;
        let batch_size = Some(batch_size);
        Self { name, auth, batch_size, retry, compression, format, ..Self::new(endpoint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AuthKind, Result, Settings,
        settings::{Node, Origin, Scope},
    };

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let scope = Scope::new(environment, "PROFILING_HTTP");
        Settings { node: Node::empty(Origin::Code), path: String::new(), scope }
    }

    fn read(variables: &[(&str, &str)]) -> Result<HttpConfig> {
        settings(variables).read()
    }

    const ENDPOINT: (&str, &str) = ("PROFILING_HTTP_ENDPOINT", "http://127.0.0.1:1/in");

    #[test]
    fn every_field_has_its_variable() {
        let mut expected = HttpConfig::new("http://127.0.0.1:1/in".parse().unwrap());
        assert_eq!(read(&[ENDPOINT]).unwrap(), expected);
        expected.name = Some("second".into());
        expected.method = "PUT".parse().unwrap();
        expected.headers = [("X-Team".to_owned(), "a".into())].into();
        expected.auth.kind = Some(AuthKind::Basic);
        expected.auth.username = Some("me".into());
        expected.auth.password = Some("hunter2".into());
        expected.format = PayloadFormat::Csv;
        expected.compression = Compression::Gzip;
        expected.attributes = [("region".to_owned(), "eu".to_owned())].into();
        expected.batch_size = Some(7);
        expected.max_body = Some(1_000_000);
        expected.timeout = Duration::from_millis(2500);
        expected.connect_timeout = Duration::from_secs(1);
        expected.tls.ca_file = Some("/etc/ca.pem".into());
        expected.proxy = Some("http://proxy:3128".parse().unwrap());
        expected.local_address = Some([127, 0, 0, 1].into());
        expected.retry.retry_on_status_codes = vec![503];
        let variables = [
            ENDPOINT,
            ("PROFILING_HTTP_NAME", "second"),
            ("PROFILING_HTTP_METHOD", "put"),
            ("PROFILING_HTTP_HEADERS", "X-Team=a"),
            ("PROFILING_HTTP_AUTH_TYPE", "basic"),
            ("PROFILING_HTTP_AUTH_USERNAME", "me"),
            ("PROFILING_HTTP_AUTH_PASSWORD", "hunter2"),
            ("PROFILING_HTTP_FORMAT", "csv"),
            ("PROFILING_HTTP_COMPRESSION", "gzip"),
            ("PROFILING_HTTP_ATTRIBUTES", "region=eu"),
            ("PROFILING_HTTP_BATCH_SIZE", "7"),
            ("PROFILING_HTTP_MAX_BODY", "1MB"),
            ("PROFILING_HTTP_TIMEOUT_SECONDS", "2.5"),
            ("PROFILING_HTTP_CONNECT_TIMEOUT", "1s"),
            ("PROFILING_HTTP_TLS_CA_FILE", "/etc/ca.pem"),
            ("PROFILING_HTTP_PROXY", "http://proxy:3128"),
            ("PROFILING_HTTP_LOCAL_ADDRESS", "127.0.0.1"),
            ("PROFILING_HTTP_RETRY_CONFIG_RETRY_ON_STATUS_CODES", "503"),
        ];
        assert_eq!(read(&variables).unwrap(), expected);
        assert!(!format!("{expected:?}").contains("hunter2"));
        let error = read(&[]).unwrap_err().to_string();
        assert!(error.contains("required") && error.contains("endpoint"), "{error}");
    }

    #[test]
    fn the_environment_alone_makes_an_exporter() {
        let http = crate::exporter::factory::Kinds::registered(crate::backends::KINDS).unwrap();
        let variables = [ENDPOINT, ("PROFILING_HTTP_TOKEN", "hunter2"), ("PROFILING_HTTP_FORMAT", "json")];
        let exporter = http.find("http").unwrap().build(settings(&variables)).unwrap();
        let shown = format!("{exporter:?}");
        assert!(shown.contains("token: Some([REDACTED])") && !shown.contains("hunter2"), "{shown}");
    }
}
