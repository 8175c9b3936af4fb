//! A sync call begins while spans are recorded: whether it has one, and what is to be put back when it ends.

use super::{
    super::{
        shard::Shard,
        site::{Site, State},
        spans,
    },
    CALLEES, ENTERED, Entered, FLAGS, UNSAMPLED, due, tag, tagged,
};
use crate::clock;

/// Begins a call on the fast path that has a span, or might have one.
#[inline(always)]
pub(super) fn begin_traced<const ONE_IN: u32>(site: &'static Site, state: &State, shard: &Shard) -> Entered {
    shard.start();
    let outer = CALLEES.get();
    let timed = ONE_IN == 1 || due(shard, ONE_IN);
    // What happens in a trace that is not recorded is not either.
    if outer & FLAGS != 0 || !state.has_spans() {
        if outer & ENTERED != 0 {
            return begin_entered(site, state, shard, outer, timed);
        }
        return match timed {
            true => {
                CALLEES.set(outer & UNSAMPLED);
                (shard, outer)
            }
            false => (tagged(shard, tag::UNTIMED), outer),
        };
    }
    let sampled = spans::decide();
    if !timed {
        return begin_untimed(site, shard, outer, sampled, clock::counter);
    }
    if sampled {
        return begin_sampled(site, shard, outer);
    }
    CALLEES.set(UNSAMPLED);
    (shard, outer)
}

/// Begins a call right within a detached one, which may be left while it runs.
#[cold]
#[inline(never)]
fn begin_entered(site: &'static Site, state: &State, shard: &Shard, outer: u64, timed: bool) -> Entered {
    let sampling = outer & UNSAMPLED == 0 && state.has_spans();
    let sampled = sampling && spans::decide();
    match (timed, sampling) {
        (false, true) => begin_untimed(site, shard, outer, sampled, clock::counter),
        // It puts nothing aside.
        (false, false) => (tagged(shard, tag::UNTIMED), outer),
        (true, _) if sampled => begin_sampled(site, shard, outer),
        (true, _) => {
            spans::begin_unsampled(site);
            CALLEES.set(outer & UNSAMPLED | if sampling { UNSAMPLED } else { 0 });
            (tagged(shard, tag::SPAN), outer)
        }
    }
}

/// Begins a call that has a span. Apart, and called last, so that one that has none saves no registers.
#[inline(never)]
fn begin_sampled(site: &'static Site, shard: &Shard, outer: u64) -> Entered {
    spans::begin(site);
    CALLEES.set(0);
    (tagged(shard, tag::SPAN), outer)
}

/// The same for a call whose duration is not asked for: no other call need know it, but its span must.
#[cold]
#[inline(never)]
pub(super) fn begin_untimed(
    site: &'static Site,
    shard: &Shard,
    outer: u64,
    sampled: bool,
    now: impl Fn() -> u64,
) -> Entered {
    if sampled {
        spans::begin(site);
        spans::note_start(now());
    } else {
        CALLEES.set(outer | UNSAMPLED);
        spans::begin_unsampled(site);
    }
    (tagged(shard, tag::UNTIMED | tag::SPAN), outer)
}
