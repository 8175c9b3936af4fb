//! Spans for a backend that is down, more than there is room for: exactly the oldest are given up, or the newest.

use super::{LONG, full, tell, work};
use exporters::{BufferConfig, LegOptions, Overflow, Profiler, Sampler, SpanContext, with_remote_parent};
use std::sync::atomic::Ordering::Relaxed;
use tests::{
    calls::alone,
    spans::{SpansOnly, spans},
};

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
    let (least, mut given_up) = (if full() { 100_000 } else { 1_000 }, 0);
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let exporter = SpansOnly::default();
        exporter.is_down.store(true, Relaxed);
        let buffer = BufferConfig::default().with_max_memory(1_000_000).with_overflow(overflow);
        let profiler = Profiler::builder()
            .interval(60 * LONG)
            .sampler(Sampler::parent_based(Sampler::AlwaysOff))
            .exporter_with(exporter.clone(), LegOptions::default().with_buffer(buffer))
            .start()
            .unwrap();
        let mut last = 0;
        while profiler.leg("spans").unwrap().ledger().dropped.total() < least {
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
        given_up += ledger.dropped.total();
    }
    tell(
        "spans for a backend that is down, in 1 MB",
        "never more memory; exactly the oldest are given up, or the newest, as asked",
        format_args!("{given_up} given up, those and no others"),
    );
}
