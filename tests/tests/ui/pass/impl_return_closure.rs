//! Closures as the result, whose arguments are inferred from the signature.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[profiled]
fn power(n: u32) -> impl Fn(u32) -> u32 {
    move |x| x.pow(n)
}

#[profiled]
fn trimmed() -> Result<impl Fn(&str) -> usize, String> {
    Ok(|text: &str| text.trim().len())
}

fn main() {
    let recorded = record(|| {
        assert_eq!(power(2)(3), 9);
        assert_eq!(trimmed().unwrap()(" a "), 1);
        support::panics(|| exploding()(1));
    });
    assert_eq!(recorded.of("power"), ok(1));
    assert_eq!(recorded.of("trimmed"), ok(1));
    assert_eq!(recorded.of("exploding").panic, 1);
}

#[profiled]
fn exploding() -> impl Fn(u32) {
    if true {
        panic!("on purpose");
    }
    |_| ()
}
