//! The atomics of the shard, replaced by loom's when loom explores its interleavings.

#[cfg(exporters_loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
#[cfg(not(exporters_loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// A cell's value, read by its only writer.
///
/// Loom checks that it is the only one; and it would forget the readers' accesses for an atomic load in between.
pub(crate) trait OwnerLoad {
    type Value;
    fn own(&self) -> Self::Value;
}

macro_rules! owner_load {
    ($atomic:ty, $value:ty $(, $t:ident)?) => {
        impl $(<$t>)? OwnerLoad for $atomic {
            type Value = $value;
            #[inline(always)]
            fn own(&self) -> $value {
                #[cfg(not(exporters_loom))]
                return self.load(Ordering::Relaxed);
                // SAFETY: nobody else writes; loom tells if somebody does.
                #[cfg(exporters_loom)]
                return unsafe { self.unsync_load() };
            }
        }
    };
}
owner_load!(AtomicU64, u64);
owner_load!(AtomicPtr<T>, *mut T, T);

/// Memory that a protocol of atomics guards.
#[cfg(exporters_loom)]
pub(crate) use loom::cell::UnsafeCell;

/// Memory that a protocol of atomics guards.
#[cfg(not(exporters_loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(exporters_loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
