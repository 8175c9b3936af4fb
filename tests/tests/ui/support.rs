//! What a pass file needs to look at its own calls.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// What was recorded while something ran.
#[derive(Debug)]
pub struct Recorded {
    events: Vec<(String, String, Vec<String>)>,
}

/// Runs something and hands out what it recorded.
pub fn record<T>(run: impl FnOnce() -> T) -> Recorded {
    let _ = exporters::__private::take();
    run();
    Recorded { events: exporters::__private::take() }
}

impl Recorded {
    /// The calls of a function by its name; of a method annotated alone, by the end of its name.
    #[track_caller]
    pub fn of(&self, name: &str) -> Calls {
        let mut calls = Calls::default();
        for (_, outcome, _) in self.events.iter().filter(|(found, ..)| matches(found, name)) {
            match outcome.as_str() {
                "ok" => calls.ok += 1,
                "panic" => calls.panic += 1,
                "cancelled" => calls.cancelled += 1,
                _ => calls.error += 1,
            }
        }
        calls
    }

    /// The values of `error.type` of a function.
    pub fn errors(&self, name: &str) -> BTreeMap<String, u64> {
        let mut errors = BTreeMap::new();
        for (_, outcome, _) in self.events.iter().filter(|(found, ..)| matches(found, name)) {
            if !["ok", "cancelled"].contains(&outcome.as_str()) {
                *errors.entry(outcome.clone()).or_default() += 1;
            }
        }
        errors
    }

    /// The series of a function: the values of its attributes, with the number of calls.
    pub fn series(&self, name: &str) -> BTreeMap<Vec<String>, u64> {
        let mut series = BTreeMap::new();
        for (_, _, keys) in self.events.iter().filter(|(found, ..)| matches(found, name)) {
            *series.entry(keys.clone()).or_default() += 1;
        }
        series
    }

    /// The names of all functions that were called.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.events.iter().map(|(name, ..)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn matches(found: &str, name: &str) -> bool {
    found == name || found.ends_with(&format!("::{name}"))
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
