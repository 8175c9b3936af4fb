//! The span that is running on a thread, and what it takes to have another one run there for a while.

use super::{
    super::{
        alloc::uncounted,
        call::{CALLEES, FLAGS, HIDDEN, UNSAMPLED},
        context::Context,
    },
    Frame, LOCAL, Local, More, REMOTE_PARENT, TraceState,
};
use std::{cell::Cell, ptr, sync::Arc};

/// The span that is running on a thread; none if its number is zero.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Current {
    pub(in super::super) trace: [u64; 2],
    pub(in super::super) span: u64,
    /// Borrowed from whoever made it current.
    pub(in super::super) state: *const String,
    pub(in super::super) flags: u8,
    pub(in super::super) remote: bool,
}

impl Current {
    pub(in super::super) const NONE: Self =
        Self { trace: [0; 2], span: 0, state: ptr::null(), flags: 0, remote: false };

    pub(in super::super) fn trace_state(&self) -> Option<TraceState> {
        // SAFETY: it comes from `Arc::as_ptr` of one that outlives the time in which it is current.
        (!self.state.is_null()).then(|| unsafe {
            Arc::increment_strong_count(self.state);
            Arc::from_raw(self.state)
        })
    }
}

/// A [`Current`], of which mostly only the span changes; the rest is copied as little as can be. All are words and the halves of the
/// trace are apart, for what is read at once but was written in parts has just been, and the processor waits until it is.
#[repr(C)]
pub(super) struct CurrentCell {
    pub(super) high: Cell<u64>,
    pub(super) span: Cell<u64>,
    pub(super) low: Cell<u64>,
    pub(super) state: Cell<*const String>,
    pub(super) flags: Cell<u64>,
    /// [`REMOTE_PARENT`], which is what those below it have; zero if it is none.
    pub(super) remote: Cell<u64>,
}

impl CurrentCell {
    #[expect(clippy::declare_interior_mutable_const, reason = "it is there to be copied")]
    pub(super) const NONE: Self = Self {
        high: Cell::new(0),
        span: Cell::new(0),
        low: Cell::new(0),
        state: Cell::new(ptr::null()),
        flags: Cell::new(0),
        remote: Cell::new(0),
    };

    pub(super) fn get(&self) -> Current {
        Current {
            trace: [self.high.get(), self.low.get()],
            span: self.span.get(),
            state: self.state.get(),
            flags: self.flags.get() as u8,
            remote: self.remote.get() != 0,
        }
    }

    pub(super) fn set(&self, Current { trace: [high, low], span, state, flags, remote }: Current) {
        self.high.set(high);
        self.low.set(low);
        self.span.set(span);
        self.state.set(state);
        self.flags.set(flags.into());
        self.remote.set(if remote { REMOTE_PARENT } else { 0 });
    }

    pub(super) fn replace(&self, current: Current) -> Current {
        let before = self.get();
        self.set(current);
        before
    }
}

/// An async call, and how many frames are not within it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polled {
    /// Of a detached call the number that tells where it was entered, which is odd.
    pub(super) open: *mut More,
    pub(super) below: u32,
    /// How much is to be restored until nothing is.
    pub(super) depth: u32,
}

impl Polled {
    pub(super) const NONE: Self = Self { open: ptr::null_mut(), below: 0, depth: 0 };

    /// Whether it is a detached call.
    pub(super) fn is_detached(self) -> bool {
        self.open.addr() & 1 == 1
    }
}

/// What was current before something else became it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Before {
    current: Current,
    polled: Polled,
    /// Those of [`FLAGS`] that were set.
    flags: u64,
    hidden: u64,
}

/// Makes `current`, which is the span of `open` if that is not null, what runs on this thread, until [`restore`].
pub(super) fn replace(current: Current, unsampled: bool, open: *mut More) -> Before {
    let callees = CALLEES.get();
    let flag = if unsampled { UNSAMPLED } else { 0 };
    CALLEES.set(callees & !FLAGS | flag);
    let hidden = HIDDEN.get();
    // Calls within a detached one have to look.
    HIDDEN.set(if open.is_null() { flag } else { 0 });
    LOCAL.with(|local| {
        let below = local.frames(|frames| frames.len() as u32);
        let polled = local.polled.get();
        local.polled.set(Polled { open, below, depth: polled.depth + 1 });
        Before { current: local.current.replace(current), polled, flags: callees & FLAGS, hidden }
    })
}

/// Makes a span that runs elsewhere what is current on this thread, until [`restore`].
pub(in super::super) fn adopt(current: Current, unsampled: bool) -> Before {
    replace(current, unsampled, ptr::null_mut())
}

/// What is current now, to be [`restore`]d though nothing replaces it.
pub(super) fn unchanged() -> Before {
    let (current, polled) = LOCAL.with(|local| (local.current.get(), local.polled.get()));
    // A detached call that is left meanwhile must know that what is current now will be so again.
    LOCAL.with(|local| local.polled.set(Polled { depth: polled.depth + 1, ..polled }));
    Before { current, polled, flags: CALLEES.get() & FLAGS, hidden: HIDDEN.get() }
}

/// Takes back [`adopt`] or [`enter`].
pub(in super::super) fn restore(before: Before) {
    CALLEES.set(CALLEES.get() & !FLAGS | before.flags);
    put_back(before);
    HIDDEN.set(before.hidden);
}

/// Takes back what is current, but not whether somebody records it.
pub(in super::super) fn put_back(before: Before) {
    HIDDEN.set(0);
    LOCAL.with(|local| {
        local.current.set(before.current);
        local.polled.set(before.polled);
    });
}

/// The innermost sync call that has a span and is within what was polled.
fn within(frames: &mut [Frame], polled: Polled) -> Option<&mut Frame> {
    frames.get_mut(polled.below as usize..)?.iter_mut().rfind(|frame| frame.site.is_some())
}

/// Runs `with`, which calls nothing of the program's, with more of the span that is running here, if one is recorded.
pub(super) fn with_running(with: impl FnOnce(&mut More)) {
    if CALLEES.get() & UNSAMPLED != 0 {
        return;
    }
    LOCAL.with(|local| {
        let polled = local.polled.get();
        local.frames(|frames| match within(frames, polled) {
            Some(frame) => with(frame.more.get_or_insert_with(|| uncounted(Box::default))),
            #[cfg(feature = "tracing-layer")]
            None if polled.is_detached() => super::super::detached::with_open(polled.open, with),
            None => {
                // SAFETY: it is polled on this thread, and until that is over nobody else has a reference to it.
                if let Some(more) = unsafe { polled.open.as_mut() } {
                    with(more);
                }
            }
        });
    });
}

/// What is entered on this thread, as its detached calls have to know it.
#[cfg(feature = "tracing-layer")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Level {
    /// The number of what was entered last; of something else if it is not odd.
    pub(in super::super) number: *mut More,
    /// How many sync calls with a span are running.
    pub(in super::super) frames: u32,
    /// How much is to be restored until nothing is.
    pub(in super::super) depth: u32,
}

/// Where this thread is.
#[cfg(feature = "tracing-layer")]
pub(in super::super) fn level() -> Level {
    LOCAL.with(|local| {
        let Polled { open, depth, .. } = local.polled.get();
        Level { number: open, frames: local.frames(|frames| frames.len() as u32), depth }
    })
}

/// A detached call is entered under a number, which is odd. Without a span of its own it is in the one that is running.
#[cfg(feature = "tracing-layer")]
pub(in super::super) fn hold(span: Option<(Current, bool)>, number: *mut More) -> Before {
    let (current, unsampled) = span.unwrap_or_else(|| (running(), CALLEES.get() & UNSAMPLED != 0));
    replace(current, unsampled, number)
}

/// The thread ends, and with it the detached calls that it did not leave.
#[cfg(feature = "tracing-layer")]
pub(in super::super) fn let_go() {
    LOCAL.with(|local| {
        local.current.set(Current::NONE);
        local.polled.set(Polled::NONE);
    });
}

/// Whether a span is being recorded here.
pub(in super::super) fn is_recording() -> bool {
    let is_here = |local: &Local| {
        let polled = local.polled.get();
        if local.frames(|frames| within(frames, polled).is_some()) {
            return true;
        }
        #[cfg(feature = "tracing-layer")]
        if polled.is_detached() {
            let mut is_open = false;
            super::super::detached::with_open(polled.open, |_| is_open = true);
            return is_open;
        }
        !polled.open.is_null()
    };
    CALLEES.get() & UNSAMPLED == 0 && LOCAL.with(is_here)
}

/// What runs on this thread.
pub(in super::super) fn running() -> Current {
    LOCAL.with(|local| local.current.get())
}

/// The context that is current on this thread.
pub(in super::super) fn context() -> Context {
    #[cfg(feature = "tracing-layer")]
    super::super::detached::settle();
    Context::of(running(), CALLEES.get() & UNSAMPLED != 0)
}
