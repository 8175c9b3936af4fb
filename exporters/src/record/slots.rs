//! Where a thread finds its shards of functions without attributes: a table of its own, by the function's place. Beside it is what
//! else of the thread every call reads, so that one address leads to both.

use super::{series::ShardRef, shard::Shard};
use std::{
    cell::Cell,
    ptr::{self, NonNull},
};

type Slot = Cell<*const Shard>;

thread_local! {
    // Without a destructor, so that every call may look; `clear` frees what it points to.
    static SLOTS: Slots = const {
        let (len, first) = (Cell::new(0), Cell::new(NonNull::dangling()));
        Slots { len, first, hidden: Cell::new(0), callees: Cell::new(0) }
    };
}

struct Slots {
    len: Cell<u64>,
    first: Cell<NonNull<Slot>>,
    hidden: Cell<u64>,
    callees: Cell<u64>,
}

/// [`UNSAMPLED`](super::call::UNSAMPLED) only if it is set in [`Callees`] and stays so until whoever set this takes it back; what
/// calls find their shards by. It is no part of [`Callees`], for those come of the clock, and a look-up would wait for it.
pub(super) struct Hidden;

impl Hidden {
    #[inline(always)]
    pub(super) fn get(&self) -> u64 {
        SLOTS.with(|slots| slots.hidden.get())
    }

    pub(super) fn set(&self, hidden: u64) {
        SLOTS.with(|slots| slots.hidden.set(hidden));
    }
}

/// Ticks that the running call's profiled callees took; with [`FLAGS`](super::call::FLAGS).
pub(super) struct Callees;

impl Callees {
    #[inline(always)]
    pub(super) fn get(&self) -> u64 {
        SLOTS.with(|slots| slots.callees.get())
    }

    #[inline(always)]
    pub(super) fn set(&self, callees: u64) {
        SLOTS.with(|slots| slots.callees.set(callees));
    }

    #[inline(always)]
    pub(super) fn replace(&self, callees: u64) -> u64 {
        SLOTS.with(|slots| slots.callees.replace(callees))
    }
}

impl Slots {
    #[inline(always)]
    fn get(&self, place: u64) -> *const Shard {
        if place >= self.len.get() {
            return ptr::null();
        }
        // SAFETY: the table is as long as that.
        unsafe { self.first.get().add(place as usize).as_ref() }.get()
    }

    fn all(&self) -> NonNull<[Slot]> {
        NonNull::slice_from_raw_parts(self.first.get(), self.len.get() as usize)
    }

    /// Makes `slots` the table, and frees the one before.
    fn replace(&self, slots: Box<[Slot]>) {
        let (old, len) = (self.all(), slots.len() as u64);
        // SAFETY: a box is not null. The old table came from a box, or is empty; nobody refers to it any more.
        drop(unsafe {
            self.first.set(NonNull::new_unchecked(Box::into_raw(slots)).cast());
            self.len.set(len);
            Box::from_raw(old.as_ptr())
        });
    }
}

/// This thread's shard; null if it has none there.
#[inline(always)]
pub(super) fn get(place: u64) -> *const Shard {
    SLOTS.with(|slots| slots.get(place))
}

/// This thread's shard, if it has one there.
#[inline(always)]
pub(super) fn lent(place: u64) -> Option<ShardRef> {
    ShardRef::from_ptr(get(place))
}

/// Has the thread find `shard` there. Whoever calls has to [`clear`] the table before the thread is gone.
pub(super) fn set(place: u64, shard: ShardRef) {
    SLOTS.with(|slots| {
        if place >= slots.len.get() {
            let len = (place as usize + 1).next_power_of_two().max(64);
            // SAFETY: the table is not replaced while it is read.
            let old = unsafe { slots.all().as_ref() }.iter().cloned();
            let none = std::iter::repeat_with(|| Cell::new(ptr::null()));
            slots.replace(old.chain(none).take(len).collect());
        }
        // SAFETY: the table is as long as that now.
        unsafe { slots.first.get().add(place as usize).as_ref() }.set(shard.as_ptr());
    });
}

/// Has the thread find nothing any more.
pub(super) fn clear() {
    SLOTS.with(|slots| slots.replace(Box::default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> ShardRef {
        ShardRef::new(0)
    }

    #[test]
    fn a_table_grows_and_is_cleared() {
        std::thread::spawn(|| {
            let (a, b) = (shard(), shard());
            assert_eq!((lent(0), lent(u64::MAX)), (None, None));
            set(3, a);
            set(1000, b);
            assert_eq!((lent(3), lent(1000), lent(4), lent(1 << 20)), (Some(a), Some(b), None, None));
            clear();
            assert_eq!((lent(3), lent(1000)), (None, None));
            clear();
            set(0, b);
            assert_eq!(lent(0), Some(b));
            clear();
        })
        .join()
        .unwrap();
    }
}
