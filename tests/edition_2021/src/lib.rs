//! In a crate of edition 2021 an async fn keeps what it has of the language: all lifetimes are captured, and what the
//! body's last expression borrows ends before the arguments do.

#![cfg(test)]

use std::{
    cell::RefCell,
    future::Future,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use exporters::{profiled, Exporter, Payload, Receipt, Transmit};

fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should have been ready"),
    }
}

/// Compiles only where the edition is 2021.
#[allow(keyword_idents_2024, dead_code)]
fn gen() {}

struct Db<'c>(&'c str);

impl<'c> Db<'c> {
    /// Needs `'c` and both elided lifetimes in the future.
    #[profiled]
    async fn get(&self, key: &str, seen: &mut Vec<String>) -> &'c str {
        seen.push(key.to_owned());
        self.0
    }
}

#[profiled]
async fn shorter<'a, T: ?Sized>(text: &'a str, _other: &T, log: &RefCell<u32>) -> Result<&'a str, String> {
    *log.borrow_mut() += 1;
    Ok(text)
}

#[profiled]
fn locked(n: Mutex<u32>) -> u32 {
    *n.lock().unwrap()
}

#[profiled]
async fn locked_later(n: Mutex<u32>) -> u32 {
    *n.lock().unwrap()
}

#[profiled]
fn in_a_local() -> u32 {
    let n = RefCell::new(3);
    let value = *n.borrow();
    value
}

trait Fetch {
    fn fetch(&self, key: &str) -> impl Future<Output = usize> + Send;
}
impl Fetch for Db<'_> {
    #[profiled]
    async fn fetch(&self, key: &str) -> usize {
        self.0.len() + key.len()
    }
}

#[derive(Debug, serde::Deserialize, Exporter)]
#[metric(calls = "function.calls", stat = rate)]
#[metric(all = |metrics| Some(metrics.total_calls() as f64))]
struct Old {
    #[exporter(attribute = "name")]
    name: String,
}

impl Transmit for Old {
    async fn transmit(&self, payload: Payload) -> exporters::Result<Receipt> {
        Ok(payload.receipt())
    }
}

#[test]
fn exporters_register() {
    let old = Old { name: String::new() };
    assert!(run(old.health()).is_healthy() && old.capability().mapping.is_some());
    assert!(exporters::kinds().unwrap().contains(&old.info().kind));
}

#[test]
fn calls_are_recorded() {
    let profiler = exporters::test();
    let name = String::from("main");
    let db = Db(&name);
    let mut seen = Vec::new();
    assert_eq!(run(db.get(&String::from("key"), &mut seen)), "main");
    assert_eq!(seen, ["key"]);
    let log = RefCell::new(0);
    assert_eq!(run(shorter("a", "b", &log)), Ok("a"));
    assert_eq!(locked(Mutex::new(1)) + run(locked_later(Mutex::new(2))), 3);
    assert_eq!(in_a_local(), 3);
    assert_eq!(run(db.fetch("k")), 5);
    let metrics = profiler.snapshot();
    for name in ["Db::get", "shorter", "locked", "locked_later", "in_a_local", "Db::fetch"] {
        assert_eq!(metrics.function(name).total_calls(), 1, "{name}");
    }
}
