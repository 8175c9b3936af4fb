//! Spans of sampled calls: parents, outcomes, threads, tasks, other processes.

use exporters::{
    __private::spans, KeyValue, Sampler, Span, SpanContext, SpanKind, Status, Value, add_span_event,
    current_span, in_current, profiled, set_span_attribute, update_span_name, with_remote_parent,
};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::{
    fmt::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
    thread,
};
use tests::spans::{Recording, assert_root, names, one, short};

fn calls(recording: &Recording, function: &str) -> u64 {
    recording.profiler.snapshot().function(function).total_calls()
}

#[track_caller]
fn assert_child(child: &Span, parent: &Span) {
    tests::spans::assert_child(child, parent);
    assert!(parent.start <= child.start && child.end <= parent.end);
}

/// Pending once.
async fn pause() {
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

fn poll<F: Future + ?Sized>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[profiled]
fn leaf() {}

#[profiled]
fn middle(deep: u32) {
    match deep {
        0 => leaf(),
        _ => middle(deep - 1),
    }
}

#[profiled(kind = "client")]
fn outcome(n: u32) -> Result<(), Error> {
    match n {
        0 => Ok(()),
        1 => Err(Error),
        _ => std::panic::resume_unwind(Box::new(())),
    }
}

#[profiled]
async fn waits() {
    pause().await;
    leaf();
    pause().await;
}

#[profiled]
async fn task(inner: u32) -> Option<SpanContext> {
    let before = current_span();
    for _ in 0..inner {
        pause().await;
        assert_eq!(current_span(), before);
    }
    waits().await;
    assert_eq!(current_span(), before);
    before
}

#[test]
fn nested_and_recursive_calls_are_children() {
    let recording = Recording::all();
    assert_eq!(current_span(), None);
    middle(1);
    let spans = recording.spans();
    // In the order in which they end.
    assert_eq!(names(&spans), ["leaf", "middle", "middle"]);
    assert_child(&spans[0], &spans[1]);
    assert_child(&spans[1], &spans[2]);
    assert_root(&spans[2]);
    assert_eq!((&*spans[0].scope.name, &spans[0].kind), ("tests", &SpanKind::Internal));
    assert_eq!(current_span(), None);
    leaf();
    leaf();
    let spans = recording.spans();
    assert_ne!(spans[0].context.trace_id, spans[1].context.trace_id);
    assert_eq!(calls(&recording, "leaf"), 3);
}

#[test]
fn outcomes_are_the_status() {
    let recording = Recording::all();
    for n in 0..3 {
        let _outcome = catch_unwind(|| outcome(n));
    }
    assert!(poll(&mut Box::pin(waits())).is_pending());
    let spans = recording.spans();
    let ends: Vec<_> =
        spans.iter().map(|span| (&span.status, span.attributes.get_str("error.type"))).collect();
    let failed = |text: &'static str| Status::Error(text.into());
    assert_eq!(ends[0], (&Status::Unset, None));
    assert_eq!(ends[1], (&failed("core::fmt::Error"), Some("core::fmt::Error")));
    assert_eq!(ends[2], (&failed("panic"), Some("panic")));
    assert_eq!(ends[3], (&failed("cancelled"), Some("cancelled")));
    assert_eq!(spans[0].kind, SpanKind::Client);
    assert_eq!(current_span(), None);
}

#[test]
fn what_wants_no_span_has_none_and_hides_nothing() {
    #[profiled(span = false)]
    fn silent() {
        leaf();
    }
    #[profiled(span = false)]
    async fn silent_async() {
        pause().await;
        leaf();
    }
    #[profiled]
    fn outer() {
        silent();
        exporters::profile!("block", { leaf() });
        let mut future = Box::pin(silent_async());
        while poll(&mut future).is_pending() {}
    }
    let recording = Recording::all();
    outer();
    let spans = recording.spans();
    assert_eq!(names(&spans), ["leaf", "leaf", "block", "leaf", "outer"]);
    assert_child(&spans[0], &spans[4]);
    assert_child(&spans[1], &spans[2]);
    assert_child(&spans[2], &spans[4]);
    assert_child(&spans[3], &spans[4]);
    assert_eq!(calls(&recording, "silent"), 1);
}

#[test]
fn attributes_threads_and_busy_time_are_told() {
    #[profiled(attributes(queue = queue, urgent = true))]
    fn keyed(queue: &str) {
        leaf();
    }
    #[profiled(attributes(queue = queue))]
    async fn keyed_async(queue: &str) {
        pause().await;
    }
    let recording = Recording::all();
    let named = thread::Builder::new().name("worker".to_owned());
    let work = || {
        keyed("mails");
        let mut future = Box::pin(keyed_async("orders"));
        while poll(&mut future).is_pending() {}
    };
    named.spawn(work).unwrap().join().unwrap();
    let spans = recording.spans();
    let (sync, asynchronous) = (one(&spans, "keyed"), one(&spans, "keyed_async"));
    assert_eq!(sync.attributes.get_str("queue"), Some("mails"));
    assert_eq!(sync.attributes.get("urgent"), Some(&Value::Bool(true)));
    assert_eq!(sync.attributes.get_str("thread.name"), Some("worker"));
    assert!(matches!(sync.attributes.get("thread.id"), Some(Value::I64(1..))));
    assert_eq!(sync.attributes.get("busy_ns"), None);
    assert_eq!(asynchronous.attributes.get_str("queue"), Some("orders"));
    let Some(Value::I64(busy)) = asynchronous.attributes.get("busy_ns") else { panic!("no busy time") };
    let took = asynchronous.end.duration_since(asynchronous.start).unwrap().as_nanos();
    assert!((0..=took as i64 + 1).contains(busy), "{busy} of {took}");
    assert_child(one(&spans, "leaf"), sync);
}

#[test]
fn calls_timed_now_and_then_have_spans_all_the_same() {
    #[profiled(time_one_in = 4)]
    fn rarely() {
        leaf();
    }
    #[profiled(time_one_in = 4)]
    async fn rarely_async() {
        pause().await;
        leaf();
    }
    let recording = Recording::all();
    for _ in 0..8 {
        rarely();
        let mut future = Box::pin(rarely_async());
        while poll(&mut future).is_pending() {}
    }
    let spans = recording.spans();
    assert_eq!(spans.len(), 32);
    for pair in spans.chunks(2) {
        assert_child(&pair[0], &pair[1]);
        assert_root(&pair[1]);
    }
    drop(recording);
    // Nor does it change what is not recorded.
    let recording = Recording::with(&Sampler::parent_based(Sampler::TraceIdRatio(0.0)));
    (0..8).for_each(|_| rarely());
    assert_eq!(current_span(), None);
    assert_eq!((recording.spans().len(), calls(&recording, "rarely")), (0, 8));
}

#[test]
fn tasks_that_are_polled_in_turn_keep_apart() {
    let recording = Recording::all();
    let mut tasks: Vec<_> = (0..8).map(|n| Box::pin(task(n))).collect();
    let mut traces = Vec::new();
    while !tasks.is_empty() {
        tasks.retain_mut(|task| match poll(task) {
            Poll::Ready(context) => {
                traces.push(context.unwrap().trace_id);
                false
            }
            Poll::Pending => true,
        });
        assert_eq!(current_span(), None);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 8);
    let spans = recording.spans();
    assert_eq!(spans.len(), 24);
    for trace in traces {
        let of: Vec<Span> = spans.iter().filter(|span| span.context.trace_id == trace).cloned().collect();
        assert_root(one(&of, "task"));
        assert_child(one(&of, "waits"), one(&of, "task"));
        assert_child(one(&of, "leaf"), one(&of, "waits"));
    }
}

#[test]
fn a_poll_that_panics_and_a_future_that_is_dropped_leave_nothing_behind() {
    #[profiled]
    async fn panics() {
        pause().await;
        std::panic::resume_unwind(Box::new(()));
    }
    let recording = Recording::all();
    let mut future = Box::pin(panics());
    assert!(poll(&mut future).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut future))).is_err());
    assert_eq!(current_span(), None);
    let mut dropped = Box::pin(waits());
    assert!(poll(&mut dropped).is_pending());
    leaf();
    drop(dropped);
    leaf();
    let spans = recording.spans();
    assert_eq!(names(&spans), ["panics", "leaf", "waits", "leaf"]);
    spans.iter().for_each(assert_root);
}

#[test]
fn select_join_and_abort_keep_to_their_tasks() {
    #[profiled]
    async fn parent() {
        tokio::join!(waits(), waits());
        tokio::select! {
            biased;
            () = std::future::pending() => {}
            () = waits() => {}
        }
        let task = tokio::spawn(waits());
        tokio::task::yield_now().await;
        task.abort();
        let _aborted = task.await;
        tokio::spawn(in_current(leaf_async())).await.unwrap();
    }
    #[profiled]
    async fn leaf_async() {}
    let recording = Recording::all();
    let ready = async { tokio::task::yield_now().await };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // `waits` never wakes anybody, so somebody else must.
    let polled = async {
        let mut parent = Box::pin(parent());
        loop {
            tokio::task::yield_now().await;
            if std::future::poll_fn(|cx| Poll::Ready(parent.as_mut().poll(cx))).await.is_ready() {
                break;
            }
        }
    };
    runtime.block_on(async { tokio::join!(polled, ready) });
    assert_eq!(current_span(), None);
    let spans = recording.spans();
    let parent = one(&spans, "parent");
    let waits: Vec<&Span> = spans.iter().filter(|span| short(span) == "waits").collect();
    let (children, others): (Vec<&Span>, Vec<&Span>) =
        waits.into_iter().partition(|span| span.context.trace_id == parent.context.trace_id);
    assert_eq!((children.len(), others.len()), (3, 1));
    children.iter().for_each(|child| assert_child(child, parent));
    assert_root(others[0]);
    assert_eq!(others[0].status, Status::Error("cancelled".into()));
    assert_child(one(&spans, "leaf_async"), parent);
}

#[test]
fn a_runtime_of_many_threads_keeps_traces_apart() {
    let recording = Recording::all();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    #[profiled]
    async fn request(n: u64) {
        let trace = current_span().unwrap().trace_id;
        for _ in 0..n % 7 {
            tokio::task::yield_now().await;
            assert_eq!(current_span().unwrap().trace_id, trace);
        }
        let both = tokio::join!(step(), tokio::spawn(in_current(step())));
        assert_eq!((both.0, both.1.unwrap()), (trace, trace));
    }
    #[profiled]
    async fn step() -> [u8; 16] {
        tokio::task::yield_now().await;
        current_span().unwrap().trace_id
    }
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200).map(|n| tokio::spawn(request(n))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop(runtime);
    let spans = recording.spans();
    assert_eq!(spans.len(), 600);
    for root in spans.iter().filter(|span| short(span) == "request") {
        assert_root(root);
        let children = spans.iter().filter(|span| span.parent_id == root.context.span_id);
        assert_eq!(children.inspect(|child| assert_child(child, root)).count(), 2);
    }
}

#[test]
fn threads_are_children_if_they_are_told() {
    #[profiled]
    fn spawns() {
        thread::scope(|scope| {
            scope.spawn(in_current(|| middle(0)));
            scope.spawn(leaf);
        });
        // A closure may borrow, return something, and run where it was made.
        let text = "here".to_owned();
        assert_eq!(in_current(|| text.len())(), 4);
    }
    let recording = Recording::all();
    spawns();
    let spans = recording.spans();
    let outer = one(&spans, "spawns");
    assert_child(one(&spans, "middle"), outer);
    assert_eq!(spans.iter().filter(|span| short(span) == "leaf" && span.parent_id == [0; 8]).count(), 1);
}

#[test]
fn what_rayon_runs_is_a_child_of_who_asked_for_it() {
    #[profiled]
    fn item(n: usize) -> usize {
        n
    }
    #[profiled]
    fn joins() -> usize {
        let (a, b) = rayon::join(in_current(|| item(1)), in_current(|| item(2)));
        a + b
    }
    /// The closure of `rayon::scope` runs in the pool, so what it spawns is made before.
    #[profiled]
    fn scope() {
        let work: Vec<_> = (0..8).map(|n| in_current(move || item(n))).collect();
        rayon::scope(|scope| work.into_iter().for_each(|work| scope.spawn(|_| _ = work())));
    }
    #[profiled]
    fn scope_in_place() {
        rayon::in_place_scope(|scope| {
            for n in 0..8 {
                let work = in_current(move || item(n));
                scope.spawn(|_| _ = work());
            }
        });
    }
    #[profiled]
    fn iterates() -> usize {
        let work: Vec<_> = (0..100).map(|n| in_current(move || item(n))).collect();
        work.into_par_iter().map(|work| work()).sum()
    }
    let recording = Recording::all();
    assert_eq!(joins(), 3);
    scope();
    scope_in_place();
    assert_eq!(iterates(), 4950);
    let spans = recording.spans();
    for (parent, children) in [("joins", 2), ("scope", 8), ("scope_in_place", 8), ("iterates", 100)] {
        let parent = one(&spans, parent);
        let of = spans.iter().filter(|span| span.parent_id == parent.context.span_id);
        assert_eq!(of.inspect(|child| assert_child(child, parent)).count(), children, "{}", parent.name);
    }
}

fn remote(flags: u8) -> SpanContext {
    let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags:02x}");
    SpanContext::from_traceparent(&text).unwrap().with_tracestate("vendor=1")
}

#[test]
fn a_remote_parent_is_continued() {
    let recording = Recording::all();
    let inside = with_remote_parent(remote(1), || {
        assert_eq!(current_span(), Some(remote(1)));
        middle(0);
        current_span()
    });
    assert_eq!((inside, current_span()), (Some(remote(1)), None));
    let mut future = Box::pin(with_remote_parent(remote(1), waits()));
    while poll(&mut future).is_pending() {
        assert_eq!(current_span(), None);
    }
    let caught = catch_unwind(|| with_remote_parent(remote(1), || std::panic::resume_unwind(Box::new(()))));
    assert!(caught.is_err() && current_span().is_none());
    let spans = recording.spans();
    assert_eq!(names(&spans), ["leaf", "middle", "leaf", "waits"]);
    for span in &spans {
        assert_eq!(span.context.trace_id, remote(1).trace_id);
        assert_eq!(span.context.trace_state, "vendor=1");
    }
    for first in [&spans[1], &spans[3]] {
        assert_eq!((first.parent_id, first.parent_is_remote), (remote(1).span_id, true));
    }
    assert_child(&spans[0], &spans[1]);
    assert_child(&spans[2], &spans[3]);
    // What came without one is a trace of its own.
    with_remote_parent(None, leaf);
    assert_root(&recording.spans()[0]);
}

#[test]
fn what_a_remote_parent_did_not_sample_is_not_either() {
    let recording = Recording::all();
    with_remote_parent(remote(0), || {
        middle(2);
        assert_eq!(current_span(), Some(remote(0)));
    });
    let mut future = Box::pin(with_remote_parent(remote(0), task(2)));
    let context = loop {
        if let Poll::Ready(context) = poll(&mut future) {
            break context;
        }
    };
    assert_eq!(context, Some(remote(0)));
    assert_eq!((recording.spans().len(), calls(&recording, "leaf")), (0, 2));
    leaf();
    assert_eq!(recording.spans().len(), 1);
    drop(recording);
    // One that does not ask for the parent's opinion has its own.
    let recording = Recording::with(&Sampler::AlwaysOn);
    with_remote_parent(remote(0), leaf);
    assert_eq!(one(&recording.spans(), "leaf").parent_id, remote(0).span_id);
}

#[test]
fn a_trace_is_sampled_whole_or_not_at_all() {
    #[profiled]
    fn request() -> SpanContext {
        let (context, again) = (current_span(), current_span());
        assert_eq!(context, again);
        middle(1);
        assert_eq!(in_current(current_span)(), context);
        context.unwrap()
    }
    let ratio = Sampler::TraceIdRatio(0.25);
    let recording = Recording::with(&Sampler::parent_based(ratio));
    let contexts: Vec<SpanContext> = (0..4000).map(|_| request()).collect();
    let spans = recording.spans();
    let sampled: Vec<_> = contexts.iter().filter(|context| context.is_sampled()).collect();
    assert!((800..1200).contains(&sampled.len()), "{} of 4000", sampled.len());
    assert_eq!(spans.len(), sampled.len() * 4);
    let low = |context: &SpanContext| u64::from_be_bytes(*context.trace_id.last_chunk().unwrap());
    assert!(contexts.iter().all(|context| context.is_valid()));
    assert!(contexts.iter().all(|context| context.is_sampled() == (low(context) >> 1 < 1 << 61)));
    assert_eq!(calls(&recording, "leaf"), 4000);
}

#[test]
fn an_asynchronous_trace_that_is_not_sampled_stays_one() {
    let recording = Recording::with(&Sampler::parent_based(Sampler::TraceIdRatio(0.0)));
    let mut first = Box::pin(task(3));
    let mut second = Box::pin(task(3));
    let contexts = loop {
        match (poll(&mut first), poll(&mut second)) {
            (Poll::Ready(first), Poll::Ready(second)) => break [first.unwrap(), second.unwrap()],
            _ => assert_eq!(current_span(), None),
        }
    };
    assert!(contexts.iter().all(|context| context.is_valid() && !context.is_sampled()));
    assert_ne!(contexts[0].trace_id, contexts[1].trace_id);
    assert!(recording.spans().is_empty());
    assert_eq!((calls(&recording, "task"), calls(&recording, "leaf")), (2, 2));
}

#[test]
fn what_does_not_fit_is_counted() {
    let recording = Recording::all();
    const CALLS: u64 = 200_000;
    (0..CALLS).for_each(|_| leaf());
    let (spans, dropped) = spans::drain();
    assert!(dropped > 0 && spans.len() >= 100_000, "{dropped} of {CALLS} dropped");
    assert_eq!(spans.len() as u64 + dropped, CALLS);
    leaf();
    assert_eq!(recording.spans().len(), 1);
    assert_eq!(calls(&recording, "leaf"), CALLS + 1);
}

#[test]
fn threads_that_end_leave_no_more_than_there_is_room_for_and_the_rest_is_counted() {
    const THREADS: u64 = 8400;
    let recording = Recording::all();
    (0..THREADS).for_each(|_| thread::spawn(leaf).join().unwrap());
    let (spans, dropped) = spans::drain();
    assert!(dropped > 0 && spans.len() >= 8000, "{dropped} of {THREADS} dropped");
    assert_eq!(spans.len() as u64 + dropped, THREADS);
    thread::spawn(leaf).join().unwrap();
    assert_eq!(recording.spans().len(), 1);
}

#[test]
fn what_idle_threads_once_needed_others_can_have() {
    let _recording = Recording::all();
    let done = std::sync::Barrier::new(11);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                (0..130_000).for_each(|_| leaf());
                done.wait();
                done.wait();
            });
        }
        done.wait();
        let (busy, too_many) = spans::discard();
        (0..1000).for_each(|_| leaf());
        let later = spans::discard();
        done.wait();
        assert_eq!((busy + too_many, later), (1_300_000, (1000, 0)));
        assert!(too_many > 0);
    });
}

#[test]
fn self_time_is_not_disturbed_by_what_is_not_sampled() {
    #[profiled]
    fn outer() {
        (0..100).for_each(|_| leaf());
    }
    let recording = Recording::with(&Sampler::parent_based(Sampler::TraceIdRatio(0.5)));
    (0..101).for_each(|_| outer());
    let metrics = recording.profiler.snapshot();
    let Some(exporters::Data::Sum(sum)) = metrics.metric("function.calls.self_time").map(|m| &m.data) else {
        panic!("no self time")
    };
    let total: f64 = sum.points.iter().map(|point| point.total.as_f64()).sum();
    assert!(total > 0.0 && total < 60.0, "{total} s");
}

#[test]
fn a_child_of_a_fork_tells_nothing_of_its_parent_and_has_ids_of_its_own() {
    /// What the child does in the middle of a call; gives its status.
    fn child() -> i32 {
        let _profiler = exporters::test();
        spans::sample(&Sampler::AlwaysOn);
        leaf();
        let (spans, _) = spans::drain();
        let [span] = &*spans else { return 2 };
        if current_span().is_some() || span.parent_id != [0; 8] {
            return 3;
        }
        i32::from(span.context.span_id[0]) % 100 + 100
    }
    #[profiled]
    fn forks() -> i32 {
        leaf();
        // SAFETY: the child goes on with one thread.
        match unsafe { libc::fork() } {
            // SAFETY: nothing of the child's is to be dropped.
            0 => unsafe { libc::_exit(child()) },
            id => {
                let mut status = 0;
                // SAFETY: waits for the process just made.
                unsafe { libc::waitpid(id, &raw mut status, 0) };
                libc::WEXITSTATUS(status)
            }
        }
    }
    let recording = Recording::all();
    // One that runs looks after forks.
    let profiler = exporters::Profiler::builder().sampler(Sampler::AlwaysOn).start().unwrap();
    let statuses: Vec<i32> = (0..6).map(|_| forks()).collect();
    assert!(statuses.iter().all(|status| *status >= 100), "{statuses:?}");
    assert!(statuses.iter().any(|status| *status != statuses[0]), "all children drew the same: {statuses:?}");
    assert_eq!(recording.spans().len(), 12);
    // Nor is the child in a trace that the parent does not record.
    spans::sample(&Sampler::AlwaysOff);
    let statuses = [forks(), with_remote_parent(remote(0), forks)];
    assert!(statuses.iter().all(|status| *status >= 100), "{statuses:?}");
    profiler.shutdown(std::time::Duration::from_secs(60)).into_result().unwrap();
}

#[profiled]
fn annotated(n: u32) {
    assert!(exporters::is_recording());
    set_span_attribute("n", n);
    set_span_attribute("n", i64::from(n) + 1);
    leaf();
    set_span_attribute("text", "x".repeat(5000));
    add_span_event("half", [KeyValue::new("way", true)]);
    update_span_name("annotated n");
}

#[test]
fn a_program_says_more_of_the_span_that_runs() {
    let recording = Recording::all();
    set_span_attribute("nobody", "listens");
    assert!(!exporters::is_recording());
    annotated(6);
    let spans = recording.spans();
    let span = one(&spans, "annotated n");
    assert_eq!(span.attributes.get("n"), Some(&Value::I64(7)));
    assert_eq!(span.attributes.get_str("text").map(str::len), Some(4095));
    assert_eq!(one(&spans, "leaf").attributes.get("n"), None);
    let [event] = &*span.events else { panic!("{:?}", span.events) };
    assert_eq!((&*event.name, event.attributes.get("way")), ("half", Some(&Value::Bool(true))));
    assert!(span.start <= event.time && event.time <= span.end);
    assert!(one(&spans, "leaf").end <= event.time);
}

#[profiled]
async fn annotated_task() {
    set_span_attribute("before", 1);
    annotated(1);
    pause().await;
    set_span_attribute("after", 2);
    in_current(async { set_span_attribute("elsewhere", 3) }).await;
    with_remote_parent(None, || set_span_attribute("outside", 4));
}

#[test]
fn what_is_said_in_a_task_is_of_its_own_span() {
    let recording = Recording::all();
    let (mut a, mut b) = (Box::pin(annotated_task()), Box::pin(annotated_task()));
    assert!(poll(&mut a).is_pending() && poll(&mut b).is_pending());
    set_span_attribute("between", 0);
    assert!(poll(&mut b).is_ready() && poll(&mut a).is_ready());
    let spans = recording.spans();
    let tasks: Vec<_> = spans.iter().filter(|span| short(span) == "annotated_task").collect();
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        let own = ["after", "before", "between", "elsewhere", "n", "outside"];
        let found: Vec<_> = own.into_iter().filter(|key| task.attributes.get(key).is_some()).collect();
        assert_eq!(found, ["after", "before"]);
        assert_eq!((task.dropped_attributes, task.dropped_events), (0, 0));
    }
}

#[profiled]
fn talkative() {
    for n in 0..200 {
        set_span_attribute(format!("key {n}"), n);
        add_span_event("again", []);
    }
}

#[profiled]
fn boastful() {
    for n in 0..64 {
        set_span_attribute(format!("key {n}"), "x".repeat(4000));
    }
}

#[test]
fn what_is_said_is_bounded_and_the_rest_counted() {
    let recording = Recording::all();
    talkative();
    let spans = recording.spans();
    let span = one(&spans, "talkative");
    assert_eq!((span.events.len(), span.dropped_events, span.dropped_attributes), (128, 72, 72));
    // 16 MiB of all spans that wait.
    (0..100).for_each(|_| boastful());
    let spans = recording.spans();
    let kept =
        spans.iter().flat_map(|span| span.attributes.iter()).filter(|kv| kv.key.starts_with("key")).count();
    let dropped: u32 = spans.iter().map(|span| span.dropped_attributes).sum();
    assert_eq!(kept + dropped as usize, 6400);
    assert!((4000..4200).contains(&kept), "{kept} kept");
    // There is room again.
    boastful();
    assert_eq!(one(&recording.spans(), "boastful").dropped_attributes, 0);
}

#[test]
fn nothing_is_said_of_a_trace_that_nobody_records() {
    let recording = Recording::with(&Sampler::parent_based(Sampler::AlwaysOff));
    #[profiled]
    fn quiet() {
        assert!(!exporters::is_recording());
        set_span_attribute("n", 1);
    }
    quiet();
    assert!(recording.spans().is_empty());
}
