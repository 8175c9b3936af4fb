//! The contract of everything that sends batches: [`Exporter`], and [`AnyExporter`], which layers and the pipeline pass around.

mod any;
pub(crate) mod derived;
mod dropped;
pub(crate) mod factory;
mod memory;
mod outcome;
mod pause;
mod retry;
mod transmit;

pub use any::{AnyExporter, Layer};
pub use dropped::{DropReason, Dropped};
pub use memory::MemoryExporter;
pub(crate) use outcome::LastOutcome;
pub(crate) use pause::Pause;
pub(crate) use retry::LONGEST_PAUSE;
pub use retry::{BackoffStrategy, RetryConfig};
pub use transmit::{Payload, Transmit};

use crate::{Batch, Error, Mapping, Result};
use std::{borrow::Cow, fmt, future::Future, time::Duration};

/// Sends batches to one backend.
///
/// No method has a default: a wrapper that forgets one does not compile.
///
/// # Contract
/// - No method blocks the thread or panics; a panic costs the batch at hand, and is counted.
/// - `export` may be called again with the same [`Batch::id`]; dropping its future abandons the attempt.
/// - After `shutdown`, nothing more is exported; an exporter that is asked nevertheless may fail.
#[doc(alias = "ProfilingExporter")]
pub trait Exporter: Send + Sync + fmt::Debug + 'static {
    /// What it is called.
    fn info(&self) -> Info;
    /// What it can carry.
    fn capability(&self) -> Capability;
    /// Sends a batch.
    ///
    /// # Errors
    /// What [`ErrorKind`](crate::ErrorKind) says; nothing of the batch has been taken then, or its fate is unknown.
    fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send;
    /// Asks whether the backend is there. What has no way to ask says [`Healthy`](Health::Healthy): what came of the last export is
    /// remembered by [`AnyExporter`].
    fn health(&self) -> impl Future<Output = Health> + Send;
    /// Sends what is held back.
    ///
    /// # Errors
    /// When something held back could not be sent.
    fn flush(&self) -> impl Future<Output = Result<()>> + Send;
    /// Flushes, then lets go of connections and files. A second call does nothing.
    ///
    /// # Errors
    /// When something held back could not be sent.
    fn shutdown(&self) -> impl Future<Output = Result<()>> + Send;
}

/// What an exporter is called.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// `otel.component.type`, for example `prometheus`.
    pub kind: &'static str,
    /// `otel.component.name`: tells two of a kind apart.
    pub name: Cow<'static, str>,
}

impl Info {
    /// An exporter that is named like its kind.
    pub const fn new(kind: &'static str) -> Self {
        Self { kind, name: Cow::Borrowed(kind) }
    }

    /// Sets the name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }
}

/// What an exporter can carry.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Capability {
    /// Whether it takes metrics.
    pub metrics: bool,
    /// Whether it takes spans.
    pub spans: bool,
    /// Whether calls of some traces are recorded as spans for it where nobody says which: by [`Sampler::default`](crate::Sampler).
    pub traces: bool,
    /// The most items it takes at once; `None` for no limit.
    pub max_items: Option<usize>,
    /// The most bytes it sends at once, before compression; `None` for no limit.
    pub max_bytes: Option<usize>,
    /// Whether it keeps what it is given although it can't be sent, once a batch's [`deadline`](Batch::deadline) has passed: so
    /// that it is worth giving it what is left at the end.
    pub dead_letters: bool,
    /// Which metrics it asks for, and under which names; `None` takes them all as they are.
    pub mapping: Option<&'static Mapping>,
}

impl Capability {
    /// Metrics only.
    pub const METRICS: Self = Self::of(true, false);
    /// Spans only.
    pub const SPANS: Self = Self::of(false, true);
    /// Both.
    pub const ALL: Self = Self::of(true, true);

    const fn of(metrics: bool, spans: bool) -> Self {
        Self {
            metrics,
            spans,
            traces: false,
            max_items: None,
            max_bytes: None,
            dead_letters: false,
            mapping: None,
        }
    }

    /// Has [`traces`](Self::traces) recorded for it.
    #[must_use]
    pub const fn with_traces(mut self) -> Self {
        self.traces = true;
        self
    }

    /// Limits a batch to `items`.
    #[must_use]
    pub const fn with_max_items(mut self, items: usize) -> Self {
        self.max_items = Some(items);
        self
    }

    /// Limits a batch to `bytes`.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

/// What became of a batch that somebody answered for: `accepted + rejected + dead_lettered + dropped` are its items.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[doc(alias = "ExportResult")]
pub struct Receipt {
    /// Items the backend took.
    pub accepted: usize,
    /// Items it refused though the request succeeded.
    pub rejected: usize,
    /// Items put aside as dead letters.
    pub dead_lettered: usize,
    /// Items that a layer or a route gave up, by reason.
    pub dropped: Dropped,
    /// Of the accepted ones: items that a fallback took.
    pub by_fallback: usize,
    /// Bytes sent, after compression.
    pub bytes: usize,
    /// How long the backend took to answer.
    pub response_time: Duration,
    /// Of a route: one receipt per exporter that was asked, with its name.
    pub parts: Vec<(Info, Receipt)>,
}

impl Receipt {
    /// All of `items` were taken.
    pub fn accepted(items: usize) -> Self {
        Self { accepted: items, ..Self::default() }
    }

    /// Sets how many items the backend refused.
    #[must_use]
    pub fn with_rejected(mut self, items: usize) -> Self {
        self.rejected = items;
        self
    }

    /// All of `items` were put aside as dead letters.
    pub fn dead_lettered(items: usize) -> Self {
        Self { dead_lettered: items, ..Self::default() }
    }

    /// Adds items that were given up.
    #[must_use]
    pub fn with_dropped(mut self, reason: DropReason, items: usize) -> Self {
        self.dropped.add(reason, items as u64);
        self
    }

    /// Sets how many bytes were sent and how long the backend took to answer.
    #[must_use]
    pub fn with_transfer(mut self, bytes: usize, response_time: Duration) -> Self {
        (self.bytes, self.response_time) = (bytes, response_time);
        self
    }
}

/// Whether an exporter can reach its backend.
#[derive(Debug)]
#[non_exhaustive]
#[doc(alias = "HealthStatus")]
pub enum Health {
    /// It can.
    Healthy,
    /// It works, but not as it should: through a fallback, or after failures.
    Degraded(Error),
    /// It can't.
    Unhealthy(Error),
}

impl Health {
    /// Whether it can, without reservation.
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }
}
