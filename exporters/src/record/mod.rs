//! What a call records, at what cost. A call site never learns who listens.
//!
//! `site` (the static facts) -> `series` (its shards) -> `shard` (what one thread recorded) -> `snapshot` (all of it, read).

mod alloc;
mod call;
mod describe;
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
mod series;
mod shard;
mod site;
pub(crate) mod snapshot;
mod sync;
mod thread;
mod totals;
mod window;

pub use alloc::ProfilingAllocator;
pub use call::{Call, Guard};
pub use future::Profiled;
pub use keyed::{AttributeValue, ValueRef, value};
#[cfg(feature = "log-layer")]
pub use log_layer::LogLayer;
pub use outcome::{ErrorType, Fallible, Infallible, Returned, Typed, error_if, failure_with, ok_if};
pub use series::LocalShard;
pub use site::{Objective, Owner, Site, Spec};
pub(crate) use thread::{own_shards, stay_alone};

use crate::clock;
use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// A site has not been told yet.
const UNDECIDED: u8 = 0;
/// Nothing is recorded.
const OFF: u8 = 3;
/// Calls read the time-stamp counter, and nothing else.
const FAST: u8 = 1;
/// Calls read another clock, or memory is counted.
const SLOW: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(OFF);
/// When recording first began: the start of all series that were there then.
static SINCE: OnceLock<SystemTime> = OnceLock::new();
/// How many want calls to be recorded.
static USERS: Mutex<usize> = Mutex::new(0);

/// Whether calls are recorded.
pub(crate) fn is_on() -> bool {
    MODE.load(Relaxed) != OFF
}

/// Has calls recorded until as many [`stop`]s as `start`s.
pub(crate) fn start() {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    if *users == 0 {
        SINCE.get_or_init(SystemTime::now);
        clock::init();
        histogram::init();
        let fast = clock::has_counter() && !alloc::is_installed();
        set_mode(if fast { FAST } else { SLOW });
    }
    *users += 1;
}

/// Takes back one [`start`].
pub(crate) fn stop() {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    *users = users.saturating_sub(1);
    if *users == 0 {
        set_mode(OFF);
    }
}

fn set_mode(mode: u8) {
    MODE.store(mode, Relaxed);
    inventory::iter::<&'static Site>.into_iter().for_each(|site| site.set_mode(mode));
}

/// When recording first began.
pub(crate) fn since() -> SystemTime {
    *SINCE.get_or_init(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use crate::{__private as private, ProfileMetrics};
    use private::Infallible as _;

    fn leaf(ok: bool) -> Result<u32, std::fmt::Error> {
        private::site! { name: "leaf", line: 1, objective: None, attributes: [] }
        let call = __EXPORTERS_SITE.enter::<1, false>(&__EXPORTERS_LOCAL, None);
        let result = (move || if ok { Ok(1) } else { Err(std::fmt::Error) })();
        call.finish({
            use private::Fallible as _;
            (&&&private::Returned(&result)).__exporters_failure()
        });
        result
    }

    fn sampled() {
        private::site! { name: "sampled", line: 2, objective: None, attributes: [] }
        let call = __EXPORTERS_SITE.enter::<16, false>(&__EXPORTERS_LOCAL, None);
        call.finish((&&&private::Returned(&())).__exporters_failure());
    }

    fn objective() {
        private::site! { name: "objective", line: 3, objective: Some(("fast", 99.0, 1_000_000_000_000)), attributes: [] }
        let call = __EXPORTERS_SITE.enter::<1, true>(&__EXPORTERS_LOCAL, None);
        call.finish(None);
    }

    fn keyed(queue: u32) {
        private::site! { name: "keyed", line: 4, objective: None, attributes: ["queue"] }
        let call =
            __EXPORTERS_SITE.enter_keyed::<1, false>(None, |f| f(&[private::value(&queue.to_string())]));
        call.finish(None);
    }

    fn polled(polls: u32) -> impl Future<Output = u32> {
        private::site! { name: "polled", line: 5, objective: None, attributes: [] }
        let mut left = polls;
        let future = std::future::poll_fn(move |_| {
            if left == 0 {
                return std::task::Poll::Ready(7);
            }
            left -= 1;
            std::task::Poll::Pending
        });
        private::Profiled::<1, false, _, _, _>::new(
            || (&__EXPORTERS_SITE, &__EXPORTERS_LOCAL, None),
            None,
            future,
            |_: &u32| None,
        )
    }

    fn panics() {
        private::site! { name: "panics", line: 6, objective: None, attributes: [] }
        let call = __EXPORTERS_SITE.enter::<1, false>(&__EXPORTERS_LOCAL, None);
        if std::hint::black_box(true) {
            std::panic::resume_unwind(Box::new(()));
        }
        call.finish(None);
    }

    fn results(metrics: &ProfileMetrics, function: &str) -> Vec<(String, f64)> {
        let Some(crate::Metric { data: crate::Data::Sum(sum), .. }) = metrics.metric("function.calls") else {
            return Vec::new();
        };
        let of =
            sum.points.iter().filter(|point| point.series.attributes.get_str("function") == Some(function));
        of.map(|point| {
            let text = |key| point.series.attributes.get_str(key).unwrap_or_default();
            (format!("{}{}", text("result"), text("error.type")), point.total.as_f64())
        })
        .collect()
    }

    #[test]
    fn outcomes_are_exact() {
        let profiler = crate::test();
        for n in 0..1000 {
            let _ = leaf(n % 4 > 0);
        }
        for _ in 0..3 {
            assert!(std::panic::catch_unwind(panics).is_err());
        }
        let metrics = profiler.snapshot();
        assert_eq!(
            results(&metrics, "leaf"),
            [("ok".into(), 750.0), ("errorcore::fmt::Error".into(), 250.0)]
        );
        assert_eq!(results(&metrics, "panics"), [("ok".into(), 0.0), ("errorpanic".into(), 3.0)]);
        let leaf = metrics.function("leaf");
        assert_eq!((leaf.total_calls(), leaf.latency().count(), leaf.concurrent_calls()), (1000, 1000, 0));
        assert_eq!(results(&metrics, "sampled"), [("ok".into(), 0.0)]);
    }

    #[test]
    fn sampling_and_objectives_count_exactly() {
        let profiler = crate::test();
        (0..1600).for_each(|_| sampled());
        (0..100).for_each(|_| objective());
        let metrics = profiler.snapshot();
        assert_eq!(metrics.function("sampled").total_calls(), 1600);
        assert_eq!(metrics.function("sampled").latency().count(), 1600);
        let Some(crate::Metric { data: crate::Data::Sum(good), .. }) =
            metrics.metric("function.objective.good")
        else {
            panic!("no objective")
        };
        let point =
            good.points.iter().find(|point| point.series.attributes.get_str("function") == Some("objective"));
        assert_eq!(point.map(|point| point.total.as_f64()), Some(100.0));
    }

    #[test]
    fn attributes_make_series_up_to_the_cap() {
        let profiler = crate::test();
        for n in 0..5000 {
            keyed(n);
            keyed(n % 10);
        }
        let metrics = profiler.snapshot();
        let calls = results(&metrics, "keyed");
        assert_eq!(calls.len(), super::keyed::MAX_SETS + 1);
        assert_eq!(metrics.function("keyed").total_calls(), 10_000);
    }

    #[test]
    fn futures_end_well_or_are_cancelled() {
        let profiler = crate::test();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut done = Box::pin(polled(3));
        while done.as_mut().poll(&mut cx).is_pending() {}
        let mut dropped = Box::pin(polled(3));
        assert!(dropped.as_mut().poll(&mut cx).is_pending());
        assert_eq!(profiler.snapshot().function("polled").concurrent_calls(), 1);
        drop(dropped);
        drop(polled(1));
        let metrics = profiler.snapshot();
        assert_eq!(results(&metrics, "polled"), [("ok".into(), 1.0), ("cancelled".into(), 1.0)]);
        assert_eq!(metrics.function("polled").concurrent_calls(), 0);
        assert!(size_of_val(&polled(1)) <= size_of::<u32>() + 64);
    }
}
