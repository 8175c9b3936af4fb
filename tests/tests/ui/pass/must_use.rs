//! What is returned is still warned about when unused.
#![deny(unused_must_use)]

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
#[must_use]
fn important() -> u8 {
    1
}

#[profiled]
async fn later() {}

fn main() {
    let recorded = record(|| {
        let _ = important();
        #[expect(unused_must_use)]
        {
            important();
            later();
        }
        block_on(later());
    });
    assert_eq!(recorded.of("important"), ok(2));
    assert_eq!(recorded.of("later"), ok(1));
}
