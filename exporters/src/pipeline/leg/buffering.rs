//! What a leg's buffer does for it: when what waits is sent, how much may, and what becomes of it at the end.

use super::{
    tests::{Answer, Backend, flush, items, sums, with_leg},
    *,
};
use crate::{AdaptiveConfig, model::sample::snapshot};

const SECOND: Duration = Duration::from_secs(1);

fn with(buffer: BufferConfig) -> LegOptions {
    LegOptions::default().with_buffer(buffer)
}

/// Many items, which are large enough to be worth a look at their bytes.
fn many() -> Arc<ProfileMetrics> {
    Arc::new(snapshot(items(500)))
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn what_waits_is_sent_when_it_holds_so_much_memory() {
    let each = Signal::Metrics(many()).memory() as u64;
    let buffer = BufferConfig::default().with_size(usize::MAX).with_flush_interval(3600 * SECOND);
    with_leg(&Backend::default(), with(buffer.with_max_memory(3 * each)), async |leg| {
        for _ in 0..3 {
            leg.offer(&many());
            tokio::time::sleep(SECOND).await;
        }
        let stats = leg.buffer_stats();
        assert_eq!((stats.items, stats.memory, stats.flushes, stats.groups), (1500, 3 * each, 0, 3));
        assert_eq!(stats.usage, 1.0);
        leg.offer(&many());
        until(|| leg.buffer_stats().flushes > 0).await;
        assert_eq!((leg.ledger().exported, leg.buffer_stats().memory), (2000, 0));
    });
}

#[test]
fn what_waits_for_a_backend_that_is_down_holds_no_more_memory_than_it_may() {
    let each = Signal::Metrics(many()).memory() as u64;
    let backend = Backend::new([Answer::Fail(ErrorKind::Unavailable)]);
    let buffer = BufferConfig::default().with_size(usize::MAX).with_max_memory(3 * each);
    with_leg(&backend, with(buffer), async |leg| {
        flush(leg, &items(500)).await.unwrap_err();
        backend.log().answers = vec![(Answer::Fail(ErrorKind::Unavailable), 0); 100].into();
        for _ in 0..20 {
            leg.offer(&many());
            tokio::task::yield_now().await;
            assert!(leg.buffer_stats().memory <= 3 * each);
        }
        backend.log().answers.clear();
        flush(leg, &[]).await.unwrap();
        assert!(leg.ledger().is_balanced() && leg.ledger().merged > 0);
    });
    assert_eq!(sums(&backend.log().taken), (0..500).map(|at| (at, 21)).collect());
}

#[test]
fn the_interval_follows_the_load() {
    let adaptive = AdaptiveConfig::new(2 * SECOND, 60 * SECOND);
    let buffer = BufferConfig::default().with_flush_interval(8 * SECOND).with_adaptive(adaptive);
    with_leg(&Backend::default(), with(buffer.with_size(100)), async |leg| {
        let run = async |items_a_second: usize, seconds: usize| {
            for _ in 0..seconds {
                leg.offer(&Arc::new(snapshot(items(items_a_second))));
                tokio::time::sleep(SECOND).await;
            }
            leg.buffer_stats().flush_interval.unwrap()
        };
        assert_eq!(run(1, 1).await, 8 * SECOND);
        // So often that it is about half full.
        let slow = run(1, 400).await;
        assert!((45 * SECOND..=55 * SECOND).contains(&slow), "{slow:?}");
        let fast = run(10, 400).await;
        assert!((4 * SECOND..=6 * SECOND).contains(&fast), "{fast:?}");
        assert_eq!(run(90, 100).await, 2 * SECOND);
        // A snapshot without items counts as one.
        let idle = run(0, 600).await;
        assert!((45 * SECOND..=55 * SECOND).contains(&idle), "{idle:?}");
    });
}

#[test]
fn a_backend_that_is_down_is_not_asked_more_often() {
    let backend = Backend::new([Answer::Fail(ErrorKind::Unavailable); 1000]);
    let buffer = BufferConfig::default().with_flush_interval(10 * SECOND);
    let buffer = buffer.with_adaptive(AdaptiveConfig::new(SECOND, 60 * SECOND)).with_size(10);
    with_leg(&backend, with(buffer), async |leg| {
        for _ in 0..100 {
            leg.offer(&Arc::new(snapshot(items(6))));
            tokio::time::sleep(SECOND).await;
        }
        // The load was seen once, before it was known to be down.
        assert_eq!(leg.buffer_stats().flush_interval, Some(5 * SECOND));
        assert_eq!(backend.log().tried.len(), 20);
    });
}

#[test]
fn spans_do_not_wait_for_metrics_that_came_later() {
    use crate::layers::script::{Answer, Script, paused};
    paused(async {
        let script = Script::new([Answer::Slow(SECOND)]);
        let leg = Arc::new(Leg::new(script.exporter(), "leg", LegOptions::default(), 1));
        tokio::spawn(leg.clone().run());
        let spans = Arc::new([crate::model::sample::span(1)].into_iter().collect());
        leg.offer(&many());
        leg.offer_spans(&spans, 1_000);
        leg.miss_spans(3);
        until(|| !script.attempts().is_empty()).await;
        leg.offer(&many());
        tokio::time::sleep(2 * SECOND).await;
        let kinds: Vec<_> = script.batches().iter().map(|batch| batch.spans().is_some()).collect();
        assert_eq!(kinds, [false, true, false]);
        let ledger = leg.ledger();
        assert_eq!((ledger.accepted, ledger.exported, ledger.dropped.total()), (1004, 1001, 3));
    });
}

#[test]
fn settings_hold_from_the_next_moment_on() {
    let buffer = BufferConfig::default().with_flush_interval(3600 * SECOND);
    with_leg(&Backend::default(), with(buffer), async |leg| {
        leg.offer(&Arc::new(snapshot(items(6))));
        tokio::time::sleep(SECOND).await;
        assert_eq!(leg.ledger().exported, 0);
        let patch = LegPatch::default().with_buffer(leg.buffer().with_flush_interval(5 * SECOND));
        leg.update(&patch).unwrap();
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(leg.ledger().exported, 6);
        assert_eq!(leg.buffer_stats().flush_interval, Some(5 * SECOND));
    });
}

/// Runs it to its end, at which nothing is to be sent; gives what the books say then.
fn not_flushed(exporter: AnyExporter) -> (Ledger, Result<(), Error>) {
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    let tokio = tokio.enable_time().start_paused(true).build().unwrap();
    let buffer = BufferConfig::default().with_flush_interval(3600 * SECOND).with_flush_on_shutdown(false);
    tokio.block_on(async {
        let leg = Arc::new(Leg::new(exporter, "leg", with(buffer), 1));
        let task = tokio::spawn(leg.clone().run());
        leg.offer(&Arc::new(snapshot(items(6))));
        tokio::task::yield_now().await;
        let now = std::time::Instant::now();
        let done = leg.stop(&Arc::new(snapshot(items(2))), now + 5 * SECOND);
        task.await.unwrap();
        (leg.ledger(), done.wait(now))
    })
}

#[test]
fn what_is_not_to_be_sent_at_the_end_is_given_up_and_counted() {
    let backend = Backend::default();
    let (ledger, told) = not_flushed(AnyExporter::new(backend.clone()));
    told.unwrap();
    assert!(backend.log().tried.is_empty() && ledger.is_balanced());
    // Both snapshots as one.
    assert_eq!((ledger.merged, ledger.dropped.of(DropReason::Shutdown), ledger.buffered), (2, 6, 0));
}

#[cfg(feature = "file")]
#[test]
fn or_it_is_put_aside() {
    use crate::{DeadLetterConfig, DeadLetterLayer, journal::tests::Temp};
    let (backend, temp) = (Backend::default(), Temp::new());
    let letters = DeadLetterLayer::new(DeadLetterConfig::file(&temp.0)).unwrap();
    let (ledger, _) = not_flushed(AnyExporter::new(backend.clone()).layer(letters));
    assert!(backend.log().tried.is_empty() && ledger.is_balanced());
    assert_eq!((ledger.merged, ledger.dead_lettered, ledger.buffered), (2, 6, 0));
}

#[cfg(all(feature = "file", feature = "zstd"))]
#[test]
fn what_waits_compressed_is_sent_as_it_was() {
    let backend = Backend::new([Answer::Fail(ErrorKind::Unavailable)]);
    let buffer = BufferConfig::default().with_size(2000).with_compression(100);
    with_leg(&backend, with(buffer), async |leg| {
        flush(leg, &items(500)).await.unwrap_err();
        backend.log().answers = vec![(Answer::Fail(ErrorKind::Unavailable), 0); 100].into();
        for _ in 0..20 {
            leg.offer(&many());
            tokio::task::yield_now().await;
        }
        let stats = leg.buffer_stats();
        let bare = Signal::Metrics(many()).memory() as u64;
        assert!(stats.memory < bare && stats.compression_ratio.unwrap() > 2.0, "{stats:?}");
        backend.log().answers.clear();
        flush(leg, &[]).await.unwrap();
        assert!(leg.ledger().is_balanced() && leg.ledger().merged > 0);
    });
    assert_eq!(sums(&backend.log().taken), (0..500).map(|at| (at, 21)).collect());
}
