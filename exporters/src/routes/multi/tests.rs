use super::*;
use crate::{
    Deadline, DropReason, Dropped, Mapping, MemoryExporter, MetricMapping, RetryConfig, RetryLayer, Settings,
    layers::script::{Answer, Script, batch, paused, spans},
    model::sample::changes,
    settings::{Node, Origin, Scope},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::time::Instant;

fn config(strategy: ExportStrategy, min_success_count: usize) -> MultiConfig {
    MultiConfig { strategy, min_success_count, ..MultiConfig::default() }
}

/// Backends that answer so, each by its own script.
fn scripts<const N: usize>(answers: [&[Answer]; N]) -> [Script; N] {
    answers.map(|answers| Script::new(answers.iter().copied()))
}

fn multi(config: MultiConfig, scripts: &[Script]) -> MultiExporter {
    MultiExporter::new(config, scripts.iter().map(Script::exporter)).unwrap()
}

fn all(min_success_count: usize, scripts: &[Script]) -> MultiExporter {
    multi(config(ExportStrategy::Parallel, min_success_count), scripts)
}

fn attempts(scripts: &[Script]) -> Vec<usize> {
    scripts.iter().map(|script| script.attempts().len()).collect()
}

fn dropped(reason: DropReason, items: u64) -> Dropped {
    let mut dropped = Dropped::default();
    dropped.add(reason, items);
    dropped
}

const DOWN: Answer = Answer::Fail(ErrorKind::Unavailable);
const REFUSED: Answer = Answer::Fail(ErrorKind::Rejected);
const TOO_LARGE: Answer = Answer::Fail(ErrorKind::PayloadTooLarge);

#[test]
fn settings_have_every_spelling_and_are_checked() {
    let read = |variables: &[(&str, &str)]| {
        let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let scope = Scope::new(environment, "P");
        Settings { node: Node::empty(Origin::Code), path: String::new(), scope }.read::<MultiConfig>()
    };
    assert_eq!(read(&[]).unwrap(), MultiConfig::default());
    let rest = [
        ("P_STRATEGY", "sequential"),
        ("P_FAILURE_POLICY", "stop"),
        ("P_MIN_SUCCESS_COUNT", "2"),
        ("P_MAX_CONCURRENT_EXPORTS", "5"),
    ];
    for timeout in [("P_EXPORT_TIMEOUT", "7s"), ("P_EXPORT_TIMEOUT_SECONDS", "7")] {
        let expected = MultiConfig {
            strategy: ExportStrategy::Sequential,
            failure_policy: FailurePolicy::Stop,
            min_success_count: 2,
            max_concurrent_exports: 5,
            export_timeout: Duration::from_secs(7),
        };
        assert_eq!(read(&[&rest[..], &[timeout]].concat()).unwrap(), expected);
        expected.check(2).unwrap();
    }
    let failover = config(ExportStrategy::Failover, 1);
    for (config, exporters, part) in [
        (MultiConfig::default(), 0, "exporters"),
        (config(ExportStrategy::Parallel, 3), 2, "from 1 to the number of exporters, here 2"),
        (config(ExportStrategy::Parallel, 0), 2, "min_success_count"),
        (MultiConfig { max_concurrent_exports: 0, ..MultiConfig::default() }, 1, "max_concurrent_exports"),
        (MultiConfig { export_timeout: Duration::ZERO, ..MultiConfig::default() }, 1, "export_timeout"),
        (config(ExportStrategy::Failover, 2), 2, "failover"),
        (MultiConfig { failure_policy: FailurePolicy::Stop, ..failover }, 2, "failure_policy"),
    ] {
        let exporters = (0..exporters).map(|_| Script::default().exporter());
        let error = MultiExporter::new(config, exporters).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn so_many_at_the_same_time() {
    for (strategy, seconds) in
        [(ExportStrategy::Parallel, [0, 0, 0, 10, 10]), (ExportStrategy::Sequential, [0, 10, 20, 30, 40])]
    {
        paused(async move {
            let scripts = scripts([&[Answer::Slow(Duration::from_secs(10))]; 5]);
            let (exporter, began) = (multi(config(strategy, 5), &scripts), Instant::now());
            let receipt = exporter.export(batch(4)).await.unwrap();
            let asked =
                scripts.each_ref().map(|script| script.attempts()[0].0.duration_since(began).as_secs());
            assert_eq!((asked, receipt.accepted, receipt.parts.len()), (seconds, 4, 5));
        });
    }
}

#[test]
fn what_one_does_costs_the_others_nothing() {
    paused(async {
        let timeout = Duration::from_secs(9);
        for (answer, reason, message, seconds) in [
            (Answer::Panic, DropReason::Panicked, "panicked", 0),
            (Answer::Never, DropReason::Missed, "took too long", 9),
            (REFUSED, DropReason::Refused, "test", 0),
            (DOWN, DropReason::Missed, "test", 0),
        ] {
            let scripts = scripts([&[answer, answer], &[]]);
            let export_timeout = timeout;
            let lenient = MultiExporter::new(
                MultiConfig { export_timeout, ..MultiConfig::default() },
                [scripts[0].exporter().with_name("odd"), scripts[1].exporter()],
            )
            .unwrap();
            let began = Instant::now();
            let receipt = lenient.export(batch(5)).await.unwrap();
            assert_eq!(
                (receipt.accepted, receipt.dropped.total(), began.elapsed().as_secs()),
                (5, 0, seconds)
            );
            let names: Vec<_> = receipt.parts.iter().map(|(info, _)| &*info.name).collect();
            assert_eq!(names, ["odd", "script"]);
            assert_eq!(receipt.parts[0].1.dropped, dropped(reason, 5), "{answer:?}");
            assert_eq!(receipt.parts[1].1.accepted, 5);

            let strict = MultiConfig { export_timeout, ..config(ExportStrategy::Parallel, 2) };
            let error = multi(strict, &scripts).export(batch(5)).await.unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("exporter: script"), "{error}");
        }
    });
}

#[test]
fn nobody_is_sent_a_batch_twice() {
    paused(async {
        let scripts = scripts([&[], &[DOWN, Answer::Never, DOWN], &[Answer::Panic, DOWN]]);
        let exporter = all(3, &scripts);
        let batch = batch(6);
        for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Unavailable] {
            let error = exporter.export(batch.clone()).await.unwrap_err();
            // It panicked, and three are needed.
            let expected = if attempts(&scripts)[1] == 1 { ErrorKind::Unexpected } else { kind };
            assert_eq!(error.kind(), expected, "{error}");
        }
        let receipt = exporter.export(batch.clone()).await.unwrap();
        assert_eq!(attempts(&scripts), [1, 4, 3]);
        assert!(scripts.iter().all(|script| script.taken() == [batch.id().clone()]));
        let accepted: Vec<usize> = receipt.parts.iter().map(|(_, part)| part.accepted).collect();
        assert_eq!((receipt.accepted, &*accepted), (6, &[6, 6, 6][..]));
    });
}

#[test]
fn a_retry_around_it_asks_only_those_that_are_missing() {
    paused(async {
        let scripts = scripts([&[], &[DOWN, Answer::Busy(Duration::from_secs(20)), DOWN]]);
        let retry = RetryConfig { jitter: false, ..RetryConfig::default() };
        let exporter = AnyExporter::new(all(2, &scripts)).layer(RetryLayer::new(retry).unwrap());
        let began = Instant::now();
        assert_eq!(exporter.export(batch(3)).await.unwrap().accepted, 3);
        assert_eq!((attempts(&scripts), began.elapsed().as_secs()), (vec![1, 4], 1 + 20 + 4));
    });
}

#[test]
fn parts_of_what_was_too_large_go_to_those_that_lack_them() {
    for min_success_count in [1, 2] {
        paused(async move {
            let scripts = scripts([&[], &[TOO_LARGE, Answer::Take, TOO_LARGE]]);
            let exporter = all(min_success_count, &scripts);
            let whole = batch(8);
            let error = exporter.export(whole.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "though one of them took it");
            let (first, second) = whole.split(4).unwrap();
            assert_eq!(exporter.export(first).await.unwrap().accepted, 4);
            assert_eq!(exporter.export(second.clone()).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
            let (third, fourth) = second.split(2).unwrap();
            for part in [third, fourth] {
                let receipt = exporter.export(part).await.unwrap();
                let accepted: Vec<usize> = receipt.parts.iter().map(|(_, part)| part.accepted).collect();
                assert_eq!((receipt.accepted, &*accepted), (2, &[2, 2][..]));
            }
            assert_eq!(attempts(&scripts), [1, 5]);
            let parts: Vec<u64> = scripts[1].taken().iter().map(|id| id.part).collect();
            assert_eq!(parts, [1, 5, 6]);
        });
    }
}

#[test]
fn one_item_that_is_too_large_is_lost_there() {
    paused(async {
        let scripts = scripts([&[], &[TOO_LARGE; 9]]);
        let receipt = all(1, &scripts).export(batch(1)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.parts[1].1.dropped), (1, dropped(DropReason::TooLarge, 1)));
        assert_eq!(all(2, &scripts).export(batch(1)).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    });
}

#[test]
fn how_much_fits_is_told() {
    #[derive(Debug)]
    struct Fits(usize);
    impl Exporter for Fits {
        fn info(&self) -> Info {
            Info::new("fits")
        }
        fn capability(&self) -> Capability {
            Capability::METRICS.with_max_items(self.0 + 1).with_max_bytes(7)
        }
        async fn export(&self, _: Batch) -> Result<Receipt> {
            Err(Error::new(ErrorKind::PayloadTooLarge, "so many").with_fitting(self.0))
        }
        async fn health(&self) -> Health {
            Health::Healthy
        }
        async fn flush(&self) -> Result<()> {
            Err(Error::new(ErrorKind::Unavailable, "not flushed"))
        }
        async fn shutdown(&self) -> Result<()> {
            panic!("not shut down")
        }
    }
    paused(async {
        let memory = MemoryExporter::new();
        let exporters = [AnyExporter::new(Fits(3)), AnyExporter::new(memory.clone())];
        let exporter = MultiExporter::new(MultiConfig::default(), exporters).unwrap();
        assert_eq!(exporter.export(batch(8)).await.unwrap_err().fitting(), Some(3));
        assert_eq!(exporter.capability(), Capability::ALL.with_max_items(4).with_max_bytes(7));
        assert!(exporter.flush().await.unwrap_err().to_string().contains("not flushed, exporter: fits"));
        assert!(exporter.shutdown().await.unwrap_err().to_string().contains("panicked"));
        assert!(!memory.health().await.is_healthy(), "it was shut down all the same");
        assert!(matches!(exporter.health().await, Health::Degraded(_)));
        let down = MultiExporter::new(MultiConfig::default(), [AnyExporter::new(memory)]).unwrap();
        assert!(matches!(down.health().await, Health::Unhealthy(_)));
    });
}

#[test]
fn the_error_says_what_can_be_done() {
    use ErrorKind::{CircuitOpen, Rejected, Unavailable};
    paused(async {
        for (needed, answers, expected, attempts_later) in [
            (2, [Answer::Take, REFUSED, DOWN], Unavailable, [1, 1, 2]),
            (3, [Answer::Take, DOWN, REFUSED], Rejected, [1, 2, 2]),
            (2, [REFUSED, REFUSED, DOWN], Rejected, [2, 2, 2]),
            (3, [Answer::Take, Answer::Fail(CircuitOpen), DOWN], Unavailable, [1, 2, 2]),
            (3, [Answer::Take, Answer::Take, Answer::Fail(CircuitOpen)], CircuitOpen, [1, 1, 2]),
        ] {
            let scripts = answers.map(|answer| Script::new([answer, answer]));
            let exporter = all(needed, &scripts);
            let batch = batch(2);
            for _ in 0..2 {
                let error = exporter.export(batch.clone()).await.unwrap_err();
                assert_eq!(error.kind(), expected, "{answers:?}: {error}");
            }
            assert_eq!(attempts(&scripts), attempts_later, "{answers:?}");
        }
        let busy = [30, 90].map(|seconds| Script::new([Answer::Busy(Duration::from_secs(seconds))]));
        let error = all(1, &busy).export(batch(1)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::RateLimited, Some(Duration::from_secs(90)))
        );
    });
}

#[test]
fn who_asks_to_be_left_alone_is_while_others_go_on() {
    paused(async {
        let scripts = scripts([&[], &[Answer::Busy(Duration::from_secs(60))]]);
        let exporter = all(1, &scripts);
        for _ in 0..6 {
            assert_eq!(exporter.export(batch(1)).await.unwrap().accepted, 1);
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        assert_eq!(attempts(&scripts), [6, 3], "at 0, 60 and 75 s");
    });
}

#[test]
fn failover_goes_on_until_one_takes_it_and_begins_anew() {
    paused(async {
        let scripts = scripts([&[DOWN, Answer::Take, TOO_LARGE, REFUSED], &[], &[]]);
        let exporter = multi(config(ExportStrategy::Failover, 1), &scripts);
        let receipt = exporter.export(batch(2)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.by_fallback, receipt.parts.len()), (2, 2, 2));
        let receipt = exporter.export(batch(2)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.by_fallback, receipt.parts.len()), (2, 0, 1));
        let error = exporter.export(batch(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "the first may take its parts");
        assert_eq!(exporter.export(batch(2)).await.unwrap().by_fallback, 2);
        assert_eq!(attempts(&scripts), [4, 2, 0]);

        let scripts = [DOWN, REFUSED].map(|answer| Script::new([answer]));
        let exporter = multi(config(ExportStrategy::Failover, 1), &scripts);
        let batch = batch(2);
        assert_eq!(exporter.export(batch.clone()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(exporter.export(batch).await.unwrap().by_fallback, 0);
        assert_eq!(attempts(&scripts), [2, 1]);
    });
}

#[test]
fn stop_stops() {
    paused(async {
        let stop = |strategy| MultiConfig { failure_policy: FailurePolicy::Stop, ..config(strategy, 1) };
        for (answers, result, asked) in [
            ([Answer::Take, DOWN, Answer::Take, Answer::Take], Ok(1), [1, 1, 0, 0]),
            ([DOWN, Answer::Take, Answer::Take, Answer::Take], Err(ErrorKind::Unavailable), [1, 0, 0, 0]),
            ([REFUSED, Answer::Take, Answer::Take, Answer::Take], Err(ErrorKind::Rejected), [1, 0, 0, 0]),
        ] {
            let scripts = answers.map(|answer| Script::new([answer]));
            let exporter = multi(stop(ExportStrategy::Sequential), &scripts);
            let answer = exporter.export(batch(1)).await;
            assert_eq!(answer.map(|receipt| receipt.accepted).map_err(|error| error.kind()), result);
            assert_eq!(attempts(&scripts), asked);
        }
        let slow = Answer::Slow(Duration::from_secs(1));
        let scripts = [DOWN, slow, slow, slow].map(|answer| Script::new([answer]));
        let receipt = multi(stop(ExportStrategy::Parallel), &scripts).export(batch(1)).await.unwrap();
        assert_eq!((receipt.parts.len(), attempts(&scripts)), (3, vec![1, 1, 1, 0]), "what began ends");
    });
}

#[test]
fn it_ends_at_the_deadline_but_for_who_keeps_what_cannot_be_sent() {
    #[derive(Debug)]
    struct Keeps(Script);
    impl Exporter for Keeps {
        fn info(&self) -> Info {
            Info::new("keeps")
        }
        fn capability(&self) -> Capability {
            Capability { dead_letters: true, ..Capability::ALL }
        }
        async fn export(&self, batch: Batch) -> Result<Receipt> {
            batch.deadline().passed().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Receipt::dead_lettered(batch.len()))
        }
        async fn health(&self) -> Health {
            self.0.health().await
        }
        async fn flush(&self) -> Result<()> {
            self.0.flush().await
        }
        async fn shutdown(&self) -> Result<()> {
            self.0.shutdown().await
        }
    }
    paused(async {
        let never = Script::new([Answer::Never]);
        let exporters = [never.exporter(), AnyExporter::new(Keeps(Script::default()))];
        let exporter = MultiExporter::new(MultiConfig::default(), exporters).unwrap();
        assert!(exporter.capability().dead_letters);
        let (deadline, began) = (Deadline::open(), Instant::now());
        deadline.set(began + Duration::from_secs(2));
        let receipt = exporter.export(batch(5).with_deadline(deadline)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.dead_lettered), (0, 5));
        assert_eq!(receipt.parts[0].1.dropped, dropped(DropReason::Missed, 5));
        assert_eq!(began.elapsed(), Duration::from_millis(2100));
    });
}

/// Takes what its capability says, and refuses some of it.
#[derive(Debug)]
struct Picky {
    capability: Capability,
    refuses: usize,
    items: Arc<AtomicUsize>,
}

impl Exporter for Picky {
    fn info(&self) -> Info {
        Info::new("picky")
    }
    fn capability(&self) -> Capability {
        self.capability
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        self.items.fetch_add(batch.len(), Relaxed);
        let receipt = Receipt::accepted(batch.len() - self.refuses).with_rejected(self.refuses);
        Ok(receipt.with_transfer(10, Duration::from_secs(self.refuses as u64)))
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

fn picky(capability: Capability, refuses: usize) -> (AnyExporter, Arc<AtomicUsize>) {
    let items = Arc::<AtomicUsize>::default();
    (AnyExporter::new(Picky { capability, refuses, items: items.clone() }), items)
}

#[test]
fn each_is_sent_what_it_carries() {
    paused(async {
        let (metrics, metrics_items) = picky(Capability::METRICS, 0);
        let (both, both_items) = picky(Capability::ALL, 0);
        let exporter =
            MultiExporter::new(config(ExportStrategy::Parallel, 2), [metrics.clone(), both]).unwrap();
        assert_eq!(exporter.export(spans(3)).await.unwrap().accepted, 3, "all that carry spans took them");
        assert_eq!(exporter.export(batch(4)).await.unwrap().accepted, 4);
        assert_eq!((metrics_items.load(Relaxed), both_items.load(Relaxed)), (4, 7));
        let exporter = MultiExporter::new(MultiConfig::default(), [metrics]).unwrap();
        assert!(!exporter.capability().spans);
        assert_eq!(exporter.export(spans(3)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn every_item_is_accounted_for_once() {
    paused(async {
        for (needed, accepted) in [(1, 10), (2, 9), (3, 7)] {
            let exporters = [3, 0, 1].map(|refuses| picky(Capability::ALL, refuses).0);
            let exporter = MultiExporter::new(config(ExportStrategy::Parallel, needed), exporters).unwrap();
            let receipt = exporter.export(batch(10)).await.unwrap();
            assert_eq!((receipt.accepted, receipt.rejected), (accepted, 10 - accepted));
            assert_eq!((receipt.bytes, receipt.response_time), (30, Duration::from_secs(3)));
        }
    });
}

#[test]
fn each_is_sent_the_metrics_that_it_asks_for() {
    let metric = |name: &'static str| MetricMapping::new(name, "interval_seconds").unwrap();
    let named = |name| -> &'static Mapping { Box::leak(Box::new(Mapping::default().metric(metric(name)))) };
    let (one, other) = (named("one"), named("other"));
    paused(async move {
        let asks = |mapping: Option<&'static Mapping>| Capability { mapping, ..Capability::METRICS };
        let memory = MemoryExporter::new();
        let (first, first_items) = picky(asks(Some(one)), 0);
        let exporters = [first.clone(), AnyExporter::new(memory.clone())];
        let exporter = MultiExporter::new(config(ExportStrategy::Parallel, 2), exporters).unwrap();
        assert_eq!(exporter.capability().mapping, None, "they differ");
        let receipt = exporter.export(batch(10)).await.unwrap();
        assert_eq!((receipt.accepted, first_items.load(Relaxed)), (10, 1));
        assert_eq!(receipt.parts[0].1.accepted, 10, "in items of the batch");
        assert_eq!(changes(&memory.take()[0]).len(), 10);

        let (second, second_items) = picky(asks(Some(other)), 1);
        let exporters = [first.clone(), second];
        let exporter = MultiExporter::new(config(ExportStrategy::Parallel, 2), exporters).unwrap();
        let receipt = exporter.export(batch(10)).await.unwrap();
        assert_eq!((receipt.rejected, second_items.load(Relaxed)), (10, 1), "what it was made of");

        let same = [first, picky(asks(Some(one)), 0).0];
        let exporter = MultiExporter::new(MultiConfig::default(), same).unwrap();
        assert_eq!(exporter.capability().mapping, Some(one), "the leg does it");
    });
}

#[test]
fn what_was_taken_is_known_also_where_the_attempt_is_abandoned() {
    paused(async {
        for strategy in [ExportStrategy::Parallel, ExportStrategy::Sequential] {
            let scripts = scripts([&[], &[DOWN, Answer::Never], &[]]);
            let exporter = AnyExporter::new(multi(config(strategy, 3), &scripts));
            let batch = batch(3);
            exporter.export(batch.clone()).await.unwrap_err();
            let abandoned = tokio::time::timeout(Duration::from_secs(1), exporter.export(batch.clone()));
            abandoned.await.unwrap_err();
            assert_eq!(exporter.export(batch).await.unwrap().accepted, 3);
            assert_eq!(attempts(&scripts), [1, 3, 1], "{strategy:?}");

            let scripts = self::scripts([&[], &[Answer::Never]]);
            let exporter = AnyExporter::new(multi(config(strategy, 2), &scripts));
            let batch = self::batch(3);
            let abandoned = tokio::time::timeout(Duration::from_secs(1), exporter.export(batch.clone()));
            abandoned.await.unwrap_err();
            assert_eq!(exporter.export(batch).await.unwrap().accepted, 3);
            assert_eq!(attempts(&scripts), [1, 2], "{strategy:?}");
        }
    });
}
