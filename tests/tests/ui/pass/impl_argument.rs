//! `impl Trait` as an argument.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
fn apply(f: impl Fn(u32) -> u32, n: impl Into<u32>) -> u32 {
    f(n.into())
}

#[profiled]
async fn apply_later(f: impl AsyncFn(u32) -> u32, names: impl IntoIterator<Item = impl AsRef<str>>) -> u32 {
    let mut total = 0;
    for name in names {
        total += f(name.as_ref().len() as u32).await;
    }
    total
}

fn main() {
    let recorded = record(|| {
        assert_eq!(apply(|n| n + 1, 1u8), 2);
        assert_eq!(block_on(apply_later(async |n| n * 2, ["a", "bc"])), 6);
    });
    assert_eq!(recorded.of("apply"), ok(1));
    assert_eq!(recorded.of("apply_later"), ok(1));
}
