//! An async fn whose result holds a closure.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, record};

#[profiled]
async fn adder(n: u32) -> Result<impl Fn(u32) -> u32, String> {
    if n == 0 {
        return Err("zero".into());
    }
    Ok(move |x| x + n)
}

fn main() {
    let recorded = record(|| {
        assert_eq!(block_on(adder(1)).unwrap()(2), 3);
        assert!(block_on(adder(0)).is_err());
    });
    assert_eq!(recorded.of("adder"), mixed(1, 1));
}
