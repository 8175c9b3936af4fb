//! Prints every function and every kind of exporter that is registered. It names the crate with them, and calls none.

use exporters::Data;
use linking as _;

#[exporters::profiled]
fn own() {}

fn main() {
    let profiler = exporters::test();
    own();
    match exporters::kinds() {
        Ok(kinds) => kinds.iter().for_each(|kind| println!("kind {kind}")),
        Err(error) => println!("{error}"),
    }
    let metrics = profiler.snapshot();
    let Some(Data::Sum(calls)) = metrics.metric("function.calls").map(|metric| &metric.data) else { return };
    for point in &calls.points {
        let attributes = &point.series.attributes;
        let text = |key| attributes.get_str(key).unwrap_or_default();
        println!("{}::{} {}", text("module"), text("function"), point.total.as_f64());
    }
}
