//! The shards of one series: each lent to a thread, and passed to the next one when that thread ends.

use super::shard::Shard;
use std::{
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A shard that its series owns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ShardRef(NonNull<Shard>);
// SAFETY: a shard's cells are atomic; who may write them is the series' business.
unsafe impl Send for ShardRef {}
// SAFETY: as above.
unsafe impl Sync for ShardRef {}

impl ShardRef {
    pub(super) fn new(limit: u64) -> Self {
        Self(NonNull::from(Box::leak(Box::new(Shard::new(limit)))))
    }

    #[inline(always)]
    pub(super) fn from_ptr(shard: *const Shard) -> Option<Self> {
        NonNull::new(shard.cast_mut()).map(Self)
    }

    pub(crate) fn as_ptr(self) -> *const Shard {
        self.0.as_ptr()
    }

    /// # Safety
    /// The series is alive.
    pub(crate) unsafe fn get<'a>(self) -> &'a Shard {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ref() }
    }
}

/// The shards.
pub(crate) struct Series(Mutex<Shards>);

#[derive(Default)]
struct Shards {
    all: Vec<ShardRef>,
    free: Vec<ShardRef>,
    /// For calls in destructors that run after the thread's own; written under [`late`].
    late: Option<ShardRef>,
}

impl Series {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Shards { all: Vec::new(), free: Vec::new(), late: None }))
    }

    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A shard for a thread: one that another thread left (unless it must be `fresh`), or a new one.
    pub(crate) fn lend(&self, limit: u64, fresh: bool) -> ShardRef {
        let _lending = lending();
        let mut shards = self.shards();
        let left = if fresh { None } else { shards.free.pop() };
        left.unwrap_or_else(|| {
            let shard = ShardRef::new(limit);
            shards.all.push(shard);
            shard
        })
    }

    /// The thread ends.
    pub(crate) fn give_back(&self, shard: ShardRef) {
        let _lending = lending();
        self.shards().free.push(shard);
    }

    /// The shard of all threads that have none any more.
    pub(crate) fn lend_late(&self, limit: u64) -> ShardRef {
        let _lending = lending();
        let mut shards = self.shards();
        if let Some(shard) = shards.late {
            return shard;
        }
        let shard = ShardRef::new(limit);
        shards.all.push(shard);
        shards.late = Some(shard);
        shard
    }

    /// Shows every shard, while none can be added. No shard is lent twice, so the visitor may be slow only to newcomers.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&Shard)) {
        // SAFETY: the series is alive.
        self.shards().all.iter().for_each(|shard| visit(unsafe { shard.get() }));
    }

    /// Forgets all shards but `keep`: what other threads of the parent process recorded, after a fork.
    pub(crate) fn forget_all_but(&self, keep: &[ShardRef]) {
        let mut shards = self.shards();
        shards.all.retain(|shard| keep.contains(shard));
        shards.free.clear();
        shards.late = None;
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        for shard in self.shards().all.drain(..) {
            // SAFETY: made by `Box::leak`; whoever was lent it kept the series alive.
            drop(unsafe { Box::from_raw(shard.0.as_ptr()) });
        }
    }
}

/// Held while shards and series change hands, so that a fork finds none of their locks taken.
pub(super) fn lending() -> MutexGuard<'static, ()> {
    static LENDING: Mutex<()> = Mutex::new(());
    LENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held while writing to a late shard.
pub(crate) fn late() -> MutexGuard<'static, ()> {
    static LATE: Mutex<()> = Mutex::new(());
    LATE.lock().unwrap_or_else(PoisonError::into_inner)
}
