//! `Result`, with `?` and `return Err`.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{mixed, record};

#[profiled]
fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
    let number: u32 = text.parse()?;
    Ok(number * 2)
}

#[profiled]
fn positive(n: i64) -> Result<i64, String> {
    if n < 0 {
        return Err(format!("{n}"));
    }
    Ok(n)
}

fn main() {
    let recorded = record(|| {
        assert_eq!(parse("21"), Ok(42));
        assert!(parse("x").is_err());
        assert_eq!(positive(1), Ok(1));
        assert!(positive(-1).is_err());
        assert!(positive(-2).is_err());
    });
    assert_eq!(recorded.of("parse"), mixed(1, 1));
    assert_eq!(recorded.of("positive"), mixed(1, 2));
    assert_eq!(recorded.errors("parse").into_keys().collect::<Vec<_>>(), ["core::num::error::ParseIntError"]);
}
