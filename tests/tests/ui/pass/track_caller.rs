//! `#[track_caller]` still tells the caller's line.

#[path = "../support.rs"]
mod support;

use std::panic::Location;

use exporters::profiled;
use support::{mixed, record};

#[profiled]
#[track_caller]
fn line(good: bool) -> Result<u32, String> {
    let line = Location::caller().line();
    if good { Ok(line) } else { Err("bad".into()) }
}

#[track_caller]
#[profiled]
fn other(unit: bool) {
    assert!(unit);
    let _ = Location::caller();
}

fn main() {
    let recorded = record(|| {
        assert_eq!(line(true), Ok(std::line!()));
        assert!(line(false).is_err());
        other(true);
        support::panics(|| other(false));
    });
    assert_eq!(recorded.of("line"), mixed(1, 1));
    assert_eq!((recorded.of("other").ok, recorded.of("other").panic), (1, 1));
}
