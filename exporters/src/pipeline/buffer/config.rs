//! The settings of a buffer.

#[cfg(feature = "file")]
use crate::SpoolConfig;
use crate::{Error, ErrorKind, Result, duration, size};
use serde::Deserialize;
use std::time::Duration;

/// How what was recorded waits for its exporter.
///
/// Metrics are state: snapshots that can't be sent are merged where they are too many, so that the sums stay exact and only
/// resolution in time is lost. Spans are events: where they are too many some are given up, and counted.
///
/// ```
/// # use exporters::{BufferConfig, LegOptions};
/// # use std::time::Duration;
/// let buffer = BufferConfig::default().with_size(5_000).with_flush_interval(Duration::from_secs(30));
/// let options = LegOptions::default().with_buffer(buffer);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[doc(alias = "BufferLayer")]
#[doc(alias = "BufferedExporter")]
pub struct BufferConfig {
    /// How many items wait, of metrics and of spans each, until they are sent at once; metrics that then can't be sent are merged.
    /// One snapshot may always wait. Default: 1,000.
    #[serde(alias = "buffer_size")]
    pub size: usize,
    /// How many bytes of memory they may take. That many are sent at once; while they can't be, metrics are merged, and spans given
    /// up as [`overflow`](Self::overflow) has it. Default: 50 MB.
    #[serde(alias = "max_memory_mb", deserialize_with = "size::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_memory: u64,
    /// How long they wait to be sent together. Default: not at all, each snapshot is sent as it comes; in a file 30 s.
    #[serde(alias = "flush_interval_seconds", deserialize_with = "duration::option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub flush_interval: Option<Duration>,
    /// Has the flush interval follow the load, within bounds. Default: no.
    pub adaptive: Option<AdaptiveConfig>,
    /// Whether what waits is sent at shutdown. If not, it becomes dead letters, if there is [somewhere](crate::DeadLetterLayer) to
    /// put them, stays in the spool, or is given up and counted. Default: yes.
    pub flush_on_shutdown: bool,
    /// Which spans are given up. Default: the oldest.
    pub overflow: Overflow,
    /// Has what waits compressed. Default: no.
    #[cfg(all(feature = "file", feature = "zstd"))]
    pub compression: Option<BufferCompression>,
    /// Keeps what waits on the disk as well, from the moment on at which it begins to wait, so that the end of the process costs
    /// nothing of it: a later process with the same spool sends it, under the same [identity](crate::Batch::id). What is on the
    /// disk leaves memory first, and is not merged. Where the disk takes no more, what comes then waits in memory alone. It can't
    /// be changed while the exporter runs. Default: no.
    #[cfg(feature = "file")]
    pub spool: Option<SpoolConfig>,
}

/// Which spans are given up where there is no room for all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// Those that have waited longest.
    #[default]
    DropOldest,
    /// Those that came last.
    DropNewest,
}

/// The bounds of a flush interval that follows the load: it is shorter the faster the buffer fills, such that it is about half full when it is sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AdaptiveConfig {
    /// The shortest interval. Default: 5 s.
    #[serde(alias = "min_seconds", deserialize_with = "duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub min: Duration,
    /// The longest. Default: 5 min.
    #[serde(alias = "max_seconds", deserialize_with = "duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max: Duration,
}

/// When what waits is compressed: with Zstandard, a snapshot or a group of spans at a time.
#[cfg(all(feature = "file", feature = "zstd"))]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BufferCompression {
    /// How many items may wait as they are. Default: 100.
    pub threshold: usize,
}

#[cfg(all(feature = "file", feature = "zstd"))]
impl Default for BufferCompression {
    fn default() -> Self {
        Self { threshold: 100 }
    }
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self { min: Duration::from_secs(5), max: Duration::from_secs(300) }
    }
}

impl AdaptiveConfig {
    /// Between `min` and `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self {
            size: 1_000,
            max_memory: 50_000_000,
            flush_interval: None,
            adaptive: None,
            flush_on_shutdown: true,
            overflow: Overflow::DropOldest,
            #[cfg(all(feature = "file", feature = "zstd"))]
            compression: None,
            #[cfg(feature = "file")]
            spool: None,
        }
    }
}

macro_rules! setters {
    ($($setter:ident, $field:ident: $type:ty;)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

impl BufferConfig {
    /// The flush interval of a file that does not say.
    pub(crate) const IN_FILES: Duration = Duration::from_secs(30);

    setters! {
        with_size, size: usize;
        with_max_memory, max_memory: u64;
        with_flush_interval, flush_interval: Duration;
        with_adaptive, adaptive: AdaptiveConfig;
        with_flush_on_shutdown, flush_on_shutdown: bool;
        with_overflow, overflow: Overflow;
    }

    /// Has what waits beyond so many items compressed.
    #[cfg(all(feature = "file", feature = "zstd"))]
    #[must_use]
    pub fn with_compression(mut self, threshold: usize) -> Self {
        self.compression = Some(BufferCompression { threshold });
        self
    }

    /// Keeps what waits on the disk as well.
    #[cfg(feature = "file")]
    #[must_use]
    pub fn with_spool(mut self, spool: SpoolConfig) -> Self {
        self.spool = Some(spool);
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |message, setting| {
            Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", setting))
        };
        if self.size == 0 {
            return wrong("this setting must be at least 1", "size");
        }
        if self.max_memory < LEAST_MEMORY {
            return wrong("this setting must be at least 64 KiB", "max_memory");
        }
        if self.flush_interval == Some(Duration::ZERO) {
            return wrong("this setting must be more than 0", "flush_interval");
        }
        match self.adaptive {
            Some(AdaptiveConfig { min, max }) if min.is_zero() || min > max => {
                wrong("`min` must be more than 0, and not more than `max`", "adaptive")
            }
            _ => Ok(()),
        }
    }
}

/// Less would be in the way of every snapshot.
const LEAST_MEMORY: u64 = 64 << 10;
