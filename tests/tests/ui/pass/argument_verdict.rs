//! `ok_if` and `error_if`.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, record};

#[profiled(ok_if = |found| found.is_some())]
fn find(n: u32) -> Option<u32> {
    (n > 0).then_some(n)
}

#[profiled(error_if = |response| response.status >= 500)]
async fn call(status: u16) -> Response {
    Response { status }
}
struct Response {
    status: u16,
}

#[profiled(error_if = |r| matches!(r, Err(e) if e != "expected"))]
fn expected(text: &str) -> Result<(), String> {
    Err(text.to_owned())
}

#[profiled(ok_if = Result::is_ok, error_type = |_| "mine")]
fn path(good: bool) -> Result<(), String> {
    if good { Ok(()) } else { Err(String::new()) }
}

#[profiled(error_if = Result::is_err)]
fn generic<T>(value: Result<T, ()>) -> Result<T, ()> {
    value
}

fn main() {
    let recorded = record(|| {
        let _ = (find(0), find(1));
        let _ = (block_on(call(200)), block_on(call(503)));
        let _ = (expected("expected"), expected("other"));
        let _ = (path(true), path(false));
        let _ = generic::<u8>(Err(()));
    });
    for name in ["find", "call", "expected", "path"] {
        assert_eq!(recorded.of(name), mixed(1, 1), "{name}");
    }
    assert_eq!(recorded.of("generic"), mixed(0, 1));
    assert_eq!(recorded.errors("find").into_keys().collect::<Vec<_>>(), ["ok_if"]);
    assert_eq!(recorded.errors("call").into_keys().collect::<Vec<_>>(), ["error_if"]);
    assert_eq!(recorded.errors("path").into_keys().collect::<Vec<_>>(), ["mine"]);
}
