//! `impl Trait` as the result, and within it.

#[path = "../support.rs"]
mod support;

use std::fmt::Display;

use exporters::profiled;
use support::{block_on, mixed, ok, record};

#[profiled]
fn evens(limit: u32) -> impl Iterator<Item = u32> + Clone {
    (0..limit).filter(|n| n % 2 == 0)
}

#[profiled]
fn literals() -> impl Iterator<Item = u64> {
    [1, 2, 3].into_iter()
}

#[profiled]
fn maybe(n: u32) -> Result<impl Display, String> {
    if n == 0 {
        return Err("none".to_owned());
    }
    Ok(n)
}

#[profiled]
fn pair<'a>(text: &'a str) -> (impl Iterator<Item = char> + 'a, Option<impl Display>) {
    (text.chars(), Some(text.len()))
}

#[profiled]
async fn later(n: u32) -> Result<impl Display + Send, Box<dyn std::error::Error>> {
    if n == 0 {
        Err("none")?;
    }
    Ok(n)
}

fn main() {
    let recorded = record(|| {
        assert_eq!(evens(5).count(), 3);
        assert_eq!(literals().sum::<u64>(), 6);
        assert!(maybe(0).is_err());
        assert_eq!(maybe(1).map(|n| n.to_string()), Ok("1".into()));
        assert_eq!(pair("ab").0.count(), 2);
        assert!(block_on(later(0)).is_err());
        assert_eq!(block_on(later(2)).unwrap().to_string(), "2");
    });
    for name in ["evens", "literals", "pair"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
    assert_eq!(recorded.of("maybe"), mixed(1, 1));
    assert_eq!(recorded.of("later"), mixed(1, 1));
}
