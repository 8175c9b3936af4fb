//! HTTP: batches to any endpoint that takes JSON, CSV, MessagePack, Prometheus' text, or what the program makes of them.

mod config;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{HttpConfig, HttpMethod};

use crate::{
    AnyExporter, Batch, Capability, Error, ErrorKind, Exporter, Health, Info, ProfileMetrics, Receipt,
    Result, RetryLayer, Settings,
    exporter::LastOutcome,
    settings::Names,
    transport::{Answer, Auth, Client, Request, Shorthand, Statuses, check_url},
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use wire::Written;

/// An exporter by its settings.
pub(super) fn build(mut settings: Settings) -> Result<AnyExporter> {
    let shorthand = Shorthand::take(&mut settings)?;
    let mut config: HttpConfig = settings.read()?;
    shorthand.add_to(&mut config.auth)?;
    let retry = RetryLayer::new(config.retry.clone())?;
    Ok(AnyExporter::new(HttpExporter::new(config)?).layer(retry))
}

/// Sends each batch in a request of its own.
///
/// ```
/// use exporters::{HttpConfig, HttpExporter, ProfileMetrics};
///
/// # fn main() -> Result<(), exporters::Error> {
/// let mut config = HttpConfig::new("https://metrics.acme.example/v1".parse()?);
/// config.auth.token = Some("hunter2".into());
/// let exporter = HttpExporter::new(config)?
///     .with_transformer(|metrics: &ProfileMetrics| [("calls", metrics.total_calls())]);
/// # Ok(()) }
/// ```
///
/// # Answers
///
/// | answer | error |
/// |---|---|
/// | 2xx, read to its end or for 64 KiB | none |
/// | a status of [`retry_on_status_codes`](crate::RetryConfig::retry_on_status_codes) | [`RateLimited`](ErrorKind::RateLimited) for 429, else [`Unavailable`](ErrorKind::Unavailable); with the wait of `Retry-After`, of up to a day |
/// | 401, 403 | [`Unauthorized`](ErrorKind::Unauthorized), unless a secret that came from a file is another one now, and is accepted |
/// | 408 | [`Timeout`](ErrorKind::Timeout) |
/// | 413 | [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) |
/// | another status, redirects too | [`Rejected`](ErrorKind::Rejected) |
/// | none in time | [`Timeout`](ErrorKind::Timeout) |
/// | none, also because the certificate is not one to trust | [`Unavailable`](ErrorKind::Unavailable) |
///
/// A payload that is sent again has the same `Idempotency-Key`. Nothing of an answer but its status goes into an
/// error.
#[doc(alias = "HTTPExporter")]
pub struct HttpExporter {
    config: HttpConfig,
    statuses: Statuses,
    client: Client,
    auth: Arc<Auth>,
    transformer: Option<Box<Transformer>>,
    last: LastOutcome,
    shut_down: AtomicBool,
}

type Transformer = dyn Fn(&ProfileMetrics) -> Result<Bytes> + Send + Sync;

impl HttpExporter {
    /// Connects at the first export. Takes an [`HttpConfig`], an [`ExporterConfig`](crate::ExporterConfig), or only the
    /// [`Endpoint`](crate::Endpoint).
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where a setting is wrong, contradicts another, or names a file that is.
    pub fn new(config: impl Into<HttpConfig>) -> Result<Self> {
        let config = config.into();
        config.retry.check()?;
        check_url(&config.endpoint)?;
        let attributes = Names::check("attribute", config.attributes.keys().map(String::as_str));
        attributes.map_err(|error| error.with_context("setting", "attributes"))?;
        #[cfg(feature = "opentelemetry")]
        if config.format == crate::PayloadFormat::Otlp {
            let message =
                "OTLP has an exporter of its own: use `type: opentelemetry`, or `OpenTelemetryExporter`";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", "format"));
        }
        if config.batch_size == Some(0) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "`batch_size` must be at least 1"));
        }
        Ok(Self {
            statuses: Statuses::of(&config.retry),
            client: Client::new(config.endpoint.is_https(), config.options())?,
            auth: Arc::new(Auth::new(&config.auth, &config.headers, &config.endpoint)?),
            transformer: None,
            last: LastOutcome::default(),
            shut_down: AtomicBool::new(false),
            config,
        })
    }

    /// Sends metrics as what `transform` makes of them, written as JSON, whatever the format is. It is called once a batch, on
    /// the thread that exports; where it panics, that batch is lost.
    #[doc(alias = "payload_transformer")]
    #[must_use]
    pub fn with_transformer<T: Serialize>(
        mut self,
        transform: impl Fn(&ProfileMetrics) -> T + Send + Sync + 'static,
    ) -> Self {
        self.transformer = Some(Box::new(move |metrics| match serde_json::to_vec(&transform(metrics)) {
            Ok(json) => Ok(json.into()),
            // Not the cause, which may hold a value.
            Err(_) => {
                Err(Error::new(ErrorKind::Encode, "what the transformer made cannot be written as JSON"))
            }
        }));
        self
    }

    /// Its settings.
    pub fn config(&self) -> &HttpConfig {
        &self.config
    }

    async fn send(&self, written: &Written) -> Result<Answer> {
        let mut headers = written.headers.clone();
        self.auth.apply(&mut headers)?;
        let (method, body) = (self.config.method.0.clone(), written.body.clone());
        self.client.send(Request { method, endpoint: &self.config.endpoint, headers, body }).await
    }

    /// Reads the credentials again, away from the runtime's threads; tells whether they are others now.
    async fn refresh(&self) -> bool {
        let auth = self.auth.clone();
        tokio::task::spawn_blocking(move || auth.refresh()).await.unwrap_or(false)
    }
}

impl Exporter for HttpExporter {
    fn info(&self) -> Info {
        match &self.config.name {
            Some(name) => Info::new("http").with_name(name.clone()),
            None => Info::new("http"),
        }
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::ALL;
        #[cfg(feature = "prometheus")]
        if self.config.format == crate::PayloadFormat::Prometheus {
            capability = Capability::METRICS;
        }
        capability.max_bytes = self.config.max_body.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        capability.max_items = self.config.batch_size.filter(|_| self.transformer.is_none());
        capability
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        if self.shut_down.load(Relaxed) {
            return Err(shut_down());
        }
        if batch.is_empty() {
            return Ok(Receipt::default());
        }
        let written = wire::write(&self.config, self.transformer.as_deref(), &batch)?;
        let mut answer = self.send(&written).await;
        if answer.as_ref().is_ok_and(Answer::refuses_credentials) && self.refresh().await {
            answer = self.send(&written).await;
        }
        let checked = answer.and_then(|answer| {
            let checked = answer.check(&self.statuses);
            checked.map_err(|error| error.with_context("endpoint", &self.config.endpoint)).map(|()| answer)
        });
        self.last.remember(&checked);
        let receipt = Receipt::default().with_transfer(written.body.len(), checked?.response_time);
        let accepted = batch.len().saturating_sub(written.skipped);
        Ok(Receipt { accepted, rejected: written.skipped, ..receipt })
    }

    /// What came of the last export; [`Degraded`](Health::Degraded) where sending again may help. Asks nobody.
    async fn health(&self) -> Health {
        match self.shut_down.load(Relaxed) {
            true => Health::Unhealthy(shut_down()),
            false => self.last.health(),
        }
    }

    /// Nothing is held back.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        self.shut_down.store(true, Relaxed);
        Ok(())
    }
}

fn shut_down() -> Error {
    Error::new(ErrorKind::Unavailable, "the exporter is shut down")
}

impl fmt::Debug for HttpExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpExporter").field("config", &self.config).finish_non_exhaustive()
    }
}
