//! Spans where memory is counted: calls take another way, and say what they allocated.

use exporters::{__private::spans, ProfilingAllocator, Sampler, Span, Status, Value, current_span, profiled};
use std::{
    hint::black_box,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

#[global_allocator]
static ALLOCATOR: ProfilingAllocator = ProfilingAllocator::system();

/// The queues are everybody's, so one test runs at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[profiled]
fn allocates(bytes: usize) -> Result<(), std::fmt::Error> {
    drop(black_box(vec![1_u8; bytes]));
    if bytes > 5000 { Err(std::fmt::Error) } else { Ok(()) }
}

#[profiled(attributes(size = bytes), time_one_in = 2)]
fn keyed(bytes: usize) {
    let _small = allocates(bytes);
}

#[profiled]
async fn waits(bytes: usize) {
    let held = black_box(vec![1_u8; bytes]);
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
    let _small = allocates(100);
    drop(held);
}

fn drive<F: Future>(future: F) {
    let mut future = Box::pin(future);
    while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        assert_eq!(current_span(), None);
    }
}

fn memory(span: &Span) -> (i64, i64) {
    let number = |key| match span.attributes.get(key) {
        Some(Value::I64(number)) => *number,
        other => panic!("{key} is {other:?}"),
    };
    (number("allocated_bytes"), number("allocations"))
}

#[test]
fn a_span_says_what_its_call_allocated() {
    let _turn = turn();
    spans::sample(&Sampler::AlwaysOn);
    let _profiler = exporters::test();
    spans::drain();
    let _error = allocates(6000);
    drive(waits(1000));
    let (spans, _) = spans::drain();
    assert_eq!(spans.iter().map(memory).collect::<Vec<_>>(), [(6000, 1), (100, 1), (1000, 1)]);
    assert_eq!(spans[0].status, Status::Error("core::fmt::Error".into()));
    assert_eq!(spans[1].parent_id, spans[2].context.span_id);
    assert_eq!((spans[0].parent_id, spans[2].parent_id), ([0; 8], [0; 8]));
}

#[test]
fn calls_that_are_not_timed_have_theirs_too() {
    let _turn = turn();
    spans::sample(&Sampler::AlwaysOn);
    let _profiler = exporters::test();
    spans::drain();
    (0..4).for_each(|_| keyed(10));
    let (spans, _) = spans::drain();
    assert_eq!(spans.len(), 8);
    for pair in spans.chunks(2) {
        assert_eq!(pair[0].parent_id, pair[1].context.span_id);
        assert_eq!(pair[1].parent_id, [0; 8]);
        assert_eq!(pair[1].attributes.get("size"), Some(&Value::I64(10)));
        assert!(pair[1].start <= pair[0].start && pair[0].end <= pair[1].end);
    }
}

#[test]
fn a_trace_that_is_not_sampled_has_none() {
    let _turn = turn();
    spans::sample(&Sampler::parent_based(Sampler::TraceIdRatio(0.0)));
    let profiler = exporters::test();
    spans::drain();
    (0..4).for_each(|_| keyed(10));
    drive(waits(10));
    assert_eq!(current_span(), None);
    assert!(spans::drain().0.is_empty());
    assert_eq!(profiler.snapshot().function("allocates").total_calls(), 5);
}
