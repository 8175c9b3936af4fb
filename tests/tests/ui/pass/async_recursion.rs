//! Recursion, sync and async.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
fn factorial(n: u64) -> u64 {
    if n < 2 { 1 } else { n * factorial(n - 1) }
}

#[profiled]
async fn countdown(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    1 + Box::pin(countdown(n - 1)).await
}

fn main() {
    let recorded = record(|| {
        assert_eq!(factorial(5), 120);
        assert_eq!(block_on(countdown(4)), 4);
    });
    assert_eq!(recorded.of("factorial"), ok(5));
    assert_eq!(recorded.of("countdown"), ok(5));
}
