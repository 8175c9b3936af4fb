//! An opaque type that is a `Result`: counted by what it is.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{mixed, record};

trait IntoResponse {}
impl<T, E> IntoResponse for Result<T, E> {}

#[profiled]
fn handler(good: bool) -> impl IntoResponse {
    if good { Ok(1u8) } else { Err("bad") }
}

fn main() {
    let recorded = record(|| {
        handler(true);
        handler(false);
    });
    assert_eq!(recorded.of("handler"), mixed(1, 1));
}
