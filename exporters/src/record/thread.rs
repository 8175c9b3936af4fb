//! What a thread has been lent, given back when it ends.

use super::{
    keyed::{Keyed, Table},
    series::{Series, ShardRef},
    shard::Shard,
    site::Site,
    slots, spans,
};
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

thread_local! {
    static THREAD: RefCell<Thread> = const { RefCell::new(Thread { lent: Vec::new(), table: Table::new(), alone: false }) };
}

thread_local! {
    static SERVES: Cell<bool> = const { Cell::new(false) };
}

struct Thread {
    lent: Vec<Lent>,
    table: Table,
    /// Whether it wants no shard that another thread has written to.
    alone: bool,
}

struct Lent {
    site: &'static Site,
    shard: ShardRef,
}

/// A shard and whether it is the one that ended threads share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attached {
    pub(super) shard: ShardRef,
    pub(super) late: bool,
}

impl Attached {
    fn late(series: &Series, limit: u64) -> Self {
        Self { shard: series.lend_late(limit), late: true }
    }
}

/// This thread's shard of `site`, lent to it if this is its first call.
#[cold]
pub(super) fn attach(site: &'static Site) -> Attached {
    let state = site.state();
    let place = state.place();
    site.decide();
    let lend = |thread: &RefCell<Thread>| {
        let mut thread = thread.try_borrow_mut().ok()?;
        // An allocator that calls `site` may have been here first.
        if let Some(shard) = slots::lent(place) {
            return Some(shard);
        }
        let shard = state.series.lend(state.limit(), thread.alone);
        slots::set(place, shard);
        thread.lent.push(Lent { site, shard });
        Some(shard)
    };
    match slots::lent(place).or_else(|| THREAD.try_with(lend).ok().flatten()) {
        Some(shard) => Attached { shard, late: false },
        None => Attached::late(&state.series, state.limit()),
    }
}

/// Looks up a keyed series' shard in the thread's table; `None` when the thread has no table any more.
pub(super) fn with_table<T>(f: impl FnOnce(&mut Table, bool) -> T) -> Option<T> {
    THREAD
        .try_with(|thread| {
            thread.try_borrow_mut().ok().map(|mut thread| {
                let thread = &mut *thread;
                f(&mut thread.table, thread.alone)
            })
        })
        .ok()
        .flatten()
}

/// From now on this thread is lent no shard that another thread has written to.
pub(crate) fn stay_alone() {
    let _ = THREAD.try_with(|thread| thread.try_borrow_mut().map(|mut thread| thread.alone = true));
}

/// From now on this thread is one of those that record and export: what `tracing` is told on it is not recorded, for that would be
/// exported, and told.
pub(crate) fn serve() {
    SERVES.set(true);
}

/// Whether it is.
#[cfg(any(feature = "log-layer", feature = "tracing-layer"))]
pub(super) fn serves() -> bool {
    SERVES.get()
}

/// Shows what this thread itself has been lent: the site, and the shard it alone writes.
pub(crate) fn own_shards(mut visit: impl FnMut(&'static Site, Option<&Arc<Keyed>>, &Shard)) {
    let _ = THREAD.try_with(|thread| {
        if let Ok(thread) = thread.try_borrow() {
            // SAFETY: the site is static, and so is its series.
            thread.lent.iter().for_each(|lent| visit(lent.site, None, unsafe { lent.shard.get() }));
            thread.table.visit(|keyed, shard| visit(keyed.site(), Some(keyed), shard));
        }
    });
}

/// What this thread has been lent, to be kept over a fork.
pub(super) fn lent_shards() -> Vec<ShardRef> {
    let lent = |thread: &RefCell<Thread>| {
        let thread = thread.try_borrow().ok()?;
        let plain = thread.lent.iter().map(|lent| lent.shard);
        Some(plain.chain(thread.table.shards()).collect())
    };
    THREAD.try_with(lent).ok().flatten().unwrap_or_default()
}

impl Drop for Thread {
    fn drop(&mut self) {
        slots::clear();
        spans::leave();
        self.lent.drain(..).for_each(|lent| lent.site.state().series.give_back(lent.shard));
    }
}
