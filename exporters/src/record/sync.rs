//! The atomics of the shard, replaced by loom's when loom explores its interleavings.

#[cfg(exporters_loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
#[cfg(not(exporters_loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
