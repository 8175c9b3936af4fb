//! One async call: a future timed from its first poll to its end, with the time inside `poll` beside it.

use super::{
    FAST, MODE, OFF,
    alloc::{Mark, Tally, uncounted},
    call::{CALLEES, Key, due},
    keyed::{self, ValueRef},
    series::{LocalShard, late},
    shard::{Cause, Extra},
    site::{Owner, Site},
    thread::Attached,
};
use crate::clock;
use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
    thread::LocalKey,
};

/// Where a profiled future records: what a macro's closure gives.
pub(super) type Place = (&'static Site, &'static LocalKey<LocalShard>, Owner);

impl Site {
    /// The series of an attribute set, for a future; `None` when calls are not recorded.
    pub fn series(
        &'static self,
        owner: Owner,
        values: impl FnOnce(&mut dyn FnMut(&[ValueRef<'_>])),
    ) -> Option<Key> {
        if self.decide_mode() == OFF {
            return None;
        }
        self.meet(owner, 1);
        let mut key = None;
        values(&mut |values| key = Some(uncounted(|| keyed::series(self, values))));
        key
    }
}

/// A future that records its call. At most 64 bytes larger than what it wraps.
#[must_use = "futures do nothing unless polled"]
pub struct Profiled<const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O> {
    place: P,
    outcome: O,
    key: Option<Key>,
    start: u64,
    busy: u64,
    /// Of the busy time, what profiled callees took.
    callees: u64,
    allocated: Tally,
    state: State,
    future: F,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    New,
    /// Timed.
    Running,
    /// Only counted.
    Untimed,
    /// Over, or never recorded.
    Silent,
}

impl<const ONE_IN: u32, const OBJECTIVE: bool, P, F, O> Profiled<ONE_IN, OBJECTIVE, P, F, O>
where
    P: Fn() -> Place,
    F: Future,
    O: Fn(&F::Output) -> Option<Cow<'_, str>>,
{
    /// Wraps `future`. `key` is its series, if it has attributes.
    #[inline]
    pub fn new(place: P, key: Option<Key>, future: F, outcome: O) -> Self {
        let (start, busy, callees, allocated) = (0, 0, 0, Tally::NONE);
        Self { place, outcome, key, start, busy, callees, allocated, state: State::New, future }
    }
}

/// The part that the wrapped future's type does not matter for.
impl<const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O> Profiled<ONE_IN, OBJECTIVE, P, F, O> {
    /// The polling thread's shard.
    #[inline(always)]
    fn attached(&self) -> Attached {
        let (site, local, owner) = (self.place)();
        match &self.key {
            None => match local.with(LocalShard::lent) {
                Some(shard) => Attached { shard, late: false },
                None => uncounted(|| site.attach::<ONE_IN>(local, owner)),
            },
            Some(key) => uncounted(|| keyed::attach(key)),
        }
    }

    #[inline(always)]
    fn begin(&mut self) {
        let (site, ..) = (self.place)();
        let mode = site.mode();
        if mode == OFF || (mode != FAST && site.decide_mode() == OFF) {
            self.state = State::Silent;
            return;
        }
        // The series may have ended between the future's making and now; from here on, it is in use.
        if let Some(key) = self.key.as_mut().filter(|key| key.is_retired()) {
            *key = uncounted(|| keyed::renewed(key));
        }
        let Attached { shard, late: is_late } = self.attached();
        let _late = is_late.then(late);
        // SAFETY: the thread was lent it, or it is shared and locked; either way its series lives on.
        let shard = unsafe { shard.get() };
        shard.start();
        if shard.is_first() {
            self.first();
        }
        self.state = if ONE_IN == 1 || due::<ONE_IN>(shard) { State::Running } else { State::Untimed };
    }

    #[cold]
    fn first(&self) {
        let (site, ..) = (self.place)();
        site.set_async();
        site.meet(None, ONE_IN);
    }

    #[inline(always)]
    fn end(&mut self, end: u64, cause: Option<Cause<'_>>) {
        let Attached { shard, late: is_late } = self.attached();
        let _late = is_late.then(late);
        // SAFETY: as in `begin`.
        let shard = unsafe { shard.get() };
        let timed = std::mem::replace(&mut self.state, State::Silent) == State::Running;
        let ok = cause.is_none();
        if let Some(cause) = cause {
            uncounted(|| shard.fail(cause));
        }
        if !timed {
            return shard.record_untimed();
        }
        let Tally { bytes: allocated, count: allocations } = self.allocated;
        shard.record_extra(Extra { busy: self.busy, allocated, allocations });
        let ticks = shard.record(end.wrapping_sub(self.start), self.callees, Some(self.busy));
        if OBJECTIVE && ok {
            shard.judge(ticks);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_badly(&mut self, cause: Cause<'_>) {
        self.end(clock::now(), Some(cause));
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool, P, F, O> Future for Profiled<ONE_IN, OBJECTIVE, P, F, O>
where
    P: Fn() -> Place,
    F: Future,
    O: Fn(&F::Output) -> Option<Cow<'_, str>>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self` and never moved out; nothing else needs pinning.
        let this = unsafe { self.get_unchecked_mut() };
        let first = this.state == State::New;
        if first {
            this.begin();
        }
        if this.state == State::Silent {
            // SAFETY: as above.
            return unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        }
        let mut polling = Polling::begin(this, first);
        // SAFETY: as above.
        let result = unsafe { Pin::new_unchecked(&mut polling.profiled.future) }.poll(cx);
        // What the outcome asks of the program's own code may panic like the rest of it.
        let failure = match &result {
            Poll::Ready(output) => Some((polling.profiled.outcome)(output)),
            Poll::Pending => None,
        };
        let end = polling.end();
        std::mem::forget(polling);
        match failure {
            None => {}
            Some(None) => this.end(end, None),
            Some(Some(name)) => this.end(end, Some(Cause::Error(&name))),
        }
        result
    }
}

/// One poll. Dropped without [`end`](Self::end), the poll panicked.
struct Polling<'a, const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O> {
    profiled: &'a mut Profiled<ONE_IN, OBJECTIVE, P, F, O>,
    start: u64,
    outer: u64,
    mark: Mark,
    fast: bool,
}

impl<'a, const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O>
    Polling<'a, ONE_IN, OBJECTIVE, P, F, O>
{
    #[inline(always)]
    fn begin(profiled: &'a mut Profiled<ONE_IN, OBJECTIVE, P, F, O>, first: bool) -> Self {
        let fast = MODE.load(Relaxed) == FAST;
        let mark = if fast { Mark::NONE } else { Mark::begin() };
        let outer = CALLEES.replace(0);
        let start = if fast { clock::counter() } else { clock::now() };
        if first {
            profiled.start = start;
        }
        Self { profiled, start, outer, mark, fast }
    }

    /// Gives the time.
    #[inline(always)]
    fn end(&mut self) -> u64 {
        let end = if self.fast { clock::counter() } else { clock::now() };
        // A clock that went backwards makes no time.
        let ticks = end.saturating_sub(self.start);
        let callees = CALLEES.replace(self.outer.wrapping_add(ticks));
        self.profiled.busy = self.profiled.busy.wrapping_add(ticks);
        self.profiled.callees = self.profiled.callees.wrapping_add(callees);
        if !self.fast {
            self.profiled.allocated = self.profiled.allocated.plus(self.mark.end());
        }
        end
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O> Drop
    for Polling<'_, ONE_IN, OBJECTIVE, P, F, O>
{
    fn drop(&mut self) {
        self.end();
        self.profiled.end_badly(Cause::Panic);
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O> Drop
    for Profiled<ONE_IN, OBJECTIVE, P, F, O>
{
    #[inline]
    fn drop(&mut self) {
        if matches!(self.state, State::Running | State::Untimed) {
            self.end_badly(Cause::Cancelled);
        }
    }
}

impl<const ONE_IN: u32, const OBJECTIVE: bool, P: Fn() -> Place, F, O> fmt::Debug
    for Profiled<ONE_IN, OBJECTIVE, P, F, O>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiled").field("state", &self.state).finish_non_exhaustive()
    }
}
