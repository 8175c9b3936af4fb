//! A future that panics, is dropped before its end, or is never polled.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{Calls, poll_once, record};

#[profiled]
async fn stuck() -> Result<(), String> {
    std::future::pending().await
}

#[profiled]
async fn bursting() {
    panic!("on purpose");
}

fn main() {
    let recorded = record(|| {
        assert!(!poll_once(stuck()));
        drop(stuck());
        support::panics(|| poll_once(bursting()));
    });
    assert_eq!(recorded.of("stuck"), Calls { cancelled: 1, ..Calls::default() });
    assert_eq!(recorded.of("bursting"), Calls { panic: 1, ..Calls::default() });
}
