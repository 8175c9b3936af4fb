//! `TracingLayer`: spans of `tracing` as calls and spans, beside `#[profiled]`, in any order, on any thread.

use exporters::{
    Attributes, Batch, Capability, Data, ExponentialHistogram, Exporter, Health, Info, KeyValue,
    MemoryExporter, OpenTelemetryConfig, OpenTelemetryExporter, Profiler, Receipt, Result, Sampler, Span,
    SpanEvent, SpanKind, Status, TracingLayer, Value, current_span, in_current, is_recording, profiled,
    set_span_attribute, with_remote_parent,
};
use std::{
    fmt,
    io::{Read, Write},
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Barrier, Once,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    task::Poll,
    thread,
    time::Duration,
};
use tests::{
    calls::{Alone, alone},
    spans::{assert_child, assert_root, names, one, short, spans},
};
use tracing::{
    Instrument, Level, Subscriber, debug, error, info, info_span, instrument, level_filters::LevelFilter,
    trace, warn,
};
use tracing_subscriber::{
    Layer, filter::filter_fn, layer::Context, prelude::*, registry, registry::LookupSpan,
};

const LONG: Duration = Duration::from_secs(60);

/// What one test records: there is one profiler a process, so one test runs at a time.
struct Recording {
    profiler: Profiler,
    memory: MemoryExporter,
    _alone: Alone,
}

impl Recording {
    fn with(sampler: Sampler) -> Self {
        subscribe();
        let alone = alone();
        let memory = MemoryExporter::with_capacity(usize::MAX);
        let builder = Profiler::builder().interval(Duration::from_secs(3600)).sampler(sampler);
        let profiler = builder.exporter(memory.clone()).start().unwrap();
        Self { profiler, memory, _alone: alone }
    }

    fn all() -> Self {
        Self::with(Sampler::AlwaysOn)
    }

    /// In the order in which they ended on their thread.
    fn spans(&self) -> Vec<Span> {
        self.profiler.flush(LONG).unwrap();
        spans(&self.memory)
    }

    /// How often each outcome was that of a call of `function`, in order of their names; those that are running last.
    fn outcomes(&self, function: &str) -> Vec<(String, u64)> {
        let metrics = self.profiler.snapshot();
        let mut outcomes = Vec::new();
        let Some(Data::Sum(calls)) = metrics.metric("function.calls").map(|metric| &metric.data) else {
            return outcomes;
        };
        for point in &calls.points {
            let of = |key| point.series.attributes.get_str(key).unwrap_or_default();
            let count = point.total.as_f64() as u64;
            if of("function") == function && count > 0 {
                let name = if of("error.type").is_empty() { of("result") } else { of("error.type") };
                outcomes.push((name.to_owned(), count));
            }
        }
        outcomes.sort();
        match metrics.function(function).concurrent_calls() {
            0 => {}
            running => outcomes.push(("running".to_owned(), running)),
        }
        outcomes
    }

    #[track_caller]
    fn assert_outcomes(&self, function: &str, expected: &[(&str, u64)]) {
        let outcomes = self.outcomes(function);
        let outcomes: Vec<_> = outcomes.iter().map(|(name, count)| (&**name, *count)).collect();
        assert_eq!(outcomes, expected, "outcomes of {function}");
        // However they ended, as many were timed.
        let ended: u64 = expected.iter().filter(|(name, _)| *name != "running").map(|(_, count)| count).sum();
        let durations = self.durations(function);
        assert_eq!(durations.map_or(0, |durations| durations.count()), ended, "durations of {function}");
    }

    fn durations(&self, function: &str) -> Option<ExponentialHistogram> {
        let metrics = self.profiler.snapshot();
        let Data::ExponentialHistogram(points) = &metrics.metric("function.calls.duration")?.data else {
            panic!()
        };
        let of = |attributes: &Attributes| attributes.get_str("function") == Some(function);
        points.iter().find(|point| of(&point.series.attributes)).map(|point| point.total.clone())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(current_span(), None);
            self.profiler.shutdown(LONG).into_result().unwrap();
        }
    }
}

/// What `tracing` is told on the threads of exporters.
static TOLD_BY_EXPORTERS: AtomicU64 = AtomicU64::new(0);

/// Counts that.
struct Overhear;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Overhear {
    fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &tracing::span::Id, _: Context<'_, S>) {
        self.hear();
    }
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        self.hear();
    }
}

impl Overhear {
    fn hear(&self) {
        // Threads that run what blocks have a name that tokio gives them.
        let thread = thread::current();
        if thread.name().is_some_and(|name| name.starts_with("exporters-") || name.starts_with("tokio-")) {
            TOLD_BY_EXPORTERS.fetch_add(1, Relaxed);
        }
    }
}

/// As a program does it.
fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| registry().with(TracingLayer::new()).with(Overhear).init());
}

fn text<'a>(event: &'a SpanEvent, key: &str) -> Option<&'a str> {
    event.attributes.get_str(key)
}

/// Pending once.
async fn pause() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

#[profiled]
fn leaf() {}

#[instrument]
fn inner() {
    leaf();
}

#[profiled]
fn middle() {
    inner();
}

#[instrument]
fn outer() {
    middle();
    leaf();
}

#[profiled]
async fn profiled_wait(deep: u32) {
    pause().await;
    if deep > 0 {
        Box::pin(wait(deep - 1)).await;
    }
    leaf();
}

#[instrument(skip_all)]
async fn wait(deep: u32) {
    pause().await;
    let before = current_span();
    profiled_wait(deep).await;
    assert_eq!(current_span(), before);
}

#[derive(Debug)]
struct Sad;
impl fmt::Display for Sad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("so sad")
    }
}
impl std::error::Error for Sad {}

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn both_kinds_nest_in_one_trace() {
    let recording = Recording::all();
    outer();
    assert_eq!(current_span(), None);
    let spans = recording.spans();
    assert_eq!(names(&spans), ["leaf", "inner", "middle", "leaf", "outer"]);
    assert_child(&spans[0], &spans[1]);
    assert_child(&spans[1], &spans[2]);
    assert_child(&spans[2], &spans[4]);
    assert_child(&spans[3], &spans[4]);
    assert_root(&spans[4]);
    assert_eq!((&*spans[1].scope.name, spans[1].kind), ("tracing_bridge", SpanKind::Internal));
    for (function, calls) in [("inner", 1), ("middle", 1), ("leaf", 2), ("outer", 1)] {
        recording.assert_outcomes(function, &[("ok", calls)]);
    }
}

#[test]
fn time_is_told_apart() {
    #[instrument]
    fn busy_outside() {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {}
        busy_inside();
    }
    #[profiled]
    fn busy_inside() {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {}
    }
    let recording = Recording::all();
    let made = info_span!("made_early");
    busy_outside();
    made.in_scope(busy_inside);
    drop(made);
    let metrics = recording.profiler.snapshot();
    let seconds = |metric: &str, function: &str| {
        let Some(Data::Sum(sum)) = metrics.metric(metric).map(|metric| &metric.data) else { panic!() };
        let of = |attributes: &Attributes| attributes.get_str("function") == Some(function);
        sum.points.iter().find(|point| of(&point.series.attributes)).unwrap().total.as_f64()
    };
    let (busy, own) = (
        seconds("function.calls.busy_time", "busy_outside"),
        seconds("function.calls.self_time", "busy_outside"),
    );
    assert!(busy >= 0.04 && own >= 0.02 && own <= busy - 0.02, "{busy} {own}");
    let early = "made_early";
    let (busy, own) =
        (seconds("function.calls.busy_time", early), seconds("function.calls.self_time", early));
    let whole = recording.durations(early).unwrap().sum;
    // Others were busy while it waited.
    assert!(busy >= 0.02 && whole >= busy + 0.04 && own <= busy - 0.02, "{whole} {busy} {own}");
}

#[test]
fn tasks_keep_apart_whichever_thread_polls_them() {
    let recording = Recording::all();
    const TASKS: usize = 64;
    multi_thread().block_on(async {
        let tasks: Vec<_> =
            (0..TASKS).map(|_| tokio::spawn(wait(2).instrument(info_span!("task")))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let spans = recording.spans();
    let traces: std::collections::HashSet<_> = spans.iter().map(|span| span.context.trace_id).collect();
    assert_eq!((traces.len(), spans.len()), (TASKS, TASKS * 10));
    for trace in traces {
        let of: Vec<Span> = spans.iter().filter(|span| span.context.trace_id == trace).cloned().collect();
        let root = one(&of, "task");
        assert_root(root);
        // One below the other.
        let mut around = root;
        for name in ["wait", "profiled_wait", "wait", "profiled_wait", "wait", "profiled_wait"] {
            let within = |span: &&Span| short(span) == name && span.parent_id == around.context.span_id;
            around = of.iter().find(within).unwrap_or_else(|| panic!("no {name} in {}", around.name));
        }
    }
    recording.assert_outcomes("task", &[("ok", TASKS as u64)]);
    recording.assert_outcomes("wait", &[("ok", 3 * TASKS as u64)]);
    recording.assert_outcomes("profiled_wait", &[("ok", 3 * TASKS as u64)]);
}

#[test]
fn what_is_cut_off_ends() {
    #[instrument]
    async fn never_done() {
        leaf();
        std::future::pending::<()>().await;
    }
    #[instrument]
    async fn wins() {
        pause().await;
    }
    let recording = Recording::all();
    multi_thread().block_on(async {
        tokio::select! {
            () = never_done() => {}
            () = wins() => {}
        }
        let task = tokio::spawn(never_done());
        pause().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    drop(info_span!("never_entered"));
    recording.assert_outcomes("wins", &[("ok", 1)]);
    recording.assert_outcomes("never_entered", &[("ok", 1)]);
    let ended = recording.outcomes("never_done");
    // A task that was aborted before its first poll made no span.
    assert!(ended == [("ok".to_owned(), 1)] || ended == [("ok".to_owned(), 2)], "{ended:?}");
    let spans = recording.spans();
    assert!(spans.iter().all(|span| span.status == Status::Unset));
}

#[test]
fn errors_and_panics_are_outcomes() {
    #[instrument(err)]
    fn fails(how: u32) -> std::result::Result<(), Sad> {
        match how {
            0 => Ok(()),
            1 => Err(Sad),
            _ => resume_unwind(Box::new(())),
        }
    }
    #[instrument(err(level = "debug", Debug), ret)]
    async fn fails_async(how: u32) -> std::result::Result<u32, Sad> {
        pause().await;
        if how == 0 { Ok(7) } else { Err(Sad) }
    }
    #[instrument]
    fn copes() {
        error!(error = %Sad, "never mind");
        error!(error = %Sad);
        let caught = fails(1);
        assert!(caught.is_err());
        assert!(catch_unwind(|| fails(2)).is_err());
    }
    #[instrument]
    async fn breaks() {
        pause().await;
        resume_unwind(Box::new(()));
    }
    for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff, Sampler::parent_based(Sampler::TraceIdRatio(0.0))]
    {
        let is_on = sampler == Sampler::AlwaysOn;
        let recording = Recording::with(sampler);
        let _ = fails(0);
        let _ = fails(1);
        copes();
        let runtime = multi_thread();
        runtime.block_on(async {
            let _ = fails_async(0).await;
            let _ = fails_async(1).await;
            assert!(tokio::spawn(breaks()).await.unwrap_err().is_panic());
        });
        drop(runtime);
        recording.assert_outcomes("fails", &[("_OTHER", 2), ("ok", 1), ("panic", 1)]);
        recording.assert_outcomes("fails_async", &[("_OTHER", 1), ("ok", 1)]);
        recording.assert_outcomes("copes", &[("ok", 1)]);
        recording.assert_outcomes("breaks", &[("panic", 1)]);
        let spans = recording.spans();
        if !is_on {
            assert!(spans.is_empty());
            continue;
        }
        let failed: Vec<_> = spans.iter().filter(|span| short(span) == "fails").collect();
        let error = Status::Error("so sad".into());
        let statuses: Vec<_> = failed.iter().map(|span| &span.status).collect();
        assert_eq!(statuses, [&Status::Unset, &error, &error, &Status::Error("panic".into())]);
        assert_eq!(failed[1].attributes.get_str("error.type"), Some("_OTHER"));
        let [event] = &*failed[1].events else { panic!("{:?}", failed[1].events) };
        assert_eq!((&*event.name, text(event, "exception.message")), ("exception", Some("so sad")));
        assert_eq!(one(&spans, "copes").status, Status::Unset);
    }
}

#[test]
fn spans_left_out_of_order_leave_nothing_behind() {
    for sampler in [Sampler::AlwaysOn, Sampler::parent_based(Sampler::TraceIdRatio(0.0)), Sampler::AlwaysOff]
    {
        let is_on = sampler == Sampler::AlwaysOn;
        let recording = Recording::with(sampler);
        let parent = info_span!("parent");
        let (a, b) = (info_span!(parent: &parent, "a"), info_span!(parent: &parent, "b"));
        let (first, second) = (a.clone().entered(), b.clone().entered());
        let in_b = current_span();
        drop(first);
        assert_eq!(current_span(), in_b);
        leaf();
        drop(second);
        assert_eq!(current_span(), None);
        // Entered twice, and once more within what is profiled.
        let twice = (a.clone().entered(), a.clone().entered());
        let in_a = current_span();
        drop(twice.0);
        assert_eq!(current_span(), in_a);
        middle();
        drop(twice.1);
        assert_eq!(current_span(), None);
        drop((a, b, parent));
        let spans = recording.spans();
        recording.assert_outcomes("a", &[("ok", 1)]);
        recording.assert_outcomes("b", &[("ok", 1)]);
        if is_on {
            assert_child(&spans[0], one(&spans, "b"));
            assert_child(one(&spans, "middle"), one(&spans, "a"));
        }
    }
}

#[test]
fn a_guard_may_outlive_the_call_it_was_made_in_or_end_in_another() {
    fn guard() -> tracing::span::EnteredSpan {
        info_span!("guard").entered()
    }
    #[profiled]
    fn opens() -> tracing::span::EnteredSpan {
        let guard = guard();
        leaf();
        guard
    }
    #[profiled]
    fn closes(guard: tracing::span::EnteredSpan) -> Option<exporters::SpanContext> {
        drop(guard);
        current_span()
    }
    for sampler in [Sampler::AlwaysOn, Sampler::parent_based(Sampler::TraceIdRatio(0.0)), Sampler::AlwaysOff]
    {
        let is_on = sampler == Sampler::AlwaysOn;
        let recording = Recording::with(sampler);
        let opened = opens();
        leaf();
        drop(opened);
        assert_eq!(current_span(), None);
        let guard = guard();
        let within = closes(guard);
        assert_eq!(current_span(), None);
        leaf();
        let spans = recording.spans();
        recording.assert_outcomes("guard", &[("ok", 2)]);
        recording.assert_outcomes("leaf", &[("ok", 3)]);
        if is_on {
            let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.context.span_id).collect();
            assert_eq!(ids.len(), spans.len());
            assert_root(one(&spans, "opens"));
            assert_eq!(Some(&one(&spans, "closes").context), within.as_ref());
            let leaves: Vec<_> = spans.iter().filter(|span| short(span) == "leaf").collect();
            assert_child(leaves[0], spans.iter().find(|span| short(span) == "guard").unwrap());
            assert_root(leaves[2]);
        }
    }
}

#[test]
fn a_guard_that_is_held_over_an_await_stays_in_its_task() {
    // The thread, which is not the future, is in the span; it must not stay there when another task's turn comes.
    #[profiled]
    async fn careless() {
        let _guard = info_span!("held").entered();
        pause().await;
    }
    let recording = Recording::all();
    let mut careless = Box::pin(careless());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(careless.as_mut().poll(&mut cx).is_pending());
    assert_eq!(current_span(), None);
    leaf();
    outer();
    assert!(careless.as_mut().poll(&mut cx).is_ready());
    assert_eq!(current_span(), None);
    let spans = recording.spans();
    assert_root(spans.iter().find(|span| short(span) == "leaf").unwrap());
    assert_root(one(&spans, "outer"));
    recording.assert_outcomes("careless", &[("ok", 1)]);
    recording.assert_outcomes("held", &[("ok", 1)]);
}

#[test]
fn one_span_is_entered_on_two_threads_at_once() {
    let recording = Recording::all();
    let span = info_span!("shared");
    let both = Barrier::new(2);
    thread::scope(|scope| {
        for n in 0..2u32 {
            let (span, both) = (span.clone(), &both);
            scope.spawn(move || {
                let _guard = span.enter();
                both.wait();
                for i in 0..50 {
                    set_span_attribute(format!("{n}.{i}"), i);
                    info!(n, i, "step");
                }
                leaf();
                assert!(is_recording());
                both.wait();
            });
        }
    });
    drop(span);
    let spans = recording.spans();
    let shared = one(&spans, "shared");
    assert_eq!((shared.events.len(), shared.dropped_events, shared.dropped_attributes), (100, 0, 0));
    assert_eq!(shared.attributes.get("1.49"), Some(&Value::I64(49)));
    spans.iter().filter(|span| short(span) == "leaf").for_each(|leaf| assert_child(leaf, shared));
    recording.assert_outcomes("shared", &[("ok", 1)]);
    recording.assert_outcomes("leaf", &[("ok", 2)]);
}

#[test]
fn parents_are_as_they_are_told() {
    let recording = Recording::all();
    let remote =
        exporters::SpanContext::from_traceparent("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
            .unwrap();
    with_remote_parent(remote.clone(), || drop(info_span!("far")));
    let other = info_span!("other");
    info_span!("around").in_scope(|| {
        info_span!(parent: None, "root").in_scope(leaf);
        info_span!(parent: &other, "explicit").in_scope(|| {
            // Elsewhere, but in it.
            thread::spawn(in_current(|| drop(info_span!("carried")))).join().unwrap();
        });
        let follows = info_span!("follows");
        follows.follows_from(&other);
    });
    drop(other);
    let spans = recording.spans();
    let far = one(&spans, "far");
    assert_eq!(
        (far.context.trace_id, far.parent_id, far.parent_is_remote),
        (remote.trace_id, remote.span_id, true)
    );
    assert_root(one(&spans, "root"));
    assert_child(one(&spans, "leaf"), one(&spans, "root"));
    assert_child(one(&spans, "explicit"), one(&spans, "other"));
    assert_child(one(&spans, "carried"), one(&spans, "explicit"));
    let follows = one(&spans, "follows");
    assert_child(follows, one(&spans, "around"));
    assert_eq!(follows.links.len(), 1);
    assert_eq!(follows.links[0].context, one(&spans, "other").context);
}

#[test]
fn fields_are_attributes() {
    let recording = Recording::all();
    let span = info_span!(
        "fields",
        int = -3,
        big = u64::MAX,
        ratio = 0.5,
        yes = true,
        text = "plain",
        debug = ?Sad,
        shown = %Sad,
        r#type = "raw",
        long = "ä".repeat(5000),
        log.file = "left out",
        later = tracing::field::Empty,
        otel.name = "GET /orders/{id}",
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        otel.status_message = tracing::field::Empty,
    );
    span.record("later", 5);
    span.record("int", 4);
    span.record("otel.status_code", "ERROR").record("otel.status_message", "out of stock");
    drop(span);
    drop(info_span!("fine", otel.status_code = "Ok"));
    let spans = recording.spans();
    let span = one(&spans, "GET /orders/{id}");
    let get = |key: &str| span.attributes.get(key).cloned();
    assert_eq!((get("int"), get("later")), (Some(Value::I64(4)), Some(Value::I64(5))));
    assert_eq!((get("ratio"), get("yes")), (Some(Value::F64(0.5)), Some(Value::Bool(true))));
    for (key, expected) in [
        ("big", "18446744073709551615"),
        ("text", "plain"),
        ("debug", "Sad"),
        ("shown", "so sad"),
        ("type", "raw"),
    ] {
        assert_eq!(span.attributes.get_str(key), Some(expected));
    }
    assert_eq!(span.attributes.get_str("long").unwrap().len(), 4094);
    let left_out = |key: &str| key.starts_with("log.") || key.starts_with("otel.");
    assert!(!span.attributes.iter().any(|KeyValue { key, .. }| left_out(key)));
    assert_eq!((span.kind, &span.status), (SpanKind::Server, &Status::Error("out of stock".into())));
    assert_eq!(one(&spans, "fine").status, Status::Ok);
    recording.assert_outcomes("fields", &[("_OTHER", 1)]);
    // What is said is said of all, whoever records them.
    drop(recording);
    let recording = Recording::with(Sampler::AlwaysOff);
    drop(info_span!("failed", otel.status_code = %"error"));
    recording.assert_outcomes("failed", &[("_OTHER", 1)]);
}

#[test]
fn events_are_those_of_the_span_that_is_running() {
    #[profiled]
    fn works() {
        info!(order = 17, "paid");
        let error: &(dyn std::error::Error + 'static) = &Sad;
        warn!(cause = error, "trouble");
        trace!(target: "elsewhere", "noise");
        tracing::event!(name: "nameless", Level::DEBUG, n = 1);
        info!(parent: None, "nobody's");
    }
    let recording = Recording::all();
    info!("outside of any");
    let other = info_span!("other");
    info_span!("around").in_scope(|| {
        works();
        debug!("in tracing's own");
        info!(parent: &other, "told of another");
    });
    drop(other);
    let spans = recording.spans();
    let events = &one(&spans, "works").events;
    let told: Vec<_> = events.iter().map(|event| &*event.name).collect();
    assert_eq!(told, ["paid", "exception", "noise", "nameless"]);
    assert_eq!(events[0].attributes.get("order"), Some(&Value::I64(17)));
    assert_eq!(
        (text(&events[0], "level"), text(&events[0], "target")),
        (Some("INFO"), Some("tracing_bridge"))
    );
    assert_eq!(text(&events[1], "exception.message"), Some("so sad"));
    assert_eq!((text(&events[1], "message"), text(&events[1], "cause")), (Some("trouble"), Some("so sad")));
    assert_eq!((text(&events[2], "level"), text(&events[2], "target")), (Some("TRACE"), Some("elsewhere")));
    let names =
        |span| one(&spans, span).events.iter().map(|event| event.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (names("around"), names("other")),
        (vec!["in tracing's own".into()], vec!["told of another".into()])
    );
}

#[test]
fn filters_and_the_level_of_events_are_heeded() {
    let recording = Recording::all();
    let only_ours = filter_fn(|metadata| metadata.target() != "noisy");
    let subscriber = registry().with(TracingLayer::new().events(Level::INFO).with_filter(only_ours));
    tracing::subscriber::with_default(subscriber, || {
        info_span!("seen").in_scope(|| {
            info_span!(target: "noisy", "unseen").in_scope(|| {
                info_span!("deep").in_scope(|| {
                    info!("kept");
                    debug!("too small");
                    info!(target: "noisy", "unheard");
                });
            });
        });
    });
    tracing::subscriber::with_default(
        registry().with(TracingLayer::new().events(LevelFilter::OFF)),
        outer_with_event,
    );
    let spans = recording.spans();
    assert_child(one(&spans, "deep"), one(&spans, "seen"));
    let heard: Vec<_> = one(&spans, "deep").events.iter().map(|event| &*event.name).collect();
    assert_eq!(heard, ["kept"]);
    assert!(one(&spans, "outer_with_event").events.is_empty());
    assert!(recording.outcomes("unseen").is_empty());
    recording.assert_outcomes("deep", &[("ok", 1)]);
}

#[instrument]
fn outer_with_event() {
    info!("not wanted");
}

#[test]
fn places_of_one_name_keep_apart_and_two_layers_count_once() {
    let recording = Recording::all();
    let first = || drop(info_span!("twin"));
    let second = || drop(info_span!("twin"));
    let subscriber = registry().with(TracingLayer::new()).with(TracingLayer::new());
    tracing::subscriber::with_default(subscriber, || {
        first();
        second();
        second();
        outer();
    });
    recording.assert_outcomes("twin", &[("ok", 1)]);
    let metrics = recording.profiler.snapshot();
    let Some(Data::Sum(calls)) = metrics.metric("function.calls").map(|metric| &metric.data) else {
        panic!()
    };
    let functions = calls.points.iter().filter_map(|point| point.series.attributes.get_str("function"));
    let twin = functions.filter(|name| name.starts_with("twin:")).collect::<Vec<_>>();
    assert_eq!(twin.len(), 1);
    recording.assert_outcomes(twin[0], &[("ok", 2)]);
    recording.assert_outcomes("outer", &[("ok", 1)]);
}

/// Says that it was formatted.
struct Formatted<'a>(&'a AtomicU64);
impl fmt::Debug for Formatted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Relaxed);
        f.write_str("formatted")
    }
}

#[test]
fn what_is_not_sampled_is_counted_and_not_formatted() {
    let formatted = AtomicU64::new(0);
    let speak = || {
        info_span!("speaks", field = ?Formatted(&formatted)).in_scope(|| {
            info!(field = ?Formatted(&formatted), "event");
            leaf();
        });
    };
    {
        let recording = Recording::with(Sampler::parent_based(Sampler::TraceIdRatio(0.0)));
        let refused = exporters::SpanContext::from_traceparent(
            "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00",
        );
        with_remote_parent(refused, speak);
        speak();
        info_span!("speaks").in_scope(|| {
            let unsampled = current_span().unwrap();
            assert!(unsampled.is_valid() && !unsampled.is_sampled() && !is_recording());
        });
        assert_eq!(formatted.load(Relaxed), 0);
        recording.assert_outcomes("leaf", &[("ok", 2)]);
        assert!(recording.spans().is_empty());
    }
    let recording = Recording::with(Sampler::parent_based(Sampler::TraceIdRatio(0.5)));
    (0..1000).for_each(|_| speak());
    let spans = recording.spans();
    // Both spans of a trace or none, and each field was formatted once.
    let (of_both, half) = (spans.len() as u64, spans.len() as u64 / 2);
    assert!(half > 300 && half < 700 && of_both == 2 * half, "{of_both}");
    assert_eq!(formatted.load(Relaxed), 2 * half);
    recording.assert_outcomes("leaf", &[("ok", 1000)]);
}

#[test]
fn off_nothing_is_recorded_and_what_began_then_never_is() {
    subscribe();
    let alone = alone();
    let early = info_span!("early");
    early.in_scope(outer);
    drop(alone);
    let recording = Recording::all();
    early.in_scope(|| {
        leaf();
        info!("whose?");
    });
    drop(early);
    assert!(recording.outcomes("early").is_empty() && recording.outcomes("outer").is_empty());
    let spans = recording.spans();
    assert_root(one(&spans, "leaf"));
    // What outlives the profiler ends all the same.
    let late = info_span!("late").entered();
    recording.profiler.shutdown(LONG).into_result().unwrap();
    drop(late);
    drop(recording);
    let recording = Recording::all();
    leaf();
    assert_root(one(&recording.spans(), "leaf"));
    recording.assert_outcomes("leaf", &[("ok", 1)]);
}

#[test]
fn the_child_of_a_fork_ends_its_spans_and_records_nothing_of_them() {
    let recording = Recording::all();
    let span = info_span!("forks").entered();
    // SAFETY: the child goes on with one thread, and ends without running what programs run at their end.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let fine = catch_unwind(AssertUnwindSafe(|| {
            info!("nobody's");
            assert!(!is_recording());
            outer();
            drop(span);
            assert_eq!(current_span(), None);
            let memory = MemoryExporter::new();
            let profiler =
                Profiler::builder().sampler(Sampler::AlwaysOn).exporter(memory.clone()).start().unwrap();
            info_span!("childs").in_scope(leaf);
            assert_eq!(profiler.snapshot().function("forks").concurrent_calls(), 0);
            assert_eq!(profiler.snapshot().function("childs").total_calls(), 1);
            profiler.flush(LONG).unwrap();
            let spans = spans(&memory);
            assert_eq!(names(&spans), ["leaf", "childs"]);
            assert_root(&spans[1]);
        }));
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(fine.is_err())) };
    }
    drop(span);
    let mut status = -1;
    // SAFETY: waits for the process just made.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(names(&recording.spans()), ["forks"]);
    recording.assert_outcomes("forks", &[("ok", 1)]);
}

#[test]
fn a_thread_may_end_within_its_spans() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<tracing::span::EnteredSpan>> = const { std::cell::RefCell::new(None) };
    }
    let recording = Recording::all();
    let remote =
        exporters::SpanContext::from_traceparent("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
            .unwrap();
    for _ in 0..3 {
        let remote = exporters::SpanContext { trace_state: "a=b".into(), ..remote.clone() };
        thread::spawn(move || {
            let guard = with_remote_parent(remote, || info_span!("kept").entered());
            KEPT.set(Some(guard));
            std::mem::forget(info_span!("forgotten").entered());
            leaf();
        })
        .join()
        .unwrap();
    }
    recording.assert_outcomes("leaf", &[("ok", 3)]);
    recording.assert_outcomes("forgotten", &[("running", 3)]);
}

/// An exporter that talks while it exports, on its thread and on those it has for what blocks.
#[derive(Clone, Debug)]
struct Talker(mpsc::Sender<(usize, u64)>);

#[instrument(skip_all)]
async fn talk() {
    info!("exporting");
    tokio::task::spawn_blocking(|| info_span!("blocks").in_scope(|| warn!("blocking"))).await.unwrap();
}

impl Exporter for Talker {
    fn info(&self) -> Info {
        Info::new("talker")
    }
    fn capability(&self) -> Capability {
        Capability::ALL
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        talk().await;
        let calls = batch.metrics().map_or(0, |metrics| metrics.function("talk").total_calls());
        let _ = self.0.send((batch.spans().map_or(0, <[Span]>::len), calls));
        Ok(Receipt::default())
    }
    async fn health(&self) -> Health {
        Health::Healthy
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

/// Answers every request on every connection with success, and tells the paths.
fn collector() -> (std::net::SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            thread::spawn(move || {
                let (mut read, mut buffer) = (Vec::new(), [0; 1 << 16]);
                loop {
                    match stream.read(&mut buffer) {
                        Ok(n) if n > 0 => read.extend_from_slice(&buffer[..n]),
                        _ => return,
                    }
                    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
                    if read.len() >= end + 4 + length {
                        read.drain(..end + 4 + length);
                        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                        let _ = tell.send(path);
                    }
                }
            });
        }
    });
    (address, told)
}

#[test]
fn what_exporting_tells_makes_nothing_to_export() {
    subscribe();
    let _alone = alone();
    let (address, told) = collector();
    let endpoint = Some(format!("http://{address}").parse().unwrap());
    let config = OpenTelemetryConfig { endpoint, ..Default::default() };
    let (send, exports) = mpsc::channel();
    let profiler = Profiler::builder()
        .interval(Duration::from_millis(20))
        .sampler(Sampler::AlwaysOn)
        .exporter(OpenTelemetryExporter::new(config).unwrap())
        .exporter(Talker(send))
        .start()
        .unwrap();
    let before = TOLD_BY_EXPORTERS.load(Relaxed);
    // Said by the library itself, or under its name, on a thread of the program.
    for _ in 0..10 {
        info_span!(target: "exporters", "own").in_scope(|| warn!(target: "exporters", "own"));
    }
    // Over so many intervals there was something to hear, and nothing was made of it.
    for _ in 0..20 {
        assert_eq!(exports.recv_timeout(LONG).unwrap(), (0, 0));
        assert_eq!(told.recv_timeout(LONG).unwrap(), "/v1/metrics");
    }
    let heard = TOLD_BY_EXPORTERS.load(Relaxed) - before;
    assert!(heard >= 20 * 4, "{heard}");
    // It would have been made of what the program says.
    outer();
    profiler.flush(LONG).unwrap();
    let snapshot = profiler.snapshot();
    assert_eq!(["outer", "own", "blocks"].map(|name| snapshot.function(name).total_calls()), [1, 0, 0]);
    let (spans, _) = exports.try_iter().find(|(spans, _)| *spans > 0).unwrap();
    assert_eq!(spans, 5);
    assert!(told.try_iter().any(|path| path == "/v1/traces"));
    let report = profiler.shutdown(LONG);
    assert!(report.legs.iter().all(|leg| leg.ledger.is_balanced()), "{report:?}");
    report.into_result().unwrap();
}

#[test]
fn many_threads_making_entering_and_closing_lose_no_call() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 5000;
    let recording = Recording::with(Sampler::parent_based(Sampler::TraceIdRatio(0.3)));
    let passed = Arc::new(std::sync::Mutex::new(Vec::<tracing::Span>::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let passed = passed.clone();
            scope.spawn(move || {
                for n in 0..CALLS {
                    let span = info_span!("passed", n);
                    span.in_scope(inner);
                    // Closed by whoever comes next.
                    let other = {
                        let mut passed = passed.lock().unwrap();
                        passed.push(span);
                        if passed.len() > 3 { Some(passed.remove(0)) } else { None }
                    };
                    if let Some(other) = other {
                        other.in_scope(leaf);
                    }
                }
            });
        }
    });
    drop(passed);
    recording.assert_outcomes("passed", &[("ok", THREADS * CALLS)]);
    recording.assert_outcomes("inner", &[("ok", THREADS * CALLS)]);
    let spans = recording.spans();
    let passed: std::collections::HashSet<_> =
        spans.iter().filter(|span| span.name == "passed").map(|span| span.context.span_id).collect();
    let inner: Vec<_> = spans.iter().filter(|span| short(span) == "inner").collect();
    assert_eq!(inner.len(), passed.len());
    assert!(inner.iter().all(|span| passed.contains(&span.parent_id)));
}

/// Enters and leaves spans at random, and calls, polls and scopes within which it goes on.
struct Player {
    random: u64,
    spans: Vec<tracing::Span>,
    guards: Vec<tracing::span::EnteredSpan>,
}

impl Player {
    fn draw(&mut self, below: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % below
    }

    fn play(&mut self, deep: usize) {
        for _ in 0..self.draw(5) {
            match self.draw(9) {
                0 | 1 => {
                    let span = match self.draw(3) {
                        0 => info_span!(parent: None, "new_root"),
                        _ => info_span!("new"),
                    };
                    self.spans.push(span.clone());
                    self.guards.push(span.entered());
                }
                2 if !self.spans.is_empty() => {
                    let at = self.draw(self.spans.len());
                    self.guards.push(self.spans[at].clone().entered());
                }
                2..=4 if !self.guards.is_empty() => {
                    let at = self.draw(self.guards.len());
                    drop(self.guards.remove(at));
                }
                5 if !self.spans.is_empty() => {
                    let at = self.draw(self.spans.len());
                    drop(self.spans.remove(at));
                }
                6 if deep > 0 => play_within(self, deep - 1),
                7 if deep > 0 => {
                    let mut future = Box::pin(play_in_a_poll(self, deep - 1));
                    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                    while future.as_mut().poll(&mut cx).is_pending() {}
                }
                8 if deep > 0 => {
                    let state = "vendor=".to_owned() + &"x".repeat(50);
                    let parent = exporters::SpanContext::from_traceparent(
                        "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
                    );
                    let parent =
                        parent.map(|parent| exporters::SpanContext { trace_state: state.into(), ..parent });
                    with_remote_parent(parent, || self.play(deep - 1));
                }
                _ => leaf(),
            }
            set_span_attribute("said", 1);
            let _ = current_span();
        }
    }
}

#[profiled]
fn play_within(player: &mut Player, deep: usize) {
    player.play(deep);
}

#[profiled]
async fn play_in_a_poll(player: &mut Player, deep: usize) {
    player.play(deep);
    pause().await;
    player.play(deep);
}

#[test]
fn whatever_the_order_nothing_stays_behind() {
    for (sampler, ratio) in [
        (Sampler::AlwaysOn, 1.0),
        (Sampler::parent_based(Sampler::TraceIdRatio(0.5)), 0.5),
        (Sampler::parent_based(Sampler::AlwaysOff), 0.0),
        (Sampler::AlwaysOff, 0.0),
    ] {
        let recording = Recording::with(sampler);
        let mut roots = 0;
        for seed in 0..3000 {
            let mut player = Player { random: seed, spans: Vec::new(), guards: Vec::new() };
            player.play(4);
            let Player { random, spans, mut guards } = player;
            if random % 2 == 0 {
                guards.reverse();
            }
            drop((guards, spans));
            assert_eq!(current_span(), None, "seed {seed}");
            info_span!("after").in_scope(|| roots += u32::from(is_recording()));
        }
        for function in ["new", "new_root", "play_within", "play_in_a_poll", "after"] {
            let outcomes = recording.outcomes(function);
            assert!(matches!(&*outcomes, [(outcome, _)] if outcome == "ok"), "{function}: {outcomes:?}");
        }
        let spans = recording.spans();
        let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.context.span_id).collect();
        assert_eq!(ids.len(), spans.len());
        // Whoever has a parent has one that was recorded, or the remote one.
        let remote = 0x0123_4567_89ab_cdefu64.to_be_bytes();
        for span in &spans {
            let parent = span.parent_id;
            assert!(parent == [0; 8] || parent == remote || ids.contains(&parent), "{}", span.name);
        }
        spans.iter().filter(|span| span.name == "after").for_each(assert_root);
        assert!((f64::from(roots) / 3000.0 - ratio).abs() < 0.1, "{roots} of 3000 for {ratio}");
    }
}
