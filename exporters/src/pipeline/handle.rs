//! What a running exporter can be asked: `profiler.leg("primary")`.

use super::{BufferConfig, Ledger, leg::Leg};
use crate::{DropReason, Health, MonitorLayer};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// One exporter of a profiler, while it runs and after.
///
/// ```
/// # use exporters::{MemoryExporter, Profiler};
/// # use std::time::Duration;
/// # fn main() -> Result<(), exporters::Error> {
/// let profiler = Profiler::builder().exporter(MemoryExporter::new()).start()?;
/// profiler.flush(Duration::from_secs(5))?;
/// let memory = profiler.leg("memory").expect("it was added above");
/// assert!(memory.health().is_healthy() && memory.last_export().is_some());
/// # profiler.shutdown(Duration::from_secs(5)).into_result() }
/// ```
#[derive(Clone, Debug)]
pub struct LegHandle(pub(super) Arc<Leg>);

/// The latest batch that a backend answered for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LastExport {
    /// When it answered.
    pub at: SystemTime,
    /// Items it took.
    pub items: usize,
    /// Bytes sent, after compression; 0 where the exporter does not say.
    pub bytes: usize,
    /// From giving the batch to the exporter to its answer.
    pub duration: Duration,
}

/// What waits to be sent, and how it went until now.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BufferStats {
    /// Items that wait in memory.
    pub items: usize,
    /// How many may wait before they are sent at once: [`BufferConfig::size`].
    pub size: usize,
    /// Bytes of memory that they hold.
    pub memory: u64,
    /// How many they may: [`BufferConfig::max_memory`].
    pub max_memory: u64,
    /// How much of the room is used, by items or bytes: 1 is all. It can be more, since one snapshot may always wait.
    pub usage: f64,
    /// Snapshots, and groups of spans, that wait.
    pub groups: usize,
    /// Items that were merged with later ones since the start.
    pub merged: u64,
    /// Items that were given up since the start because there was no room.
    pub overflowed: u64,
    /// How often what waited was sent since the start, or could not be.
    pub flushes: u64,
    /// How long that took in the mean; `None` before the first.
    pub mean_flush_time: Option<Duration>,
    /// How long what comes now waits to be sent together; `None` where it does not.
    pub flush_interval: Option<Duration>,
    /// Bytes of memory that were compressed since the start, over what became of them; `None` where none were.
    pub compression_ratio: Option<f64>,
    /// What is on the disk; `None` where there is no spool.
    #[cfg(feature = "file")]
    pub spool: Option<crate::SpoolStats>,
}

impl LegHandle {
    /// What it is called.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// What became of everything that it was given.
    pub fn ledger(&self) -> Ledger {
        self.0.ledger()
    }

    /// The latest batch that its backend answered for; `None` before the first.
    pub fn last_export(&self) -> Option<LastExport> {
        self.0.last_export()
    }

    /// Items that its mapping, or a filter, leaves out.
    pub fn filtered_count(&self) -> u64 {
        self.ledger().dropped.of(DropReason::Filtered)
    }

    /// What came of its latest attempt: [`Unhealthy`](Health::Unhealthy) where that failed, [`Degraded`](Health::Degraded) where it
    /// lost items or a fallback had to take them. Asks nobody.
    pub fn health(&self) -> Health {
        self.0.health()
    }

    /// What watches it, if [`LegOptions::monitor`](crate::LegOptions::monitor) or `monitor:` in a file says so.
    pub fn monitor(&self) -> Option<MonitorLayer> {
        self.0.monitor()
    }

    /// How what was recorded waits for it.
    pub fn buffer(&self) -> BufferConfig {
        self.0.buffer()
    }

    /// What waits to be sent.
    pub fn buffer_stats(&self) -> BufferStats {
        self.0.buffer_stats()
    }
}
