//! A profiled future is at most 64 bytes larger than the bare one, however much it holds.

use std::{future::Future, pin::Pin};

use exporters::profiled;

/// The same function, bare and profiled.
macro_rules! both {
    ($(#[$meta:meta])* $bare:ident $profiled:ident ($($argument:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        async fn $bare($($argument: $ty),*) -> $ret $body
        #[profiled]
        async fn $profiled($($argument: $ty),*) -> $ret $body
    };
}

both!(bare_small profiled_small() -> () {});
both!(bare_unused profiled_unused(_big: [u8; 1024]) -> () {});
both!(bare_held profiled_held(big: [u8; 1024]) -> u8 {
    tokio::task::yield_now().await;
    big[0]
});
both!(bare_moved profiled_moved(big: [u8; 1024], text: String) -> Result<usize, std::num::ParseIntError> {
    let number: usize = text.parse()?;
    let moved = big;
    tokio::task::yield_now().await;
    Ok(number + moved.len())
});
both!(bare_by_name profiled_by_name(text: &str, big: Box<[u8; 1024]>) -> usize {
    bare_held(*big).await;
    text.len()
});

struct Service {
    state: [u8; 1024],
}
impl Service {
    async fn bare(self, more: [u8; 1024]) -> u8 {
        tokio::task::yield_now().await;
        self.state[0] + more[0]
    }
    #[profiled]
    async fn profiled(self, more: [u8; 1024]) -> u8 {
        tokio::task::yield_now().await;
        self.state[0] + more[0]
    }
    #[profiled(slo(latency = "1ms", target = 99), attributes(first = more[0]))]
    async fn keyed(self, more: [u8; 1024]) -> u8 {
        tokio::task::yield_now().await;
        self.state[0] + more[0]
    }
}

#[expect(clippy::manual_async_fn)]
fn bare_impl(big: [u8; 1024]) -> impl Future<Output = u8> {
    async move { big[0] }
}
#[profiled]
fn profiled_impl(big: [u8; 1024]) -> impl Future<Output = u8> {
    async move { big[0] }
}

fn bare_boxed(big: [u8; 1024]) -> Pin<Box<dyn Future<Output = u8>>> {
    Box::pin(async move { big[0] })
}
/// What is in the box is measured where it is, so there is one box.
#[profiled]
fn profiled_boxed(big: [u8; 1024]) -> Pin<Box<dyn Future<Output = u8>>> {
    Box::pin(async move { big[0] })
}

#[track_caller]
fn at_most_64_more<B, P>(bare: B, profiled: P) {
    let (bare, profiled) = (size_of_val(&bare), size_of_val(&profiled));
    println!("{bare} -> {profiled}");
    assert!(profiled <= bare + 64, "{bare} bytes became {profiled}");
}

#[test]
fn at_most_64_bytes_larger() {
    let big = [0; 1024];
    at_most_64_more(bare_small(), profiled_small());
    at_most_64_more(bare_unused(big), profiled_unused(big));
    at_most_64_more(bare_held(big), profiled_held(big));
    at_most_64_more(bare_moved(big, String::new()), profiled_moved(big, String::new()));
    at_most_64_more(bare_by_name("", Box::new(big)), profiled_by_name("", Box::new(big)));
    at_most_64_more(Service { state: big }.bare(big), Service { state: big }.profiled(big));
    at_most_64_more(Service { state: big }.bare(big), Service { state: big }.keyed(big));
    at_most_64_more(bare_impl(big), profiled_impl(big));
    let (bare, profiled) = (bare_boxed(big), profiled_boxed(big));
    assert!(size_of_val(&*profiled) <= size_of_val(&*bare) + 64);
}
