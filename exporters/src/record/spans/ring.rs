//! What one thread has to tell: a queue in chunks that its thread writes and the drain reads, and neither waits for the other.
//!
//! A chunk is written from its first slot to its last, once; `written` is raised behind each slot. A full one is linked to the next.
//! The reader frees a chunk when it knows the next one, since the writer is done with it then.

use super::super::sync::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    OwnerLoad, UnsafeCell,
};
use std::{
    array,
    cell::Cell,
    mem::MaybeUninit,
    ptr::{self, NonNull},
    sync::{Arc, atomic::AtomicUsize},
};

/// Things in a chunk.
pub(super) const CHUNK: usize = if cfg!(exporters_loom) { 2 } else { 128 };
/// Chunks of one thread that the reader is not done with.
pub(super) const MOST: u64 = if cfg!(exporters_loom) { 2 } else { 1024 };
/// Chunks of all threads, but for the one that each thread has for as long as it runs.
const MOST_OF_ALL: usize = 8 * MOST as usize;
/// When such a part of a thread's is full the reader is told: early, since it may take a while until it comes, and what it finds is
/// still in the cache then.
const FILLING: u64 = 20;
/// The same of a thread that needs one more, or leaves one, where such a part of all is in use; empty ones are not kept then.
const FILLING_OF_ALL: usize = 4;

/// How many there are, but for those that are not [counted](MOST_OF_ALL).
static CHUNKS: AtomicUsize = AtomicUsize::new(0);

fn are_filling() -> bool {
    CHUNKS.load(Relaxed) * FILLING_OF_ALL >= MOST_OF_ALL
}

/// Whether all threads, those that have ended among them, have left so much that one more should have no queue.
pub(super) fn are_full() -> bool {
    CHUNKS.load(Relaxed) >= MOST_OF_ALL
}

struct Chunk<T> {
    written: AtomicU64,
    next: AtomicPtr<Chunk<T>>,
    slots: [UnsafeCell<MaybeUninit<T>>; CHUNK],
}

impl<T> Chunk<T> {
    fn allocate() -> NonNull<Self> {
        let slots = array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit()));
        let next = AtomicPtr::new(ptr::null_mut());
        NonNull::from(Box::leak(Box::new(Self { written: AtomicU64::new(0), next, slots })))
    }

    /// # Safety
    /// It comes from [`allocate`](Self::allocate) and is counted, and nobody refers to it any more.
    unsafe fn free(chunk: NonNull<Self>) {
        CHUNKS.fetch_sub(1, Relaxed);
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(chunk.as_ptr()) });
    }

    /// Frees a list of them.
    ///
    /// # Safety
    /// As for [`free`](Self::free).
    unsafe fn free_all(mut list: *mut Self) {
        while let Some(chunk) = NonNull::new(list) {
            // SAFETY: the caller's promise.
            unsafe {
                list = chunk.as_ref().next.load(Relaxed);
                Self::free(chunk);
            }
        }
    }
}

/// In the child of a fork, which has none of them.
pub(super) fn forget_parent() {
    CHUNKS.store(0, Relaxed);
}

/// What both sides know.
struct Shared<T> {
    /// Chunks that the reader is done with.
    finished: AtomicU64,
    /// Things that found no room.
    refused: AtomicU64,
    /// Not 0 when the writer is gone.
    ended: AtomicU64,
    /// A list of chunks to be used again. Only the reader adds to it, and only the writer takes it, the whole of it.
    spare: AtomicPtr<Chunk<T>>,
}

/// The thread's side.
pub(super) struct Writer<T> {
    shared: Arc<Shared<T>>,
    chunk: Cell<NonNull<Chunk<T>>>,
    /// The slot to be written next.
    at: Cell<usize>,
    begun: Cell<u64>,
    /// A list of chunks that are empty.
    spare: Cell<*mut Chunk<T>>,
}

/// The drain's side.
pub(super) struct Reader<T> {
    shared: Arc<Shared<T>>,
    chunk: NonNull<Chunk<T>>,
    at: usize,
    /// Of those refused, how many were told.
    told: u64,
}

// SAFETY: what it points to is shared by way of atomics.
unsafe impl<T: Send> Send for Writer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Reader<T> {}

/// A new queue.
pub(super) fn ring<T>() -> (Writer<T>, Reader<T>) {
    let zero = || AtomicU64::new(0);
    let spare = AtomicPtr::new(ptr::null_mut());
    let shared = Arc::new(Shared { finished: zero(), refused: zero(), ended: zero(), spare });
    let chunk = Chunk::allocate();
    let (at, begun) = (Cell::new(0), Cell::new(1));
    let (shared_too, spare) = (shared.clone(), Cell::new(ptr::null_mut()));
    let writer = Writer { shared: shared_too, chunk: Cell::new(chunk), at, begun, spare };
    (writer, Reader { shared, chunk, at: 0, told: 0 })
}

/// Whether all is well with a queue that was written to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Room {
    Plenty,
    /// A part of it is full; told once a chunk.
    Filling,
}

impl Room {
    fn of(is_filling: bool) -> Self {
        if is_filling { Self::Filling } else { Self::Plenty }
    }
}

impl<T> Writer<T> {
    /// Appends what `make` makes, straight where it belongs, if there [is room](Self::has_room).
    #[inline(always)]
    pub(super) fn push(&self, make: impl FnOnce() -> T) {
        let at = self.at.get();
        if at >= CHUNK {
            return;
        }
        // SAFETY: the reader leaves a chunk alone until it has a next one.
        let chunk = unsafe { self.chunk.get().as_ref() };
        // SAFETY: no slot is written twice, nor read before `written` says so.
        chunk.slots[at].with_mut(|slot| unsafe { slot.cast::<T>().write(make()) });
        chunk.written.store(at as u64 + 1, Release);
        self.at.set(at + 1);
    }

    /// Whether the chunk has room for one more.
    #[inline(always)]
    pub(super) fn has_room(&self) -> bool {
        self.at.get() < CHUNK
    }

    /// Makes room for one more by another chunk; or, where there are too many, counts that one as refused, and says so by `None`.
    #[cold]
    #[inline(never)]
    pub(super) fn make_room(&self) -> Option<Room> {
        let unread = self.begun.get() - self.shared.finished.load(Acquire);
        let Some((next, is_new)) = self.next(unread) else {
            self.shared.refused.store(self.shared.refused.own() + 1, Release);
            return None;
        };
        let full = self.chunk.replace(next);
        self.at.set(0);
        self.begun.set(self.begun.get() + 1);
        // SAFETY: the reader leaves it alone until this is done, and nothing here touches it later.
        unsafe { full.as_ref() }.next.store(next.as_ptr(), Release);
        Some(Room::of(unread * FILLING >= MOST || is_new && are_filling()))
    }

    /// An empty chunk, and whether it is a new one; unless `unread` ones, or those of all threads, are too many.
    fn next(&self, unread: u64) -> Option<(NonNull<Chunk<T>>, bool)> {
        if unread >= MOST {
            return None;
        }
        if self.spare.get().is_null() {
            self.spare.set(self.shared.spare.swap(ptr::null_mut(), Acquire));
        }
        if let Some(spare) = NonNull::new(self.spare.get()) {
            // SAFETY: nobody else has it.
            let next = &unsafe { spare.as_ref() }.next;
            self.spare.set(next.load(Relaxed));
            next.store(ptr::null_mut(), Relaxed);
            return Some((spare, false));
        }
        (!are_full()).then(|| {
            CHUNKS.fetch_add(1, Relaxed);
            (Chunk::allocate(), true)
        })
    }

    /// The thread ends: its last chunk is counted from now on.
    pub(super) fn end(self) -> Room {
        // SAFETY: nobody else has them.
        unsafe { Chunk::free_all(self.spare.get()) };
        CHUNKS.fetch_add(1, Relaxed);
        self.shared.ended.store(1, Release);
        Room::of(are_filling())
    }
}

impl<T> Reader<T> {
    /// How much was appended and not read yet.
    pub(super) fn len(&self) -> usize {
        let (mut len, mut at) = (0, Some(self.chunk));
        while let Some(chunk) = at {
            // SAFETY: only the reader frees chunks.
            let chunk = unsafe { chunk.as_ref() };
            len += chunk.written.load(Acquire) as usize;
            at = NonNull::new(chunk.next.load(Acquire));
        }
        len - self.at
    }

    /// Shows everything that was appended. Gives how many were refused since the last time, and whether there will be no more.
    pub(super) fn drain(&mut self, mut visit: impl FnMut(T)) -> (u64, bool) {
        let ended = self.shared.ended.load(Acquire) != 0;
        // All that can have been there when it began, and no more: its thread may write as fast as this reads.
        for _ in 0..=MOST {
            // SAFETY: only the reader frees chunks.
            let chunk = unsafe { self.chunk.as_ref() };
            let written = chunk.written.load(Acquire) as usize;
            while self.at < written {
                let slot = &chunk.slots[self.at];
                // First, for what is shown is not there any more, also if `visit` unwinds.
                self.at += 1;
                // SAFETY: it is written, and read this once.
                visit(slot.with(|slot| unsafe { (*slot).assume_init_read() }));
            }
            let next = NonNull::new(chunk.next.load(Acquire)).filter(|_| written == CHUNK);
            let Some(next) = next else { break };
            let full = std::mem::replace(&mut self.chunk, next);
            self.recycle(full);
            self.at = 0;
        }
        let refused = self.shared.refused.load(Acquire);
        (refused - std::mem::replace(&mut self.told, refused), ended)
    }

    /// Has the writer use it again; unless it is one of many, lest threads that need none have them all.
    fn recycle(&self, chunk: NonNull<Chunk<T>>) {
        if are_filling() {
            // SAFETY: the writer is done with it, and with the next one in its place it is counted.
            unsafe { Chunk::free(chunk) };
        } else {
            self.spare(chunk);
        }
        self.shared.finished.store(self.shared.finished.own() + 1, Release);
    }

    fn spare(&self, chunk: NonNull<Chunk<T>>) {
        // SAFETY: the writer is done with it.
        let empty = unsafe { chunk.as_ref() };
        empty.written.store(0, Relaxed);
        let spare = &self.shared.spare;
        let mut head = spare.load(Relaxed);
        loop {
            empty.next.store(head, Relaxed);
            // The writer takes all there are, so what it saw of one cannot be another by now.
            match spare.compare_exchange_weak(head, chunk.as_ptr(), Release, Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
    }

    /// Frees what it holds.
    ///
    /// # Safety
    /// The last [`drain`](Self::drain) said that there will be no more.
    pub(super) unsafe fn free(self) {
        // SAFETY: the writer is gone, so this is the last one, and it was read; at the writer's end it was counted.
        unsafe {
            Chunk::free(self.chunk);
            Chunk::free_all(self.shared.spare.load(Acquire));
        }
    }
}

#[cfg(test)]
impl<T> Writer<T> {
    /// Appends it, or says by `None` that it was refused.
    fn write(&self, thing: T) -> Option<Room> {
        let room = if self.has_room() { Room::Plenty } else { self.make_room()? };
        self.push(|| thing);
        Some(room)
    }
}

#[cfg(all(test, not(exporters_loom)))]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    /// Held by tests that have many chunks, of which there is one number for all.
    static MANY: Mutex<()> = Mutex::new(());

    fn all(reader: &mut Reader<u64>) -> Vec<u64> {
        let mut found = Vec::new();
        reader.drain(|thing| found.push(thing));
        found
    }

    #[test]
    fn what_does_not_fit_is_refused_and_counted() {
        let _many = MANY.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, mut reader) = ring();
        let room = MOST * CHUNK as u64;
        let refused = (0..room + 5).filter(|n| writer.write(*n).is_none()).count();
        assert_eq!(refused, 5);
        let mut next = 0;
        let (told, ended) = reader.drain(|thing| {
            assert_eq!(thing, next);
            next += 1;
        });
        assert_eq!((next, told, ended), (room, 5, false));
        // There is room again.
        assert!(writer.write(7).is_some());
        writer.end();
        assert_eq!(all(&mut reader), [7]);
        assert_eq!(reader.drain(|_| ()), (0, true));
        // SAFETY: the writer is gone.
        unsafe { reader.free() };
    }

    #[test]
    fn filling_is_told_once_a_chunk() {
        let _many = MANY.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, mut reader) = ring();
        let told = (0..MOST * CHUNK as u64).filter(|n| writer.write(*n) == Some(Room::Filling)).count();
        assert_eq!(told, (MOST - MOST.div_ceil(FILLING)) as usize);
        reader.drain(drop);
        assert_eq!(writer.write(0), Some(Room::Plenty));
        writer.end();
        assert!(reader.drain(drop).1);
        // SAFETY: the writer is gone.
        unsafe { reader.free() };
    }
}

#[cfg(all(test, exporters_loom))]
mod loom_tests {
    use super::*;

    #[test]
    fn loom_everything_arrives_once_in_order_or_is_counted() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (writer, mut reader) = ring::<u64>();
            let thread = loom::thread::spawn(move || {
                let refused = (0..7).filter(|n| writer.write(*n).is_none()).count();
                writer.end();
                refused as u64
            });
            let mut found = Vec::new();
            let (mut told, mut ended) = (0, false);
            for _ in 0..2 {
                let (more, end) = reader.drain(|thing| found.push(thing));
                (told, ended) = (told + more, ended || end);
            }
            let refused = thread.join().unwrap();
            let (more, end) = reader.drain(|thing| found.push(thing));
            assert!(end && (!ended || more == 0));
            assert_eq!((told + more, found.len() as u64), (refused, 7 - refused));
            assert!(found.is_sorted_by(|a, b| a < b));
            // SAFETY: the writer is gone.
            unsafe { reader.free() };
        });
    }
}
