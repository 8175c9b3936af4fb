//! Documentation, lints, conditions and the rest stay on the function.
#![deny(missing_docs, warnings)]

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

/// Documented.
#[inline(always)]
#[must_use = "it is"]
#[profiled]
pub fn documented(n: u32) -> u32 {
    n
}

/// Documented.
///
/// At length.
#[profiled]
#[cfg(all())]
#[cfg_attr(all(), inline)]
#[allow(non_snake_case)]
#[rustfmt::skip]
#[doc(alias = "loud")]
pub async fn Shouting(n: u32) -> u32 { n }

#[cfg(any())]
#[profiled]
fn absent() -> Missing {}

#[profiled]
#[cfg(any())]
fn absent_too() -> Missing {}

#[profiled]
#[deprecated]
#[cold]
fn old() {}

#[profiled]
fn inner_attribute() -> u32 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

fn main() {
    let recorded = record(|| {
        assert_eq!(documented(1), 1);
        assert_eq!(block_on(Shouting(1)), 1);
        #[allow(deprecated)]
        old();
        assert_eq!(inner_attribute(), 2);
    });
    for name in ["documented", "Shouting", "old", "inner_attribute"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
}
