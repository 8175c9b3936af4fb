//! The settings of a leg, and the change of them while it runs.

use super::BufferConfig;
use crate::{Error, ErrorKind, Mapping, MonitorLayer, Result, Sampler};
use serde::Deserialize;

/// How an exporter is sent what was recorded.
///
/// ```
/// # use exporters::{BufferConfig, LegOptions};
/// # use std::time::Duration;
/// let buffer = BufferConfig::default().with_flush_interval(Duration::from_secs(30));
/// let options = LegOptions::default().with_name("primary").with_buffer(buffer);
/// assert_eq!(options.buffer.size, 1_000);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LegOptions {
    /// What it is called in ledgers, reports and batch ids. Default: the name that the exporter's [`Info`](crate::Info) says.
    pub name: Option<String>,
    /// The most items in a batch; what the exporter's [`Capability`](crate::Capability) says holds, too. Default: no limit but
    /// that one.
    pub batch_size: Option<usize>,
    /// How what was recorded waits.
    pub buffer: BufferConfig,
    /// Which metrics it is sent, and under which names. Default: those that its [`Capability`](crate::Capability) asks for, which
    /// also holds where only labels or globs are given.
    pub mapping: Option<Mapping>,
    /// Which traces it is sent, of those that the profiler's [`Sampler`] has recorded; by their identity, so that whoever takes a
    /// larger share takes these, too. What [`Builder::keep`](crate::Builder::keep) kept comes in any case, but for
    /// [`Sampler::AlwaysOff`]. Default: all.
    pub trace_sampler: Option<Sampler>,
    /// What watches it, outside all of its layers; [`LegHandle::monitor`](crate::LegHandle::monitor) gives it back. Default: nothing.
    pub monitor: Option<MonitorLayer>,
}

/// A change of some settings of an exporter that runs; what is `None` stays as it is, thus no limit can be taken away.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LegPatch {
    /// See [`LegOptions::batch_size`].
    pub batch_size: Option<usize>,
    /// See [`LegOptions::buffer`], in the place of which it comes as a whole; [`LegHandle::buffer`](crate::LegHandle::buffer) gives
    /// what to begin with.
    pub buffer: Option<BufferConfig>,
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

    /// Sets the [`trace_sampler`](Self::trace_sampler).
    #[must_use]
    pub fn with_trace_sampler(mut self, sampler: Sampler) -> Self {
        self.trace_sampler = Some(sampler);
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
        LegPatch { batch_size: self.batch_size, buffer: Some(self.buffer.clone()) }.check()
    }

    pub(super) fn apply(&mut self, patch: &LegPatch) {
        self.batch_size = patch.batch_size.or(self.batch_size);
        self.buffer = patch.buffer.as_ref().unwrap_or(&self.buffer).clone();
    }
}

/// The settings that both have.
macro_rules! setters {
    ($($options:ident),*) => {$(
        impl $options {
            /// Sets the [`batch_size`](Self::batch_size).
            #[must_use]
            pub fn with_batch_size(mut self, items: usize) -> Self {
                self.batch_size = Some(items);
                self
            }

            /// Sets the [`buffer`](Self::buffer).
            #[must_use]
            pub fn with_buffer(mut self, buffer: BufferConfig) -> Self {
                self.buffer = buffer.into();
                self
            }
        }
    )*};
}
setters!(LegOptions, LegPatch);

impl LegPatch {
    pub(super) fn check(&self) -> Result<()> {
        if self.batch_size == Some(0) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "this setting must be at least 1")
                .with_context("setting", "batch_size"));
        }
        self.buffer.as_ref().map_or(Ok(()), BufferConfig::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AdaptiveConfig;
    use std::time::Duration;

    #[test]
    fn a_patch_changes_what_it_says_alone() {
        let mut options = LegOptions::default().with_name("a").with_batch_size(7);
        let small = BufferConfig::default().with_size(3);
        options.apply(&LegPatch::default().with_buffer(small.clone()));
        assert_eq!(
            options,
            LegOptions::default().with_name("a").with_batch_size(7).with_buffer(small.clone())
        );
        options.apply(&LegPatch::default().with_batch_size(9));
        assert_eq!((options.batch_size, options.buffer), (Some(9), small));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let buffer = BufferConfig::default;
        let second = Duration::from_secs(1);
        let wrong = [
            ("batch_size", LegPatch::default().with_batch_size(0)),
            ("size", LegPatch::default().with_buffer(buffer().with_size(0))),
            ("max_memory", LegPatch::default().with_buffer(buffer().with_max_memory(65_535))),
            ("flush_interval", LegPatch::default().with_buffer(buffer().with_flush_interval(Duration::ZERO))),
            (
                "adaptive",
                LegPatch::default()
                    .with_buffer(buffer().with_adaptive(AdaptiveConfig::new(2 * second, second))),
            ),
        ];
        for (setting, patch) in wrong {
            assert!(patch.check().unwrap_err().to_string().contains(&format!("setting: {setting}")));
        }
        LegOptions::default().check().unwrap();
        assert!(LegOptions::default().with_buffer(buffer().with_size(0)).check().is_err());
    }
}
