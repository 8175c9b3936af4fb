//! One async call: a future timed from its first poll to its end, with the time inside `poll` beside it.

use super::{
    FAST, FAST_TRACED, MODE,
    alloc::{self, Mark, Tally, uncounted},
    call::{CALLEES, HIDDEN, Key, UNSAMPLED, due},
    is_traced,
    keyed::{self, ValueRef},
    outcome::{Judge, Never},
    series::{ShardRef, late},
    shard::{Cause, Extra},
    site::{Owner, Site},
    slots,
    spans::{self, Before, TracedWord},
    thread::Attached,
};
use crate::clock;
use std::{
    borrow::Cow,
    fmt,
    mem::MaybeUninit,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
};

impl Site {
    /// The series of an attribute set, for a future; `None` when calls are not recorded.
    pub fn series(
        &'static self,
        owner: Owner,
        values: impl FnOnce(&mut dyn FnMut(&[ValueRef<'_>])),
    ) -> Option<Key> {
        if self.is_off() {
            return None;
        }
        self.state().meet(owner.map(|name| name()), 1);
        let mut key = None;
        values(&mut |values| key = Some(uncounted(|| keyed::series(self, values))));
        key
    }
}

/// How the calls of a function are recorded, as far as the macro knows.
pub trait How {
    /// One call in how many is timed.
    const ONE_IN: u32 = 1;
    /// Whether good calls are counted.
    const OBJECTIVE: bool = false;
    /// Whose method it is.
    fn owner(&self) -> Option<&'static str> {
        None
    }
}

/// As most are.
#[derive(Debug)]
pub struct Plain;
impl How for Plain {}

/// As a method's are, whose type is named like this.
#[derive(Debug)]
pub struct Method<N>(pub N);
impl<N: Fn() -> &'static str> How for Method<N> {
    fn owner(&self) -> Option<&'static str> {
        Some(self.0())
    }
}

/// In a way of its own.
#[derive(Debug)]
pub struct Custom<const ONE_IN: u32, const OBJECTIVE: bool, H>(pub H);
impl<const ONE_IN: u32, const OBJECTIVE: bool, H: How> How for Custom<ONE_IN, OBJECTIVE, H> {
    const ONE_IN: u32 = ONE_IN;
    const OBJECTIVE: bool = OBJECTIVE;
    fn owner(&self) -> Option<&'static str> {
        self.0.owner()
    }
}

/// A future that records its call. At most 64 bytes larger than what it wraps.
#[must_use = "futures do nothing unless polled"]
pub struct Profiled<H: How, J, F> {
    site: &'static Site,
    key: Option<Key>,
    start: u64,
    busy: u64,
    /// Of the busy time, what profiled callees took.
    callees: u64,
    allocated: u64,
    allocations: Count,
    state: State,
    span: TracedWord,
    how: H,
    judge: J,
    future: F,
}

/// A number below 2^48, which leaves room for the state beside it.
#[derive(Clone, Copy)]
#[repr(C, packed(2))]
struct Count {
    low: u32,
    high: u16,
}

impl Count {
    const NONE: Self = Self { low: 0, high: 0 };

    fn get(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }

    fn add(&mut self, n: u64) {
        let sum = self.get().wrapping_add(n);
        *self = Self { low: sum as u32, high: (sum >> 32) as u16 };
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    New,
    /// Timed.
    Running,
    /// It has a span.
    Traced,
    /// Only counted.
    Untimed,
    /// Over, or never recorded.
    Silent,
}

/// Has `future`, which cannot fail, record its call.
#[inline]
pub fn profiled<F: Future>(site: &'static Site, future: F) -> Profiled<Plain, Never, F> {
    Profiled::plain(site, future, Never)
}

impl<J, F> Profiled<Plain, J, F> {
    #[inline(always)]
    pub(super) fn plain(site: &'static Site, future: F, judge: J) -> Self {
        Self::new(site, None, Plain, future, judge)
    }
}

impl<H: How, J, F: Future> Profiled<H, J, F> {
    /// Wraps `future`. `key` is its series, if it has attributes.
    #[inline]
    pub fn judged_by(site: &'static Site, key: Option<Key>, how: H, future: F, judge: J) -> Self
    where
        J: Fn(&F::Output) -> Option<Cow<'_, str>>,
    {
        Self::new(site, key, how, future, judge)
    }
}

/// The part that the wrapped future's type does not matter for.
impl<H: How, J, F> Profiled<H, J, F> {
    /// Wraps `future`. `key` is its series, if it has attributes.
    #[inline(always)]
    pub fn new(site: &'static Site, key: Option<Key>, how: H, future: F, judge: J) -> Self {
        let (start, busy, callees, allocated, allocations) = (0, 0, 0, 0, Count::NONE);
        let (state, span) = (State::New, TracedWord::NO);
        Self { site, key, start, busy, callees, allocated, allocations, state, span, how, judge, future }
    }

    /// Begins the call, unless it has begun, and runs `work`, which may make the future, as if it were polled.
    #[cfg(feature = "tower")]
    pub(crate) fn within(&mut self, work: impl FnOnce(&mut F)) {
        let first = self.state == State::New;
        if first {
            self.begin();
        }
        if self.state == State::Silent {
            return work(&mut self.future);
        }
        let mut slow = MaybeUninit::uninit();
        let mut polling = Polling::begin(self, &mut slow, first);
        work(&mut polling.profiled.future);
        polling.end();
        std::mem::forget(polling);
    }

    /// What the polling thread's table has, which it has only while calls are recorded.
    #[inline(always)]
    fn lent(&self) -> Option<ShardRef> {
        if self.key.is_none() { slots::lent(self.site.fast_place()) } else { None }
    }

    #[inline(never)]
    fn attach(&self) -> Attached {
        uncounted(|| match &self.key {
            None => self.site.attach(self.how.owner(), H::ONE_IN),
            Some(key) => keyed::attach(key),
        })
    }

    /// Gives the shard, if it stays the thread's until the poll is over.
    #[inline(always)]
    fn begin(&mut self) -> Option<ShardRef> {
        let lent = self.lent();
        let attached = match lent {
            Some(shard) => Attached { shard, late: false },
            None if self.site.is_off() => {
                self.state = State::Silent;
                return None;
            }
            None => {
                // The series may have ended between the future's making and now; from here on, it is in use.
                if let Some(key) = self.key.as_mut().filter(|key| key.is_retired()) {
                    *key = uncounted(|| keyed::renewed(key));
                }
                let attached = self.attach();
                self.open(attached.late);
                attached
            }
        };
        let Attached { shard, late: is_late } = attached;
        let _late = is_late.then(late);
        // SAFETY: the thread was lent it, or it is shared and locked; either way its series lives on.
        let shard = unsafe { shard.get() };
        shard.start();
        if shard.is_first() {
            self.first();
        }
        let timed = H::ONE_IN == 1 || due(shard, H::ONE_IN);
        self.state = if timed { State::Running } else { State::Untimed };
        if lent.is_none() {
            self.opened();
        }
        lent
    }

    /// Decides whether the call has a span.
    #[inline(never)]
    fn open(&mut self, late: bool) {
        if is_traced(MODE.load(Relaxed)) && !late {
            self.span = spans::open(self.site, self.key.as_ref());
        }
    }

    /// After [`open`](Self::open), and when it is known whether the call is timed.
    #[inline(never)]
    fn opened(&mut self) {
        if let Some(more) = self.span.open_mut() {
            more.set_untimed(self.state == State::Untimed);
            self.state = State::Traced;
        }
    }

    #[cold]
    fn first(&self) {
        let state = self.site.state();
        state.set_async();
        state.meet(None, H::ONE_IN);
    }

    #[inline(always)]
    fn end(&mut self, end: u64, cause: Option<Cause<'_>>, lent: Option<ShardRef>) {
        let Attached { shard, late: is_late } = match lent.or_else(|| self.lent()) {
            Some(shard) => Attached { shard, late: false },
            None => self.attach(),
        };
        let _late = is_late.then(late);
        // SAFETY: as in `begin`.
        let shard = unsafe { shard.get() };
        let timed = std::mem::replace(&mut self.state, State::Silent) == State::Running;
        let ok = cause.is_none();
        if let Some(cause) = cause {
            uncounted(|| shard.fail(cause));
        }
        if !timed && self.close(end, cause) {
            return shard.record_untimed();
        }
        let (allocated, allocations) = (self.allocated, self.allocations.get());
        shard.record_extra(Extra { busy: self.busy, allocated, allocations });
        let ticks = shard.record(end.wrapping_sub(self.start), self.callees, Some(self.busy));
        if H::OBJECTIVE && ok {
            shard.judge(ticks);
        }
    }

    /// Ends the span, if there is one; tells whether the call's duration is not wanted.
    #[cold]
    #[inline(never)]
    fn close(&mut self, end: u64, cause: Option<Cause<'_>>) -> bool {
        let Some(more) = self.span.take() else { return true };
        let (untimed, counted) = (more.is_untimed(), alloc::is_installed());
        let memory = counted.then(|| Tally { bytes: self.allocated, count: self.allocations.get() });
        spans::close(self.site, more, (self.start, end), self.busy, memory, cause);
        untimed
    }

    #[cold]
    #[inline(never)]
    fn end_badly(&mut self, cause: Cause<'_>) {
        self.end(clock::now(), Some(cause), None);
    }
}

impl<H: How, J: Judge<F::Output>, F: Future> Future for Profiled<H, J, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self` and never moved out; nothing else needs pinning.
        let this = unsafe { self.get_unchecked_mut() };
        let first = this.state == State::New;
        let lent = if first { this.begin() } else { None };
        if this.state == State::Silent {
            // SAFETY: as above.
            return unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        }
        // A place of its own: what is pointed to is not kept in registers.
        let mut slow = MaybeUninit::uninit();
        let mut polling = Polling::begin(this, &mut slow, first);
        // SAFETY: as above.
        let result = unsafe { Pin::new_unchecked(&mut polling.profiled.future) }.poll(cx);
        // What the outcome asks of the program's own code may panic like the rest of it.
        let failure = match &result {
            Poll::Ready(output) => Some(polling.profiled.judge.failure(output)),
            Poll::Pending => None,
        };
        let end = polling.end();
        std::mem::forget(polling);
        match failure {
            None => {}
            Some(None) => this.end(end, None, lent),
            Some(Some(name)) => this.end(end, Some(Cause::Error(&name)), lent),
        }
        result
    }
}

/// One poll. Dropped without [`end`](Self::end), the poll panicked.
struct Polling<'a, H: How, J, F> {
    profiled: &'a mut Profiled<H, J, F>,
    start: u64,
    outer: u64,
    /// Written unless it is `fast`.
    slow: &'a mut MaybeUninit<Slow>,
    fast: bool,
}

/// What a poll remembers off the fast path.
#[derive(Clone, Copy)]
struct Slow {
    mark: Mark,
    before: Option<Before>,
    counter: bool,
}

impl Slow {
    /// Gives [`CALLEES`] of the caller, and the time.
    #[inline(never)]
    fn begin(place: &mut MaybeUninit<Self>, span: &TracedWord) -> (u64, u64) {
        let mode = MODE.load(Relaxed);
        let counter = mode == FAST_TRACED;
        let outer = CALLEES.get();
        let before = is_traced(mode).then(|| spans::enter(span));
        CALLEES.set(CALLEES.get() & UNSAMPLED);
        let mark = if counter { Mark::NONE } else { Mark::begin() };
        let start = if counter { clock::counter() } else { clock::now() };
        place.write(Self { mark, before, counter });
        (outer, start)
    }

    #[inline(never)]
    fn now(&self) -> u64 {
        if self.counter { clock::counter() } else { clock::now() }
    }

    /// After [`CALLEES`] were restored. Adds what was allocated.
    #[inline(never)]
    fn end(&self, allocated: &mut u64, allocations: &mut Count) {
        if let Some(before) = self.before {
            spans::restore(before);
        }
        if !self.counter {
            let Tally { bytes, count } = self.mark.end();
            *allocated = allocated.wrapping_add(bytes);
            allocations.add(count);
        }
    }
}

impl<'a, H: How, J, F> Polling<'a, H, J, F> {
    #[inline(always)]
    fn begin(profiled: &'a mut Profiled<H, J, F>, slow: &'a mut MaybeUninit<Slow>, first: bool) -> Self {
        let fast = MODE.load(Relaxed) == FAST;
        let (outer, start) = if fast {
            (CALLEES.replace(HIDDEN.get()), clock::counter())
        } else {
            Slow::begin(slow, &profiled.span)
        };
        if first {
            profiled.start = start;
        }
        Self { profiled, start, outer, slow, fast }
    }

    /// Gives the time.
    #[inline(always)]
    fn end(&mut self) -> u64 {
        // SAFETY: it was written when the poll began.
        let end = if self.fast { clock::counter() } else { unsafe { self.slow.assume_init_ref() }.now() };
        // A clock that went backwards makes no time.
        let ticks = end.saturating_sub(self.start);
        let callees = CALLEES.replace(self.outer.wrapping_add(ticks));
        self.profiled.busy = self.profiled.busy.wrapping_add(ticks);
        self.profiled.callees = self.profiled.callees.wrapping_add(callees);
        if !self.fast {
            let Profiled { allocated, allocations, .. } = &mut *self.profiled;
            // SAFETY: as above.
            unsafe { self.slow.assume_init_ref() }.end(allocated, allocations);
        }
        end
    }
}

impl<H: How, J, F> Drop for Polling<'_, H, J, F> {
    fn drop(&mut self) {
        self.end();
        self.profiled.end_badly(Cause::Panic);
    }
}

impl<H: How, J, F> Drop for Profiled<H, J, F> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.state, State::Running | State::Untimed | State::Traced) {
            self.end_badly(Cause::Cancelled);
        }
    }
}

impl<H: How, J, F> fmt::Debug for Profiled<H, J, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiled").field("state", &self.state).finish_non_exhaustive()
    }
}
