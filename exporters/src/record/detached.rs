//! A call that is entered and left by hand: on any thread, in any order, on several at once. What `Profiled` knows, without a future.
//!
//! Each thread remembers what it has entered. One that is left while something else runs within it stays remembered, and what was
//! current before it becomes so again as soon as the thread is back there: [`settle`] looks.

use super::{
    MODE,
    alloc::{self, Mark, Tally, uncounted},
    call::{CALLEES, ENTERED, FLAGS, UNSAMPLED},
    context::Context,
    is_traced,
    series::late,
    shard::{Cause, Extra, OTHER},
    site::Site,
    spans::{self, Before, Current, Level, More, TraceState, TracedWord, details::Details},
    thread::Attached,
};
use crate::{clock, model::SpanContext};
use std::{
    cell::{Cell, RefCell},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

/// A call that has begun.
#[derive(Debug)]
pub(super) struct Detached {
    site: &'static Site,
    start: u64,
    /// What is current where it is entered, and whether nobody records that; `None` if its trace is not known.
    current: Option<(Current, bool)>,
    /// What `current` borrows of.
    _state: Option<TraceState>,
    generation: u32,
    recorded: bool,
    span: Mutex<TracedWord>,
    busy: AtomicU64,
    /// Of the busy time, what profiled callees took.
    callees: AtomicU64,
    allocated: AtomicU64,
    allocations: AtomicU64,
    failed: AtomicBool,
    panicked: AtomicBool,
    ended: AtomicBool,
}

// SAFETY: what `current` borrows is kept beside it.
unsafe impl Send for Detached {}
// SAFETY: as above.
unsafe impl Sync for Detached {}

/// In which span a call begins.
#[derive(Debug)]
pub(super) enum Parent<'a> {
    /// The one that is running on this thread.
    Running,
    /// None: a trace begins.
    None,
    /// That of another call.
    Call(&'a Detached),
}

/// Where a call was entered.
struct Entry {
    call: Arc<Detached>,
    /// The thread's level since.
    level: Level,
    before: Before,
    /// [`CALLEES`] before.
    outer: u64,
    start: u64,
    mark: Option<Mark>,
    /// Whether the thread is in the call already.
    again: bool,
    /// Whether the thread was unwinding.
    panicking: bool,
    /// How long it took, since it was left.
    left: Option<u64>,
}

/// What a thread has entered, innermost last. Their depths ascend.
struct Entries(Vec<Entry>);

thread_local! {
    static ENTRIES: RefCell<Entries> = const { RefCell::new(Entries(Vec::new())) };
    /// The number of the next entry; odd.
    static NEXT: Cell<usize> = const { Cell::new(1) };
}

/// Runs `f`, which calls nothing of the program's, with what the thread has entered; `None` when it ends.
fn with_entries<T>(f: impl FnOnce(&mut Vec<Entry>) -> T) -> Option<T> {
    ENTRIES
        .try_with(|entries| entries.try_borrow_mut().ok().map(|mut entries| f(&mut entries.0)))
        .ok()
        .flatten()
}

impl Detached {
    /// A call of `site` begins, if calls are recorded.
    pub(super) fn begin(site: &'static Site, parent: Parent<'_>) -> Option<Arc<Self>> {
        if site.is_off() {
            return None;
        }
        settle();
        uncounted(|| {
            let Attached { shard, late: is_late } = site.attach(None, 1);
            {
                let _late = is_late.then(late);
                // SAFETY: the thread was lent it, or it is shared and locked; either way its series lives on.
                unsafe { shard.get() }.start();
            }
            let span = match is_traced(MODE.load(Relaxed)) && !is_late {
                true => open(site, parent),
                false => TracedWord::NO,
            };
            let mut current = span.current();
            let state = current.as_ref().and_then(|(current, _)| current.trace_state());
            if let Some((current, _)) = &mut current {
                current.state = state.as_ref().map_or(ptr::null(), Arc::as_ptr);
            }
            let zero = || AtomicU64::new(0);
            let no = || AtomicBool::new(false);
            Some(Arc::new(Self {
                site,
                start: clock::now(),
                current,
                _state: state,
                generation: spans::generation(),
                recorded: span.open().is_some(),
                span: Mutex::new(span),
                busy: zero(),
                callees: zero(),
                allocated: zero(),
                allocations: zero(),
                failed: no(),
                panicked: no(),
                ended: no(),
            }))
        })
    }

    /// This thread enters it.
    pub(super) fn enter(self: Arc<Self>) {
        with_entries(|entries| {
            settle_in(entries);
            let number = NEXT.replace(NEXT.get().wrapping_add(2));
            let again = entries.iter().any(|entry| entry.left.is_none() && Arc::ptr_eq(&entry.call, &self));
            uncounted(|| entries.reserve(1));
            let outer = CALLEES.get();
            let before = spans::hold(self.current, ptr::without_provenance_mut(number));
            let callees = if again { outer & !FLAGS } else { 0 };
            CALLEES.set(CALLEES.get() & UNSAMPLED | ENTERED | callees);
            let mark = (alloc::is_installed() && !again).then(Mark::begin);
            let (level, panicking) = (spans::level(), thread::panicking());
            let start = clock::now();
            entries.push(Entry {
                call: self,
                level,
                before,
                outer,
                start,
                mark,
                again,
                panicking,
                left: None,
            });
        });
    }

    /// This thread leaves it, if it has entered it.
    pub(super) fn exit(&self) {
        let now = clock::now();
        with_entries(|entries| {
            settle_in(entries);
            let entered = |entry: &Entry| entry.left.is_none() && ptr::eq(&*entry.call, self);
            let Some(at) = entries.iter().rposition(entered) else { return };
            let entry = &mut entries[at];
            // A clock that went backwards makes no time.
            let ticks = now.saturating_sub(entry.start);
            entry.left = Some(ticks);
            if !entry.again {
                self.busy.fetch_add(ticks, Relaxed);
            }
            if thread::panicking() && !entry.panicking {
                self.panicked.store(true, Relaxed);
            }
            settle_in(entries);
        });
    }

    /// It failed, or after all did not.
    pub(super) fn fail(&self, failed: bool) {
        self.failed.store(failed, Relaxed);
    }

    /// Whether it has a span that is recorded by this process.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded && self.generation == spans::generation()
    }

    /// Runs `f`, which calls nothing of the program's, with its span, while that is recorded.
    fn with_open<T>(&self, f: impl FnOnce(&mut More) -> T) -> Option<T> {
        // In the child of a fork the lock may be one that nobody will give back.
        if !self.is_recorded() {
            return None;
        }
        self.span.lock().unwrap_or_else(PoisonError::into_inner).open_mut().map(f)
    }

    /// Adds to its span.
    pub(super) fn add(&self, add: impl FnOnce(&mut Details)) {
        uncounted(|| self.with_open(|more| add(more.details())));
    }

    /// Its span.
    pub(super) fn context(&self) -> Option<SpanContext> {
        self.current.and_then(|(current, unsampled)| Context::of(current, unsampled).into_span_context())
    }

    /// It ends. What happens to it later is ignored.
    pub(super) fn end(&self) {
        let failed = self.failed.load(Relaxed).then_some(Cause::Error(OTHER));
        self.end_as(self.panicked.load(Relaxed).then_some(Cause::Panic).or(failed));
    }

    fn end_as(&self, cause: Option<Cause<'_>>) {
        if self.ended.swap(true, Relaxed) {
            return;
        }
        let end = clock::now();
        uncounted(|| {
            let Attached { shard, late: is_late } = self.site.attach(None, 1);
            let _late = is_late.then(late);
            // SAFETY: as in `begin`.
            let shard = unsafe { shard.get() };
            if let Some(cause) = cause {
                shard.fail(cause);
            }
            let read = |cell: &AtomicU64| cell.load(Relaxed);
            let memory = Tally { bytes: read(&self.allocated), count: read(&self.allocations) };
            let (busy, callees) = (read(&self.busy), read(&self.callees));
            shard.record_extra(Extra { busy, allocated: memory.bytes, allocations: memory.count });
            shard.record(end.wrapping_sub(self.start), callees, Some(busy));
            if !self.is_recorded() {
                return;
            }
            let more = self.span.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(more) = more {
                let memory = alloc::is_installed().then_some(memory);
                spans::close(self.site, more, (self.start, end), busy, memory, cause);
            }
        });
    }
}

/// Whoever was to end it is gone.
impl Drop for Detached {
    fn drop(&mut self) {
        self.end_as(Some(Cause::Cancelled));
        // That of the parent process.
        drop(self.span.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn open(site: &'static Site, parent: Parent<'_>) -> TracedWord {
    let (current, unsampled) = match parent {
        Parent::Running => return spans::open(site, None),
        Parent::None => (Current::NONE, false),
        Parent::Call(call) => call.current.unwrap_or((Current::NONE, false)),
    };
    let before = spans::adopt(current, unsampled);
    let span = spans::open(site, None);
    spans::restore(before);
    span
}

impl Entry {
    /// The thread is back where it entered the call, which it has left after `ticks`.
    fn give_back(self, ticks: u64) {
        let callees = CALLEES.get();
        let entered = callees & ENTERED != 0;
        if entered {
            spans::restore(self.before);
            CALLEES.set(match self.again {
                true => self.outer & FLAGS | callees & !FLAGS,
                false => self.outer.wrapping_add(ticks),
            });
        } else {
            // The call in which it was entered has ended, and has given back what it put aside.
            spans::put_back(self.before);
        }
        if self.again {
            return;
        }
        let add = |cell: &AtomicU64, n: u64| _ = cell.fetch_add(n, Relaxed);
        if entered {
            add(&self.call.callees, (callees & !FLAGS).min(ticks));
        }
        if let Some(Tally { bytes, count }) = self.mark.map(Mark::end) {
            add(&self.call.allocated, bytes);
            add(&self.call.allocations, count);
        }
    }
}

/// Makes current what was before the calls that this thread has left, where nothing runs within them any more.
pub(super) fn settle() {
    with_entries(settle_in);
}

fn settle_in(entries: &mut Vec<Entry>) {
    loop {
        let level = spans::level();
        // What has ended around an entry took back what the entry had made current.
        while entries.pop_if(|entry| entry.level.depth > level.depth).is_some() {}
        // Above what the thread is back at there is nothing.
        let here = entries.iter().rposition(|entry| entry.level == level);
        let Some((at, ticks)) = here.and_then(|at| Some((at, entries[at].left?))) else { break };
        entries.truncate(at + 1);
        if let Some(entry) = entries.pop() {
            entry.give_back(ticks);
        }
    }
}

/// A sync call ends, with which so many others were running; what was entered within it and not left is not current any more.
#[cold]
pub(super) fn unwind(frames: u32) {
    with_entries(|entries| {
        if let Some(at) = entries.iter().position(|entry| entry.level.frames > frames) {
            spans::put_back(entries[at].before);
            entries.truncate(at);
        }
    });
}

/// Runs `f`, which calls nothing of the program's, with the span of the call that was entered under a number, if it is recorded.
pub(super) fn with_open(number: *mut More, f: impl FnOnce(&mut More)) {
    with_entries(|entries| {
        if let Some(entry) = entries.iter().rfind(|entry| entry.level.number == number) {
            entry.call.with_open(f);
        }
    });
}

impl Drop for Entries {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            spans::let_go();
        }
    }
}
