//! One sync call: from [`Site::enter`] to the end of its guard. This is the path that every profiled function pays for.

use super::{
    FAST, MODE, OFF,
    alloc::{Mark, Tally, uncounted},
    keyed::{self, ValueRef},
    series::{LocalShard, late},
    shard::{Cause, Extra, Shard, add},
    site::{Owner, Site},
    thread::{self, Attached},
};
use crate::clock;
use std::{
    borrow::Cow,
    cell::Cell,
    mem::ManuallyDrop,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::LocalKey,
};

thread_local! {
    /// Ticks that the running call's profiled callees took.
    pub(super) static CALLEES: Cell<u64> = const { Cell::new(0) };
}

/// Bits of [`Call::shard`] that the alignment leaves free.
mod tag {
    /// Not recorded at all.
    pub(super) const OFF: usize = 1;
    /// The clock is not the counter, or memory is counted.
    pub(super) const SLOW: usize = 2;
    /// Only counted.
    pub(super) const UNTIMED: usize = 4;
    /// The shard is shared by threads that have ended.
    pub(super) const LATE: usize = 8;
    pub(super) const ALL: usize = OFF | SLOW | UNTIMED | LATE;
}

/// A call that is running. Dropped without [`finish`](Self::finish), it counts as a panic.
///
/// `ONE_IN` is one, or in how many calls one is timed; `OBJECTIVE` tells whether good calls are counted.
#[must_use]
#[derive(Debug)]
pub struct Call<const ONE_IN: u32, const OBJECTIVE: bool> {
    shard: *const Shard,
    start: u64,
    /// [`CALLEES`] of the caller.
    outer: u64,
    allocated: Mark,
}

impl Site {
    /// A call begins.
    #[inline(always)]
    pub fn enter<const ONE_IN: u32, const OBJECTIVE: bool>(
        &'static self,
        local: &'static LocalKey<LocalShard>,
        owner: Owner,
    ) -> Call<ONE_IN, OBJECTIVE> {
        let mode = MODE.load(Relaxed);
        if mode == OFF {
            return Call::off();
        }
        let shard = local.with(|local| local.0.get());
        if mode != FAST || shard.is_null() {
            return self.enter_slow(local, owner);
        }
        // SAFETY: the thread was lent it and has not given it back.
        Call::begin(unsafe { &*shard })
    }

    #[cold]
    #[inline(never)]
    fn enter_slow<const ONE_IN: u32, const OBJECTIVE: bool>(
        &'static self,
        local: &'static LocalKey<LocalShard>,
        owner: Owner,
    ) -> Call<ONE_IN, OBJECTIVE> {
        Call::begin_attached(uncounted(|| self.attach::<ONE_IN>(local, owner)))
    }

    /// This thread's shard.
    pub(super) fn attach<const ONE_IN: u32>(
        &'static self,
        local: &'static LocalKey<LocalShard>,
        owner: Owner,
    ) -> Attached {
        self.meet(owner, ONE_IN);
        thread::attach(self, local)
    }

    /// A call with attributes begins. `values` hands them on, and is only called when calls are recorded.
    pub fn enter_keyed<const ONE_IN: u32, const OBJECTIVE: bool>(
        &'static self,
        owner: Owner,
        values: impl FnOnce(&mut dyn FnMut(&[ValueRef<'_>])),
    ) -> Call<ONE_IN, OBJECTIVE> {
        if MODE.load(Relaxed) == OFF {
            return Call::off();
        }
        self.meet(owner, ONE_IN);
        let mut call = Call::off();
        values(&mut |values| {
            call = Call::begin_attached(uncounted(|| keyed::attach(&keyed::series(self, values))));
        });
        call
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Call<ONE_IN, OBJECTIVE> {
    #[inline(always)]
    fn off() -> Self {
        Self { shard: std::ptr::without_provenance(tag::OFF), start: 0, outer: 0, allocated: Mark::NONE }
    }

    #[inline(always)]
    fn begin(shard: &Shard) -> Self {
        shard.start();
        if ONE_IN > 1 && !due::<ONE_IN>(shard) {
            return Self { shard: tagged(shard, tag::UNTIMED), start: 0, outer: 0, allocated: Mark::NONE };
        }
        let outer = CALLEES.replace(0);
        Self { shard, outer, allocated: Mark::NONE, start: clock::counter() }
    }

    fn begin_attached(Attached { shard, late: is_late }: Attached) -> Self {
        // SAFETY: the thread was lent it, or it is shared and locked here and at its end; either way its series lives on.
        let shard = unsafe { shard.get() };
        if MODE.load(Relaxed) == FAST && !is_late {
            return Self::begin(shard);
        }
        let _late = is_late.then(late);
        let late_tag = if is_late { tag::LATE } else { 0 };
        shard.start();
        if ONE_IN > 1 && !due::<ONE_IN>(shard) {
            let shard = tagged(shard, tag::UNTIMED | late_tag);
            return Self { shard, start: 0, outer: 0, allocated: Mark::NONE };
        }
        let shard = tagged(shard, tag::SLOW | late_tag);
        Self { shard, outer: CALLEES.replace(0), allocated: Mark::begin(), start: clock::now() }
    }

    /// The call returned; `failure` is the type of its error.
    #[inline(always)]
    pub fn finish(self, failure: Option<Cow<'_, str>>) {
        let call = ManuallyDrop::new(self);
        match failure {
            None => call.end(true),
            Some(name) => call.end_badly(Cause::Error(&name)),
        }
    }

    /// For bodies that cannot be wrapped: ends with the scope, as a panic if unwinding began since.
    #[inline(always)]
    pub fn guard(self) -> Guard<ONE_IN, OBJECTIVE> {
        Guard { call: ManuallyDrop::new(self), panicking: std::thread::panicking() }
    }

    fn tags(&self) -> usize {
        self.shard.addr() & tag::ALL
    }

    fn shard(&self) -> &Shard {
        // SAFETY: not called when it is off; then it is a shard that the thread was lent, or a shared one.
        unsafe { &*self.shard.map_addr(|addr| addr & !tag::ALL) }
    }

    #[inline(always)]
    fn end(&self, ok: bool) {
        match self.tags() {
            0 => {}
            tag::UNTIMED if ONE_IN > 1 => return self.shard().record_untimed(),
            tag::OFF => return,
            _ => return self.end_slow(ok),
        }
        let ticks = clock::counter().wrapping_sub(self.start);
        let shard = self.shard();
        let ticks = shard.record(ticks, CALLEES.get(), None);
        CALLEES.set(self.outer.wrapping_add(ticks));
        if OBJECTIVE && ok && ticks <= shard.limit.load(Relaxed) {
            add(&shard.second, 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_slow(&self, ok: bool) {
        let shard = self.shard();
        let _late = (self.tags() & tag::LATE != 0).then(late);
        if self.tags() & tag::UNTIMED != 0 {
            return shard.record_untimed();
        }
        let ticks = clock::now().wrapping_sub(self.start);
        let Tally { bytes, count } = self.allocated.end();
        let ticks = uncounted(|| shard.record(ticks, CALLEES.get(), None));
        CALLEES.set(self.outer.wrapping_add(ticks));
        shard.record_extra(Extra { busy: 0, allocated: bytes, allocations: count });
        if OBJECTIVE && ok && ticks <= shard.limit.load(Relaxed) {
            add(&shard.second, 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_badly(&self, cause: Cause<'_>) {
        if self.tags() == tag::OFF {
            return;
        }
        {
            let _late = (self.tags() & tag::LATE != 0).then(late);
            uncounted(|| self.shard().fail(cause));
        }
        self.end(false);
    }
}

/// Whether this call is the one in `ONE_IN` that is timed.
#[inline(always)]
pub(super) fn due<const ONE_IN: u32>(shard: &Shard) -> bool {
    let left = shard.limit.load(Relaxed);
    let due = left == 0;
    shard.limit.store(if due { u64::from(ONE_IN) - 1 } else { left - 1 }, Relaxed);
    due
}

fn tagged(shard: *const Shard, tag: usize) -> *const Shard {
    shard.map_addr(|addr| addr | tag)
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Drop for Call<ONE_IN, OBJECTIVE> {
    #[inline]
    fn drop(&mut self) {
        self.end_badly(Cause::Panic);
    }
}

/// A call that ends with its scope.
#[must_use]
#[derive(Debug)]
pub struct Guard<const ONE_IN: u32, const OBJECTIVE: bool> {
    call: ManuallyDrop<Call<ONE_IN, OBJECTIVE>>,
    /// Whether the thread was unwinding already when the call began.
    panicking: bool,
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Guard<ONE_IN, OBJECTIVE> {
    /// The call returned; `failure` is the type of its error.
    pub fn finish(self, failure: Option<Cow<'_, str>>) {
        let guard = ManuallyDrop::new(self);
        match failure {
            None => guard.call.end(true),
            Some(name) => guard.call.end_badly(Cause::Error(&name)),
        }
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Drop for Guard<ONE_IN, OBJECTIVE> {
    fn drop(&mut self) {
        match !self.panicking && std::thread::panicking() {
            true => self.call.end_badly(Cause::Panic),
            false => self.call.end(true),
        }
    }
}

/// Keeps a keyed series alive for as long as a future uses it.
pub(super) type Key = Arc<keyed::Keyed>;
