//! A page of known series is rendered without allocating.

#[expect(dead_code, unreachable_pub, reason = "it is a library elsewhere")]
#[path = "../../benches/src/allocations.rs"]
mod allocations;

use exporters::{
    Data, KeyValue, Number,
    prometheus::{Format, PrometheusConfig, Renderer},
};
use tests::data::{counter, histogram, metric, point, snapshot};

#[global_allocator]
static COUNTING: allocations::Counting = allocations::Counting;

#[test]
fn none_once_warm() {
    let name = |i: usize| [KeyValue::new("function", format!("function_{i}"))];
    let calls = (0..1000).map(|i| point(name(i), Number::U64(i as u64))).collect();
    let took = (0..1000).map(|i| point(name(i), histogram(&[i as f64 * 1e-6, 0.01, 0.5]))).collect();
    let metrics = snapshot(vec![
        metric("calls", "{call}", counter(calls)),
        metric("took", "s", Data::ExponentialHistogram(took)),
        metric("use", "1", Data::Gauge(vec![point([], Number::F64(0.123))])),
    ]);
    let mut renderer = Renderer::new(&PrometheusConfig { created: true, ..Default::default() }).unwrap();
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let mut pages = [Vec::new(), Vec::new()];
        for page in &mut pages {
            renderer.render(&metrics, format, page);
        }
        let [page, expected] = &mut pages;
        page.clear();
        let before = allocations::allocations();
        renderer.render(&metrics, format, page);
        // The test harness has a thread of its own, which sleeps.
        assert_eq!(allocations::allocations() - before, 0, "{format:?}");
        assert!(page == expected && page.len() > 50_000);
    }
}
