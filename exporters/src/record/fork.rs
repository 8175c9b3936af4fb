//! After a fork the child records nothing until it is told to, and knows nothing of what its parent recorded.
//!
//! The handlers run at the fork itself, so that no call has to look.

use super::{OFF, USERS, series, set_mode, site::Site, snapshot, spans, thread, window};
use std::{
    any::Any,
    cell::RefCell,
    sync::{
        MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

static CHILD: AtomicBool = AtomicBool::new(false);
/// What else the child must know.
static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// What the rest of the library does at a fork.
pub(crate) struct Hooks {
    /// Takes its locks, so that none is held by a thread that the child does not have.
    pub(crate) lock: fn() -> Box<dyn Any>,
    /// Called in the child, without the locks.
    pub(crate) forget: fn(),
}

/// Whether this process was forked from one that recorded.
pub(crate) fn is_child() -> bool {
    CHILD.load(Relaxed)
}

/// Registers the handlers.
pub(crate) fn install(hooks: Hooks) {
    HOOKS.get_or_init(|| {
        // SAFETY: registers functions that do not unwind.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
        hooks
    });
}

/// Every lock of the recorder, so that none is held by a thread that the child does not have.
struct Held {
    _others: Option<Box<dyn Any>>,
    #[cfg(feature = "tracing-layer")]
    _sites: super::tracing_layer::SitesGuard,
    _users: MutexGuard<'static, usize>,
    _reading: MutexGuard<'static, ()>,
    _lending: MutexGuard<'static, ()>,
    _late: MutexGuard<'static, ()>,
    _retired: window::RetiredGuard,
    _queues: spans::QueuesGuard,
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

extern "C" fn before() {
    let held = Held {
        _others: HOOKS.get().map(|hooks| (hooks.lock)()),
        #[cfg(feature = "tracing-layer")]
        _sites: super::tracing_layer::sites(),
        _users: USERS.lock().unwrap_or_else(PoisonError::into_inner),
        _reading: snapshot::reading(),
        _lending: series::lending(),
        _late: series::late(),
        _retired: window::retired(),
        _queues: spans::queues(),
    };
    // Without a place to keep them (a thread that ends forks), the locks are as they happen to be.
    let _ = HELD.try_with(|place| place.try_borrow_mut().map(|mut place| *place = Some(held)));
}

extern "C" fn in_parent() {
    release();
}

extern "C" fn in_child() {
    release();
    CHILD.store(true, Relaxed);
    set_mode(OFF);
    *USERS.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    spans::forget_parent();
    // Nobody hands on the shards of threads that are not here, and one may have been left in the middle of a call's end.
    let own = thread::lent_shards();
    for state in Site::all().map(Site::state) {
        state.series.forget_all_but(&own);
        state.keyed.all().iter().for_each(|keyed| keyed.series.forget_all_but(&own));
    }
    #[cfg(feature = "log-layer")]
    super::logs::forget_other_threads();
    if let Some(hooks) = HOOKS.get() {
        (hooks.forget)();
    }
}

fn release() {
    let _ = HELD.try_with(|place| place.try_borrow_mut().map(|mut place| place.take()));
}
