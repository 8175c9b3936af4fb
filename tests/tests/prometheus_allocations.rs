//! A page of known series is rendered without allocating.

use exporters::{
    Data, KeyValue, Number,
    prometheus::{Format, PrometheusConfig, Renderer},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tests::data::{counter, histogram, metric, point, snapshot};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: All work is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: The caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: The caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: The caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

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
        let before = ALLOCATIONS.load(Relaxed);
        renderer.render(&metrics, format, page);
        // The test harness has a thread of its own, which sleeps.
        assert_eq!(ALLOCATIONS.load(Relaxed) - before, 0, "{format:?}");
        assert!(page == expected && page.len() > 50_000);
    }
}
