//! What one thread has recorded of one series. One thread at a time writes it, with plain loads and stores; the drain reads it.
//!
//! # Why a call's duration waits
//! A store whose address depends on the time-stamp counter just read holds up everything behind it. So a call leaves
//! its duration in `pending`, and puts into a bucket that of the call before it, whose address has long been known.
//!
//! # What the drain may rely on
//! Every cell only grows, so any reading of it is a lower bound. `timed` is raised last: whoever reads it as *n* sees the first
//! *n* durations, n-1 in buckets and one pending. If the buckets then read add up to n-1, no later duration is
//! among them, and the pending one may be added. The zero bucket starts at -1, because the first call has none before it
//! and puts a duration of zero there. A failure is noted before the end of its call, and read after it.

use super::{
    counts::Counts,
    histogram::{self, MAX_TICKS},
    sync::{
        AtomicPtr, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        OwnerLoad,
    },
    window::Window,
};
use std::ptr;

/// Names of errors that one shard tells apart; the others are counted as [`OTHER`].
const MAX_FAILURES: usize = 64;
/// OpenTelemetry's `error.type` for what has no name of its own.
pub(super) const OTHER: &str = "_OTHER";

/// The cells. All times are in ticks of the clock.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Shard {
    /// Calls begun.
    started: AtomicU64,
    /// Calls ended whose duration was taken.
    timed: AtomicU64,
    /// The sum of durations.
    sum: AtomicU64,
    /// The same less the time spent in profiled callees.
    own: AtomicU64,
    /// The duration of the latest call, not in a bucket yet.
    pending: AtomicU64,
    /// The longest duration of the interval; the drain sets it back.
    max: AtomicU64,
    /// The buckets in use.
    window: AtomicPtr<Window>,
    /// The zero bucket.
    zero: AtomicU64,
    /// Calls ended without a duration (`time_one_in`), or calls that met their objective (`slo`): no site has both.
    pub(super) second: AtomicU64,
    /// Calls until the next that is timed (`time_one_in`), or the longest good duration (`slo`).
    pub(super) limit: AtomicU64,
    /// Time inside `poll`.
    busy: AtomicU64,
    /// Bytes allocated by the function itself.
    allocated: AtomicU64,
    /// How often.
    allocations: AtomicU64,
    failures: AtomicPtr<Failure>,
}

/// How often calls ended in one way other than well.
struct Failure {
    name: Box<str>,
    cancelled: bool,
    count: AtomicU64,
    next: *mut Failure,
}

/// Why a call did not end well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause<'a> {
    Error(&'a str),
    Panic,
    Cancelled,
}

impl<'a> Cause<'a> {
    fn key(self) -> (&'a str, bool) {
        match self {
            Self::Error(name) => (name, false),
            Self::Panic => ("panic", false),
            Self::Cancelled => ("", true),
        }
    }
}

/// What only some calls have to add.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) busy: u64,
    pub(crate) allocated: u64,
    pub(crate) allocations: u64,
}

/// Raises a cell that nobody else writes.
#[inline(always)]
pub(super) fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.own().wrapping_add(n), Release);
}

impl Shard {
    pub(crate) fn new(limit: u64) -> Self {
        let cell = || AtomicU64::new(0);
        Self {
            started: cell(),
            timed: cell(),
            sum: cell(),
            own: cell(),
            pending: cell(),
            max: cell(),
            window: AtomicPtr::new(Window::allocate(0, 0)),
            zero: AtomicU64::new(u64::MAX),
            second: cell(),
            limit: AtomicU64::new(limit),
            busy: cell(),
            allocated: cell(),
            allocations: cell(),
            failures: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// A call begins.
    #[inline(always)]
    pub(crate) fn start(&self) {
        add(&self.started, 1);
    }

    /// Whether the call that just began is the first.
    #[inline(always)]
    pub(crate) fn is_first(&self) -> bool {
        self.started.own() == 1
    }

    /// A call ends after `ticks`, of which `callees` were spent in profiled callees; if `busy` is given, that is what they were a
    /// part of. Gives the duration that was recorded.
    pub(crate) fn record(&self, mut ticks: u64, callees: u64, busy: Option<u64>) -> u64 {
        let previous = self.pending.own();
        if ticks > self.max.load(Relaxed) {
            ticks = self.new_max(ticks);
        }
        self.pending.store(ticks, Release);
        add(&self.sum, ticks);
        add(&self.own, busy.unwrap_or(ticks).wrapping_sub(callees));
        let bucket = histogram::index(previous);
        // SAFETY: only the owner replaces the window, and the owner is here.
        match unsafe { Window::bucket(self.window.own(), bucket) } {
            Some(count) => add(count, 1),
            None => self.miss(bucket),
        }
        add(&self.timed, 1);
        ticks
    }

    /// [`record`](Self::record) of a duration that is not the longest yet, after one whose bucket is in the window; else does
    /// nothing and says so. One exit for both keeps the code at a call small.
    #[inline(always)]
    pub(crate) fn record_fast(&self, ticks: u64, callees: u64) -> bool {
        let bucket = histogram::index(self.pending.own());
        // SAFETY: only the owner replaces the window, and the owner is here.
        let count = unsafe { Window::bucket(self.window.own(), bucket) };
        let Some(count) = count else { return false };
        if ticks > self.max.load(Relaxed) {
            return false;
        }
        self.pending.store(ticks, Release);
        add(&self.sum, ticks);
        add(&self.own, ticks.wrapping_sub(callees));
        add(count, 1);
        add(&self.timed, 1);
        true
    }

    /// Counts a call that took `ticks` as good, if it was quick enough.
    #[inline(always)]
    pub(crate) fn judge(&self, ticks: u64) {
        if ticks <= self.limit.load(Relaxed) {
            add(&self.second, 1);
        }
    }

    /// A call ends whose duration nobody asked for.
    #[inline(always)]
    pub(crate) fn record_untimed(&self) {
        add(&self.second, 1);
    }

    /// Notes the longest duration, and makes sense of impossible ones: a clock that went backwards gives none.
    #[cold]
    #[inline(never)]
    fn new_max(&self, ticks: u64) -> u64 {
        let ticks = if ticks as i64 >= 0 { ticks.min(MAX_TICKS) } else { 0 };
        if ticks > self.max.load(Relaxed) {
            self.max.store(ticks, Relaxed);
        }
        ticks
    }

    /// Counts in a bucket outside the window.
    #[cold]
    #[inline(never)]
    fn miss(&self, bucket: usize) {
        if bucket == 0 {
            return add(&self.zero, 1);
        }
        // The caller of an async call is charged for what it allocates, and that is not this.
        super::alloc::uncounted(|| {
            let old = self.window.own();
            // SAFETY: only the owner replaces the window, and the owner is here.
            let grown = unsafe { Window::grown(old, bucket) };
            // SAFETY: as above; `bucket` is what the new window was made for.
            if let Some(count) = unsafe { Window::bucket(grown, bucket) } {
                add(count, 1);
            }
            self.window.store(grown, Release);
            Window::retire(old);
        });
    }

    /// Adds what only some calls have.
    pub(crate) fn record_extra(&self, extra: Extra) {
        add(&self.busy, extra.busy);
        add(&self.allocated, extra.allocated);
        add(&self.allocations, extra.allocations);
    }

    /// Notes how a call failed, before its end is recorded.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, cause: Cause<'_>) {
        let (name, cancelled) = cause.key();
        let name = super::keyed::truncate(name);
        let head = self.failures.own();
        let (mut at, mut len) = (head, 0);
        // SAFETY: nodes are never freed while the shard lives, and only the owner adds some.
        while let Some(failure) = unsafe { at.as_ref() } {
            if failure.cancelled == cancelled && *failure.name == *name {
                return add(&failure.count, 1);
            }
            (at, len) = (failure.next, len + 1);
        }
        if len >= MAX_FAILURES && name != OTHER && matches!(cause, Cause::Error(_)) {
            return self.fail(Cause::Error(OTHER));
        }
        let failure = Failure { name: name.into(), cancelled, count: AtomicU64::new(1), next: head };
        self.failures.store(Box::into_raw(Box::new(failure)), Release);
    }

    /// Sets the longest duration back and gives it.
    pub(crate) fn take_max(&self) -> u64 {
        self.max.swap(0, Relaxed)
    }

    /// Whether every call that began in it ended in it.
    pub(crate) fn is_idle(&self, untimed: bool) -> bool {
        let untimed = if untimed { self.second.own() } else { 0 };
        self.started.own() == self.timed.own().wrapping_add(untimed)
    }

    /// The longest duration since it was set back.
    pub(crate) fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    pub(crate) fn started(&self) -> u64 {
        self.started.load(Acquire)
    }

    /// Reads all but `started`. `visit` gets each bucket with its count.
    ///
    /// # Safety
    /// No two readings at a time, and none while retired windows are freed; or the caller is the owner.
    pub(crate) unsafe fn read(&self, mut failure: impl FnMut(&str, bool, u64)) -> Reading {
        let mut reading = Reading::default();
        for attempt in 0.. {
            let timed = self.timed.load(Acquire);
            let pending = self.pending.load(Acquire);
            reading.zero = self.zero.load(Acquire);
            // SAFETY: retired windows are not freed during a reading.
            unsafe { Window::read(self.window.load(Acquire), &mut reading.counts) };
            if reading.zero.wrapping_add(reading.counts.sum()).wrapping_add(1) == timed {
                match histogram::index(pending) {
                    0 => reading.zero = reading.zero.wrapping_add(1),
                    bucket => *reading.counts.bucket(bucket) += 1,
                }
                break;
            }
            // A shard this busy will be read again; what is pending now will be in a bucket then.
            if attempt == 3 {
                break;
            }
        }
        // The first call has not yet put the duration before it, which there was none of.
        if reading.zero == u64::MAX {
            reading.zero = 0;
        }
        reading.timed = self.timed.load(Acquire);
        reading.second = self.second.load(Acquire);
        // The highest two bits of callees' ticks say something else, and the next stands for the sign.
        let own = (self.own.load(Acquire) << 2).cast_signed() >> 2;
        (reading.sum, reading.own) = (self.sum.load(Acquire), own.cast_unsigned());
        reading.busy = self.busy.load(Acquire);
        (reading.allocated, reading.allocations) =
            (self.allocated.load(Acquire), self.allocations.load(Acquire));
        let mut at = self.failures.load(Acquire);
        // SAFETY: nodes are never freed while the shard lives.
        while let Some(node) = unsafe { at.as_ref() } {
            failure(&node.name, node.cancelled, node.count.load(Acquire));
            at = node.next;
        }
        reading
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        let mut at = self.failures.own();
        while !at.is_null() {
            // SAFETY: made by `Box::into_raw` in `fail`; nobody else has the shard any more.
            let failure = unsafe { Box::from_raw(at) };
            at = failure.next;
        }
        // SAFETY: made by `Window::allocate`; nobody else has the shard any more.
        unsafe { Window::free(self.window.own()) };
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a shard held at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) timed: u64,
    pub(crate) second: u64,
    pub(crate) sum: u64,
    pub(crate) own: u64,
    pub(crate) busy: u64,
    pub(crate) allocated: u64,
    pub(crate) allocations: u64,
    pub(crate) zero: u64,
    pub(crate) counts: Counts,
}

#[cfg(all(test, exporters_loom))]
mod loom_tests {
    use super::super::totals::Totals;
    use super::*;
    use loom::sync::Mutex;
    use std::sync::Arc;

    struct Lent(Arc<Shard>);

    /// Two calls whose durations lie in different buckets, the second an error.
    fn two_calls(shard: &Shard) {
        shard.start();
        shard.record(100, 0, None);
        shard.start();
        shard.fail(Cause::Error("e"));
        shard.record(100_000, 0, None);
    }

    fn read(shard: &Shard) -> Totals {
        let mut totals = Totals::default();
        // SAFETY: one thread reads, and frees nothing meanwhile.
        unsafe { totals.add_shard(shard, false, false) };
        totals
    }

    fn durations(totals: &Totals) -> u64 {
        totals.zero + totals.counts.sum()
    }

    fn explore(test: impl Fn() + Sync + Send + 'static) {
        crate::clock::init();
        histogram::init();
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        let explored = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = explored.clone();
        model.check(move || {
            counter.fetch_add(1, Relaxed);
            test();
        });
        // A model that has nothing to explore proves nothing.
        assert!(explored.load(Relaxed) > 1);
    }

    #[test]
    fn loom_a_reading_never_counts_what_was_not_and_misses_nothing_at_rest() {
        explore(|| {
            let shard = Arc::new(Shard::new(0));
            let owner = {
                let shard = shard.clone();
                loom::thread::spawn(move || two_calls(&shard))
            };
            let mut seen = read(&shard);
            assert!(seen.ended <= seen.started && seen.ok <= 1 && durations(&seen) <= 2);
            let second = read(&shard);
            seen.raise(&second);
            assert!(seen.ok <= 1 && durations(&seen) <= 2);
            owner.join().unwrap();
            seen.raise(&read(&shard));
            assert_eq!((seen.started, seen.ended, seen.ok, durations(&seen)), (2, 2, 1, 2));
            assert_eq!(seen.counts.iter().filter(|(_, count)| *count == 1).count(), 2);
            // SAFETY: nobody reads.
            unsafe { Window::free_retired() };
        });
    }

    #[test]
    fn loom_a_shard_that_changes_hands_keeps_its_counts() {
        explore(|| {
            let shard = Arc::new(Shard::new(0));
            let free = Arc::new(Mutex::new(Some(Lent(shard.clone()))));
            let borrow = |free: Arc<Mutex<Option<Lent>>>| {
                move || {
                    let lent = free.lock().unwrap().take();
                    if let Some(lent) = lent {
                        two_calls(&lent.0);
                        *free.lock().unwrap() = Some(lent);
                        return 2;
                    }
                    0
                }
            };
            let other = loom::thread::spawn(borrow(free.clone()));
            let mine = borrow(free)();
            let calls = mine + other.join().unwrap();
            let totals = read(&shard);
            assert_eq!((totals.started, totals.ended, durations(&totals)), (calls, calls, calls));
            assert_eq!(totals.failed("e", false), calls / 2);
            // SAFETY: nobody reads.
            unsafe { Window::free_retired() };
        });
    }
}
