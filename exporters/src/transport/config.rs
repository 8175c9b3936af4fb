//! `ExporterConfig`: the settings that most exporters over HTTP have, also from a caller's own variables.

use super::AuthConfig;
use crate::{Compression, Endpoint, Error, ErrorKind, PayloadFormat, Result, RetryConfig, Secret, Settings};
use serde::Deserialize;
use std::{fmt::Write, time::Duration};

/// Settings that most exporters have: a start for one that is written by hand, and all that
/// [`HttpExporter`](crate::HttpExporter) needs.
///
/// ```no_run
/// # fn main() -> Result<(), exporters::Error> {
/// // ACME_ENDPOINT, ACME_API_KEY (or ACME_API_KEY_FILE), ACME_BATCH_SIZE, …
/// let config = exporters::ExporterConfig::from_env("ACME", &["api_key"])?;
/// let exporter = exporters::HttpExporter::new(config)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExporterConfig {
    /// Tells two of a kind apart. Default: the kind.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the backend is.
    pub endpoint: Endpoint,
    /// Credentials. Default: none.
    #[serde(default)]
    pub auth: AuthConfig,
    /// The most items in one payload. Default: 100.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// How long items may be held back; for the layer that does so. Default: 30 s.
    #[serde(
        default = "flush_interval",
        alias = "flush_interval_seconds",
        deserialize_with = "crate::duration::deserialize"
    )]
    pub flush_interval: Duration,
    /// How failed attempts are repeated.
    #[serde(default, alias = "retry_config")]
    pub retry: RetryConfig,
    /// How payloads are compressed. Default: not at all.
    #[serde(default)]
    pub compression: Compression,
    /// How payloads are written. Default: JSON.
    #[serde(default)]
    pub format: PayloadFormat,
}

const fn batch_size() -> usize {
    100
}
const fn flush_interval() -> Duration {
    Duration::from_secs(30)
}

/// Names whose value may also be in a file.
const SECRETS: [&str; 3] = ["api_key", "token", "password"];

impl ExporterConfig {
    /// The defaults, for `endpoint`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            name: None,
            endpoint,
            auth: AuthConfig::default(),
            batch_size: batch_size(),
            flush_interval: flush_interval(),
            retry: RetryConfig::default(),
            compression: Compression::default(),
            format: PayloadFormat::default(),
        }
    }

    /// What the variables say that begin with `prefix`: `PREFIX_ENDPOINT`, `PREFIX_AUTH_TYPE`, `PREFIX_BATCH_SIZE`, and so on.
    /// `PREFIX_API_KEY` and `PREFIX_TOKEN` are short for `PREFIX_AUTH_…`. A secret may be in a file: `PREFIX_API_KEY_FILE`.
    ///
    /// `required` names those that must be there beside the endpoint, for example `["api_key"]`, be they settings of this or of
    /// the caller.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming all variables that are missing, or the first that makes no sense.
    pub fn from_env(prefix: &str, required: &[&str]) -> Result<Self> {
        Self::from_settings(Settings::from_env(prefix), required)
    }

    fn from_settings(mut settings: Settings, required: &[&str]) -> Result<Self> {
        check_presence(&settings, required)?;
        let shorthand = Shorthand::take(&mut settings)?;
        let mut config: Self = settings.read()?;
        shorthand.add_to(&mut config.auth)?;
        Ok(config)
    }
}

/// Names all that is missing at once.
fn check_presence(settings: &Settings, required: &[&str]) -> Result<()> {
    let scope = &settings.scope;
    let mut missing = String::new();
    let mut names = vec!["endpoint"];
    names.extend(required.iter().filter(|name| **name != "endpoint"));
    for name in names {
        // `auth.token` and `token` are one.
        let (short, within) = (name.strip_prefix("auth.").unwrap_or(name), scope.within("auth"));
        let secret = SECRETS.contains(&short);
        let of = if matches!(short, "password" | "username") { &within } else { scope };
        let Some(variable) = of.names(short).next() else { continue };
        let mut spellings: Vec<_> = of.names(short).chain(within.names(short)).collect();
        if secret {
            spellings.extend(spellings.clone().iter().map(|spelling| format!("{spelling}_FILE")));
        }
        if spellings.iter().all(|spelling| scope.environment.get(spelling).is_none()) {
            let comma = if missing.is_empty() { "" } else { ", " };
            let file =
                if secret { format!(" (or {variable}_FILE, the file it is in)") } else { String::new() };
            let _ = write!(missing, "{comma}{variable}{file}");
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => {
            Err(Error::new(ErrorKind::ConfigInvalid, format!("required settings are missing: set {missing}")))
        }
    }
}

/// The two credentials that need no `auth` around them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Shorthand {
    api_key: Option<Secret>,
    token: Option<Secret>,
}

impl Shorthand {
    /// Takes them out of `settings`. What stands in a file is left out where a variable gives the other spelling of it.
    pub(crate) fn take(settings: &mut Settings) -> Result<Self> {
        let within = settings.scope.within("auth");
        for (name, secret) in [("api_key", "api_key_secret"), ("token", "token_secret")] {
            let over = match (settings.scope.gives(name), within.gives(name)) {
                (true, false) => settings.node.find(&["auth"]),
                (false, true) => Some(&mut settings.node),
                _ => None,
            };
            if let Some(over) = over {
                for spelling in [name, secret] {
                    over.take(spelling);
                }
            }
        }
        settings.take(&["api_key", "api_key_secret", "token", "token_secret"]).read()
    }

    pub(crate) fn add_to(self, auth: &mut AuthConfig) -> Result<()> {
        for (name, short, long) in
            [("api_key", self.api_key, &mut auth.api_key), ("token", self.token, &mut auth.token)]
        {
            if short.is_some() && long.is_some() {
                let message = format!("`{name}` and `auth.{name}` are both given: remove one");
                return Err(Error::new(ErrorKind::ConfigInvalid, message));
            }
            *long = short.or_else(|| long.take());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AuthKind,
        settings::{Node, Origin, Scope},
    };

    fn read(variables: &[(&str, &str)], required: &[&str]) -> Result<ExporterConfig> {
        let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let scope = Scope::new(environment, "ACME");
        let settings = Settings { node: Node::empty(Origin::Code), path: String::new(), scope };
        ExporterConfig::from_settings(settings, required)
    }

    const ENDPOINT: (&str, &str) = ("ACME_ENDPOINT", "https://acme.example/v1");

    #[test]
    fn the_environment_is_enough() {
        let mut expected = ExporterConfig::new("https://acme.example/v1".parse().unwrap());
        assert_eq!(read(&[ENDPOINT], &[]).unwrap(), expected);
        expected.name = Some("acme".into());
        expected.auth.kind = Some(AuthKind::ApiKey);
        expected.auth.api_key = Some("hunter2".into());
        expected.auth.header = Some("Acme-Key".into());
        expected.batch_size = 7;
        expected.flush_interval = Duration::from_secs(5);
        expected.retry.max_retries = 9;
        expected.compression = Compression::Gzip;
        expected.format = PayloadFormat::Csv;
        for key in ["ACME_API_KEY", "ACME_AUTH_API_KEY"] {
            let variables = [
                ENDPOINT,
                (key, "hunter2"),
                ("ACME_NAME", "acme"),
                ("ACME_AUTH_TYPE", "api_key"),
                ("ACME_AUTH_HEADER", "Acme-Key"),
                ("ACME_BATCH_SIZE", "7"),
                ("ACME_FLUSH_INTERVAL_SECONDS", "5"),
                ("ACME_RETRY_MAX_RETRIES", "9"),
                ("ACME_COMPRESSION", "gzip"),
                ("ACME_FORMAT", "csv"),
                ("ACME_REGION", "is the caller's own"),
            ];
            assert_eq!(read(&variables, &["endpoint", "api_key", "region"]).unwrap(), expected);
        }
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let error =
            read(&[("ACME_API_KEY", "x")], &["api_key", "auth.token", "password", "username", "region"]);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(
            error.message(),
            "required settings are missing: set ACME_ENDPOINT, ACME_TOKEN (or ACME_TOKEN_FILE, the file it is in), \
             ACME_AUTH_PASSWORD (or ACME_AUTH_PASSWORD_FILE, the file it is in), ACME_AUTH_USERNAME, ACME_REGION"
        );
        let file = std::env::temp_dir().join(format!("exporters-config-{}", std::process::id()));
        std::fs::write(&file, "hunter2\n").unwrap();
        let config = read(&[ENDPOINT, ("ACME_TOKEN_FILE", file.to_str().unwrap())], &["token"]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(config.auth.token, Some("hunter2".into()));
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        for (name, text) in [
            ("ACME_ENDPOINT", "hunter2"),
            ("ACME_BATCH_SIZE", "hunter2"),
            ("ACME_AUTH_TYPE", "hunter2"),
            ("ACME_RETRY_MAX_DELAY", "hunter2"),
            ("ACME_FORMAT", "hunter2"),
        ] {
            let mut variables = vec![(name, text)];
            variables.extend((name != ENDPOINT.0).then_some(ENDPOINT));
            let error = read(&variables, &[]).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
        let twice = read(&[ENDPOINT, ("ACME_TOKEN", "hunter2"), ("ACME_AUTH_TOKEN", "hunter2")], &[]);
        assert!(twice.unwrap_err().message().contains("remove one"));
    }
}
