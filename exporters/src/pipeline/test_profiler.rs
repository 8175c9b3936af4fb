//! Recording for tests: each test sees what its own thread recorded.

use crate::{
    ProfileMetrics, Resource,
    record::{self, snapshot::Collector, snapshot::Whose},
};
use std::{cell::RefCell, marker::PhantomData, sync::Arc};

/// Sees what the thread that made it records, and nothing else.
///
/// So any number of tests may run at the same time, each on a thread of its own or on a current-thread runtime on it.
#[derive(Debug)]
pub struct TestProfiler {
    collector: RefCell<Collector>,
    /// Its thread's business.
    not_send: PhantomData<*const ()>,
}

/// Has calls recorded for as long as the answer lives, and counts those of this thread.
///
/// ```
/// # use exporters::profiled;
/// #[profiled]
/// fn charge(amount: u32) -> Result<(), std::fmt::Error> {
///     if amount > 0 { Ok(()) } else { Err(std::fmt::Error) }
/// }
///
/// let profiler = exporters::test();
/// let _ = (charge(1), charge(0));
/// let metrics = profiler.snapshot();
/// assert_eq!(metrics.function("charge").total_calls(), 2);
/// assert_eq!(metrics.function("charge").error_rate(), Some(0.5));
/// ```
pub fn test() -> TestProfiler {
    record::start();
    record::stay_alone();
    let collector = Collector::new(Arc::new(Resource::default()), Whose::Own, true);
    TestProfiler { collector: RefCell::new(collector), not_send: PhantomData }
}

impl TestProfiler {
    /// What this thread recorded since the profiler was made; the interval is the time since the last snapshot.
    pub fn snapshot(&self) -> ProfileMetrics {
        self.collector.borrow_mut().drain()
    }
}

impl Drop for TestProfiler {
    fn drop(&mut self) {
        record::stop();
    }
}
