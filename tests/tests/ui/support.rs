//! What a pass file needs to look at its own calls.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use exporters::{Attributes, Data, Number, Point};

/// How the calls of one function ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub ok: u64,
    pub error: u64,
    pub panic: u64,
    pub cancelled: u64,
}

/// This many calls that ended well.
pub fn ok(ok: u64) -> Calls {
    Calls { ok, ..Calls::default() }
}

/// This many that ended well, and with an error.
pub fn mixed(ok: u64, error: u64) -> Calls {
    Calls { ok, error, ..Calls::default() }
}

/// What was recorded while something ran: attributes, and the number of calls.
#[derive(Debug)]
pub struct Recorded(Vec<(Attributes, u64)>);

/// Runs something and hands out what it recorded.
pub fn record<T>(run: impl FnOnce() -> T) -> Recorded {
    let profiler = exporters::test();
    run();
    let metrics = profiler.snapshot();
    let Some(Data::Sum(calls)) = metrics.metric("function.calls").map(|metric| &metric.data) else {
        return Recorded(Vec::new());
    };
    let count = |point: &Point<Number>| (point.series.attributes.clone(), point.change.as_f64() as u64);
    Recorded(calls.points.iter().map(count).filter(|(_, calls)| *calls > 0).collect())
}

impl Recorded {
    fn function<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Attributes, u64)> {
        self.0.iter().map(|(attributes, calls)| (attributes, *calls)).filter(move |(attributes, _)| attributes.get_str("function") == Some(name))
    }

    /// How the calls of a function ended.
    pub fn of(&self, name: &str) -> Calls {
        let mut calls = Calls::default();
        for (attributes, count) in self.function(name) {
            match (attributes.get_str("result"), attributes.get_str("error.type")) {
                (Some("ok"), _) => calls.ok += count,
                (Some("cancelled"), _) => calls.cancelled += count,
                (_, Some("panic")) => calls.panic += count,
                _ => calls.error += count,
            }
        }
        calls
    }

    /// The values of `error.type` of a function.
    pub fn errors(&self, name: &str) -> BTreeMap<String, u64> {
        let error = |attributes: &Attributes| attributes.get_str("error.type").map(str::to_owned);
        self.function(name).filter_map(|(attributes, calls)| Some((error(attributes)?, calls))).collect()
    }

    /// The values of these attributes, with the number of calls.
    pub fn series(&self, name: &str, keys: &[&str]) -> BTreeMap<Vec<String>, u64> {
        let mut series = BTreeMap::new();
        for (attributes, calls) in self.function(name) {
            let values = keys.iter().map(|key| attributes.get(key).map_or("-".into(), ToString::to_string)).collect();
            *series.entry(values).or_default() += calls;
        }
        series
    }

    /// The names of all functions that were called.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().filter_map(|(attributes, _)| attributes.get_str("function")).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Runs something that panics.
pub fn panics<T>(run: impl FnOnce() -> T) {
    std::panic::set_hook(Box::new(|_| ()));
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "it should have panicked");
    let _ = std::panic::take_hook();
}

/// Polls a future once, then drops it.
pub fn poll_once<F: Future>(future: F) -> bool {
    let mut future = Box::pin(future);
    future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
}
