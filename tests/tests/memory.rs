//! What functions allocate themselves: to the byte, whatever they call, and nothing of what recording takes.

use exporters::{Data, ProfileMetrics, profiled};
use std::{
    hint::black_box,
    panic::catch_unwind,
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

#[global_allocator]
static ALLOCATOR: exporters::ProfilingAllocator = exporters::ProfilingAllocator::system();

/// Bytes and allocations of all calls of a function.
fn allocated(metrics: &ProfileMetrics, function: &str) -> (u64, u64) {
    let number = |name: &str| {
        let Some(Data::Sum(sum)) = metrics.metric(name).map(|metric| &metric.data) else {
            panic!("there is no {name}")
        };
        let of =
            sum.points.iter().filter(|point| point.series.attributes.get_str("function") == Some(function));
        of.map(|point| point.total.as_f64() as u64).sum::<u64>()
    };
    (number("function.calls.allocated"), number("function.calls.allocations"))
}

/// Allocates so many bytes, once.
fn take(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(bytes)));
}

/// Pending once.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut paused, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn drive<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = poll(&mut future) {
            return output;
        }
    }
}

#[profiled]
fn nothing() {}

#[profiled]
fn once() {
    take(1000);
}

#[profiled]
fn zeroed() {
    drop(black_box(vec![0u8; 512]));
}

#[profiled]
fn grows() {
    let mut bytes = Vec::<u8>::with_capacity(10);
    bytes.reserve_exact(100);
    drop(black_box(bytes));
}

#[profiled]
fn shrinks() {
    let mut bytes = Vec::<u8>::with_capacity(100);
    bytes.push(1);
    bytes.shrink_to(10);
    drop(black_box(bytes));
}

#[test]
fn every_way_to_allocate_is_counted() {
    let profiler = exporters::test();
    for _ in 0..100 {
        nothing();
        once();
        zeroed();
        grows();
        shrinks();
    }
    let metrics = profiler.snapshot();
    let of = |function| allocated(&metrics, function);
    assert_eq!(of("nothing"), (0, 0));
    assert_eq!(of("once"), (100_000, 100));
    assert_eq!(of("zeroed"), (51_200, 100));
    // By how much it grew; what is given back is not subtracted.
    assert_eq!(of("grows"), (10_000, 200));
    assert_eq!(of("shrinks"), (10_000, 200));
}

#[profiled]
fn outer() {
    take(64);
    inner();
    take(32);
    unprofiled();
    inner();
}

#[profiled]
fn inner() {
    take(1000);
    innermost();
}

#[profiled]
fn innermost() {
    take(5);
}

fn unprofiled() {
    take(8);
    innermost();
}

#[profiled]
fn recursive(depth: usize) {
    take(depth);
    if depth > 1 {
        recursive(depth - 1);
        recursive(depth - 1);
    }
}

#[test]
fn callees_that_are_profiled_count_for_themselves() {
    let profiler = exporters::test();
    (0..10).for_each(|_| outer());
    recursive(6);
    let metrics = profiler.snapshot();
    let of = |function| allocated(&metrics, function);
    assert_eq!(of("outer"), (10 * (64 + 32 + 8), 30));
    assert_eq!(of("inner"), (10 * 2 * 1000, 20));
    assert_eq!(of("innermost"), (10 * 3 * 5, 30));
    // 1 call with 6 bytes, 2 with 5, 4 with 4, …
    assert_eq!(of("recursive"), (6 + 2 * 5 + 4 * 4 + 8 * 3 + 16 * 2 + 32, 63));
}

#[profiled]
async fn waits() {
    take(100);
    pause().await;
    take(10);
    awaited().await;
    take(1);
}

#[profiled]
async fn awaited() {
    take(7000);
    pause().await;
    once();
    take(3);
}

#[profiled]
async fn abandoned() {
    take(40);
    pause().await;
    take(1_000_000);
}

#[test]
fn futures_count_what_their_polls_allocate() {
    let profiler = exporters::test();
    // Two at once, poll by poll.
    let mut both = [Box::pin(waits()), Box::pin(waits())];
    for ready in [false, false, true] {
        both.iter_mut().for_each(|future| assert_eq!(poll(future).is_ready(), ready));
    }
    let mut dropped = Box::pin(abandoned());
    assert!(poll(&mut dropped).is_pending());
    drop(dropped);
    let metrics = profiler.snapshot();
    let of = |function| allocated(&metrics, function);
    assert_eq!(of("waits"), (2 * 111, 6));
    assert_eq!(of("awaited"), (2 * 7003, 4));
    assert_eq!(of("once"), (2000, 2));
    assert_eq!(of("abandoned"), (40, 1));
}

#[derive(Debug)]
#[expect(dead_code, reason = "its size matters")]
struct Large([u8; 100]);

#[profiled]
fn fails() -> Result<(), Box<Large>> {
    Err(Box::new(Large([1; 100])))
}

#[profiled]
async fn fails_later() -> Result<(), Box<Large>> {
    pause().await;
    fails()
}

#[profiled]
fn panics(bytes: usize) {
    take(bytes);
    std::panic::resume_unwind(Box::new(()));
}

#[test]
fn errors_and_panics_count_what_was_allocated_before() {
    let profiler = exporters::test();
    for _ in 0..50 {
        assert!(fails().is_err());
        assert!(drive(fails_later()).is_err());
    }
    let metrics = profiler.snapshot();
    assert_eq!(allocated(&metrics, "fails"), (10_000, 100));
    assert_eq!(allocated(&metrics, "fails_later"), (0, 0));
    // Unwinding allocates, too; what that takes is the same for each.
    let unwinding = |bytes| {
        let before = allocated(&profiler.snapshot(), "panics");
        assert!(catch_unwind(|| panics(bytes)).is_err());
        let after = allocated(&profiler.snapshot(), "panics");
        (after.0 - before.0 - bytes as u64, after.1 - before.1)
    };
    assert_eq!(unwinding(1), unwinding(100_000));
}

#[profiled]
fn takes(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {}
}

#[profiled(attributes(queue = queue))]
fn keyed(queue: &'static str) {
    take(queue.len());
}

#[profiled]
fn deep(depth: u32) {
    if depth > 0 {
        deep(depth - 1);
    }
}

#[profiled]
fn fails_plainly(kind: u32) -> Result<(), String> {
    if kind == 0 { Ok(()) } else { Err(String::new()) }
}

#[profiled]
async fn idle() {
    pause().await;
}

#[profiled]
fn calls_for_the_first_time() {
    nothing();
    takes(Duration::ZERO);
    keyed("a queue of its own");
    let _ = fails_plainly(1);
    deep(3);
}

#[test]
fn recording_is_not_counted() {
    // A thread's first calls, of every kind, within one another.
    for _ in 0..20 {
        let first = || {
            let profiler = exporters::test();
            calls_for_the_first_time();
            let metrics = profiler.snapshot();
            let of = |function| allocated(&metrics, function);
            assert_eq!(of("calls_for_the_first_time"), (0, 0));
            assert_eq!(
                (of("nothing"), of("takes"), of("deep"), of("fails_plainly")),
                ((0, 0), (0, 0), (0, 0), (0, 0))
            );
            assert_eq!(of("keyed"), (18, 1));
        };
        thread::spawn(first).join().unwrap();
    }
    // Durations in ever more buckets, and ever more calls within one another.
    let profiler = exporters::test();
    (0..15).for_each(|n| takes(Duration::from_nanos(100 << n)));
    deep(1000);
    let mut many: Vec<_> = (0..100).map(|_| Box::pin(idle())).collect();
    for ready in [false, true] {
        many.iter_mut().for_each(|future| assert_eq!(poll(future).is_ready(), ready));
    }
    let metrics = profiler.snapshot();
    assert_eq!(metrics.function("deep").total_calls(), 1001);
    for function in ["takes", "deep", "idle"] {
        assert_eq!(allocated(&metrics, function), (0, 0), "{function}");
    }
}
