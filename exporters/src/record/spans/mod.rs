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
    keyed::Keyed,
    sampler,
    shard::Cause,
    site::Site,
};
use details::Details;
use ids::Ids;
use ring::{Reader, Room, Writer};
use std::{
    cell::{Cell, UnsafeCell},
    mem, ptr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
};

pub(crate) use collect::{Spans, discard};
pub(super) use current::{Before, Current, adopt, context, is_recording, restore};
use current::{CurrentCell, Polled, replace, unchanged, with_running};
#[cfg(feature = "tracing-layer")]
pub(super) use current::{Level, hold, let_go, level, put_back};
pub(super) use ids::derived;
#[cfg(feature = "tracing-layer")]
pub(super) use open::Open;
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
    /// In ticks, as what follows; with [`LEFT_OUT`].
    start: u64,
    took: u64,
    more: Option<Box<More>>,
}

/// Of a [`Record`]'s start, which would take a hundred years to get there: the sampler left its trace out.
const LEFT_OUT: u64 = 1 << 63;

/// That bit, of the flags of a trace.
#[inline(always)]
fn left_out(flags: u8) -> u64 {
    u64::from(!flags & 1) << 63
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
    details: Option<Box<Details>>,
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
        } else if current.remote.replace(false) {
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

/// Has the end of a call of `site`, which cannot restore it by itself, take back that a trace is not recorded; or lets whoever leaves
/// a detached call know that the call is running within it.
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
        let (frame, left) = local.frames(|frames| (frames.pop(), frames.len() as u32));
        let Some(frame) = frame else { return };
        #[cfg(feature = "tracing-layer")]
        if local.polled.get().below > left {
            super::detached::unwind(left);
        }
        #[cfg(not(feature = "tracing-layer"))]
        let _ = left;
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
        let (took, start) = (end.wrapping_sub(start), start | left_out(current.flags.get()));
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
        let polled = local.polled.get();
        if !polled.is_detached() {
            local.polled.set(Polled { open: ptr::null_mut(), ..polled });
        }
        local.frames(|frames| frames.iter_mut().for_each(|frame| frame.sampled = false));
        // SAFETY: the thread's own, and nobody has a reference.
        unsafe { *local.queue.get() = None };
    });
}
