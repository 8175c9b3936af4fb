//! One sync call: from [`Site::enter`] to the end of its guard. This is the path that every profiled function pays for.

mod traced;

use super::{
    FAST, FAST_TRACED, MODE, OFF,
    alloc::{self, Mark, Tally, uncounted},
    is_traced,
    keyed::{self, ValueRef},
    series::late,
    shard::{Cause, Extra, Shard},
    site::{Owner, Site, TRACED, nowhere},
    slots::{self, Callees, Hidden},
    spans,
    thread::{self, Attached},
};
use crate::clock;
use std::{
    borrow::Cow,
    cell::RefCell,
    mem::{ManuallyDrop, MaybeUninit},
    ptr,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use traced::{begin_traced, begin_untimed};

/// Of this thread; with [`FLAGS`].
pub(super) static CALLEES: Callees = Callees;
/// Of this thread.
pub(super) static HIDDEN: Hidden = Hidden;

/// Of [`CALLEES`]: the thread is in a trace that is not recorded. What is subtracted from a time takes it along: see `Shard::read`.
pub(super) const UNSAMPLED: u64 = 1 << 63;

/// Of [`CALLEES`]: nothing that saved them runs within the detached call that was entered last. Whoever saves takes it away.
pub(super) const ENTERED: u64 = 1 << 62;

/// What of [`CALLEES`] is no time.
pub(super) const FLAGS: u64 = UNSAMPLED | ENTERED;

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
    /// There was no place to remember when it began.
    pub(super) const UNFRAMED: usize = 16;
    /// It has a span.
    pub(super) const SPAN: usize = 32;
    pub(super) const ALL: usize = OFF | SLOW | UNTIMED | LATE | UNFRAMED | SPAN;
}

/// A call that is running. Dropped without [`finish`](Self::finish), it counts as a panic.
///
/// `ONE_IN` is one, or in how many calls one is timed; `OBJECTIVE` tells whether good calls are counted.
#[must_use]
#[derive(Debug)]
pub struct Call<const ONE_IN: u32, const OBJECTIVE: bool> {
    /// With a [`tag`].
    shard: *const Shard,
    /// Without a tag but that of a span: when it began.
    start: MaybeUninit<u64>,
    /// Without a tag but that of a span: [`CALLEES`] of the caller.
    outer: MaybeUninit<u64>,
}

impl Site {
    /// A call begins. `owner` tells whose method it is.
    #[inline(always)]
    pub fn enter(&'static self, owner: Owner) -> Call<1, false> {
        self.enter_as(owner)
    }

    /// A call begins of a function that is not timed each time, or has an objective.
    #[inline(always)]
    pub fn enter_as<const ONE_IN: u32, const OBJECTIVE: bool>(
        &'static self,
        owner: Owner,
    ) -> Call<ONE_IN, OBJECTIVE> {
        let place = self.fast_place();
        // First, so that a call that is not recorded touches nothing of the thread.
        if place == nowhere::OFF {
            return Call::off();
        }
        // Where nothing has spans, or nobody records this thread's trace.
        let hidden = HIDDEN.get();
        let shard = slots::get(place ^ hidden);
        if shard.is_null() {
            return Call::entered(self.enter_slow::<ONE_IN>(owner));
        }
        // SAFETY: the thread was lent it and has not given it back.
        Call::begin(unsafe { &*shard }, hidden)
    }

    /// Any other call: a thread's first, or one that has a span, or might have one.
    #[cold]
    #[inline(never)]
    fn enter_slow<const ONE_IN: u32>(&'static self, owner: Owner) -> Entered {
        let place = self.fast_place();
        let shard = slots::get(place & !TRACED);
        if shard.is_null() {
            return self.enter_first::<ONE_IN>(owner);
        }
        // SAFETY: the thread was lent it and has not given it back.
        let shard = unsafe { &*shard };
        match place & TRACED != 0 {
            true => begin_traced::<ONE_IN>(self, shard),
            // There are no spans any more.
            false => begin_fast::<ONE_IN>(shard),
        }
    }

    /// A thread's first call, or one that reads another clock.
    #[cold]
    #[inline(never)]
    fn enter_first<const ONE_IN: u32>(&'static self, owner: Owner) -> Entered {
        match self.mode() {
            OFF => (OFF_CALL, 0),
            _ => begin_slow::<ONE_IN>(self, uncounted(|| self.attach(owner.map(|name| name()), ONE_IN))),
        }
    }

    /// This thread's shard.
    pub(super) fn attach(&'static self, owner: Option<&'static str>, one_in: u32) -> Attached {
        self.state().meet(owner, one_in);
        thread::attach(self)
    }

    /// A call with attributes begins. `values` hands them on, and is only called when calls are recorded.
    pub fn enter_keyed<const ONE_IN: u32, const OBJECTIVE: bool>(
        &'static self,
        owner: Owner,
        values: impl FnOnce(&mut dyn FnMut(&[ValueRef<'_>])),
    ) -> Call<ONE_IN, OBJECTIVE> {
        if self.is_off() {
            return Call::off();
        }
        self.state().meet(owner.map(|name| name()), ONE_IN);
        let mut entered = (OFF_CALL, 0);
        values(&mut |values| {
            entered = begin_slow::<ONE_IN>(self, uncounted(|| keyed::enter(self, values)));
            if entered.0.addr() & tag::SPAN != 0 {
                note_keyed(self, values);
            }
        });
        Call::entered(entered)
    }
}

#[cold]
#[inline(never)]
fn note_keyed(site: &'static Site, values: &[ValueRef<'_>]) {
    uncounted(|| spans::note_keyed(keyed::series(site, values)));
}

const OFF_CALL: *const Shard = ptr::without_provenance(tag::OFF);

/// A call that has begun, but for its start: the shard with its tags, and [`CALLEES`] of the caller.
type Entered = (*const Shard, u64);

#[inline(always)]
fn tagged(shard: &Shard, tag: usize) -> *const Shard {
    ptr::from_ref(shard).map_addr(|addr| addr | tag)
}

/// What a call remembers that did not take the fast path.
#[derive(Clone, Copy)]
struct Frame {
    start: u64,
    outer: u64,
    allocated: Mark,
}

thread_local! {
    /// The calls of this thread that did not take the fast path, innermost last.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Begins a call whose shard was looked up.
#[inline(always)]
fn begin_slow<const ONE_IN: u32>(site: &'static Site, attached: Attached) -> Entered {
    if MODE.load(Relaxed) == FAST && !attached.late {
        // SAFETY: the thread was lent it and has not given it back.
        return begin_fast::<ONE_IN>(unsafe { attached.shard.get() });
    }
    begin_slowest::<ONE_IN>(site, attached)
}

/// Begins a call off the fast path.
#[inline(never)]
fn begin_slowest<const ONE_IN: u32>(site: &'static Site, attached: Attached) -> Entered {
    let Attached { shard, late: is_late } = attached;
    let mode = MODE.load(Relaxed);
    let _late = is_late.then(late);
    // SAFETY: the thread was lent it, or it is shared and locked; either way its series lives on.
    let shard = unsafe { shard.get() };
    if mode == FAST_TRACED && !is_late {
        return begin_traced::<ONE_IN>(site, shard);
    }
    let late_tag = if is_late { tag::LATE } else { 0 };
    let tagged = |tag| tagged(shard, tag | late_tag);
    shard.start();
    let sampling = is_traced(mode) && !is_late && CALLEES.get() & UNSAMPLED == 0 && site.state().has_spans();
    let sampled = sampling && spans::decide();
    let unsampled = sampling && !sampled;
    if ONE_IN > 1 && !due(shard, ONE_IN) {
        return match sampling {
            true => begin_untimed(site, shard, CALLEES.get(), sampled, clock::now),
            false => (tagged(tag::UNTIMED), 0),
        };
    }
    // The thread may have no frames any more; then the call is only counted.
    let outer = CALLEES.get();
    let pushed = uncounted(|| {
        FRAMES.try_with(|frames| {
            let mut frames = frames.try_borrow_mut().ok()?;
            frames.push(Frame { start: 0, outer, allocated: Mark::NONE });
            Some(frames.len())
        })
    });
    let Ok(Some(depth)) = pushed else { return (tagged(tag::SLOW | tag::UNFRAMED), 0) };
    let has_frame = sampled || outer & ENTERED != 0 && is_traced(mode);
    if sampled {
        spans::begin(site);
    } else if has_frame {
        spans::begin_unsampled();
    }
    CALLEES.set(outer & UNSAMPLED | if unsampled { UNSAMPLED } else { 0 });
    let allocated = Mark::begin();
    let _ = FRAMES.try_with(|frames| {
        if let Ok(mut frames) = frames.try_borrow_mut()
            && let Some(frame) = frames.get_mut(depth - 1)
        {
            *frame = Frame { start: clock::now(), outer, allocated };
        }
    });
    (tagged(tag::SLOW | if has_frame { tag::SPAN } else { 0 }), outer)
}

/// Begins it as on the fast path.
#[inline(always)]
fn begin_fast<const ONE_IN: u32>(shard: &Shard) -> Entered {
    shard.start();
    match ONE_IN > 1 && !due(shard, ONE_IN) {
        true => (tagged(shard, tag::UNTIMED), 0),
        false => (shard, CALLEES.replace(HIDDEN.get())),
    }
}

/// Ends a call that did not take the fast path.
#[cold]
#[inline(never)]
fn end_slow<const OBJECTIVE: bool>(
    tagged: *const Shard,
    start: MaybeUninit<u64>,
    outer: MaybeUninit<u64>,
    ok: bool,
) {
    // SAFETY: as where it was tagged.
    let shard = unsafe { &*tagged.map_addr(|addr| addr & !tag::ALL) };
    if tagged.addr() & tag::ALL == tag::SPAN {
        // SAFETY: there is no tag but that of a span.
        let (start, outer) = unsafe { (start.assume_init(), outer.assume_init()) };
        let end = clock::counter();
        end_timed::<OBJECTIVE>(shard, end.wrapping_sub(start), outer, ok);
        return spans::end(Some(start), end);
    }
    end_slowest::<OBJECTIVE>(tagged, shard, ok);
}

/// Ends a call that reads another clock, or that is not timed and yet has a span.
#[inline(never)]
fn end_slowest<const OBJECTIVE: bool>(tagged: *const Shard, shard: &Shard, ok: bool) {
    let _late = (tagged.addr() & tag::LATE != 0).then(late);
    let has_span = tagged.addr() & tag::SPAN != 0;
    if tagged.addr() & tag::UNTIMED != 0 {
        if has_span {
            // It was not set before the call.
            CALLEES.set(CALLEES.get() & !UNSAMPLED);
            spans::end(None, clock::now());
        }
        return shard.record_untimed();
    }
    let end = clock::now();
    let framed = tagged.addr() & tag::UNFRAMED == 0;
    let pop = || FRAMES.try_with(|frames| frames.try_borrow_mut().ok()?.pop()).ok().flatten();
    let Some(frame) = framed.then(pop).flatten() else {
        shard.record(0, 0, None);
        if OBJECTIVE && ok {
            shard.judge(0);
        }
        return;
    };
    let tally @ Tally { bytes, count } = frame.allocated.end();
    if has_span {
        if alloc::is_installed() {
            spans::note_memory(tally);
        }
        uncounted(|| spans::end(Some(frame.start), end));
    }
    let ticks = uncounted(|| shard.record(end.wrapping_sub(frame.start), CALLEES.get(), None));
    CALLEES.set(frame.outer.wrapping_add(ticks));
    shard.record_extra(Extra { busy: 0, allocated: bytes, allocations: count });
    if OBJECTIVE && ok {
        shard.judge(ticks);
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Call<ONE_IN, OBJECTIVE> {
    #[inline(always)]
    const fn tagged(shard: *const Shard) -> Self {
        Self { shard, start: MaybeUninit::uninit(), outer: MaybeUninit::uninit() }
    }

    /// One that is not recorded.
    #[cold]
    const fn off() -> Self {
        Self::tagged(OFF_CALL)
    }

    /// What has begun off the fast path.
    #[inline(always)]
    fn entered((shard, outer): Entered) -> Self {
        if shard.addr() & (tag::ALL & !tag::SPAN) != 0 {
            return Self::tagged(shard);
        }
        Self { shard, outer: MaybeUninit::new(outer), start: MaybeUninit::new(clock::counter()) }
    }

    #[inline(always)]
    fn begin(shard: &Shard, hidden: u64) -> Self {
        shard.start();
        if ONE_IN > 1 && !due(shard, ONE_IN) {
            return Self::tagged(tagged(shard, tag::UNTIMED));
        }
        let outer = MaybeUninit::new(CALLEES.replace(hidden));
        Self { shard, outer, start: MaybeUninit::new(clock::counter()) }
    }

    /// The call returned; `failure` is the type of its error.
    #[inline(always)]
    pub fn finish(self, failure: Option<Cow<'_, str>>) {
        let call = ManuallyDrop::new(self);
        match failure {
            None => call.end(true),
            Some(name) => call.end_badly(&Cause::Error(&name)),
        }
    }

    /// For bodies that cannot be wrapped: ends with the scope, as a panic if unwinding began since.
    #[inline(always)]
    pub fn guard(self) -> Guard<ONE_IN, OBJECTIVE> {
        Guard { call: ManuallyDrop::new(self), panicking: std::thread::panicking() }
    }

    #[inline(always)]
    fn end_badly(&self, cause: &Cause<'_>) {
        end_badly::<ONE_IN, OBJECTIVE>(self.shard, self.start, self.outer, cause);
    }

    #[inline(always)]
    fn end(&self, ok: bool) {
        if self.shard.addr() & tag::ALL != 0 {
            if ONE_IN > 1 && self.shard.addr() & tag::ALL == tag::UNTIMED {
                // SAFETY: the thread was lent it and has not given it back.
                unsafe { &*self.shard.map_addr(|addr| addr - tag::UNTIMED) }.record_untimed();
            } else if self.shard != OFF_CALL {
                end_slow::<OBJECTIVE>(self.shard, self.start, self.outer, ok);
            }
            return;
        }
        // SAFETY: there is no tag.
        let (start, outer) = unsafe { (self.start.assume_init(), self.outer.assume_init()) };
        let ticks = clock::counter().wrapping_sub(start);
        // SAFETY: the thread was lent it and has not given it back.
        let shard = unsafe { &*self.shard };
        end_timed::<OBJECTIVE>(shard, ticks, outer, ok);
    }
}

/// A call ends that took so long.
#[inline(always)]
fn end_timed<const OBJECTIVE: bool>(shard: &Shard, ticks: u64, outer: u64, ok: bool) {
    let callees = CALLEES.get();
    let recorded = shard.record_fast(ticks, callees);
    if recorded {
        CALLEES.set(outer.wrapping_add(ticks));
        if OBJECTIVE && ok {
            shard.judge(ticks);
        }
    } else {
        end_unusual::<OBJECTIVE>(shard, ticks, outer, ok);
    }
}

/// A duration that is the longest yet, or whose bucket is not in the window.
#[cold]
#[inline(never)]
fn end_unusual<const OBJECTIVE: bool>(shard: &Shard, ticks: u64, outer: u64, ok: bool) {
    let ticks = shard.record(ticks, CALLEES.get(), None);
    CALLEES.set(outer.wrapping_add(ticks));
    if OBJECTIVE && ok {
        shard.judge(ticks);
    }
}

/// The parts are passed one by one: a call whose address is known lives in memory, on the fast path too.
#[cold]
#[inline(never)]
fn end_badly<const ONE_IN: u32, const OBJECTIVE: bool>(
    shard: *const Shard,
    start: MaybeUninit<u64>,
    outer: MaybeUninit<u64>,
    cause: &Cause<'_>,
) {
    if shard == OFF_CALL {
        return;
    }
    {
        if shard.addr() & tag::SPAN != 0 {
            spans::note_cause(*cause);
        }
        let _late = (shard.addr() & tag::LATE != 0).then(late);
        // SAFETY: the thread was lent it, or it is shared and locked; either way its series lives on.
        let shard = unsafe { &*shard.map_addr(|addr| addr & !tag::ALL) };
        uncounted(|| shard.fail(*cause));
    }
    ManuallyDrop::new(Call::<ONE_IN, OBJECTIVE> { shard, start, outer }).end(false);
}

/// Whether this call is the one in `one_in` that is timed.
#[inline(always)]
pub(super) fn due(shard: &Shard, one_in: u32) -> bool {
    let left = shard.limit.load(Relaxed);
    let due = left == 0;
    shard.limit.store(if due { u64::from(one_in) - 1 } else { left - 1 }, Relaxed);
    due
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Drop for Call<ONE_IN, OBJECTIVE> {
    #[inline]
    fn drop(&mut self) {
        self.end_badly(&Cause::Panic);
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
            Some(name) => guard.call.end_badly(&Cause::Error(&name)),
        }
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool> Drop for Guard<ONE_IN, OBJECTIVE> {
    fn drop(&mut self) {
        match !self.panicking && std::thread::panicking() {
            true => self.call.end_badly(&Cause::Panic),
            false => self.call.end(true),
        }
    }
}

/// Keeps a keyed series alive for as long as a future uses it.
pub(super) type Key = Arc<keyed::Keyed>;
