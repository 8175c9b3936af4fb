//! The end of the program: what was recorded still goes out, within a bounded time, also when nobody kept the handle.

use super::{current, report};
use crate::record::fork;
use std::{
    io::{self, IsTerminal, Write},
    panic::catch_unwind,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long the end of the program may be held up.
const DEADLINE: Duration = Duration::from_secs(2);

static REPORT: AtomicBool = AtomicBool::new(false);

/// Has the profiler shut down when the program returns from `main` or calls `exit`. A signal that ends it runs no hook.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        fork::install(fork::Hooks { lock: || Box::new(current()), forget: super::forget });
        // SAFETY: registers a function that does not unwind.
        unsafe { libc::atexit(at_exit) };
    });
}

/// Prints a report at the end, if a person is likely to see it, unless the program prints one itself.
pub(super) fn report_at_exit() {
    REPORT.store(io::stderr().is_terminal(), Relaxed);
}

/// The program printed a report itself.
pub(super) fn reported() {
    REPORT.store(false, Relaxed);
}

extern "C" fn at_exit() {
    // What the child of a fork inherited is its parent's to send, and its threads are not there to wait for.
    if fork::is_child() && current().is_none() {
        return;
    }
    let _ = catch_unwind(|| {
        let runtime = current().take();
        if let Some(runtime) = runtime {
            if REPORT.swap(false, Relaxed) {
                let _ = write!(io::stderr().lock(), "{}", report::of(&runtime.peek_at_all()));
            }
            let _report = runtime.shutdown(Instant::now() + DEADLINE);
        }
    });
}
