//! Aliases of `Result`, associated types that are one, and `Result` by another name.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{mixed, ok, record};

type Fallible<T> = std::result::Result<T, String>;
use std::result::Result as Outcome;

#[profiled]
fn alias(good: bool) -> Fallible<()> {
    if good { Ok(()) } else { Err("bad".into()) }
}

#[profiled]
fn renamed(good: bool) -> Outcome<(), ()> {
    if good { Ok(()) } else { Err(()) }
}

trait Step {
    type Output;
    fn step(&self) -> Self::Output;
}
struct Failing;
impl Step for Failing {
    type Output = std::io::Result<u8>;
    #[profiled]
    fn step(&self) -> Self::Output {
        Err(std::io::Error::other("no"))
    }
}

/// A type of the same name that is something else.
mod other {
    #[allow(dead_code)]
    pub enum Result {
        Err,
    }
    #[exporters::profiled]
    pub fn not_a_result() -> Result {
        Result::Err
    }
}

fn main() {
    let recorded = record(|| {
        let _ = (alias(true), alias(false), renamed(true), renamed(false));
        let _ = Failing.step();
        other::not_a_result();
    });
    assert_eq!(recorded.of("alias"), mixed(1, 1));
    assert_eq!(recorded.of("renamed"), mixed(1, 1));
    assert_eq!(recorded.of("Failing::step"), mixed(0, 1));
    assert_eq!(recorded.of("not_a_result"), ok(1));
}
