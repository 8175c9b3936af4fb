//! `error_type`: closures and paths; `String`, `&'static str` and borrowed results.

#[path = "../support.rs"]
mod support;

use std::borrow::Cow;

use exporters::profiled;
use support::{block_on, record};

#[derive(Debug)]
struct Status(u16, String);
impl Status {
    fn class(&self) -> &'static str {
        if self.0 < 500 { "client" } else { "server" }
    }
}
fn text(status: &Status) -> String {
    status.0.to_string()
}

#[profiled(error_type = |e| e.class())]
fn class(code: u16) -> Result<(), Status> {
    Err(Status(code, String::new()))
}

#[profiled(error_type = text)]
async fn code(code: u16) -> Result<(), Status> {
    if code == 0 {
        return Ok(());
    }
    Err(Status(code, String::new()))
}

#[profiled(error_type = Status::class)]
fn path() -> Result<(), Status> {
    Err(Status(1, String::new()))
}

#[profiled(error_type = |e: &Status| Cow::from(e.1.clone()))]
fn cow() -> Result<u8, Status> {
    Err(Status(1, "own".into()))
}

fn main() {
    let recorded = record(|| {
        let _ = (class(404), class(500), path(), cow());
        let _ = (block_on(code(0)), block_on(code(7)));
    });
    let errors = |name| recorded.errors(name).into_keys().collect::<Vec<_>>();
    assert_eq!(errors("class"), ["client", "server"]);
    assert_eq!(errors("code"), ["7"]);
    assert_eq!(errors("path"), ["client"]);
    assert_eq!(errors("cow"), ["own"]);
}
