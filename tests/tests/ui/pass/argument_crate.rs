//! `crate`: the library by another path.

#[path = "../support.rs"]
mod support;

use support::{block_on, ok, record};

mod vendored {
    pub use exporters as telemetry;
}

#[exporters::profiled(crate = crate::vendored::telemetry)]
fn moved() -> Result<(), ()> {
    Ok(())
}

#[vendored::telemetry::profiled(crate = vendored::telemetry, attributes(a = 1))]
async fn relative() {}

#[exporters::profiled(crate = ::exporters)]
mod inner {
    pub fn within() {}
}

fn main() {
    let recorded = record(|| {
        let _ = moved();
        block_on(relative());
        inner::within();
    });
    for name in ["moved", "relative", "within"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
}
