//! Functions that return `impl Future`: timed to its end.

#[path = "../support.rs"]
mod support;

use std::future::Future;

use exporters::profiled;
use support::{Calls, block_on, mixed, ok, poll_once, record};

#[profiled]
fn parse(text: &str) -> impl Future<Output = Result<u32, std::num::ParseIntError>> + Send + '_ {
    async move {
        tokio::task::yield_now().await;
        Ok(text.parse::<u32>()?)
    }
}

#[profiled]
fn prepared(n: u32) -> impl Future<Output = u32> + use<> {
    let m = n * 2;
    std::future::ready(m)
}

#[profiled]
fn never_ending() -> impl Future<Output = ()> {
    std::future::pending()
}

#[profiled]
fn of_impl(n: u32) -> impl Future<Output = Result<impl std::fmt::Display, ()>> {
    async move { if n == 0 { Err(()) } else { Ok(n) } }
}

struct Client {
    base: String,
}
impl Client {
    #[profiled]
    fn call(&mut self, path: &str) -> impl Future<Output = &str> {
        self.base.push_str(path);
        async { self.base.as_str() }
    }
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            assert_eq!(parse("4").await, Ok(4));
            assert!(parse("x").await.is_err());
            assert_eq!(prepared(2).await, 4);
            assert!(of_impl(0).await.is_err());
            assert_eq!(Client { base: "a".into() }.call("b").await, "ab");
        });
        assert!(!poll_once(never_ending()));
    });
    assert_eq!(recorded.of("parse"), mixed(1, 1));
    assert_eq!(recorded.of("prepared"), ok(1));
    assert_eq!(recorded.of("of_impl"), mixed(0, 1));
    assert_eq!(recorded.of("Client::call"), ok(1));
    assert_eq!(recorded.of("never_ending"), Calls { cancelled: 1, ..Calls::default() });
}
