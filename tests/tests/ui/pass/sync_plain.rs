//! No return type, a value, an early return.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[profiled]
fn nothing() {}

#[profiled]
fn unit(flag: bool) {
    if flag {
        return;
    }
    assert!(!flag);
}

#[profiled]
fn early(n: u32) -> u32 {
    if n > 3 {
        return 3;
    }
    n + 1
}

fn main() {
    let recorded = record(|| {
        nothing();
        unit(true);
        unit(false);
        assert_eq!((early(9), early(1)), (3, 2));
    });
    assert_eq!(recorded.of("nothing"), ok(1));
    assert_eq!(recorded.of("unit"), ok(2));
    assert_eq!(recorded.of("early"), ok(2));
}
