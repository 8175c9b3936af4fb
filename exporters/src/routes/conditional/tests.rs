use super::*;
use crate::{
    Mapping, MemoryExporter, MetricMapping,
    layers::script::{Answer, Script, batch, paused, spans},
};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const DOWN: Answer = Answer::Fail(ErrorKind::Unavailable);
const REFUSED: Answer = Answer::Fail(ErrorKind::Rejected);
const TOO_LARGE: Answer = Answer::Fail(ErrorKind::PayloadTooLarge);

fn number(span: &Span) -> u64 {
    u64::from_be_bytes(span.context.span_id)
}

fn counts(receipt: &Receipt) -> (usize, Vec<(DropReason, u64)>) {
    (receipt.accepted, receipt.dropped.iter().collect())
}

fn numbers(batches: &[Batch]) -> Vec<Vec<u64>> {
    batches.iter().map(|batch| batch.spans().unwrap().iter().map(number).collect()).collect()
}

/// Routes over metrics, each with whether its condition holds.
fn routes(config: ConditionalConfig, routes: &[(bool, &Script)]) -> ConditionalExporter {
    let builder = ConditionalExporter::builder().config(config);
    let add = |builder: ConditionalBuilder, (holds, script): &(bool, &Script)| {
        let holds = *holds;
        builder.route("a route", move |_: &ProfileMetrics| holds, script.exporter())
    };
    routes.iter().fold(builder, add).build().unwrap()
}

#[test]
fn a_snapshot_goes_where_conditions_hold() {
    paused(async {
        let first = ConditionalConfig { matching: RouteMatch::First, ..ConditionalConfig::default() };
        for (config, holds, asked) in [
            (ConditionalConfig::default(), [true, false, true], [1, 0, 1]),
            (first.clone(), [false, true, true], [0, 1, 0]),
            (ConditionalConfig::default(), [false; 3], [0; 3]),
            (first, [false; 3], [0; 3]),
        ] {
            let scripts = [(); 3].map(|()| Script::default());
            let exporter = routes(config, &[0, 1, 2].map(|at| (holds[at], &scripts[at])));
            let receipt = exporter.export(batch(7)).await.unwrap();
            assert_eq!(scripts.each_ref().map(|script| script.taken().len()), asked);
            let applied = holds.contains(&true);
            let expected = if applied { (7, vec![]) } else { (0, vec![(DropReason::Condition, 7)]) };
            assert_eq!(counts(&receipt), expected);
            assert_eq!(receipt.parts.len(), asked.iter().sum::<usize>());
        }
    });
}

#[test]
fn a_condition_judges_the_whole_snapshot_once_and_before_any_mapping() {
    paused(async {
        let mapping: &'static Mapping = Box::leak(Box::new(
            Mapping::default().metric(MetricMapping::new("seconds", "interval_seconds").unwrap()),
        ));
        #[derive(Debug)]
        struct Asks(MemoryExporter, &'static Mapping);
        impl Exporter for Asks {
            fn info(&self) -> Info {
                self.0.info()
            }
            fn capability(&self) -> Capability {
                Capability { mapping: Some(self.1), ..Capability::METRICS }
            }
            fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send {
                self.0.export(batch)
            }
            fn health(&self) -> impl Future<Output = Health> + Send {
                self.0.health()
            }
            fn flush(&self) -> impl Future<Output = Result<()>> + Send {
                self.0.flush()
            }
            fn shutdown(&self) -> impl Future<Output = Result<()>> + Send {
                self.0.shutdown()
            }
        }
        let (memory, judged) = (MemoryExporter::new(), Arc::<AtomicUsize>::default());
        let counter = judged.clone();
        let condition = move |metrics: &ProfileMetrics| {
            counter.fetch_add(1, Relaxed);
            metrics.len() == 10
        };
        let asks = AnyExporter::new(Asks(memory.clone(), mapping));
        let exporter = ConditionalExporter::builder().route("all", condition, asks).build().unwrap();
        assert_eq!(exporter.capability(), Capability::METRICS);
        let whole = batch(10);
        let (first, second) = whole.split(3).unwrap();
        assert_eq!(exporter.export(first).await.unwrap().accepted, 3);
        assert_eq!(exporter.export(second).await.unwrap().accepted, 7);
        assert_eq!(judged.load(Relaxed), 1);
        let sent = memory.take();
        assert_eq!(sent.iter().map(Batch::len).collect::<Vec<_>>(), [1], "the statistic goes once");
        assert_eq!(sent[0].metrics().unwrap().metrics[0].descriptor.name, "seconds");
        exporter.export(batch(9)).await.unwrap();
        assert_eq!((judged.load(Relaxed), memory.take().len()), (2, 0));
    });
}

#[test]
fn spans_go_one_by_one_and_the_rest_otherwise() {
    paused(async {
        let (even, large, rest) = (MemoryExporter::new(), MemoryExporter::new(), MemoryExporter::new());
        let build = |config| {
            ConditionalExporter::builder()
                .config(config)
                .route("metrics", |_| true, AnyExporter::new(MemoryExporter::new()))
                .route_spans("even", |span| number(span).is_multiple_of(2), AnyExporter::new(even.clone()))
                .route_spans("large", |span| number(span) > 7, AnyExporter::new(large.clone()))
        };
        let exporter =
            build(ConditionalConfig::default()).otherwise(AnyExporter::new(rest.clone())).build().unwrap();
        let batch = spans(10);
        assert_eq!(counts(&exporter.export(batch.clone()).await.unwrap()), (10, vec![]));
        assert_eq!(numbers(&even.batches()), [[2, 4, 6, 8, 10]]);
        assert_eq!(numbers(&large.take()), [[8, 9, 10]]);
        assert_eq!(numbers(&rest.take()), [[1, 3, 5, 7]]);
        assert_eq!(even.take()[0].id(), batch.id());

        let first = ConditionalConfig { matching: RouteMatch::First, ..ConditionalConfig::default() };
        let receipt = build(first).build().unwrap().export(spans(10)).await.unwrap();
        assert_eq!(counts(&receipt), (6, vec![(DropReason::Condition, 4)]));
        assert_eq!(
            (numbers(&even.take()), numbers(&large.take())),
            (vec![vec![2, 4, 6, 8, 10]], vec![vec![9]])
        );
        let part = spans(10).split(8).unwrap().1;
        let receipt = build(ConditionalConfig::default()).build().unwrap().export(part).await.unwrap();
        assert_eq!((counts(&receipt), numbers(&large.take())), ((2, vec![]), vec![vec![9, 10]]));
    });
}

#[test]
fn a_signal_without_a_route_is_not_carried() {
    paused(async {
        let metrics = routes(ConditionalConfig::default(), &[(true, &Script::default())]);
        assert_eq!(metrics.capability(), Capability::METRICS);
        assert_eq!(metrics.export(spans(1)).await.unwrap_err().kind(), ErrorKind::Unsupported);
        let memory = || AnyExporter::new(MemoryExporter::new());
        let both = ConditionalExporter::builder().route("never", |_| false, memory()).otherwise(memory());
        let both = both.build().unwrap();
        assert_eq!(both.capability(), Capability::ALL);
        assert_eq!(both.export(spans(3)).await.unwrap().accepted, 3);
        assert_eq!(both.export(batch(3)).await.unwrap().accepted, 3);
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    let none = ConditionalExporter::builder().otherwise(Script::default().exporter()).build();
    assert!(none.unwrap_err().to_string().contains("`routes` is empty"));
    for (config, setting) in [
        (
            ConditionalConfig { max_concurrent_exports: 0, ..ConditionalConfig::default() },
            "max_concurrent_exports",
        ),
        (
            ConditionalConfig { export_timeout: Duration::ZERO, ..ConditionalConfig::default() },
            "export_timeout",
        ),
    ] {
        let builder = ConditionalExporter::builder().config(config);
        let error = builder.route("a", |_| true, Script::default().exporter()).build().unwrap_err();
        assert!(error.message().contains(setting), "{error}");
    }
    let metrics = routes(ConditionalConfig::default(), &[(true, &Script::default())]);
    let spans =
        ConditionalExporter::builder().route_spans("traces", |_| true, AnyExporter::new(metrics)).build();
    let error = spans.unwrap_err().to_string();
    assert!(
        error.contains("over spans") && error.contains("traces") && error.contains("conditional"),
        "{error}"
    );
}

#[test]
fn a_condition_that_panics_costs_what_it_judged() {
    paused(async {
        fn wild(holds: bool) -> bool {
            assert!(holds, "a condition's own mistake");
            holds
        }
        let (memory, rest) = (MemoryExporter::new(), MemoryExporter::new());
        let script = Script::default();
        let build = || {
            ConditionalExporter::builder()
                .route("wild", |metrics| wild(metrics.len() == 1), AnyExporter::new(memory.clone()))
                .route("two", |metrics| metrics.len() == 2, script.exporter())
                .route_spans("wild", |span| wild(number(span) != 3), AnyExporter::new(memory.clone()))
        };
        let exporter = build().build().unwrap();
        for (items, expected) in
            [(3, (0, vec![(DropReason::Panicked, 3)])), (2, (2, vec![])), (1, (1, vec![]))]
        {
            assert_eq!(counts(&exporter.export(batch(items)).await.unwrap()), expected);
        }
        assert_eq!(counts(&exporter.export(spans(5)).await.unwrap()), (4, vec![(DropReason::Panicked, 1)]));
        let exporter = build().otherwise(AnyExporter::new(rest.clone())).build().unwrap();
        assert_eq!(counts(&exporter.export(spans(5)).await.unwrap()), (5, vec![]));
        assert_eq!(numbers(&rest.batches()), [[3]]);
    });
}

#[test]
fn all_that_are_to_get_it_get_it_once() {
    paused(async {
        let (one, other, panics) =
            (Script::default(), Script::new([DOWN, DOWN]), Script::new([Answer::Panic]));
        let exporter =
            routes(ConditionalConfig::default(), &[(true, &one), (false, &panics), (true, &other)]);
        let again = batch(4);
        for _ in 0..2 {
            assert_eq!(exporter.export(again.clone()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        assert_eq!(counts(&exporter.export(again).await.unwrap()), (4, vec![]));
        assert_eq!([&one, &other, &panics].map(|script| script.attempts().len()), [1, 3, 0]);

        let (one, other) = (Script::default(), Script::new([TOO_LARGE]));
        let exporter = routes(ConditionalConfig::default(), &[(true, &one), (true, &other)]);
        let whole = batch(4);
        assert_eq!(exporter.export(whole.clone()).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
        let (first, second) = whole.split(1).unwrap();
        assert_eq!(exporter.export(first).await.unwrap().accepted, 1);
        assert_eq!(exporter.export(second).await.unwrap().accepted, 3);
        assert_eq!([&one, &other].map(|script| script.attempts().len()), [1, 3]);
    });
}

#[test]
fn what_one_refuses_is_lost_for_its_reason() {
    paused(async {
        let build = |answers: [Answer; 2]| {
            let [low, high] = answers.map(|answer| Script::new([answer]).exporter());
            let builder = ConditionalExporter::builder().route_spans("low", |span| number(span) <= 3, low);
            builder.route_spans("high", |span| (3..=6).contains(&number(span)), high).build().unwrap()
        };
        let refused = vec![(DropReason::Condition, 2), (DropReason::Refused, 3)];
        assert_eq!(counts(&build([REFUSED, Answer::Take]).export(spans(8)).await.unwrap()), (3, refused));
        let panicked = vec![(DropReason::Condition, 2), (DropReason::Panicked, 4)];
        assert_eq!(
            counts(&build([Answer::Take, Answer::Panic]).export(spans(8)).await.unwrap()),
            (2, panicked)
        );
        let both = build([REFUSED, Answer::Panic]);
        let lost = vec![(DropReason::Condition, 2), (DropReason::Refused, 3), (DropReason::Panicked, 3)];
        assert_eq!(counts(&both.export(spans(8)).await.unwrap()), (0, lost));
        let error = build([REFUSED, REFUSED]).export(spans(6)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "nothing is left of it");

        let fits = build([Answer::Take, TOO_LARGE]);
        let whole = spans(8);
        assert_eq!(fits.export(whole.clone()).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
        let (first, second) = whole.split(4).unwrap();
        assert_eq!(counts(&fits.export(first).await.unwrap()), (4, vec![]));
        assert_eq!(counts(&fits.export(second).await.unwrap()), (2, vec![(DropReason::Condition, 2)]));
    });
}
