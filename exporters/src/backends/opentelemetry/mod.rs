//! OpenTelemetry: metrics and spans over OTLP, to a collector or any backend that takes it.

mod answer;
mod buckets;
mod config;
mod derived;
mod environment;
mod json;
mod protobuf;
mod target;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{HistogramAggregation, OpenTelemetryConfig, OtlpProtocol, Temporality};
pub use derived::send;
pub(crate) use derived::write;

use crate::{
    AnyExporter, Attributes, Batch, Capability, DropReason, Error, ErrorKind, Exporter, Health, Info,
    KeyValue, Receipt, Result, RetryLayer, Settings,
    exporter::LastOutcome,
    foreign::{is_heard, quietly, say, tell},
    transport::{Shorthand, transmit::payload_headers},
};
use answer::{PartialSuccess, partial_success};
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use target::{Taken, Target};
use wire::{Style, Written};

/// What the variables of an exporter begin with that is made of them alone.
const PREFIX: &str = "PROFILING_OTEL";

/// An exporter by its settings.
pub(super) fn build(settings: Settings) -> Result<AnyExporter> {
    let config = read(settings)?;
    let retry = RetryLayer::new(config.retry.clone())?;
    let exporter = OpenTelemetryExporter::new(config)?;
    if !is_heard!(tracing::Level::INFO) {
        say(&exporter.destinations());
    }
    Ok(AnyExporter::new(exporter).layer(retry))
}

/// Settings, and below them OpenTelemetry's own variables.
fn read(mut settings: Settings) -> Result<OpenTelemetryConfig> {
    let environment = settings.scope.environment.clone();
    let shorthand = Shorthand::take(&mut settings)?;
    let mut config: OpenTelemetryConfig = settings.read()?;
    shorthand.add_to(&mut config.auth)?;
    config.fill(&environment)?;
    Ok(config)
}

/// Sends each batch in a request of its own: metrics and spans, over HTTP as protobuf or JSON, or over gRPC.
///
/// ```
/// use exporters::{OpenTelemetryConfig, OpenTelemetryExporter};
///
/// # fn main() -> Result<(), exporters::Error> {
/// let mut config = OpenTelemetryConfig::new("http://localhost:4318".parse()?);
/// config.compression = Some(exporters::Compression::Gzip);
/// config.service_name = Some("checkout".into());
/// let exporter = OpenTelemetryExporter::new(config)?;
/// # Ok(()) }
/// ```
///
/// Series and spans are grouped by the crate that measured them, which is their scope.
///
/// # Answers
///
/// | answer | error |
/// |---|---|
/// | 2xx, read to its end or for 64 KiB | none; what it says was refused is in the receipt |
/// | 429 | [`RateLimited`](ErrorKind::RateLimited), with the wait of `Retry-After`, of up to a day |
/// | 502, 503, 504 | [`Unavailable`](ErrorKind::Unavailable), likewise |
/// | 401, 403 | [`Unauthorized`](ErrorKind::Unauthorized), unless a secret that came from a file is another one now, and is accepted |
/// | 413 | [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) |
/// | another status, 500 and redirects too | [`Rejected`](ErrorKind::Rejected) |
/// | none in time | [`Timeout`](ErrorKind::Timeout) |
/// | none, also because the certificate is not one to trust | [`Unavailable`](ErrorKind::Unavailable) |
///
/// Over gRPC, the statuses that may be sent again are those that OTLP names; `RESOURCE_EXHAUSTED` only with a `RetryInfo`, whose delay
/// is heeded, or as [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) where it says so. Nothing of an answer goes into an error; what a
/// receiver says of a request that it took is told as a warning, under the `tracing` target `exporters`, once.
///
/// Items that OTLP has no form for, such as one whose value is not a finite number or a span without identity, are left out and
/// counted as rejected.
#[doc(alias = "OtlpExporter")]
pub struct OpenTelemetryExporter {
    config: OpenTelemetryConfig,
    style: Style,
    /// Where each signal goes that is sent.
    traces: Option<Target>,
    metrics: Option<Target>,
    last: LastOutcome,
    /// What a receiver had to say last; it is told once.
    said: Mutex<String>,
    shut_down: AtomicBool,
}

impl OpenTelemetryExporter {
    /// Connects at the first export. Says once, under the `tracing` target `exporters`, where it sends to. Reads no variable.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where a setting is wrong, contradicts another, names a file that is, or is an
    /// endpoint that does not take OTLP.
    pub fn new(config: OpenTelemetryConfig) -> Result<Self> {
        config.check()?;
        let target = |signal: Option<_>| signal.map(|signal| Target::new(&config, signal)).transpose();
        let [traces, metrics] = config.of_signals();
        let (traces, metrics) = (target(traces)?, target(metrics)?);
        let exporter = Self {
            style: style(&config),
            traces,
            metrics,
            last: LastOutcome::default(),
            said: Mutex::default(),
            shut_down: AtomicBool::new(false),
            config,
        };
        // Where a subscriber panics, it is not told, and nothing else happens.
        let _ = quietly(|| tracing::info!(target: "exporters", "{}", exporter.destinations()));
        Ok(exporter)
    }

    /// Where it sends to, in words.
    fn destinations(&self) -> String {
        let to = |what: &str, target: &Option<Target>| {
            let show =
                |target: &Target| format!("{what} to {} as {}", target.endpoint, target.protocol.as_str());
            target.as_ref().map(show)
        };
        let both = [to("spans", &self.traces), to("metrics", &self.metrics)];
        format!("OTLP: {}", both.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    /// What the variables say: `PROFILING_OTEL_…` of each setting, and where these say nothing, OpenTelemetry's own,
    /// `OTEL_EXPORTER_OTLP_…`, of which a signal's comes before that of all. For gRPC, an endpoint there may be without a scheme, such
    /// as `collector:4317`; it is encrypted then, unless `OTEL_EXPORTER_OTLP_INSECURE` is `true`.
    ///
    /// # Errors
    /// As [`new`](Self::new), naming the variable.
    pub fn from_env() -> Result<Self> {
        Self::new(read(Settings::from_env(PREFIX))?)
    }

    /// Its settings.
    pub fn config(&self) -> &OpenTelemetryConfig {
        &self.config
    }

    /// Where a batch goes, and the media type and bytes of what is sent of it.
    fn write(&self, batch: &Batch) -> Result<(&Target, &'static str, Written)> {
        let target = if batch.metrics().is_some() { &self.metrics } else { &self.traces };
        let unsent = || Error::new(ErrorKind::Unsupported, "this signal is not sent");
        let target = target.as_ref().ok_or_else(unsent)?;
        let limit = self.config.max_body.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let (media_type, written) = match target.protocol {
            OtlpProtocol::HttpJson => {
                ("application/json", wire::write::<json::JsonForm>(batch, &self.style, limit)?)
            }
            OtlpProtocol::HttpProtobuf | OtlpProtocol::Grpc => {
                ("application/x-protobuf", wire::write::<protobuf::Protobuf>(batch, &self.style, limit)?)
            }
        };
        Ok((target, media_type, written))
    }

    /// In the receiver's words, without ours that are secret.
    fn warn(&self, said: &PartialSuccess, target: &Target) {
        let mut last = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.message.is_empty() && *last != said.message {
            tell!(
                message = target.hide(&said.message),
                rejected = said.rejected,
                "the receiver has something to say"
            );
            last.clone_from(&said.message);
        }
    }
}

/// A batch as it is sent with default settings, for benchmarks.
///
/// # Errors
/// None: there is no limit.
pub fn encoded(batch: &Batch, protocol: OtlpProtocol) -> Result<Vec<u8>> {
    let style = Style::default();
    let written = match protocol {
        OtlpProtocol::HttpJson => wire::write::<json::JsonForm>(batch, &style, usize::MAX)?,
        _ => wire::write::<protobuf::Protobuf>(batch, &style, usize::MAX)?,
    };
    Ok(written.body)
}

fn style(config: &OpenTelemetryConfig) -> Style {
    let more = config.resource_attributes.iter().map(|(key, text)| KeyValue::new(key.clone(), text.clone()));
    let service = config.service().into_iter().map(|(key, text)| KeyValue::new(key, text.to_owned()));
    Style {
        delta: config.temporality.unwrap_or_default() != Temporality::Cumulative,
        bounds: config.bounds(),
        span_name_prefix: config.span_name_prefix.clone(),
        only_roots: !config.create_child_spans,
        attributes: Attributes::new(more.chain(service)),
    }
}

impl Exporter for OpenTelemetryExporter {
    fn info(&self) -> Info {
        match &self.config.name {
            Some(name) => Info::new("opentelemetry").with_name(name.clone()),
            None => Info::new("opentelemetry"),
        }
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::ALL;
        (capability.metrics, capability.spans) = (self.metrics.is_some(), self.traces.is_some());
        capability.traces = capability.spans;
        capability.max_bytes = self.config.max_body.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        capability.max_items = self.config.batch_size;
        capability
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        if self.shut_down.load(Relaxed) {
            return Err(shut_down());
        }
        let (target, media_type, Written { body, items, skipped, filtered }) = self.write(&batch)?;
        let receipt = Receipt::default().with_dropped(DropReason::Filtered, filtered);
        if items == 0 {
            return Ok(receipt.with_rejected(skipped));
        }
        let sent = target.send(payload_headers(media_type, batch.id()), body).await;
        self.last.remember(&sent);
        let Taken { answer, bytes, response_time } = sent?;
        let said = partial_success(&answer);
        self.warn(&said, target);
        let refused = usize::try_from(said.rejected).unwrap_or(usize::MAX).min(items);
        let receipt = receipt.with_transfer(bytes, response_time);
        Ok(Receipt { accepted: items - refused, rejected: refused + skipped, ..receipt })
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

impl fmt::Debug for OpenTelemetryExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTelemetryExporter").field("config", &self.config).finish_non_exhaustive()
    }
}
