//! The settings of a leg, and the change of them while it runs.

use crate::{Error, ErrorKind, Mapping, MonitorLayer, Result, duration};
use serde::Deserialize;
use std::time::Duration;

/// How an exporter is sent what was recorded.
///
/// ```
/// # use exporters::LegOptions;
/// # use std::time::Duration;
/// let options = LegOptions::default().with_name("primary").with_flush_interval(Duration::from_secs(30));
/// assert_eq!(options.queue_size, 1_000);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LegOptions {
    /// What it is called in ledgers, reports and batch ids. Default: the name that the exporter's [`Info`](crate::Info) says.
    pub name: Option<String>,
    /// The most items in a batch; what the exporter's [`Capability`](crate::Capability) says holds, too. Default: no limit but
    /// that one.
    pub batch_size: Option<usize>,
    /// How long snapshots wait to be sent together, unless the queue is full, or somebody asks for a flush. Default: each is
    /// sent as it comes.
    pub flush_interval: Option<Duration>,
    /// How many items may wait; one snapshot always may. Where they are more they are sent at once, and while the backend does
    /// not take them the oldest snapshots are merged into one. Default: 1,000.
    pub queue_size: usize,
    /// Which metrics it is sent, and under which names. Default: those that its [`Capability`](crate::Capability) asks for, which
    /// also holds where only labels or globs are given.
    pub mapping: Option<Mapping>,
    /// What watches it, outside all of its layers; [`LegHandle::monitor`](crate::LegHandle::monitor) gives it back. Default: nothing.
    pub monitor: Option<MonitorLayer>,
}

/// A change of some settings of an exporter that runs; what is `None` stays as it is, thus no limit can be taken away.
///
/// In a file a duration is written with its unit: `flush_interval: 30s`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LegPatch {
    /// See [`LegOptions::batch_size`].
    pub batch_size: Option<usize>,
    /// See [`LegOptions::flush_interval`].
    #[serde(deserialize_with = "duration::option::deserialize")]
    pub flush_interval: Option<Duration>,
    /// See [`LegOptions::queue_size`].
    pub queue_size: Option<usize>,
}

impl Default for LegOptions {
    fn default() -> Self {
        Self {
            name: None,
            batch_size: None,
            flush_interval: None,
            queue_size: 1_000,
            mapping: None,
            monitor: None,
        }
    }
}

impl LegOptions {
    /// Sets the [`name`](Self::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the [`mapping`](Self::mapping).
    #[must_use]
    pub fn with_mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = Some(mapping);
        self
    }

    /// Sets the [`monitor`](Self::monitor).
    #[must_use]
    pub fn with_monitor(mut self, monitor: MonitorLayer) -> Self {
        self.monitor = Some(monitor);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        self.mapping.as_ref().map_or(Ok(()), Mapping::check)?;
        let Self { batch_size, flush_interval, queue_size, .. } = *self;
        LegPatch { batch_size, flush_interval, queue_size: Some(queue_size) }.check()
    }

    pub(super) fn apply(&mut self, patch: &LegPatch) {
        self.batch_size = patch.batch_size.or(self.batch_size);
        self.flush_interval = patch.flush_interval.or(self.flush_interval);
        self.queue_size = patch.queue_size.unwrap_or(self.queue_size);
    }
}

/// The settings that both have.
macro_rules! setters {
    ($($options:ident),*) => {$(
        impl $options {
            /// Sets the [`batch_size`](Self::batch_size).
            #[must_use]
            pub fn with_batch_size(mut self, items: usize) -> Self {
                self.batch_size = items.into();
                self
            }

            /// Sets the [`flush_interval`](Self::flush_interval).
            #[must_use]
            pub fn with_flush_interval(mut self, interval: Duration) -> Self {
                self.flush_interval = interval.into();
                self
            }

            /// Sets the [`queue_size`](Self::queue_size).
            #[must_use]
            pub fn with_queue_size(mut self, items: usize) -> Self {
                self.queue_size = items.into();
                self
            }
        }
    )*};
}
setters!(LegOptions, LegPatch);

impl LegPatch {
    pub(super) fn check(&self) -> Result<()> {
        let zero = [
            ("batch_size", self.batch_size == Some(0)),
            ("flush_interval", self.flush_interval == Some(Duration::ZERO)),
            ("queue_size", self.queue_size == Some(0)),
        ];
        match zero.into_iter().find(|(_, zero)| *zero) {
            None => Ok(()),
            Some((setting, _)) => Err(Error::new(ErrorKind::ConfigInvalid, "a setting must be more than 0")
                .with_context("setting", setting)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_says_alone() {
        let mut options = LegOptions::default().with_name("a").with_batch_size(7);
        options.apply(&LegPatch::default().with_queue_size(3));
        assert_eq!(options, LegOptions::default().with_name("a").with_batch_size(7).with_queue_size(3));
        options.apply(&LegPatch::default().with_batch_size(9).with_flush_interval(Duration::from_secs(1)));
        assert_eq!((options.batch_size, options.flush_interval), (Some(9), Some(Duration::from_secs(1))));
    }

    #[test]
    fn nothing_is_zero() {
        let zeros = [
            LegPatch::default().with_batch_size(0),
            LegPatch::default().with_flush_interval(Duration::ZERO),
            LegPatch::default().with_queue_size(0),
        ];
        for (patch, setting) in zeros.iter().zip(["batch_size", "flush_interval", "queue_size"]) {
            assert!(patch.check().unwrap_err().to_string().contains(setting));
        }
        LegOptions::default().check().unwrap();
        assert!(LegOptions::default().with_queue_size(0).check().is_err());
    }
}
