//! `-> !`, sync and async.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{Calls, block_on, poll_once, record};

#[profiled]
fn fail(text: &str) -> ! {
    panic!("{text}")
}

#[profiled]
fn forward(text: String) -> ! {
    if text.is_empty() {
        fail("empty");
    }
    fail(&text)
}

#[profiled]
async fn serve(n: u32) -> ! {
    if n == 0 {
        panic!("zero");
    }
    loop {
        tokio::task::yield_now().await;
    }
}

fn main() {
    let recorded = record(|| {
        support::panics(|| forward("x".into()));
        support::panics(|| block_on(serve(0)));
        assert!(!poll_once(serve(1)));
    });
    assert_eq!(recorded.of("fail").panic, 1);
    assert_eq!(recorded.of("forward").panic, 1);
    assert_eq!(recorded.of("serve"), Calls { panic: 1, cancelled: 1, ..Calls::default() });
}
