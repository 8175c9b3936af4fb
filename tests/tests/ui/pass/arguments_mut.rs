//! `mut` arguments, unused ones, and ones with attributes.
#![deny(warnings)]

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
fn grow(mut list: Vec<u8>, mut n: u8) -> Vec<u8> {
    while n > 0 {
        list.push(n);
        n -= 1;
    }
    list
}

#[profiled]
async fn grow_later(mut list: Vec<u8>, _unused: String, #[allow(unused_variables)] also: u8) -> Vec<u8> {
    list.push(1);
    list
}

#[profiled]
fn configured(#[cfg(any())] missing: u8, #[cfg(all())] there: u8) -> u8 {
    there
}

#[profiled]
fn expected(#[expect(unused_variables)] odd: u8) {}

fn main() {
    let recorded = record(|| {
        assert_eq!(grow(vec![], 2), [2, 1]);
        assert_eq!(block_on(grow_later(vec![], String::new(), 1)), [1]);
        assert_eq!(configured(3), 3);
        expected(1);
    });
    for name in ["grow", "grow_later", "configured", "expected"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
}
