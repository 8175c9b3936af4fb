//! What a call records, at what cost. A call site never learns who listens.
//!
//! `site` (the static facts) -> `series` (its shards) -> `shard` (what one thread recorded) -> `snapshot` (all of it, read).

mod alloc;
mod annotate;
mod call;
mod context;
mod counts;
mod describe;
#[cfg(feature = "tracing-layer")]
mod detached;
#[cfg(feature = "log-layer")]
mod emoji;
pub(crate) mod fork;
mod future;
pub(crate) mod histogram;
mod keyed;
#[cfg(feature = "log-layer")]
mod log_layer;
#[cfg(feature = "log-layer")]
mod log_metrics;
#[cfg(feature = "log-layer")]
mod logs;
mod outcome;
mod sampler;
mod series;
mod shard;
mod site;
mod slots;
pub(crate) mod snapshot;
pub(crate) mod spans;
mod sync;
mod thread;
mod totals;
#[cfg(feature = "tracing-layer")]
mod tracing_layer;
mod window;

pub use alloc::ProfilingAllocator;
pub use annotate::{add_span_event, is_recording, set_span_attribute, update_span_name};
pub use call::{Call, Guard};
#[cfg(feature = "tower")]
pub(crate) use context::Context;
pub use context::{Carry, InContext, Run, current_span, in_current, with_remote_parent};
pub use future::{Custom, How, Method, Plain, Profiled, profiled};
pub use keyed::{AttributeValue, Keyed, ValueRef, value};
#[cfg(feature = "log-layer")]
pub use log_layer::LogLayer;
pub use outcome::{
    ErrorType, Fallible, Infallible, Judge, Never, Returned, Typed, Untyped, error_if, failure, failure_with,
    ok_if, returned, returned_by,
};
pub use sampler::Sampler;
pub use site::{More, Objective, Owner, Site};
pub use spans::keep::{KeepConfig, KeepStats};
pub(crate) use thread::{own_shards, serve, stay_alone};
#[cfg(feature = "tracing-layer")]
pub use tracing_layer::TracingLayer;

use crate::clock;
use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU8,
            Ordering::{Relaxed, SeqCst},
            fence,
        },
    },
    time::SystemTime,
};

/// Nothing is recorded.
const OFF: u8 = 3;
/// Calls read the time-stamp counter, and nothing else.
const FAST: u8 = 1;
/// Calls read another clock, or memory is counted.
const SLOW: u8 = 2;
/// As [`FAST`], and sampled calls have spans.
const FAST_TRACED: u8 = 4;
/// As [`SLOW`], and sampled calls have spans.
const SLOW_TRACED: u8 = 5;

static MODE: AtomicU8 = AtomicU8::new(OFF);
/// Whether sampled calls have spans while calls are recorded.
static TRACED: AtomicBool = AtomicBool::new(false);
/// When recording first began: the start of all series that were there then.
static SINCE: OnceLock<SystemTime> = OnceLock::new();
/// How many want calls to be recorded.
static USERS: Mutex<usize> = Mutex::new(0);

/// The target of the library's own messages. They are not recorded: that could cause more of them.
#[cfg(any(feature = "log-layer", feature = "tracing-layer"))]
const OWN_TARGET: &str = "exporters";

/// Whether calls are recorded.
#[cfg(any(feature = "log-layer", feature = "tracing-layer"))]
pub(crate) fn is_on() -> bool {
    MODE.load(Relaxed) != OFF
}

/// Whether sampled calls have spans.
fn is_traced(mode: u8) -> bool {
    matches!(mode, FAST_TRACED | SLOW_TRACED)
}

/// Has sampled calls have spans, or none; where some are to be kept that are not sampled, all.
pub(crate) fn trace(sampler: Option<&Sampler>, keep: bool) {
    let users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    let sampler = sampler.filter(|sampler| keep || sampler.may_sample());
    sampler.inspect(|sampler| sampler.install(keep));
    TRACED.store(sampler.is_some(), Relaxed);
    if *users > 0 {
        set_mode(mode());
    }
}

/// How calls are to be recorded now.
fn mode() -> u8 {
    match (clock::has_counter() && !alloc::is_installed(), TRACED.load(Relaxed)) {
        (true, false) => FAST,
        (true, true) => FAST_TRACED,
        (false, false) => SLOW,
        (false, true) => SLOW_TRACED,
    }
}

/// Has calls recorded until as many [`stop`]s as `start`s.
pub(crate) fn start() {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    if *users == 0 {
        SINCE.get_or_init(SystemTime::now);
        clock::init();
        histogram::init();
        set_mode(mode());
    }
    *users += 1;
}

/// Takes back one [`start`].
pub(crate) fn stop() {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    *users = users.saturating_sub(1);
    if *users == 0 {
        TRACED.store(false, Relaxed);
        set_mode(OFF);
    }
}

fn set_mode(mode: u8) {
    MODE.store(mode, Relaxed);
    // Of a site that is made meanwhile either this knows, or it knows of this.
    fence(SeqCst);
    Site::all().for_each(|site| site.set_mode(mode));
}

/// When recording first began.
pub(crate) fn since() -> SystemTime {
    *SINCE.get_or_init(SystemTime::now)
}
