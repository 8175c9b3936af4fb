//! The buckets of a shard that are in use: most functions need two or three octaves of the forty-six.

use super::{
    counts::Counts,
    histogram::LAST,
    sync::{
        AtomicU64,
        Ordering::{Acquire, Relaxed},
        OwnerLoad,
    },
};
use std::{
    alloc::{self, Layout},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Room on either side of a bucket that made the window grow.
const MARGIN: usize = 4;

/// Consecutive buckets, which follow this header in memory.
#[repr(C, align(8))]
#[derive(Debug)]
pub(crate) struct Window {
    low: u32,
    len: u32,
}

/// So many may wait to be freed.
const MAX_RETIRED: usize = 256;

/// Windows that were replaced, and that a drain may still be reading.
static RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());

pub(super) struct Retired(*mut Window);
pub(super) type RetiredGuard = MutexGuard<'static, Vec<Retired>>;

pub(super) fn retired() -> RetiredGuard {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}

// SAFETY: a retired window is only ever freed.
unsafe impl Send for Retired {}

impl Window {
    fn layout(len: usize) -> (Layout, usize) {
        let header = Layout::new::<Self>();
        let counts = Layout::array::<AtomicU64>(len).unwrap_or(header);
        header.extend(counts).unwrap_or((header, 0))
    }

    /// `len` buckets from `low` on, all zero. `len` is at most [`LAST`].
    pub(crate) fn allocate(low: usize, len: usize) -> *mut Self {
        let (layout, counts) = Self::layout(len);
        // SAFETY: the layout is not empty; what is written lies within it.
        unsafe {
            let window = alloc::alloc(layout).cast::<Self>();
            if window.is_null() {
                alloc::handle_alloc_error(layout);
            }
            window.write(Self { low: low as u32, len: len as u32 });
            let counts = window.byte_add(counts).cast::<AtomicU64>();
            for at in 0..len {
                counts.add(at).write(AtomicU64::new(0));
            }
            window
        }
    }

    /// # Safety
    /// `window` came from [`allocate`](Self::allocate), and nobody else has it.
    pub(crate) unsafe fn free(window: *mut Self) {
        // SAFETY: the caller's promise; the layout is the one it was allocated with.
        unsafe {
            let len = (*window).len as usize;
            let (layout, counts) = Self::layout(len);
            ptr::slice_from_raw_parts_mut(window.byte_add(counts).cast::<AtomicU64>(), len).drop_in_place();
            alloc::dealloc(window.cast(), layout);
        }
    }

    /// The count of `bucket`, if it lies within.
    ///
    /// # Safety
    /// `window` came from [`allocate`](Self::allocate) and is not freed while the answer is in use.
    #[inline(always)]
    pub(crate) unsafe fn bucket<'a>(window: *const Self, bucket: usize) -> Option<&'a AtomicU64> {
        // SAFETY: the caller's promise, and the comparison.
        unsafe {
            let at = (bucket as u32).wrapping_sub((*window).low);
            (at < (*window).len).then(|| &*window.add(1).cast::<AtomicU64>().add(at as usize))
        }
    }

    /// A copy that has room for `bucket`, too.
    ///
    /// # Safety
    /// As for [`bucket`](Self::bucket), and nobody else writes to it.
    pub(crate) unsafe fn grown(old: *const Self, bucket: usize) -> *mut Self {
        // SAFETY: the caller's promise.
        let (low, len) = unsafe { ((*old).low as usize, (*old).len as usize) };
        let (first, end) =
            if len == 0 { (bucket, bucket) } else { (low.min(bucket), (low + len - 1).max(bucket)) };
        // Room where it grows; a window that has none of its own yet grows to both sides.
        let first = if first < low || len == 0 { first.saturating_sub(MARGIN).max(1) } else { first };
        let end = if len == 0 || end >= low + len { (end + MARGIN).min(LAST) } else { end };
        let grown = Self::allocate(first, end + 1 - first);
        for at in low..low + len {
            // SAFETY: `at` lies within both.
            if let (Some(from), Some(to)) = unsafe { (Self::bucket(old, at), Self::bucket(grown, at)) } {
                to.store(from.own(), Relaxed);
            }
        }
        grown
    }

    /// Has `window` freed once no drain can be reading it: by the next one, or by us before too many wait.
    pub(crate) fn retire(window: *mut Self) {
        let waiting = {
            let mut retired = retired();
            retired.push(Retired(window));
            retired.len()
        };
        if waiting >= MAX_RETIRED
            && let Ok(_reading) = super::snapshot::READING.try_lock()
        {
            // SAFETY: the lock is held, so nobody reads.
            unsafe { Self::free_retired() };
        }
    }

    /// Frees what was retired.
    ///
    /// # Safety
    /// Nobody is [reading](super::shard::Shard::read).
    pub(crate) unsafe fn free_retired() {
        let retired = std::mem::take(&mut *retired());
        for Retired(window) in retired {
            // SAFETY: it was taken out of its shard before it was retired.
            unsafe { Self::free(window) };
        }
    }

    /// Copies the counts.
    ///
    /// # Safety
    /// As for [`bucket`](Self::bucket).
    pub(crate) unsafe fn read(window: *const Self, counts: &mut Counts) {
        // SAFETY: the caller's promise.
        let range = unsafe { (*window).low as usize..((*window).low + (*window).len) as usize };
        // SAFETY: the caller's promise.
        let read = range.clone().filter_map(|at| unsafe { Self::bucket(window, at) });
        counts.replace(range.start, read.map(|count| count.load(Acquire)));
    }
}
