//! Spans of sampled calls: which one is running on this thread, and where those that ended wait for the drain.
//!
//! While spans are recorded no call finds its shard in the table, so that all that is said here costs nothing where they are not.
//! Whether a thread is in a trace that nobody records is kept in a bit of [`CALLEES`], which calls restore anyway.

mod collect;
mod current;
pub(super) mod details;
pub(super) mod exemplars;
mod ids;
pub(crate) mod keep;
mod open;
mod ring;

use super::{
    alloc::{Tally, uncounted},
    call::{CALLEES, HIDDEN, UNSAMPLED},
    keyed::Keyed,
    sampler,
    shard::Cause,
    site::Site,
};
use crate::model::{Attributes, KeyValue};
use details::Details;
use ids::Ids;
use ring::{Reader, Room, Writer};
use std::{
    cell::{Cell, UnsafeCell},
    mem, ptr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

pub(crate) use collect::{Spans, discard};
pub(super) use current::{Before, Current, adopt, context, is_recording, restore};
use current::{CurrentCell, Polled, replace, unchanged, with_running};
#[cfg(feature = "tracing-layer")]
pub(super) use current::{Level, hold, let_go, level, put_back};
pub(super) use ids::derived;
use open::Open;
pub(super) use open::{TracedWord, close, enter, open};

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
    /// In ticks, as what follows; with [`LEFT_OUT`] and [`REMOTE_PARENT`].
    start: u64,
    took: u64,
    more: Option<Box<More>>,
}

/// Of a [`Record`]'s start, which would take decades to get there: the sampler left its trace out.
const LEFT_OUT: u64 = 1 << 63;

/// Of the same: its parent is another process'.
const REMOTE_PARENT: u64 = 1 << 62;

impl Record {
    fn is_left_out(&self) -> bool {
        self.start & LEFT_OUT != 0
    }

    fn has_remote_parent(&self) -> bool {
        self.start & REMOTE_PARENT != 0
    }

    fn start(&self) -> u64 {
        self.start & !(LEFT_OUT | REMOTE_PARENT)
    }
}

/// [`LEFT_OUT`], of the flags of a trace.
#[inline(always)]
fn left_out(flags: u64) -> u64 {
    !flags << 63
}

/// What is known of some spans only.
#[derive(Debug, Default)]
pub(super) struct More {
    end: End,
    keyed: Option<Arc<Keyed>>,
    busy: Option<u64>,
    memory: Option<Tally>,
    state: Option<TraceState>,
    /// When it began, where the call itself does not know it.
    start: u64,
    /// Where an async call began.
    thread: Option<Arc<Thread>>,
    details: Option<Box<Details>>,
    /// Of an async call.
    open: Open,
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

    /// Where they are `wanted`. A set of its own each time: sharing one with whoever has older spans would have two threads wait for one counter.
    fn attributes(&self, wanted: bool) -> Attributes {
        Attributes::new(self.key_values().filter(|_| wanted))
    }

    /// By their keys' order.
    fn key_values(&self) -> impl Iterator<Item = KeyValue> {
        let name = self.name.as_ref().map(|name| KeyValue::new("thread.name", name.clone()));
        [KeyValue::new("thread.id", self.id)].into_iter().chain(name)
    }
}

/// A sync call that is running and has a span, or hides one.
struct Frame {
    /// None if there is nothing to tell at its end.
    site: Option<&'static Site>,
    /// The span around it.
    outer: u64,
    /// [`REMOTE_PARENT`] if that is one; else zero.
    outer_remote: u64,
    more: Option<Box<More>>,
}

/// What a thread knows of spans. Without a destructor, so that every call may look; [`leave`] frees what it holds.
struct Local {
    current: CurrentCell,
    ids: Ids,
    frames: UnsafeCell<mem::ManuallyDrop<Vec<Frame>>>,
    /// The async call that is polled, and how many frames there were when its poll began; null where what is current runs elsewhere.
    polled: Cell<Polled>,
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
            polled: Cell::new(Polled::NONE),
            queue: UnsafeCell::new(None),
            over: Cell::new(false),
        }
    };
}

/// Records of threads that had no queue any more, or none yet where all were full.
static UNQUEUED: AtomicU64 = AtomicU64::new(0);
/// The queues of all threads.
static QUEUES: Mutex<Queues> = Mutex::new(Vec::new());
/// Raised by every fork, in the child.
static GENERATION: AtomicU32 = AtomicU32::new(0);

type Queues = Vec<(Reader<Record>, Arc<Thread>)>;

/// Held by whoever reads the queues, so that nobody else finds some missing.
static READING: Mutex<()> = Mutex::new(());

/// Keeps others from the queues.
#[expect(dead_code, reason = "it is only held")]
pub(super) struct QueuesGuard(MutexGuard<'static, ()>, MutexGuard<'static, Queues>);

/// Held over a fork, so that no thread has them that the child does not have.
pub(super) fn queues() -> QueuesGuard {
    QueuesGuard(reading(), all_queues())
}

fn reading() -> MutexGuard<'static, ()> {
    READING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all_queues() -> MutexGuard<'static, Queues> {
    QUEUES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This thread's. Closures given to `with` are not inlined where they do much, as those of calls do.
#[inline(always)]
fn local<'a>() -> &'a Local {
    // SAFETY: it has no destructor, and the thread keeps what is its own.
    unsafe { &*LOCAL.with(ptr::from_ref) }
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

    #[inline(always)]
    fn known_queue(&self) -> Option<&Queue> {
        // SAFETY: the thread's own; it is set once, before anybody has a reference.
        unsafe { &*self.queue.get() }.as_deref()
    }

    fn queue(&self) -> Option<&Queue> {
        match self.known_queue() {
            None if !self.over.get() && !ring::are_full() => Some(self.first_queue()),
            known => known,
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

    /// Makes room for a record, if there is none.
    #[inline(always)]
    fn reserve(&self) {
        if !self.known_queue().is_some_and(|queue| queue.writer.has_room()) {
            self.make_room();
        }
    }

    #[cold]
    #[inline(never)]
    fn make_room(&self) {
        let Some(Queue { writer, .. }) = self.queue() else {
            UNQUEUED.fetch_add(1, Relaxed);
            return;
        };
        if !writer.has_room() && writer.make_room() == Some(Room::Filling) {
            filling();
        }
    }

    /// Leaves a record to the drain, if there is room.
    #[inline(always)]
    fn write(&self, make: impl FnOnce() -> Record) {
        if let Some(queue) = self.known_queue() {
            queue.writer.push(make);
        }
    }

    /// A trace begins on a thread that is in none. Tells whether it is recorded; if not, nothing but half of its identity is known.
    #[inline(always)]
    fn root(&self) -> bool {
        let low = self.ids.next();
        self.current.low.set(low);
        sampler::records(low)
    }

    /// A span in the one that is running, or the first of a trace that is recorded.
    #[inline(always)]
    fn next(&self) {
        let current = &self.current;
        if current.span.get() == 0 {
            current.high.set(self.ids.next());
            current.state.set(ptr::null());
            current.flags.set(sampler::samples(current.low.get()).into());
        } else if current.remote.replace(0) != 0 {
            current.flags.set(sampler::follows(current.low.get(), current.flags.get() & 1 == 1).into());
        }
        current.span.set(self.ids.next());
    }
}

#[cold]
#[inline(never)]
fn grow(frames: &mut Vec<Frame>) {
    uncounted(|| frames.reserve(16));
}

#[cold]
fn filling() {
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

/// Whether [`decide`] will have no numbers to seed.
#[inline(always)]
pub(super) fn can_decide() -> bool {
    local().ids.is_seeded()
}

/// Whether [`begin`] will have nothing to allocate, nor to seed.
#[inline(always)]
pub(super) fn can_begin() -> bool {
    let local = local();
    local.ids.is_seeded() && local.frames(|frames| frames.len() < frames.capacity())
}

/// Has it so.
pub(super) fn prepare() {
    let local = local();
    if !local.ids.is_seeded() {
        local.ids.seed();
    }
    local.frames(grow);
}

/// A call begins on a thread that is in no trace that nobody records. Tells whether it is to [`begin`].
#[inline(always)]
pub(super) fn decide() -> bool {
    let local = local();
    local.current.span.get() != 0 || local.root()
}

/// A call of `site` begins that has a span, as was [`decide`]d.
#[inline(always)]
pub(super) fn begin(site: &'static Site) {
    let local = local();
    let (outer, outer_remote) = (local.current.span.get(), local.current.remote.get());
    local.next();
    local.push(Frame { site: Some(site), outer, outer_remote, more: None });
}

/// Has the end of a call, which cannot restore it by itself, take back that a trace is not recorded; or lets whoever leaves a detached
/// call know that the call is running within it.
#[cold]
pub(super) fn begin_unsampled() {
    LOCAL.with(|local| local.push(Frame { site: None, outer: 0, outer_remote: 0, more: None }));
}

/// More of the call that began last.
#[cold]
pub(super) fn note(with: impl FnOnce(&mut More)) {
    uncounted(|| {
        LOCAL.with(|local| {
            local.frames(|frames| {
                if let Some(frame) = frames.last_mut().filter(|frame| frame.site.is_some()) {
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
    let local = local();
    // First what is rare, while there is little to be remembered over it.
    let last = |frames: &mut Vec<Frame>| frames.last().map(|frame| (frames.len() - 1, frame.site.is_some()));
    let Some((left, sampled)) = local.frames(last) else { return };
    #[cfg(feature = "tracing-layer")]
    if local.polled.get().below as usize > left {
        super::detached::unwind(left as u32);
    }
    #[cfg(not(feature = "tracing-layer"))]
    let _ = left;
    let current = &local.current;
    if sampled {
        if !current.state.get().is_null() {
            note_state(current);
        }
        local.reserve();
    }
    let Some(Frame { site: Some(site), outer, outer_remote, more }) = local.frames(Vec::pop) else { return };
    let start = start.unwrap_or_else(|| more.as_ref().map_or(end, |more| more.start));
    let (trace, span) = ([current.high.get(), current.low.get()], current.span.replace(outer));
    current.remote.set(outer_remote);
    let took = end.wrapping_sub(start);
    let start = start | left_out(current.flags.get()) | outer_remote;
    local.write(|| Record { site, trace, span, parent: outer, start, took, more });
}

#[cold]
#[inline(never)]
fn note_state(current: &CurrentCell) {
    let state = current.get().trace_state();
    note(|more| more.state = state);
}

/// How often this process, and those it is a child of, have been forked.
#[cfg(feature = "tracing-layer")]
pub(super) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// The thread ends: it has no spans any more.
pub(super) fn leave() {
    LOCAL.with(|local| {
        local.over.set(true);
        local.frames(|frames| drop(mem::take(frames)));
        // SAFETY: the thread's own, and nobody has a reference.
        if let Some(queue) = unsafe { (*local.queue.get()).take() }
            && mem::ManuallyDrop::into_inner(queue).writer.end() == Room::Filling
        {
            filling();
        }
    });
}

/// In the child of a fork: nothing of what the parent recorded, or was about to, is the child's.
pub(super) fn forget_parent() {
    GENERATION.fetch_add(1, Relaxed);
    // Threads that are not here may have been in the middle of writing, so nothing is freed.
    mem::forget(mem::take(&mut *all_queues()));
    ring::forget_parent();
    UNQUEUED.store(0, Relaxed);
    // Nor that nobody records the trace that it was in.
    CALLEES.set(CALLEES.get() & !UNSAMPLED);
    HIDDEN.set(0);
    LOCAL.with(|local| {
        local.ids.forget();
        local.current.set(Current::NONE);
        let polled = local.polled.get();
        if !polled.is_detached() {
            local.polled.set(Polled { open: ptr::null_mut(), ..polled });
        }
        local.frames(|frames| frames.iter_mut().for_each(|frame| frame.site = None));
        // SAFETY: the thread's own, and nobody has a reference.
        unsafe { *local.queue.get() = None };
    });
}
