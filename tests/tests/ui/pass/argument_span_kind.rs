//! `span` and `kind`.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[profiled(span = false)]
fn hidden() {}

#[profiled(kind = "server", span = true)]
fn served() {}

#[profiled(kind = "client")]
async fn called() {}

#[profiled()]
fn empty() {}

fn main() {
    let recorded = record(|| {
        hidden();
        served();
        empty();
        support::block_on(called());
    });
    for name in ["hidden", "served", "called", "empty"] {
        assert_eq!(recorded.of(name), ok(1), "{name}");
    }
}
