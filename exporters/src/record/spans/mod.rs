//! Spans of sampled calls: which one is running on this thread, and where those that ended wait for the drain.
//!
//! While spans are recorded no call finds its shard in the table, so that all that is said here costs nothing where they are not.
//! Whether a thread is in a trace that nobody records is kept in a bit of [`CALLEES`], which calls restore anyway.

mod collect;
mod ids;
mod ring;

use super::{
    alloc::{Tally, uncounted},
    call::{CALLEES, UNSAMPLED},
    context::Context,
    keyed::Keyed,
    sampler,
    shard::Cause,
    site::Site,
};
use ids::Ids;
use ring::{Reader, Room, Writer};
use std::{
    cell::{Cell, UnsafeCell},
    mem,
    ptr::{self, NonNull},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
};

pub(crate) use collect::{Spans, discard};
pub(super) use ids::derived;

/// W3C `tracestate`, shared by all spans of a trace in this process.
pub(super) type TraceState = Arc<String>;

/// What is known of a span that ended, and fits in a cache line.
#[derive(Debug)]
pub(super) struct Record {
    site: &'static Site,
    trace: [u64; 2],
    span: u64,
    /// Zero for a root.
    parent: u64,
    /// In ticks, as what follows.
    start: u64,
    took: u64,
    more: Option<Box<More>>,
}

/// What is known of some spans only.
#[derive(Debug, Default)]
pub(super) struct More {
    end: End,
    keyed: Option<Arc<Keyed>>,
    busy: Option<u64>,
    memory: Option<Tally>,
    state: Option<TraceState>,
    remote_parent: bool,
    /// When it began, where the call itself does not know it.
    start: u64,
    /// Where an async call began.
    thread: Option<Arc<Thread>>,
}

/// How a call ended.
#[derive(Debug, Default)]
enum End {
    #[default]
    Well,
    Error(Box<str>),
    Panic,
    Cancelled,
}

impl End {
    fn of(cause: Cause<'_>) -> Self {
        match cause {
            Cause::Error(name) => Self::Error(super::keyed::truncate(name).into()),
            Cause::Panic => Self::Panic,
            Cause::Cancelled => Self::Cancelled,
        }
    }
}

/// A thread, as attributes have it.
#[derive(Debug)]
struct Thread {
    id: i64,
    name: Option<String>,
}

impl Thread {
    fn current() -> Self {
        let thread = thread::current();
        // The number has no other way out.
        let id = format!("{:?}", thread.id());
        let id = id.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default();
        Self { id, name: thread.name().map(str::to_owned) }
    }
}

/// The span that is running on a thread; none if its number is zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    pub(super) trace: [u64; 2],
    pub(super) span: u64,
    /// Borrowed from whoever made it current.
    pub(super) state: *const String,
    pub(super) flags: u8,
    pub(super) remote: bool,
}

impl Current {
    pub(super) const NONE: Self =
        Self { trace: [0; 2], span: 0, state: ptr::null(), flags: 0, remote: false };

    pub(super) fn trace_state(&self) -> Option<TraceState> {
        // SAFETY: it comes from `Arc::as_ptr` of one that outlives the time in which it is current.
        (!self.state.is_null()).then(|| unsafe {
            Arc::increment_strong_count(self.state);
            Arc::from_raw(self.state)
        })
    }
}

/// A [`Current`], of which mostly only the span changes; the rest is copied as little as can be.
struct CurrentCell {
    high: Cell<u64>,
    low: Cell<u64>,
    span: Cell<u64>,
    state: Cell<*const String>,
    flags: Cell<u8>,
    remote: Cell<bool>,
}

impl CurrentCell {
    #[expect(clippy::declare_interior_mutable_const, reason = "it is there to be copied")]
    const NONE: Self = Self {
        high: Cell::new(0),
        low: Cell::new(0),
        span: Cell::new(0),
        state: Cell::new(ptr::null()),
        flags: Cell::new(0),
        remote: Cell::new(false),
    };

    fn get(&self) -> Current {
        Current {
            trace: [self.high.get(), self.low.get()],
            span: self.span.get(),
            state: self.state.get(),
            flags: self.flags.get(),
            remote: self.remote.get(),
        }
    }

    fn set(&self, Current { trace: [high, low], span, state, flags, remote }: Current) {
        self.high.set(high);
        self.low.set(low);
        self.span.set(span);
        self.state.set(state);
        self.flags.set(flags);
        self.remote.set(remote);
    }

    fn replace(&self, current: Current) -> Current {
        let before = self.get();
        self.set(current);
        before
    }
}

/// A sync call that is running and has a span, or hides one.
struct Frame {
    site: &'static Site,
    /// The span around it.
    outer: u64,
    outer_remote: bool,
    /// Whether there is something to tell at its end.
    sampled: bool,
    more: Option<Box<More>>,
}

/// What a thread knows of spans. Without a destructor, so that every call may look; [`leave`] frees what it holds.
struct Local {
    current: CurrentCell,
    ids: Ids,
    frames: UnsafeCell<mem::ManuallyDrop<Vec<Frame>>>,
    queue: UnsafeCell<Option<mem::ManuallyDrop<Queue>>>,
    over: Cell<bool>,
}

struct Queue {
    writer: Writer<Record>,
    thread: Arc<Thread>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            current: CurrentCell::NONE,
            ids: Ids::new(),
            frames: UnsafeCell::new(mem::ManuallyDrop::new(Vec::new())),
            queue: UnsafeCell::new(None),
            over: Cell::new(false),
        }
    };
}

/// The queues of all threads.
static QUEUES: Mutex<Queues> = Mutex::new(Vec::new());
/// Raised by every fork, in the child.
static GENERATION: AtomicU32 = AtomicU32::new(0);

type Queues = Vec<(Reader<Record>, Arc<Thread>)>;

/// Keeps others from the queues.
pub(super) struct QueuesGuard(#[expect(dead_code, reason = "it is only held")] MutexGuard<'static, Queues>);

/// Held over a fork, so that no thread has it that the child does not have.
pub(super) fn queues() -> QueuesGuard {
    QueuesGuard(all_queues())
}

fn all_queues() -> MutexGuard<'static, Queues> {
    QUEUES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    /// Runs `f`, which calls nothing of the program's, with the frames.
    #[inline(always)]
    fn frames<R>(&self, f: impl FnOnce(&mut Vec<Frame>) -> R) -> R {
        // SAFETY: the thread's own, and nobody who has it calls anything that comes here.
        f(unsafe { &mut *self.frames.get() })
    }

    #[inline(always)]
    fn push(&self, frame: Frame) {
        self.frames(|frames| {
            if frames.len() == frames.capacity() {
                grow(frames);
            }
            frames.push(frame);
        });
    }

    fn queue(&self) -> Option<&Queue> {
        // SAFETY: the thread's own; it is set once, before anybody has a reference.
        match unsafe { &*self.queue.get() } {
            Some(queue) => Some(queue),
            None if self.over.get() => None,
            None => Some(self.first_queue()),
        }
    }

    #[cold]
    fn first_queue(&self) -> &Queue {
        uncounted(|| {
            let thread = Arc::new(Thread::current());
            let (writer, reader) = ring::ring();
            let queue = Queue { writer, thread: thread.clone() };
            all_queues().push((reader, thread));
            // SAFETY: the thread's own, and nobody has a reference yet.
            unsafe { (*self.queue.get()).insert(mem::ManuallyDrop::new(queue)) }
        })
    }

    /// Leaves a record to the drain.
    #[inline(always)]
    fn write(&self, make: impl FnOnce() -> Record) {
        if let Some(queue) = self.queue()
            && queue.writer.push(make) == Some(Room::Half)
        {
            half_full();
        }
    }

    /// A trace begins on a thread that is in none. Tells whether it is recorded; if not, nothing but half of its identity is known.
    #[inline(always)]
    fn root(&self) -> bool {
        let low = self.ids.next();
        self.current.low.set(low);
        sampler::samples(low)
    }

    /// A span in the one that is running, or the first of a trace that is recorded.
    #[inline(always)]
    fn next(&self) {
        let current = &self.current;
        if current.span.get() == 0 {
            current.high.set(self.ids.next());
            current.state.set(ptr::null());
        }
        current.span.set(self.ids.next());
        current.flags.set(1);
        current.remote.set(false);
    }
}

#[cold]
#[inline(never)]
fn grow(frames: &mut Vec<Frame>) {
    uncounted(|| frames.reserve(16));
}

#[cold]
#[inline(never)]
fn half_full() {
    FILLING.store(true, Relaxed);
    if let Some(wake) = WAKE.get() {
        wake();
    }
}

static WAKE: OnceLock<fn()> = OnceLock::new();
static FILLING: AtomicBool = AtomicBool::new(false);

/// Has `wake`, which must not wait, called when a thread's spans should be drained before more come than fit.
pub(crate) fn on_filling(wake: fn()) {
    WAKE.get_or_init(|| wake);
}

/// Whether spans should be drained now; said once.
pub(crate) fn are_filling() -> bool {
    FILLING.load(Relaxed) && FILLING.swap(false, Relaxed)
}

/// A call begins on a thread that is in no trace that nobody records. Tells whether it is to [`begin`].
#[inline(always)]
pub(super) fn decide() -> bool {
    LOCAL.with(|local| local.current.span.get() != 0 || local.root())
}

/// A call of `site` begins that has a span, as was [`decide`]d.
#[inline(always)]
pub(super) fn begin(site: &'static Site) {
    LOCAL.with(|local| {
        let (outer, outer_remote) = (local.current.span.get(), local.current.remote.get());
        local.next();
        local.push(Frame { site, outer, outer_remote, sampled: true, more: None });
    });
}

/// Has the end of a call of `site`, which cannot restore it by itself, take back that a trace is not recorded.
#[cold]
pub(super) fn begin_unsampled(site: &'static Site) {
    LOCAL.with(|local| {
        local.push(Frame { site, outer: 0, outer_remote: false, sampled: false, more: None });
    });
}

/// More of the call that began last.
#[cold]
pub(super) fn note(with: impl FnOnce(&mut More)) {
    uncounted(|| {
        LOCAL.with(|local| {
            local.frames(|frames| {
                if let Some(frame) = frames.last_mut().filter(|frame| frame.sampled) {
                    with(frame.more.get_or_insert_default());
                }
            });
        });
    });
}

/// When it began.
pub(super) fn note_start(start: u64) {
    note(|more| more.start = start);
}

/// Its attributes.
pub(super) fn note_keyed(keyed: Arc<Keyed>) {
    note(|more| more.keyed = Some(keyed));
}

/// How it ends, before [`end`].
pub(super) fn note_cause(cause: Cause<'_>) {
    note(|more| more.end = End::of(cause));
}

/// What it allocated.
pub(super) fn note_memory(memory: Tally) {
    note(|more| more.memory = Some(memory));
}

/// The call that began last ends now, at `end`. Without a `start` it is what was noted.
#[inline(always)]
pub(super) fn end(start: Option<u64>, end: u64) {
    LOCAL.with(|local| {
        let Some(frame) = local.frames(Vec::pop) else { return };
        if !frame.sampled {
            return;
        }
        let Frame { site, outer, outer_remote, mut more, .. } = frame;
        let current = &local.current;
        let start = start.unwrap_or_else(|| more.as_ref().map_or(end, |more| more.start));
        if outer_remote || !current.state.get().is_null() {
            with_origin(&mut more, outer_remote, &current.get());
        }
        let (trace, span) = ([current.high.get(), current.low.get()], current.span.replace(outer));
        current.remote.set(outer_remote);
        let took = end.wrapping_sub(start);
        local.write(|| Record { site, trace, span, parent: outer, start, took, more });
    });
}

#[cold]
#[inline(never)]
fn with_origin(more: &mut Option<Box<More>>, remote_parent: bool, current: &Current) {
    uncounted(|| {
        let more = more.get_or_insert_default();
        more.remote_parent = remote_parent;
        more.state = current.trace_state();
    });
}

/// An async call that is running and has a span.
#[derive(Debug)]
pub(super) struct Open {
    current: Current,
    parent: u64,
    generation: u32,
    /// Whether its function's latency is not wanted of this call.
    pub(super) untimed: bool,
    more: More,
}

// SAFETY: what `current` borrows is in `more`.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

/// What a future knows of its span.
#[derive(Debug, Default)]
pub(super) enum Traced {
    /// It has none.
    #[default]
    No,
    /// Nobody records its trace, the lower half of which this is.
    Unsampled(u64),
    /// It has one.
    Open(Box<Open>),
}

/// A [`Traced`] in one word: null, an odd number, or a box.
#[derive(Debug)]
pub(super) struct TracedWord(*mut Open);

// SAFETY: an `Open` may be sent.
unsafe impl Send for TracedWord {}
// SAFETY: as above.
unsafe impl Sync for TracedWord {}

impl TracedWord {
    pub(super) const NO: Self = Self(ptr::null_mut());

    fn new(traced: Traced) -> Self {
        match traced {
            Traced::No => Self::NO,
            Traced::Unsampled(low) => Self(ptr::without_provenance_mut(low as usize | 1)),
            Traced::Open(open) => Self(Box::into_raw(open)),
        }
    }

    pub(super) fn open(&self) -> Option<&Open> {
        // SAFETY: an even number that is not zero is a box.
        if self.0.addr() & 1 == 0 { unsafe { self.0.as_ref() } } else { None }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        // SAFETY: an even number that is not zero is a box.
        if self.0.addr() & 1 == 0 { unsafe { self.0.as_mut() } } else { None }
    }

    /// Leaves nothing behind.
    pub(super) fn take(&mut self) -> Option<Box<Open>> {
        let word = mem::replace(self, Self::NO);
        let open = NonNull::new(word.0).filter(|open| open.addr().get() & 1 == 0)?;
        // SAFETY: as above, and nobody else has it.
        Some(unsafe { Box::from_raw(open.as_ptr()) })
    }
}

/// An async call of `site` begins.
#[cold]
#[inline(never)]
pub(super) fn open(site: &'static Site, keyed: Option<&Arc<Keyed>>) -> TracedWord {
    let unsampled = CALLEES.get() & UNSAMPLED != 0;
    LOCAL.with(|local| {
        let outer = local.current.get();
        if unsampled {
            return TracedWord::new(Traced::Unsampled(outer.trace[1]));
        }
        if !site.state().has_spans() || local.over.get() {
            return TracedWord::NO;
        }
        if outer.span == 0 && !local.root() {
            return TracedWord::new(Traced::Unsampled(local.current.low.get()));
        }
        local.next();
        let mut current = local.current.replace(outer);
        let open = uncounted(|| {
            let mut more = More { keyed: keyed.cloned(), state: current.trace_state(), ..More::default() };
            current.state = more.state.as_ref().map_or(ptr::null(), Arc::as_ptr);
            more.remote_parent = outer.remote;
            more.thread = local.queue().map(|queue| queue.thread.clone());
            let generation = GENERATION.load(Relaxed);
            Box::new(Open { current, parent: outer.span, generation, untimed: false, more })
        });
        TracedWord::new(Traced::Open(open))
    })
}

/// What was current before something else became it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    current: Current,
    /// [`UNSAMPLED`], if it was set.
    unsampled: u64,
}

/// Makes `current` what runs on this thread, until [`restore`].
pub(super) fn replace(current: Current, unsampled: bool) -> Before {
    let callees = CALLEES.get();
    CALLEES.set(callees & !UNSAMPLED | if unsampled { UNSAMPLED } else { 0 });
    let current = LOCAL.with(|local| local.current.replace(current));
    Before { current, unsampled: callees & UNSAMPLED }
}

/// Takes back [`replace`] or [`enter`].
pub(super) fn restore(before: Before) {
    CALLEES.set(CALLEES.get() & !UNSAMPLED | before.unsampled);
    LOCAL.with(|local| local.current.set(before.current));
}

/// A future is polled.
pub(super) fn enter(word: &TracedWord) -> Before {
    let (current, unsampled) = (running(), CALLEES.get() & UNSAMPLED);
    match word.open() {
        Some(open) => replace(open.current, false),
        None if word.0.is_null() || unsampled != 0 => Before { current, unsampled },
        None => replace(Current { trace: [0, word.0.addr() as u64], ..Current::NONE }, true),
    }
}

/// An async call of `site` ends.
#[cold]
#[inline(never)]
pub(super) fn close(
    site: &'static Site,
    open: Box<Open>,
    (start, end): (u64, u64),
    busy: u64,
    memory: Option<Tally>,
    cause: Option<Cause<'_>>,
) {
    // The span of a call that began before a fork is the parent's.
    if open.generation != GENERATION.load(Relaxed) {
        return uncounted(|| drop(open));
    }
    uncounted(|| {
        let Open { current, parent, mut more, .. } = *open;
        more.end = cause.map_or(End::Well, End::of);
        more.busy = Some(busy);
        more.memory = memory;
        let (trace, span, took) = (current.trace, current.span, end.wrapping_sub(start));
        let more = Some(Box::new(more));
        LOCAL.with(|local| local.write(|| Record { site, trace, span, parent, start, took, more }));
    });
}

/// What runs on this thread.
pub(super) fn running() -> Current {
    LOCAL.with(|local| local.current.get())
}

/// The thread ends: it has no spans any more.
pub(super) fn leave() {
    LOCAL.with(|local| {
        local.over.set(true);
        local.frames(|frames| drop(mem::take(frames)));
        // SAFETY: the thread's own, and nobody has a reference.
        if let Some(queue) = unsafe { (*local.queue.get()).take() } {
            mem::ManuallyDrop::into_inner(queue).writer.end();
        }
    });
}

/// In the child of a fork: nothing of what the parent recorded, or was about to, is the child's.
pub(super) fn forget_parent() {
    GENERATION.fetch_add(1, Relaxed);
    // Threads that are not here may have been in the middle of writing, so nothing is freed.
    mem::forget(mem::take(&mut *all_queues()));
    ring::forget_parent();
    LOCAL.with(|local| {
        local.ids.forget();
        local.current.set(Current::NONE);
        local.frames(|frames| frames.iter_mut().for_each(|frame| frame.sampled = false));
        // SAFETY: the thread's own, and nobody has a reference.
        unsafe { *local.queue.get() = None };
    });
}

/// The context that is current on this thread.
pub(super) fn context() -> Context {
    Context::of(running(), CALLEES.get() & UNSAMPLED != 0)
}
