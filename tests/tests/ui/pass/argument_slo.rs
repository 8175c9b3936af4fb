//! `slo`, with and without latency and name; as default of a block.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, ok, record};

#[profiled(slo(latency = "250ms", target = 99.9, name = "fast enough"))]
fn all() {}

#[profiled(slo(target = 99))]
async fn only_target(good: bool) -> Result<(), ()> {
    if good { Ok(()) } else { Err(()) }
}

struct Api;
#[profiled(slo(latency = "1.5s", target = 100))]
impl Api {
    fn get(&self) {}
    // The wish of the function itself counts.
    #[profiled(time_one_in = 8)]
    fn hot(&self) {}
}

fn main() {
    let recorded = record(|| {
        all();
        let _ = (block_on(only_target(true)), block_on(only_target(false)));
        Api.get();
        Api.hot();
    });
    assert_eq!(recorded.of("all"), ok(1));
    assert_eq!(recorded.of("only_target"), mixed(1, 1));
    assert_eq!(recorded.of("Api::get"), ok(1));
    assert_eq!(recorded.of("Api::hot"), ok(1));
}
