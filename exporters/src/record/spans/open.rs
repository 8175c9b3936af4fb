//! Spans of async calls: made at the first poll, current while the future is polled, and told when it ends.

#[cfg(feature = "tracing-layer")]
use super::details::Details;
use super::{
    super::{
        alloc::{Tally, uncounted},
        call::{CALLEES, UNSAMPLED},
        keyed::Keyed,
        shard::Cause,
        site::Site,
    },
    Before, Current, End, GENERATION, LOCAL, More, REMOTE_PARENT, Record, left_out, replace, unchanged,
};
use std::{
    mem,
    ptr::{self, NonNull},
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// What is known of the span of an async call while it is running. It goes the way of the rest of it, which needs a place anyway.
#[derive(Debug)]
pub(super) struct Open {
    current: Current,
    parent: u64,
    /// Whether that is another process'.
    remote_parent: bool,
    generation: u32,
    /// Whether its function's latency is not wanted of this call.
    untimed: bool,
}

impl Default for Open {
    fn default() -> Self {
        Self { current: Current::NONE, parent: 0, remote_parent: false, generation: 0, untimed: false }
    }
}

impl More {
    /// The latency of the async call's function is not wanted of this call.
    pub(in super::super) fn set_untimed(&mut self, untimed: bool) {
        self.open.untimed = untimed;
    }

    /// Whether it is not.
    pub(in super::super) fn is_untimed(&self) -> bool {
        self.open.untimed
    }

    /// What the program adds to it.
    #[cfg(feature = "tracing-layer")]
    pub(in super::super) fn details(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }
}

// SAFETY: what `current` borrows is in the `More` that it is in.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

/// What a future knows of its span.
#[derive(Debug, Default)]
pub(in super::super) enum Traced {
    /// It has none.
    #[default]
    No,
    /// Nobody records its trace, the lower half of which this is.
    Unsampled(u64),
    /// It has one.
    Open(Box<More>),
}

/// A [`Traced`] in one word: null, an odd number, or a box.
#[derive(Debug)]
pub(in super::super) struct TracedWord(*mut More);

// SAFETY: a `More` may be sent.
unsafe impl Send for TracedWord {}
// SAFETY: as above.
unsafe impl Sync for TracedWord {}

impl TracedWord {
    pub(in super::super) const NO: Self = Self(ptr::null_mut());

    fn new(traced: Traced) -> Self {
        match traced {
            Traced::No => Self::NO,
            Traced::Unsampled(low) => Self(ptr::without_provenance_mut(low as usize | 1)),
            Traced::Open(open) => Self(Box::into_raw(open)),
        }
    }

    /// What is current while it runs, and whether nobody records that; `None` where nothing changes.
    pub(in super::super) fn current(&self) -> Option<(Current, bool)> {
        match self.open() {
            Some(more) => Some((more.open.current, false)),
            None if self.0.is_null() => None,
            None => Some((Current { trace: [0, self.0.addr() as u64], ..Current::NONE }, true)),
        }
    }

    pub(in super::super) fn open(&self) -> Option<&More> {
        // SAFETY: an even number that is not zero is a box.
        if self.0.addr() & 1 == 0 { unsafe { self.0.as_ref() } } else { None }
    }

    pub(in super::super) fn open_mut(&mut self) -> Option<&mut More> {
        // SAFETY: an even number that is not zero is a box.
        if self.0.addr() & 1 == 0 { unsafe { self.0.as_mut() } } else { None }
    }

    /// Leaves nothing behind.
    pub(in super::super) fn take(&mut self) -> Option<Box<More>> {
        let word = mem::replace(self, Self::NO);
        let open = NonNull::new(word.0).filter(|open| open.addr().get() & 1 == 0)?;
        // SAFETY: as above, and nobody else has it.
        Some(unsafe { Box::from_raw(open.as_ptr()) })
    }
}

/// An async call of `site` begins.
#[cold]
#[inline(never)]
pub(in super::super) fn open(site: &'static Site, keyed: Option<&Arc<Keyed>>) -> TracedWord {
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
            let state = current.trace_state();
            current.state = state.as_ref().map_or(ptr::null(), Arc::as_ptr);
            let (parent, remote_parent, generation) = (outer.span, outer.remote, GENERATION.load(Relaxed));
            let thread = local.queue().map(|queue| queue.thread.clone());
            let open = Open { current, parent, remote_parent, generation, untimed: false };
            Box::new(More { keyed: keyed.cloned(), state, thread, open, ..More::default() })
        });
        TracedWord::new(Traced::Open(open))
    })
}

/// A future is polled.
pub(in super::super) fn enter(word: &TracedWord) -> Before {
    match word.current() {
        Some((current, false)) => replace(current, false, word.0),
        Some((half, true)) if CALLEES.get() & UNSAMPLED == 0 => replace(half, true, ptr::null_mut()),
        _ => unchanged(),
    }
}

/// An async call of `site` ends.
#[cold]
#[inline(never)]
pub(in super::super) fn close(
    site: &'static Site,
    mut more: Box<More>,
    (start, end): (u64, u64),
    busy: u64,
    memory: Option<Tally>,
    cause: Option<Cause<'_>>,
) {
    // The span of a call that began before a fork is the parent's.
    if more.open.generation != GENERATION.load(Relaxed) {
        return uncounted(|| drop(more));
    }
    uncounted(|| {
        let Open { current, parent, remote_parent, .. } = mem::take(&mut more.open);
        more.end = cause.map_or(End::Well, End::of);
        more.busy = Some(busy);
        more.memory = memory;
        let (trace, span, took) = (current.trace, current.span, end.wrapping_sub(start));
        let origin = if remote_parent { REMOTE_PARENT } else { 0 };
        let start = start | left_out(current.flags.into()) | origin;
        LOCAL.with(|local| {
            local.reserve();
            // Mostly it is this one, which the drain knows; then no other thread counts references of it.
            let own = local.known_queue().map(|queue| &queue.thread);
            more.thread =
                more.thread.take().filter(|thread| !own.is_some_and(|own| Arc::ptr_eq(own, thread)));
            local.write(|| Record { site, trace, span, parent, start, took, more: Some(more) });
        });
    });
}
