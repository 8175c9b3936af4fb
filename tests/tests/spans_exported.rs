//! From sampled calls to exporters: every span is sent once or accounted for, and where there is no room the oldest go.

use exporters::{
    AnyExporter, Batch, BufferConfig, Capability, Error, ErrorKind, Exporter, Health, Info, Ledger,
    LegOptions, MemoryExporter, Overflow, Profiler, Receipt, Result, Sampler, Span, SpanContext, profiled,
    with_remote_parent,
};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tests::calls::alone;

const LONG: Duration = Duration::from_secs(60);

#[profiled]
fn work() {}

fn spans(memory: &MemoryExporter) -> Vec<Span> {
    let batches = memory.take();
    batches.iter().flat_map(|batch| batch.spans().unwrap_or_default().to_vec()).collect()
}

/// What takes spans alone.
#[derive(Clone, Debug)]
struct SpansOnly {
    memory: MemoryExporter,
    is_down: Arc<AtomicBool>,
}

impl SpansOnly {
    fn new() -> Self {
        Self { memory: MemoryExporter::with_capacity(usize::MAX), is_down: Arc::default() }
    }
}

impl Exporter for SpansOnly {
    fn info(&self) -> Info {
        Info::new("spans")
    }
    fn capability(&self) -> Capability {
        Capability::SPANS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        match self.is_down.load(Relaxed) {
            true => Err(Error::new(ErrorKind::Unavailable, "it is down")),
            false => self.memory.export(batch).await,
        }
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

fn ledger(profiler: &Profiler, name: &str) -> Ledger {
    profiler.leg(name).unwrap().ledger()
}

#[test]
fn every_span_is_sent_once_or_counted_and_calls_are_counted_anyway() {
    let _alone = alone();
    const THREADS: u64 = 2;
    const CALLS: u64 = 100_000;
    let (both, only, metrics) =
        (MemoryExporter::with_capacity(usize::MAX), SpansOnly::new(), MetricsOnly(MemoryExporter::new()));
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
    for memory in [&both, &only.memory] {
        let batches = memory.batches();
        let resources = batches.iter().map(|batch| batch.resource().attributes.get_str("service.name"));
        assert!(resources.into_iter().all(|name| name == Some("spans")));
        let spans = spans(memory);
        assert_eq!(spans.len() as u64, only_spans.exported);
        let ids: HashSet<_> = spans.iter().map(|span| span.context.span_id).collect();
        assert_eq!(ids.len(), spans.len());
        assert!(spans.iter().all(|span| span.end >= span.start && span.name.ends_with("work")));
    }
    assert!(metrics.0.batches().iter().all(|batch| batch.spans().is_none()));
}

/// Calls whose traces are numbered.
fn numbered(numbers: std::ops::RangeInclusive<u128>) {
    for number in numbers {
        let parent = SpanContext {
            trace_id: number.to_be_bytes(),
            span_id: [1; 8],
            flags: 1,
            ..SpanContext::default()
        };
        with_remote_parent(Some(parent), work);
    }
}

#[test]
fn where_there_is_no_room_exactly_the_oldest_go_or_the_newest() {
    let _alone = alone();
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let exporter = SpansOnly::new();
        exporter.is_down.store(true, Relaxed);
        let buffer = BufferConfig::default().with_max_memory(1_000_000).with_overflow(overflow);
        let profiler = Profiler::builder()
            .interval(60 * LONG)
            .sampler(Sampler::parent_based(Sampler::AlwaysOff))
            .exporter_with(exporter.clone(), LegOptions::default().with_buffer(buffer))
            .start()
            .unwrap();
        let mut last = 0;
        while ledger(&profiler, "spans").dropped.total() < 1_000 {
            numbered(last + 1..=last + 500);
            last += 500;
            let _ = profiler.flush(LONG);
            let stats = profiler.leg("spans").unwrap().buffer_stats();
            assert!(stats.memory <= 1_000_000, "{stats:?}");
        }
        exporter.is_down.store(false, Relaxed);
        profiler.flush(LONG).unwrap();
        let ledger = profiler.shutdown(LONG).legs.pop().unwrap().ledger;
        assert!(
            ledger.is_balanced() && ledger.exported + ledger.dropped.total() == last as u64,
            "{ledger:?}"
        );
        let mut numbers: Vec<_> =
            spans(&exporter.memory).iter().map(|span| u128::from_be_bytes(span.context.trace_id)).collect();
        numbers.sort_unstable();
        let kept = u128::from(ledger.exported);
        let first = if overflow == Overflow::DropOldest { last - kept + 1 } else { 1 };
        // All without a gap; but the newest that came after there was room again.
        match overflow {
            Overflow::DropOldest => assert_eq!(numbers, (first..=last).collect::<Vec<_>>()),
            _ => assert!(numbers.starts_with(&(1..=kept - 500).collect::<Vec<_>>()), "{numbers:?}"),
        }
    }
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
