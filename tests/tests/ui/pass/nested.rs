//! Profiled functions within functions, closures and blocks.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
fn outer(n: u32) -> u32 {
    #[profiled]
    fn inner(n: u32) -> u32 {
        n + 1
    }
    struct Local;
    #[profiled]
    impl Local {
        fn method(&self) -> u32 {
            exporters::profile!("block", { inner(1) })
        }
    }
    let closure = |n| {
        #[profiled]
        fn deepest(n: u32) -> u32 {
            return n;
        }
        deepest(n)
    };
    inner(n) + Local.method() + closure(n)
}

#[profiled]
async fn outer_later() -> u32 {
    #[profiled]
    async fn inner_later() -> u32 {
        1
    }
    inner_later().await + async { inner_later().await }.await
}

fn main() {
    let recorded = record(|| {
        assert_eq!(outer(1), 5);
        assert_eq!(block_on(outer_later()), 2);
    });
    assert_eq!(recorded.of("outer"), ok(1));
    assert_eq!(recorded.of("inner"), ok(2));
    assert_eq!(recorded.of("Local::method"), ok(1));
    assert_eq!(recorded.of("block"), ok(1));
    assert_eq!(recorded.of("deepest"), ok(1));
    assert_eq!(recorded.of("outer_later"), ok(1));
    assert_eq!(recorded.of("inner_later"), ok(2));
}
