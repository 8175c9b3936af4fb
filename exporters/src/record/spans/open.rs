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
    Before, Current, End, GENERATION, LOCAL, More, Record, left_out, replace, unchanged,
};
use std::{
    mem,
    ptr::{self, NonNull},
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// An async call that is running and has a span.
#[derive(Debug)]
pub(in super::super) struct Open {
    current: Current,
    parent: u64,
    generation: u32,
    /// Whether its function's latency is not wanted of this call.
    pub(in super::super) untimed: bool,
    more: More,
}

impl Open {
    pub(super) fn more_mut(&mut self) -> &mut More {
        &mut self.more
    }

    /// What the program adds to it.
    #[cfg(feature = "tracing-layer")]
    pub(in super::super) fn details(&mut self) -> &mut Details {
        self.more.details.get_or_insert_default()
    }
}

// SAFETY: what `current` borrows is in `more`.
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
    Open(Box<Open>),
}

/// A [`Traced`] in one word: null, an odd number, or a box.
#[derive(Debug)]
pub(in super::super) struct TracedWord(*mut Open);

// SAFETY: an `Open` may be sent.
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
            Some(open) => Some((open.current, false)),
            None if self.0.is_null() => None,
            None => Some((Current { trace: [0, self.0.addr() as u64], ..Current::NONE }, true)),
        }
    }

    pub(in super::super) fn open(&self) -> Option<&Open> {
        // SAFETY: an even number that is not zero is a box.
        if self.0.addr() & 1 == 0 { unsafe { self.0.as_ref() } } else { None }
    }

    pub(in super::super) fn open_mut(&mut self) -> Option<&mut Open> {
        // SAFETY: an even number that is not zero is a box.
        if self.0.addr() & 1 == 0 { unsafe { self.0.as_mut() } } else { None }
    }

    /// Leaves nothing behind.
    pub(in super::super) fn take(&mut self) -> Option<Box<Open>> {
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
        let (more, start) = (Some(Box::new(more)), start | left_out(current.flags));
        LOCAL.with(|local| local.write(|| Record { site, trace, span, parent, start, took, more }));
    });
}
