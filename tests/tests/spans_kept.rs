//! What becomes of traces beyond the sampler's decision: kept since they matter, left out for one exporter, shown by exemplars.

use exporters::{
    Data, Exemplar, KeepConfig, LegOptions, MemoryExporter, ProfileMetrics, Profiler, Sampler, Span,
    SpanContext, profiled, with_remote_parent,
};
use std::{
    collections::{HashMap, HashSet},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tests::{
    calls::alone,
    spans::{SpansOnly, spans},
};

const LONG: Duration = Duration::from_secs(60);
const PERCENT: Sampler = Sampler::TraceIdRatio(0.01);

#[profiled]
fn step(fails: bool) -> Result<(), std::fmt::Error> {
    if fails { Err(std::fmt::Error) } else { Ok(()) }
}

#[profiled]
fn request(fails: bool) -> bool {
    step(false).is_ok() && step(fails).is_ok()
}

#[profiled]
async fn task(fails: bool) {
    std::future::ready(()).await;
    let _ = step(fails);
}

fn memory() -> MemoryExporter {
    MemoryExporter::with_capacity(usize::MAX)
}

fn by_trace(spans: Vec<Span>) -> HashMap<[u8; 16], Vec<Span>> {
    let mut traces = HashMap::<_, Vec<Span>>::new();
    spans.into_iter().for_each(|span| traces.entry(span.context.trace_id).or_default().push(span));
    traces
}

/// 100 errors among 100,000 traces, of which one in a hundred is sampled.
#[test]
fn every_trace_that_failed_is_kept_whole() {
    const TRACES: u64 = 50_000;
    let _alone = alone();
    let memory = SpansOnly::default();
    let profiler = Profiler::builder()
        .interval(Duration::from_millis(20))
        .sampler(PERCENT)
        .keep(KeepConfig::default())
        .exporter(memory.clone())
        .start()
        .unwrap();
    // So many at a time that none is lost, however slow the one who reads them is.
    for turn in 0..TRACES / 5000 {
        std::thread::scope(|scope| {
            let traces = || (turn * 5000..(turn + 1) * 5000).map(|n| n % 1000 == 17);
            scope.spawn(move || traces().for_each(|fails| _ = request(fails)));
            scope.spawn(move || traces().for_each(|fails| futures::ready(task(fails))));
        });
        profiler.flush(LONG).unwrap();
    }
    let stats = profiler.keep_stats();
    let ledger = profiler.shutdown(LONG).legs.remove(0).ledger;
    assert!(ledger.is_balanced() && ledger.dropped.total() == 0, "{ledger:?}");
    let traces = by_trace(spans(&memory.memory));
    let failed = |trace: &Vec<Span>| trace.iter().any(|span| span.attributes.get("error.type").is_some());
    let (errors, others): (Vec<_>, Vec<_>) = traces.into_values().partition(failed);
    assert_eq!(errors.len(), 100);
    let lengths = |traces: &[Vec<Span>]| traces.iter().map(Vec::len).collect::<HashSet<_>>();
    assert_eq!((lengths(&errors), lengths(&others)), (HashSet::from([2, 3]), HashSet::from([2, 3])));
    // Six standard deviations: not in a thousand million runs.
    assert!(others.len().abs_diff(1000) < 190, "{}", others.len());
    assert!(others.iter().flatten().all(|span| span.context.is_sampled()));
    // Their flags say what other processes were told.
    let kept: u64 = errors.iter().flatten().filter(|span| !span.context.is_sampled()).count() as u64;
    assert_eq!((kept, stats.given_up, stats.waiting), (stats.kept, 0, 0));
    let unsampled = 5 * TRACES - errors.iter().chain(&others).flatten().count() as u64;
    assert_eq!(stats.forgotten, unsampled);
}

#[profiled]
async fn waits(fails: bool) -> Result<(), std::fmt::Error> {
    step(false)?;
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
    step(fails)
}

#[test]
fn traces_that_are_open_for_long_hold_no_more_than_they_may_and_an_error_is_kept_all_the_same() {
    const OPEN: u64 = 20_000;
    const MOST: u64 = 1_000_000;
    let _alone = alone();
    let memory = SpansOnly::default();
    let profiler = Profiler::builder()
        .interval(LONG)
        .sampler(Sampler::parent_based(Sampler::AlwaysOff))
        .keep(KeepConfig::default().with_max_memory(MOST))
        .exporter(memory.clone())
        .start()
        .unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    let mut open: Vec<_> = (0..OPEN).map(|n| Box::pin(waits(n % 1000 == 0))).collect();
    assert!(open.iter_mut().all(|task| task.as_mut().poll(context).is_pending()));
    profiler.flush(LONG).unwrap();
    let stats = profiler.keep_stats();
    assert_eq!((stats.waiting + stats.given_up, stats.kept, stats.forgotten), (OPEN, 0, 0));
    assert!(stats.given_up > OPEN / 2 && (MOST / 2..=MOST).contains(&stats.memory), "{stats:?}");
    open.iter_mut().for_each(|task| assert!(task.as_mut().poll(context).is_ready()));
    profiler.shutdown(LONG).into_result().unwrap();
    let traces = by_trace(spans(&memory.memory));
    let names = |trace: &Vec<Span>| trace.iter().filter(|span| span.name.ends_with("::waits")).count();
    assert!(traces.len() as u64 == OPEN / 1000 && traces.values().all(|trace| names(trace) == 1));
    let after = profiler.keep_stats();
    assert_eq!(after.kept + after.forgotten + after.given_up, 3 * OPEN);
    assert_eq!((after.waiting, after.memory, after.traces), (0, 0, OPEN / 1000));
}

mod futures {
    use std::task::{Context, Poll, Waker};

    /// Drives a future that never waits.
    pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }
}

#[test]
fn what_another_process_left_out_is_kept_where_it_matters_and_told_on_as_it_was() {
    let _alone = alone();
    let memory = SpansOnly::default();
    let profiler = Profiler::builder()
        .sampler(Sampler::parent_based(Sampler::AlwaysOn))
        .keep(KeepConfig::default())
        .exporter(memory.clone())
        .start()
        .unwrap();
    #[profiled]
    fn handler(fails: bool) -> Result<SpanContext, std::fmt::Error> {
        step(fails)?;
        exporters::current_span().ok_or(std::fmt::Error)
    }
    for (fails, flags) in [(true, 0), (false, 0), (true, 1), (false, 1)] {
        let id = 1 + u8::from(fails) * 2 + flags;
        let parent = SpanContext { trace_id: [id; 16], span_id: [7; 8], flags, trace_state: "".into() };
        let inside = with_remote_parent(parent, || handler(fails));
        assert!(inside.is_err() || inside.is_ok_and(|context| context.flags == flags));
    }
    profiler.shutdown(LONG).into_result().unwrap();
    let traces = by_trace(spans(&memory.memory));
    let mut found: Vec<_> = traces.iter().map(|(trace, spans)| (trace[0], spans.len())).collect();
    found.sort_unstable();
    assert_eq!(found, [(2, 2), (3, 2), (4, 2)]);
    for (trace, spans) in &traces {
        assert!(spans.iter().all(|span| span.context.is_sampled() == (trace[0] != 3)), "{spans:?}");
    }
}

#[test]
fn one_exporter_gets_a_share_of_the_traces_and_all_that_matter() {
    let _alone = alone();
    let (all, some) = (SpansOnly::default(), SpansOnly::default());
    let tenth = LegOptions::default().with_name("some").with_trace_sampler(Sampler::TraceIdRatio(0.1));
    let profiler = Profiler::builder()
        .sampler(Sampler::TraceIdRatio(0.5))
        .keep(KeepConfig::default())
        .exporter(all.clone())
        .exporter_with(some.clone(), tenth)
        .start()
        .unwrap();
    for n in 0..5000 {
        request(n % 100 == 0);
    }
    let report = profiler.shutdown(LONG);
    assert!(report.legs.iter().all(|leg| leg.ledger.is_balanced()));
    let ledger = report.legs[1].ledger;
    let (all, some) = (by_trace(spans(&all.memory)), by_trace(spans(&some.memory)));
    assert_eq!(ledger.accepted - ledger.exported, ledger.dropped.total());
    let low = |trace: &[u8; 16]| u128::from_be_bytes(*trace) as u64;
    for (trace, spans) in &all {
        let is_due = low(trace) < u64::MAX / 10 || !spans[0].context.is_sampled();
        assert_eq!(some.contains_key(trace), is_due, "{trace:?}");
    }
    assert!(some.keys().all(|trace| all.contains_key(trace)));
    assert!(some.len().abs_diff(500 + 25) < 180, "{}", some.len());
}

#[test]
fn a_tenth_is_sampled_where_nobody_says_but_an_exporter_asks() {
    let _alone = alone();
    for asks in [true, false] {
        let traces = SpansOnly { asks, ..SpansOnly::default() };
        let profiler = Profiler::builder().exporter(traces.clone()).start().unwrap();
        (0..10_000).for_each(|_| _ = request(false));
        profiler.shutdown(LONG).into_result().unwrap();
        let found = by_trace(spans(&traces.memory)).len();
        let expected = if asks { 1000 } else { 0 };
        assert!(found.abs_diff(expected) <= if asks { 180 } else { 0 }, "{found}");
    }
}

fn exemplars(metrics: &ProfileMetrics, function: &str) -> Vec<Exemplar> {
    let durations = metrics.metrics.iter().find(|metric| metric.descriptor.name == "function.calls.duration");
    let Some(Data::ExponentialHistogram(points)) = durations.map(|metric| &metric.data) else {
        return Vec::new();
    };
    let of = points.iter().filter(|point| point.series.attributes.get_str("function") == Some(function));
    of.flat_map(|point| {
        for exemplar in &point.exemplars {
            let at = |bound: f64| point.total.count_at_most(bound);
            assert!(at(exemplar.value * 1.1) > at(exemplar.value / 1.1), "{exemplar:?} in {:?}", point.total);
        }
        point.exemplars.clone()
    })
    .collect()
}

#[test]
fn durations_point_to_traces_that_were_exported() {
    let _alone = alone();
    let (traces, metrics) = (SpansOnly::default(), memory());
    let sent = LegOptions::default().with_trace_sampler(Sampler::TraceIdRatio(0.5));
    let profiler = Profiler::builder()
        .sampler(Sampler::AlwaysOn)
        .exporter_with(traces.clone(), sent)
        .exporter_with(metrics.clone(), LegOptions::default().with_trace_sampler(Sampler::AlwaysOff))
        .start()
        .unwrap();
    (0..1000).for_each(|_| _ = request(false));
    profiler.flush(LONG).unwrap();
    let exported = by_trace(spans(&traces.memory));
    let check = |exemplars: &[Exemplar]| {
        for exemplar in exemplars {
            let spans = exported.get(&exemplar.trace_id).expect("an exported trace");
            let span = spans.iter().find(|span| span.context.span_id == exemplar.span_id).expect("its span");
            assert!(span.name.ends_with("::request") && span.end == exemplar.time);
            let took = span.end.duration_since(span.start).unwrap().as_secs_f64();
            assert!((took - exemplar.value).abs() < 1e-8, "{took} {}", exemplar.value);
        }
        exemplars.len()
    };
    let last = |memory: &MemoryExporter| {
        let batches = memory.take();
        let of = batches.iter().filter_map(|batch| batch.metrics());
        of.map(|metrics| exemplars(metrics, "request")).collect::<Vec<_>>()
    };
    let told = last(&metrics);
    assert_eq!(told.len(), 1);
    assert!(check(&told[0]) > 0);
    // Whoever asks sees the latest ones; an interval, its own.
    assert_eq!(exemplars(&profiler.snapshot(), "request"), told[0]);
    profiler.flush(LONG).unwrap();
    assert_eq!(last(&metrics), [[]]);
    assert_eq!(exemplars(&profiler.snapshot(), "request"), told[0]);
    profiler.shutdown(LONG).into_result().unwrap();
}

#[test]
fn where_no_spans_are_exported_nothing_points_to_them() {
    let _alone = alone();
    let memory = memory();
    let options = LegOptions::default().with_trace_sampler(Sampler::AlwaysOff);
    let builder = Profiler::builder().sampler(Sampler::AlwaysOn).exporter_with(memory.clone(), options);
    let profiler = builder.start().unwrap();
    (0..100).for_each(|_| _ = request(false));
    profiler.flush(LONG).unwrap();
    assert!(memory.batches().iter().all(|batch| batch.spans().is_none()));
    assert_eq!(exemplars(&profiler.snapshot(), "request"), []);
    profiler.shutdown(LONG).into_result().unwrap();
}
