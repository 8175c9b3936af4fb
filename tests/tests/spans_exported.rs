//! From sampled calls to exporters: every span is sent once or accounted for, to those that take spans.

use exporters::{
    AnyExporter, Batch, Capability, Exporter, Health, Info, MemoryExporter, Profiler, Receipt, Result,
    Sampler, profiled,
};
use std::{
    collections::HashSet,
    pin::pin,
    task::{Context, Waker},
    thread,
    time::Duration,
};
use tests::{
    calls::alone,
    spans::{SpansOnly, spans},
};

const LONG: Duration = Duration::from_secs(60);

#[profiled]
fn work() {}

/// What takes metrics alone.
#[derive(Clone, Debug)]
struct MetricsOnly(MemoryExporter);

impl Exporter for MetricsOnly {
    fn info(&self) -> Info {
        Info::new("metrics")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        assert!(batch.metrics().is_some());
        self.0.export(batch).await
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

#[test]
fn every_span_is_sent_once_or_counted_and_calls_are_counted_anyway() {
    let _alone = alone();
    const THREADS: u64 = 2;
    const CALLS: u64 = 100_000;
    let (both, only, metrics) =
        (MemoryExporter::with_capacity(usize::MAX), SpansOnly::default(), MetricsOnly(MemoryExporter::new()));
    let profiler = Profiler::builder()
        .service("spans")
        .interval(Duration::from_millis(50))
        .sampler(Sampler::AlwaysOn)
        .exporter(both.clone())
        .exporter(only.clone())
        .exporter(metrics.clone())
        .start()
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..CALLS).for_each(|_| work()));
        }
    });
    profiler.flush(LONG).unwrap();
    let report = profiler.shutdown(LONG);
    assert!(report.legs.iter().all(|leg| leg.ledger.is_balanced() && leg.error.is_none()), "{report:?}");
    let only_spans = report.legs[1].ledger;
    assert_eq!((only_spans.accepted, only_spans.buffered), (THREADS * CALLS, 0));
    assert_eq!(only_spans.exported + only_spans.dropped.total(), THREADS * CALLS);
    for (memory, leg) in [&both, &only.memory].into_iter().zip(&report.legs) {
        let batches = memory.batches();
        assert_eq!(batches.iter().map(Batch::len).sum::<usize>() as u64, leg.ledger.exported);
        let resources = batches.iter().map(|batch| batch.resource().attributes.get_str("service.name"));
        assert!(resources.into_iter().all(|name| name == Some("spans")));
        let spans = spans(memory);
        assert!(!spans.is_empty());
        let ids: HashSet<_> = spans.iter().map(|span| span.context.span_id).collect();
        assert_eq!(ids.len(), spans.len());
        assert!(spans.iter().all(|span| span.end >= span.start && span.name.ends_with("work")));
    }
    assert!(metrics.0.batches().iter().all(|batch| batch.spans().is_none()));
}

#[test]
fn where_nobody_takes_spans_they_do_not_pile_up() {
    let _alone = alone();
    let exporter = AnyExporter::new(MetricsOnly(MemoryExporter::new()));
    let builder = Profiler::builder().sampler(Sampler::AlwaysOn).interval(Duration::from_millis(20));
    let profiler = builder.exporter(exporter).start().unwrap();
    (0..200_000).for_each(|_| work());
    profiler.flush(LONG).unwrap();
    assert_eq!(profiler.leg("metrics").unwrap().buffer_stats().items, 0);
    profiler.shutdown(LONG).into_result().unwrap();
}

#[test]
fn spans_say_which_thread_it_was_unless_that_is_not_wanted() {
    #[profiled]
    async fn later() {}
    let _alone = alone();
    for wanted in [true, false] {
        let memory = MemoryExporter::new();
        let profiler = Profiler::builder()
            .sampler(Sampler::AlwaysOn)
            .thread_attributes(wanted)
            .exporter(memory.clone())
            .start()
            .unwrap();
        let call = || {
            work();
            let mut context = Context::from_waker(Waker::noop());
            assert!(pin!(later()).poll(&mut context).is_ready());
        };
        thread::Builder::new().name("caller".into()).spawn(call).unwrap().join().unwrap();
        profiler.shutdown(LONG).into_result().unwrap();
        let spans = spans(&memory);
        assert_eq!(spans.len(), 2);
        for span in spans {
            assert_eq!(span.attributes.get_str("thread.name"), wanted.then_some("caller"), "{span:?}");
            assert_eq!(span.attributes.get("thread.id").is_some(), wanted, "{span:?}");
            assert_eq!(span.attributes.get("busy_ns").is_some(), span.name.ends_with("later"), "{span:?}");
        }
    }
}
