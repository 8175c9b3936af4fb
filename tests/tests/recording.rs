//! What a call records: outcomes, series, concurrency, time, exactly.

use exporters::{Data, ProfileMetrics, profiled};
use std::{
    fmt::Error,
    panic::catch_unwind,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// The series of `function.calls` of one function: `result` with `error.type`, and the total.
fn results(metrics: &ProfileMetrics, function: &str) -> Vec<(String, u64)> {
    let points = numbers(metrics, "function.calls", function);
    points.into_iter().map(|(labels, total)| (labels, total as u64)).collect()
}

fn numbers(metrics: &ProfileMetrics, metric: &str, function: &str) -> Vec<(String, f64)> {
    let Some(Data::Sum(sum)) = metrics.metric(metric).map(|metric| &metric.data) else { return Vec::new() };
    let of = sum.points.iter().filter(|point| point.series.attributes.get_str("function") == Some(function));
    let mut found: Vec<_> = of
        .map(|point| {
            let text = |key| point.series.attributes.get_str(key).unwrap_or_default();
            (format!("{} {}", text("result"), text("error.type")).trim().to_owned(), point.total.as_f64())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Burns time on the processor.
fn spin(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {}
}

/// Pending so many times.
async fn pause(times: u32) {
    let mut left = times;
    std::future::poll_fn(|_| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
}

fn poll_once<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn drive<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = poll_once(&mut future) {
            return output;
        }
    }
}

#[profiled]
fn outcome(n: u32) -> Result<u32, Error> {
    match n % 4 {
        0 => Err(Error),
        1 => std::panic::resume_unwind(Box::new(())),
        _ => Ok(n),
    }
}

#[test]
fn every_outcome_is_counted_exactly() {
    let profiler = exporters::test();
    for n in 0..1000 {
        let _ = catch_unwind(|| outcome(n));
    }
    let metrics = profiler.snapshot();
    let expected = named(&[("error core::fmt::Error", 250), ("error panic", 250), ("ok", 500)]);
    assert_eq!(results(&metrics, "outcome"), expected);
    let function = metrics.function("recording::outcome");
    assert_eq!(
        (function.total_calls(), function.latency().count(), function.concurrent_calls()),
        (1000, 1000, 0)
    );
    assert_eq!(function.error_rate(), Some(0.5));
}

#[profiled]
fn never_called() {}

#[test]
fn a_function_that_was_never_called_is_there_with_zero() {
    let metrics = exporters::test().snapshot();
    assert_eq!(results(&metrics, "never_called"), named(&[("ok", 0)]));
    assert_eq!(metrics.function("never_called").latency().count(), 0);
    assert_eq!(metrics.function("never_called").avg_latency_ms(), None);
}

#[profiled(time_one_in = 16)]
fn sampled() -> Result<(), Error> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    if CALLS.fetch_add(1, Relaxed).is_multiple_of(10) { Err(Error) } else { Ok(()) }
}

#[profiled(slo(name = "quick", latency = "1h", target = 99.9))]
fn quick(ok: bool) -> Result<(), Error> {
    if ok { Ok(()) } else { Err(Error) }
}

#[profiled(slo(name = "impossible", latency = "1ns", target = 50))]
fn slow() {
    spin(Duration::from_micros(5));
}

#[test]
fn sampled_calls_and_objectives_are_counted_exactly() {
    let profiler = exporters::test();
    for n in 0..1600 {
        let _ = sampled();
        let _ = quick(n % 5 > 0);
    }
    (0..7).for_each(|_| slow());
    let metrics = profiler.snapshot();
    assert_eq!(results(&metrics, "sampled"), named(&[("error core::fmt::Error", 160), ("ok", 1440)]));
    assert_eq!(metrics.function("sampled").latency().count(), 1600);
    let objective = |metric, function| numbers(&metrics, metric, function)[0].1;
    assert_eq!(
        (objective("function.objective.good", "quick"), objective("function.objective.total", "quick")),
        (1280.0, 1600.0)
    );
    assert_eq!(
        (objective("function.objective.good", "slow"), objective("function.objective.total", "slow")),
        (0.0, 7.0)
    );
}

#[profiled(attributes(even = n.is_multiple_of(2)), time_one_in = 4)]
async fn sampled_series(n: u32) {
    let _ = n;
}

#[test]
fn sampled_futures_with_attributes_are_counted_exactly() {
    let profiler = exporters::test();
    (0..1000).for_each(|n| drive(sampled_series(n)));
    let metrics = profiler.snapshot();
    assert_eq!(metrics.function("sampled_series").total_calls(), 1000);
    assert_eq!(metrics.function("sampled_series").concurrent_calls(), 0);
    assert_eq!(metrics.function("sampled_series").latency().count(), 1000);
}

#[profiled(attributes(queue = n.to_string(), even = n.is_multiple_of(2)))]
fn keyed(n: u32) {
    let _ = n;
}

#[test]
fn attributes_make_series_up_to_the_cap_and_one_more() {
    let profiler = exporters::test();
    for n in 0..5000 {
        keyed(n);
        keyed(n % 10);
    }
    let metrics = profiler.snapshot();
    let Some(Data::Sum(sum)) = metrics.metric("function.calls").map(|metric| &metric.data) else {
        panic!("no calls")
    };
    let mine: Vec<_> = sum
        .points
        .iter()
        .filter(|point| point.series.attributes.get_str("function") == Some("keyed"))
        .collect();
    assert_eq!(mine.len(), 2001);
    let overflow = mine.iter().find(|point| point.series.attributes.get("otel.metric.overflow").is_some());
    assert_eq!(overflow.map(|point| point.total.as_f64()), Some(3000.0));
    assert_eq!(metrics.function("keyed").total_calls(), 10_000);
}

#[profiled]
async fn waits(polls: u32) -> Result<(), Error> {
    pause(polls).await;
    if polls == 9 { Err(Error) } else { Ok(()) }
}

#[test]
fn futures_end_well_or_badly_or_are_cancelled() {
    let profiler = exporters::test();
    let _ = drive(waits(3));
    let _ = drive(waits(9));
    let mut dropped = Box::pin(waits(3));
    assert!(poll_once(&mut dropped).is_pending());
    assert_eq!(profiler.snapshot().function("waits").concurrent_calls(), 1);
    drop(dropped);
    // Never polled: never begun.
    drop(waits(1));
    let metrics = profiler.snapshot();
    assert_eq!(
        results(&metrics, "waits"),
        named(&[("cancelled", 1), ("error core::fmt::Error", 1), ("ok", 1)])
    );
    assert_eq!(metrics.function("waits").concurrent_calls(), 0);
}

#[profiled]
fn recursive(depth: u32) {
    spin(Duration::from_millis(2));
    if depth > 0 {
        recursive(depth - 1);
    }
}

#[profiled]
fn caller() {
    recursive(2);
    spin(Duration::from_millis(1));
}

#[test]
fn self_time_leaves_out_profiled_callees_also_in_recursion() {
    let profiler = exporters::test();
    caller();
    let metrics = profiler.snapshot();
    let own = |function| numbers(&metrics, "function.calls.self_time", function)[0].1;
    let total = metrics.function("caller").latency().sum;
    // Three calls of 2 ms each; their sum counts what is nested again, self time does not.
    assert!(metrics.function("recursive").latency().sum >= 0.012);
    let parts = own("recursive") + own("caller");
    assert!((parts - total).abs() < total * 0.01, "{parts} and {total}");
    assert!(own("recursive") >= 0.006 && own("caller") >= 0.001);
}

#[profiled]
async fn busy_and_idle() {
    spin(Duration::from_millis(2));
    pause(1).await;
    callee();
}

#[profiled]
fn callee() {
    spin(Duration::from_millis(3));
}

#[test]
fn busy_time_is_what_was_spent_in_poll() {
    let profiler = exporters::test();
    let mut future = Box::pin(busy_and_idle());
    assert!(poll_once(&mut future).is_pending());
    spin(Duration::from_millis(10));
    assert!(poll_once(&mut future).is_ready());
    let metrics = profiler.snapshot();
    let of = |metric| numbers(&metrics, metric, "busy_and_idle")[0].1;
    let (wall, busy, own) = (
        metrics.function("busy_and_idle").latency().sum,
        of("function.calls.busy_time"),
        of("function.calls.self_time"),
    );
    assert!(wall >= 0.015 && wall - busy >= 0.010, "{wall} {busy}");
    assert!(busy >= 0.005 && busy - own >= 0.003 && own >= 0.002, "{busy} {own}");
}

#[profiled]
fn short_lived() {}

#[profiled]
fn in_destructor() {}

/// Calls when the thread-locals of its thread are torn down: some before, some after ours.
struct Late;
impl Drop for Late {
    fn drop(&mut self) {
        in_destructor();
    }
}
thread_local!(static LATE: Late = const { Late });

#[test]
fn threads_hand_on_what_they_recorded() {
    // Other tests are on other threads: only the totals of these two functions are looked at, and nobody else calls them.
    let profiler = exporters::Profiler::builder().interval(Duration::from_millis(1)).start().unwrap();
    let before = profiler.snapshot();
    let calls = |metrics: &ProfileMetrics, name: &str| metrics.function(name).total_calls();
    for _ in 0..50 {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    LATE.with(|_| ());
                    (0..100).for_each(|_| short_lived());
                });
            }
        });
    }
    // A scope does not wait for destructors of thread-locals: observe their calls.
    let deadline = Instant::now() + Duration::from_secs(30);
    let after = loop {
        let metrics = profiler.snapshot();
        if calls(&metrics, "in_destructor") == calls(&before, "in_destructor") + 400
            || Instant::now() > deadline
        {
            break metrics;
        }
        thread::yield_now();
    };
    assert_eq!(calls(&after, "short_lived") - calls(&before, "short_lived"), 40_000);
    assert_eq!(calls(&after, "in_destructor") - calls(&before, "in_destructor"), 400);
    assert_eq!(after.function("short_lived").concurrent_calls(), 0);
}

#[profiled]
fn shared_by_tests(n: u64) -> Result<u64, Error> {
    if n.is_multiple_of(3) { Err(Error) } else { Ok(n) }
}

#[profiled]
async fn yields(n: u64) {
    for _ in 0..n % 4 {
        tokio::task::yield_now().await;
    }
    let _ = shared_by_tests(n);
}

#[test]
fn sixty_four_tests_at_once_count_exactly() {
    thread::scope(|scope| {
        for test in 0..64 {
            scope.spawn(move || {
                let profiler = exporters::test();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let calls = 30 * (test + 1);
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..calls).map(|n| tokio::spawn(yields(n))).collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
                let metrics = profiler.snapshot();
                assert_eq!(metrics.function("shared_by_tests").total_calls(), calls);
                assert_eq!(
                    results(&metrics, "shared_by_tests"),
                    named(&[("error core::fmt::Error", calls / 3), ("ok", calls - calls / 3)])
                );
                assert_eq!(results(&metrics, "yields"), named(&[("ok", calls)]));
            });
        }
    });
}

struct PanicsInDrop;
impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        // Returns well, while its thread unwinds.
        cleans_up();
    }
}

#[profiled]
fn cleans_up() {}

#[profiled]
fn unwinds() {
    let _guard = PanicsInDrop;
    std::panic::resume_unwind(Box::new(()));
}

#[test]
fn a_call_that_returns_while_its_thread_unwinds_did_not_panic() {
    let profiler = exporters::test();
    assert!(catch_unwind(unwinds).is_err());
    let metrics = profiler.snapshot();
    assert_eq!(results(&metrics, "cleans_up"), named(&[("ok", 1)]));
    assert_eq!(results(&metrics, "unwinds"), named(&[("error panic", 1), ("ok", 0)]));
}

#[profiled]
fn longest(duration: Duration) {
    spin(duration);
}

#[test]
fn the_longest_call_of_an_interval_and_of_all_time_are_told_apart() {
    let profiler = exporters::test();
    longest(Duration::from_millis(20));
    let first = profiler.snapshot();
    longest(Duration::from_millis(1));
    let second = profiler.snapshot();
    assert!(first.function("longest").max_latency_ms() >= Some(20.0));
    assert!(second.function("longest").max_latency_ms() < Some(20.0));
    let Some(Data::ExponentialHistogram(points)) =
        second.metric("function.calls.duration").map(|metric| &metric.data)
    else {
        panic!("no durations")
    };
    let point =
        points.iter().find(|point| point.series.attributes.get_str("function") == Some("longest")).unwrap();
    assert!(point.total.max >= Some(0.020) && point.change.max < Some(0.020));
}

#[profiled(error_type = |_: &Error| -> &'static str { std::panic::resume_unwind(Box::new(())) })]
async fn names_its_error_badly() -> Result<(), Error> {
    pause(1).await;
    Err(Error)
}

#[test]
fn a_panic_while_the_error_is_named_is_a_panic() {
    let profiler = exporters::test();
    assert!(catch_unwind(|| drive(names_its_error_badly())).is_err());
    assert_eq!(
        results(&profiler.snapshot(), "names_its_error_badly"),
        named(&[("error panic", 1), ("ok", 0)])
    );
}
