//! Named, elided, hidden and early-bound lifetimes, in results as well.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{mixed, ok, record};

struct Words<'a>(std::str::Split<'a, char>);

#[profiled]
fn first(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

#[profiled]
fn longer<'a, 'b: 'a>(a: &'a str, b: &'b str) -> &'a str {
    if a.len() > b.len() { a } else { b }
}

#[profiled]
fn words(text: &str) -> Words<'_> {
    Words(text.split(' '))
}

#[profiled]
fn pick<'a>(items: &'a mut [String], index: usize) -> Option<&'a mut String> {
    items.get_mut(index)
}

#[profiled]
fn checked(text: &str) -> Result<&str, Box<dyn std::error::Error + '_>> {
    if text.is_empty() { Err("empty")? }
    Ok(text)
}

#[profiled]
fn erased<'a>(text: &'a str) -> Box<dyn Fn() -> &'a str + 'a> {
    Box::new(move || text)
}

fn main() {
    let recorded = record(|| {
        assert_eq!(first("a b"), "a");
        assert_eq!(longer("aa", "b"), "aa");
        assert_eq!(words("a b").0.count(), 2);
        let mut items = ["x".to_owned()];
        pick(&mut items, 0).unwrap().push('y');
        assert_eq!(items, ["xy"]);
        assert!(checked("").is_err() && checked("a").is_ok());
        assert_eq!(erased("z")(), "z");
    });
    for name in ["first", "longer", "words", "pick", "erased"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
    assert_eq!(recorded.of("checked"), mixed(1, 1));
}
