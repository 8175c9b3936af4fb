//! Memory: an allocator that counts what each thread allocates, so that a call can tell what it allocated itself.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Counts the bytes and the allocations of profiled functions. Install it as the global allocator:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: exporters::ProfilingAllocator = exporters::ProfilingAllocator::system();
/// ```
///
/// A function's figures are its own: what it and its callees that are not profiled allocate. So they add up over all
/// functions, recursive ones too. Growing an allocation counts by how much it grew. What is freed is not subtracted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProfilingAllocator<A = System>(A);

impl ProfilingAllocator {
    /// Around the operating system's allocator.
    pub const fn system() -> Self {
        Self(System)
    }
}

impl<A> ProfilingAllocator<A> {
    /// Around another allocator.
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }
}

/// Set by the first allocation.
static INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ALLOCATED: Cell<Tally> = const { Cell::new(Tally::NONE) };
    /// What the running call's profiled callees allocated.
    static CALLEES: Cell<Tally> = const { Cell::new(Tally::NONE) };
}

/// Bytes and allocations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    pub(crate) count: u64,
}

impl Tally {
    pub(crate) const NONE: Self = Self { bytes: 0, count: 0 };

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.wrapping_add(other.bytes), count: self.count.wrapping_add(other.count) }
    }

    fn minus(self, other: Self) -> Self {
        Self { bytes: self.bytes.wrapping_sub(other.bytes), count: self.count.wrapping_sub(other.count) }
    }
}

pub(super) fn is_installed() -> bool {
    INSTALLED.load(Relaxed)
}

/// Where a call began: the thread's tally then, and that of the caller's other callees.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    start: Tally,
    outer: Tally,
}

impl Mark {
    pub(super) const NONE: Self = Self { start: Tally::NONE, outer: Tally::NONE };

    pub(super) fn begin() -> Self {
        Self { start: ALLOCATED.get(), outer: CALLEES.replace(Tally::NONE) }
    }

    /// What was allocated since, less what profiled callees allocated.
    pub(super) fn end(self) -> Tally {
        let all = ALLOCATED.get().minus(self.start);
        all.minus(CALLEES.replace(self.outer.plus(all)))
    }
}

/// Runs `f` without counting what it allocates.
pub(super) fn uncounted<T>(f: impl FnOnce() -> T) -> T {
    let before = ALLOCATED.get();
    let result = f();
    ALLOCATED.set(before);
    result
}

fn count(bytes: usize) {
    if !INSTALLED.load(Relaxed) {
        INSTALLED.store(true, Relaxed);
    }
    ALLOCATED.set(ALLOCATED.get().plus(Tally { bytes: bytes as u64, count: 1 }));
}

// SAFETY: every method passes its arguments on to the inner allocator; counting touches thread-locals without destructor.
unsafe impl<A: GlobalAlloc> GlobalAlloc for ProfilingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.saturating_sub(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { self.0.realloc(ptr, layout, new_size) }
    }
}
