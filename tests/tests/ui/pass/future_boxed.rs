//! Functions that return a boxed future, in the spellings in use.

#[path = "../support.rs"]
mod support;

use std::future::Future;
use std::pin::Pin;

use exporters::profiled;
use support::{Calls, block_on, mixed, ok, poll_once, record};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[profiled]
fn pinned(text: &str) -> Pin<Box<dyn Future<Output = Result<u32, std::num::ParseIntError>> + Send + '_>> {
    Box::pin(async move {
        tokio::task::yield_now().await;
        let n: u32 = text.parse()?;
        Ok(n)
    })
}

#[profiled]
fn with_return(n: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    if n == 0 {
        return Box::pin(std::future::ready(0));
    }
    let m = n + 1;
    Box::pin(async move { m })
}

#[profiled]
fn alias<'a>(text: &'a mut String) -> BoxFuture<'a, Result<(), String>> {
    text.push('x');
    Box::pin(async move { Err(text.clone()) })
}

#[profiled]
fn unpin(n: u32) -> Box<dyn Future<Output = Option<u32>> + Unpin> {
    Box::new(std::future::ready(Some(n)))
}

#[profiled]
fn stuck() -> BoxFuture<'static, ()> {
    Box::pin(std::future::pending())
}

struct Client {
    base: String,
}
impl Client {
    #[profiled]
    fn call<'a>(&'a mut self, path: &'a str) -> BoxFuture<'a, Result<usize, ()>> {
        self.base.push_str(path);
        Box::pin(async move { Ok(self.base.len()) })
    }
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            assert_eq!(pinned("4").await, Ok(4));
            assert!(pinned("x").await.is_err());
            assert_eq!(with_return(0).await + with_return(1).await, 2);
            assert!(alias(&mut String::new()).await.is_err());
            assert_eq!(unpin(1).await, Some(1));
            assert_eq!(Client { base: "a".into() }.call("b").await, Ok(2));
        });
        assert!(!poll_once(stuck()));
    });
    assert_eq!(recorded.of("pinned"), mixed(1, 1));
    assert_eq!(recorded.of("with_return"), ok(2));
    assert_eq!(recorded.of("alias"), mixed(0, 1));
    assert_eq!(recorded.of("unpin"), ok(1));
    assert_eq!(recorded.of("Client::call"), ok(1));
    assert_eq!(recorded.of("stuck"), Calls { cancelled: 1, ..Calls::default() });
}
