//! A leg before a backend that answers as it likes: the books add up, and nothing is lost or sent twice.

use super::*;
use crate::{
    Batch, BatchId, Data, Health, Info, Mapping, Receipt, Result,
    model::sample::{changes, snapshot},
};
use proptest::{collection::vec, option, prelude::*};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    panic::resume_unwind,
};
use tokio::task::yield_now;

/// The most items it takes at once.
const MOST: usize = 12;

/// What the backend answers to one batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Take,
    /// All but so many, the last ones.
    Reject(usize),
    Fail(ErrorKind),
    /// It asks to be left alone for so many seconds.
    Busy(u64),
    TooLarge(Option<usize>),
    Panic,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Backend(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
pub(super) struct Log {
    /// For one batch each, and how often it is busy before; then all are taken at once.
    pub(super) answers: VecDeque<(Answer, u8)>,
    /// Every batch there was, with what it held, in order.
    pub(super) tried: Vec<(BatchId, Vec<(usize, u64)>)>,
    pub(super) taken: Vec<(usize, u64)>,
    /// Refused, in whatever way.
    lost: Vec<(usize, u64)>,
    /// How the books are to be.
    expected: Ledger,
}

impl Log {
    fn answer(&mut self, batch: &Batch, answer: Answer) -> Result<Receipt> {
        let items = changes(batch);
        let fail = |kind| {
            let error = Error::new(kind, "as the test has it").with_context("endpoint", "there");
            Err(error.with_source("the cause"))
        };
        let expected = &mut self.expected;
        self.tried.push((batch.id().clone(), items.clone()));
        let (reason, kind) = match answer {
            Answer::Take | Answer::Reject(_) => {
                let rejected = if let Answer::Reject(items) = answer { items } else { 0 };
                let (taken, lost) = items.split_at(items.len().saturating_sub(rejected));
                self.taken.extend_from_slice(taken);
                self.lost.extend_from_slice(lost);
                expected.exported += taken.len() as u64;
                expected.rejected += lost.len() as u64;
                return Ok(Receipt::accepted(batch.len()).with_rejected(rejected));
            }
            Answer::TooLarge(fitting) if items.len() > 1 => {
                let error = Error::new(ErrorKind::PayloadTooLarge, "as the test has it");
                return Err(match fitting {
                    Some(items) => error.with_fitting(items),
                    None => error,
                });
            }
            Answer::Fail(ErrorKind::Timeout) => {
                expected.attempts_unknown += 1;
                return fail(ErrorKind::Timeout);
            }
            Answer::Busy(seconds) => {
                let error = Error::new(ErrorKind::RateLimited, "as the test has it");
                return Err(error.with_retry_after(Duration::from_secs(seconds)));
            }
            Answer::Fail(
                kind @ (ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::CircuitOpen),
            ) => {
                return fail(kind);
            }
            Answer::Fail(kind) => (DropReason::Refused, kind),
            Answer::TooLarge(_) => (DropReason::TooLarge, ErrorKind::PayloadTooLarge),
            Answer::Panic => (DropReason::Panicked, ErrorKind::Unexpected),
        };
        expected.buffered += items.len() as u64;
        expected.give_up(items.len(), reason);
        self.lost.extend(items);
        if reason == DropReason::Panicked {
            resume_unwind(Box::new(()));
        }
        fail(kind)
    }
}

impl Backend {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let backend = Self::default();
        backend.log().answers = answers.into_iter().map(|answer| (answer, 0)).collect();
        backend
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self) -> Vec<(u64, u64, usize)> {
        let number = |(id, items): &(BatchId, Vec<_>)| (id.sequence, id.part, items.len());
        self.log().tried.iter().map(number).collect()
    }
}

impl Exporter for Backend {
    fn info(&self) -> Info {
        Info::new("backend")
    }
    fn capability(&self) -> Capability {
        Capability::METRICS.with_max_items(MOST)
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let (answer, busy) = self.log().answers.pop_front().unwrap_or((Answer::Take, 0));
        for _ in 0..busy {
            yield_now().await;
        }
        self.log().answer(&batch, answer)
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

/// Runs a leg while `drive` does something with it; time passes when all wait for it.
pub(super) fn with_leg<T>(backend: &Backend, options: LegOptions, drive: impl AsyncFnOnce(&Leg) -> T) -> T {
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    let tokio = tokio.enable_time().start_paused(true).build().unwrap();
    tokio.block_on(async {
        let leg = Arc::new(Leg::new(AnyExporter::new(backend.clone()), "leg", options, 1));
        tokio::spawn(leg.clone().run());
        yield_now().await;
        drive(&leg).await
    })
}

/// The backend is left alone for as long as it asks for, at most five minutes; what came meanwhile is in the sums.
#[test]
fn a_backend_that_asks_for_it_is_left_alone() {
    for (asked, left_alone) in [(7, 7), (299, 299), (3600 * 24 * 3650, 300), (u64::MAX, 300)] {
        let backend = Backend::new([Answer::Busy(asked)]);
        with_leg(&backend, LegOptions::default(), async |leg| {
            let second = Duration::from_secs(1);
            assert_eq!(flush(leg, &[(0, 1)]).await.unwrap_err().kind(), ErrorKind::RateLimited);
            for waited in 1..left_alone {
                tokio::time::sleep(second).await;
                let error = flush(leg, &[(0, 1)]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::RateLimited);
                assert_eq!(backend.log().tried.len(), 1, "after {waited} s");
                assert_eq!(leg.ledger().buffered, (waited + 1).min(1000));
            }
            tokio::time::sleep(second).await;
            flush(leg, &[(0, 1)]).await.unwrap();
            assert_eq!(backend.log().taken.iter().map(|(_, calls)| calls).sum::<u64>(), left_alone + 1);
            assert!(leg.ledger().is_balanced() && leg.ledger().buffered == 0);
        });
    }
}

/// Also while it is asked to be left alone: a later attempt there is none.
#[test]
fn the_last_attempt_is_made_at_once() {
    let backend = Backend::new([Answer::Busy(100)]);
    with_leg(&backend, LegOptions::default(), async |leg| {
        flush(leg, &[(0, 1)]).await.unwrap_err();
        let now = std::time::Instant::now();
        let done = leg.stop(&Arc::new(snapshot([(0, 2)])), now + Duration::from_secs(4));
        let left = leg.deadline.at().unwrap().duration_since(Instant::now());
        assert!((Duration::from_millis(3400)..=Duration::from_millis(3500)).contains(&left), "{left:?}");
        while Arc::strong_count(&done) > 1 {
            yield_now().await;
        }
        done.wait(now).unwrap();
        assert_eq!(backend.log().taken, [(0, 1), (0, 2)]);
    });
}

/// Each that is put aside is written to a disk, which may be busy, and all of them have half a second.
#[test]
fn when_there_is_no_more_time_what_waits_goes_as_one() {
    let backend = Backend::new([Answer::Fail(ErrorKind::Unavailable), Answer::Take]);
    with_leg(&backend, LegOptions::default(), async |leg| {
        flush(leg, &items(3)).await.unwrap_err();
        leg.deadline.set(Instant::now());
        for _ in 0..10 {
            leg.offer(&Arc::new(snapshot(items(4))));
        }
        flush(leg, &items(4)).await.unwrap();
        let ledger = leg.ledger();
        assert_eq!((ledger.exported, ledger.merged, ledger.buffered), (3 + 4, 10 * 4, 0));
        assert!(ledger.is_balanced());
    });
    // The one that was tried is still the same.
    assert_eq!(backend.parts(), [(1, 0, 3), (1, 0, 3), (2, 0, 4)]);
    assert_eq!(sums(&backend.log().taken), (0..4).map(|at| (at, 11 + u64::from(at < 3))).collect());
}

/// Gives it a snapshot and waits until it has done what it could.
pub(super) async fn flush(leg: &Leg, items: &[(usize, u64)]) -> Result<()> {
    let done = leg.request(&Arc::new(snapshot(items.iter().copied())), false);
    while Arc::strong_count(&done) > 1 {
        yield_now().await;
    }
    done.wait(std::time::Instant::now())
}

pub(super) fn items(count: usize) -> Vec<(usize, u64)> {
    (0..count).map(|at| (at, 1)).collect()
}

#[test]
fn what_did_not_go_is_tried_again_and_nothing_else() {
    let answers = [Answer::Take, Answer::Take, Answer::Take, Answer::Fail(ErrorKind::Unavailable)];
    let backend = Backend::new(answers);
    with_leg(&backend, LegOptions::default().with_batch_size(10), async |leg| {
        assert_eq!(flush(leg, &items(80)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(backend.parts(), [(1, 7, 10), (1, 8, 10), (1, 9, 10), (1, 10, 10)]);
        let ledger = leg.ledger();
        assert_eq!((ledger.accepted, ledger.exported, ledger.buffered), (80, 30, 50));
        flush(leg, &[]).await.unwrap();
        // What may have arrived has its name still.
        let again = [(1, 10, 10), (2, 3, 10), (2, 4, 10), (2, 5, 10), (2, 6, 10), (3, 0, 0)];
        assert_eq!(backend.parts()[4..], again);
        assert_eq!(leg.ledger().exported, 80);
    });
    let mut taken = backend.log().taken.clone();
    taken.sort_unstable();
    assert_eq!(taken, items(80));
}

#[test]
fn snapshots_go_in_order_and_none_past_one_that_cannot() {
    let down = || Answer::Fail(ErrorKind::Unavailable);
    let backend = Backend::new([down(), down(), Answer::Take]);
    with_leg(&backend, LegOptions::default(), async |leg| {
        for (change, tried) in [(1, 1), (2, 2), (3, 5)] {
            let _ = flush(leg, &[(0, change)]).await;
            assert_eq!(backend.log().tried.len(), tried);
        }
        assert_eq!(leg.ledger().exported, 3);
    });
    let tried: Vec<_> = backend.log().tried.iter().map(|(id, items)| (id.sequence, items[0].1)).collect();
    assert_eq!(tried, [(1, 1), (1, 1), (1, 1), (2, 2), (3, 3)]);
}

#[test]
fn what_waits_for_a_backend_that_is_down_or_busy_is_merged_where_it_is_too_much() {
    let backend = Backend::default();
    let down = Answer::Fail(ErrorKind::Unavailable);
    backend.log().answers = [(down, 0), (down, 2), (Answer::Take, 9)].into();
    with_leg(
        &backend,
        LegOptions::default().with_buffer(BufferConfig::default().with_size(10)),
        async |leg| {
            let held = || (leg.ledger().buffered, leg.ledger().merged);
            let offer = |count| leg.offer(&Arc::new(snapshot(items(count))));
            flush(leg, &items(4)).await.unwrap_err();
            offer(4);
            assert_eq!(held(), (8, 0), "there is room");
            offer(4);
            assert_eq!(held(), (8, 4), "it is down");
            yield_now().await;
            offer(4);
            assert_eq!(held(), (12, 4), "one is on its way");
            while backend.log().tried.len() < 2 {
                yield_now().await;
            }
            assert_eq!(held(), (8, 8), "it came back");
            flush(leg, &[]).await.unwrap();
        },
    );
    assert_eq!(sums(&backend.log().taken), (0..4).map(|at| (at, 4)).collect());
}

#[test]
fn who_asks_is_told_of_what_was_lost_first() {
    let answers = [Answer::Fail(ErrorKind::Encode), Answer::Take, Answer::Fail(ErrorKind::Unavailable)];
    let backend = Backend::new(answers);
    with_leg(&backend, LegOptions::default().with_batch_size(1), async |leg| {
        let error = flush(leg, &items(3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        // Once.
        flush(leg, &[]).await.unwrap();
    });
}

#[test]
fn everyone_who_asks_is_told_all_of_it() {
    let backend = Backend::new([Answer::Fail(ErrorKind::Rejected)]);
    with_leg(&backend, LegOptions::default(), async |leg| {
        let first = leg.request(&Arc::new(snapshot(items(1))), false);
        let second = flush(leg, &[]).await.unwrap_err();
        let first = first.wait(std::time::Instant::now()).unwrap_err();
        for error in [first, second] {
            assert_eq!(error.to_string(), "rejected: as the test has it, endpoint: there: the cause");
        }
    });
}

#[test]
fn a_single_item_that_is_too_large_is_dropped_alone() {
    let too_large = Answer::TooLarge;
    let answers = [too_large(Some(3)), Answer::Take, too_large(Some(0)), too_large(None), too_large(None)];
    let backend = Backend::new(answers.into_iter().chain([too_large(None)]));
    with_leg(&backend, LegOptions::default(), async |leg| {
        let error = flush(leg, &items(8)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        // At the third item, then in half, until the first of those that are left stands alone.
        let parts = [(0, 8), (1, 3), (2, 5), (5, 3), (11, 2), (23, 1), (24, 1), (12, 1), (6, 2)];
        assert_eq!(backend.parts(), parts.map(|(part, items)| (1, part, items)));
        let ledger = leg.ledger();
        assert_eq!((ledger.exported, ledger.dropped.of(DropReason::TooLarge)), (7, 1));
        flush(leg, &items(1)).await.unwrap();
    });
    assert_eq!(backend.log().lost.len(), 1);
}

#[test]
fn what_comes_at_the_end_is_merged_by_nobody_who_has_a_deadline() {
    let leg = Leg::new(
        AnyExporter::new(Backend::default()),
        "leg",
        LegOptions::default().with_buffer(BufferConfig::default().with_size(5)),
        1,
    );
    leg.work().held_up = true;
    let last = |shutdown| leg.request(&Arc::new(snapshot(items(5))), shutdown);
    let _asked = [false, false, true].map(last);
    let ledger = leg.ledger();
    assert_eq!((ledger.merged, ledger.buffered), (5, 10));
    assert!(ledger.is_balanced());
}

/// Else a label in a file would have an exporter sent what it did not ask for.
#[test]
fn labels_are_added_to_what_the_exporter_asks_for() {
    use crate::MetricMapping;
    let series = MetricMapping::computed("series", |metrics| Some(metrics.len() as f64));
    let asked_for = Mapping::default().metric(series).label("team", "a").label("env", "asked");
    let labels = Mapping::default().label("env", "test");
    let leg =
        Leg::new(AnyExporter::new(Backend::default()), "leg", LegOptions::default().with_mapping(labels), 1);
    leg.offer(&Arc::new(snapshot(items(5))));
    let Signal::Metrics(waiting) = leg.work().buffer.pop(false, true).unwrap().signal().unwrap() else {
        unreachable!()
    };
    let (metrics, mapped) = leg.mapped(waiting, Some(Box::leak(Box::new(asked_for)))).unwrap();
    assert!(mapped);
    assert_eq!(metrics.len(), 1);
    let Data::Gauge(points) = &metrics.metric("series").unwrap().data else { unreachable!() };
    let attributes = &points[0].series.attributes;
    assert_eq!((attributes.get_str("env"), attributes.get_str("team")), (Some("test"), Some("a")));
    assert_eq!(points[0].total, crate::Number::F64(5.0));
    assert!(leg.ledger().is_balanced());
}

#[test]
fn a_handle_tells_how_it_is() {
    let answers = [Answer::Fail(ErrorKind::Unavailable), Answer::Take, Answer::Reject(2), Answer::Take];
    with_leg(&Backend::new(answers), LegOptions::default(), async |leg| {
        assert!(leg.health().is_healthy() && leg.last_export().is_none());
        flush(leg, &items(5)).await.unwrap_err();
        assert!(matches!(leg.health(), Health::Unhealthy(error) if error.kind() == ErrorKind::Unavailable));
        assert!(leg.last_export().is_none());
        let stats = leg.buffer_stats();
        assert_eq!((stats.items, stats.groups, stats.size, stats.flushes), (5, 1, 1000, 1));
        assert!((stats.usage - 0.005).abs() < 1e-9 && stats.memory > 0);
        flush(leg, &items(3)).await.unwrap();
        assert_eq!(leg.last_export().map(|last| last.items), Some(1));
        assert!(matches!(leg.health(), Health::Degraded(error) if error.to_string().contains("items: 2")));
        flush(leg, &items(4)).await.unwrap();
        assert!(leg.health().is_healthy());
        assert_eq!(leg.last_export().map(|last| last.items), Some(4));
    });
}

/// Some of a route took all of it, though another could not: they have it, in whatever parts it comes again.
#[test]
fn the_rest_of_what_was_too_large_has_its_names_still() {
    use crate::{
        MultiConfig, MultiExporter,
        layers::script::{Answer, Script, paused},
    };
    let down = Answer::Fail(ErrorKind::Unavailable);
    for answers in [
        vec![Answer::AtMost(2), down],
        vec![Answer::AtMost(4), Answer::Take, Answer::AtMost(1), down, down],
        vec![down, Answer::AtMost(1), down],
    ] {
        paused(async move {
            let (one, other) = (Script::default(), Script::new(answers));
            let config = MultiConfig { min_success_count: 2, ..MultiConfig::default() };
            let both = [one.exporter(), other.exporter().with_name("other")];
            let route = AnyExporter::new(MultiExporter::new(config, both).unwrap());
            let leg = Arc::new(Leg::new(route, "leg", LegOptions::default(), 1));
            tokio::spawn(leg.clone().run());
            while flush(&leg, &items(8)).await.is_err() {}
            let sent = |script: &Script| script.batches().iter().map(Batch::len).sum::<usize>() as u64;
            let ledger = leg.ledger();
            assert_eq!(
                (sent(&one), sent(&other), ledger.exported),
                (ledger.accepted, ledger.accepted, ledger.accepted)
            );
            assert!(ledger.is_balanced());
        });
    }
}

/// A backend that asks to be left alone when it is asked to stop is no later attempt's either.
#[test]
fn the_last_attempt_is_made_also_where_one_is_under_way() {
    let backend = Backend::default();
    backend.log().answers = [(Answer::Busy(100), 5)].into();
    with_leg(&backend, LegOptions::default(), async |leg| {
        leg.offer(&Arc::new(snapshot([(0, 1)])));
        yield_now().await;
        assert!(backend.log().answers.is_empty() && backend.log().tried.is_empty(), "it is on its way");
        let now = std::time::Instant::now();
        let done = leg.stop(&Arc::new(snapshot([(0, 2)])), now + Duration::from_secs(4));
        while Arc::strong_count(&done) > 1 {
            yield_now().await;
        }
        done.wait(now).unwrap();
        assert_eq!(backend.log().taken, [(0, 1), (0, 2)]);
    });
}

/// One that hangs when it is flushed is still sent what is left at the end.
#[test]
fn a_flush_ends_at_the_deadline() {
    #[derive(Debug)]
    struct Hangs(crate::MemoryExporter);
    impl Exporter for Hangs {
        fn info(&self) -> Info {
            Info::new("hangs")
        }
        fn capability(&self) -> Capability {
            Capability::METRICS
        }
        fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send {
            self.0.export(batch)
        }
        async fn health(&self) -> Health {
            Health::Healthy
        }
        async fn flush(&self) -> Result<()> {
            std::future::pending().await
        }
        async fn shutdown(&self) -> Result<()> {
            Ok(())
        }
    }
    crate::layers::script::paused(async {
        let memory = crate::MemoryExporter::new();
        let hangs = AnyExporter::new(Hangs(memory.clone()));
        let leg = Arc::new(Leg::new(hangs, "leg", LegOptions::default(), 1));
        tokio::spawn(leg.clone().run());
        let flushed = leg.request(&Arc::new(snapshot(items(1))), false);
        yield_now().await;
        let now = std::time::Instant::now();
        let done = leg.stop(&Arc::new(snapshot(items(2))), now + Duration::from_secs(4));
        tokio::time::sleep(Duration::from_secs(4)).await;
        done.wait(now).unwrap();
        assert_eq!(flushed.wait(now).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(memory.batches().iter().map(Batch::len).sum::<usize>(), 3);
    });
}

#[test]
fn what_a_route_gives_up_is_told_and_what_is_not_wanted_is_not() {
    let leg = Leg::new(AnyExporter::new(Backend::default()), "leg", LegOptions::default(), 1);
    let part = crate::layers::script::batch(5);
    for (reason, told) in [
        (DropReason::Condition, false),
        (DropReason::Filtered, false),
        (DropReason::Sampled, false),
        (DropReason::Refused, true),
        (DropReason::Panicked, true),
    ] {
        let mut trouble = Trouble::default();
        leg.work().ledger.accept(5);
        leg.settle(&part, &Receipt::accepted(3).with_dropped(reason, 2), Duration::ZERO, &mut trouble);
        assert_eq!(trouble.partly.is_some(), told, "{reason}");
    }
}

fn answers() -> impl Strategy<Value = Vec<(Answer, u8)>> {
    let answer = prop_oneof![
        4 => Just(Answer::Take),
        1 => (0..20_usize).prop_map(Answer::Reject),
        2 => Just(Answer::Fail(ErrorKind::Unavailable)),
        1 => Just(Answer::Fail(ErrorKind::RateLimited)),
        1 => Just(Answer::Fail(ErrorKind::CircuitOpen)),
        1 => Just(Answer::Fail(ErrorKind::Timeout)),
        1 => Just(Answer::Fail(ErrorKind::Rejected)),
        1 => Just(Answer::Fail(ErrorKind::Encode)),
        2 => option::of(0..15_usize).prop_map(Answer::TooLarge),
        1 => Just(Answer::Panic),
    ];
    vec((answer, 0..4_u8), 0..60)
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Vec<(usize, u64)>),
    Flush,
    Wait,
    Change(LegPatch),
}

/// Snapshots of some of 20 series.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let changes = vec(option::weighted(0.7, 1..100_u64), 0..20)
        .prop_map(|all| (0..).zip(all).filter_map(|(at, change)| Some((at, change?))).collect());
    let sizes = |most: usize| option::of(1..most);
    let change = (sizes(15), sizes(50)).prop_map(|(batch_size, size)| {
        let buffer = size.map(|size| BufferConfig::default().with_size(size));
        Step::Change(LegPatch { batch_size, buffer })
    });
    vec(
        prop_oneof![6 => changes.prop_map(Step::Offer), 1 => Just(Step::Flush), 3 => Just(Step::Wait), 1 => change],
        1..60,
    )
}

pub(super) fn sums(items: &[(usize, u64)]) -> BTreeMap<usize, u64> {
    let mut sums = BTreeMap::new();
    items.iter().for_each(|(series, change)| *sums.entry(*series).or_default() += change);
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn everything_is_accounted_for(
        answers in answers(),
        steps in steps(),
        size in 1..50_usize,
        together: bool,
    ) {
        let backend = Backend::default();
        backend.log().answers = answers.into();
        let mut options = LegOptions::default().with_buffer(BufferConfig::default().with_size(size));
        if together {
            options.buffer = options.buffer.with_flush_interval(Duration::from_secs(3600));
        }
        let mut offered = Vec::new();
        let ledger = with_leg(&backend, options, async |leg| {
            let mut room = size.max(20) as u64;
            let check = |room| {
                let ledger = leg.ledger();
                assert!(ledger.is_balanced(), "{ledger:?}");
                // What waits, what is on its way, and what came before it was.
                assert!(ledger.buffered <= 2 * room + 20, "{ledger:?}");
            };
            for step in steps {
                match step {
                    Step::Offer(items) => {
                        offered.extend_from_slice(&items);
                        leg.offer(&Arc::new(snapshot(items)));
                    }
                    Step::Flush => drop(leg.request(&Arc::new(snapshot([])), false)),
                    Step::Wait => yield_now().await,
                    Step::Change(patch) => {
                        let size = patch.buffer.as_ref().map_or(0, |buffer| buffer.size);
                        room = room.max(size as u64);
                        leg.update(&patch).unwrap();
                    }
                }
                check(room);
            }
            // The backend is well again, once it has answered what is on its way.
            backend.log().answers.clear();
            let _ = flush(leg, &[]).await;
            check(room);
            flush(leg, &[]).await.unwrap();
            leg.ledger()
        });
        let log = backend.log();
        let overflow = ledger.dropped.of(DropReason::Overflow);
        let mut expected = log.expected;
        expected.accepted = offered.len() as u64;
        expected.merged = ledger.merged;
        expected.buffered += overflow;
        expected.give_up(overflow as usize, DropReason::Overflow);
        prop_assert_eq!(ledger, expected);
        prop_assert_eq!(ledger.buffered, 0);

        let all = sums(&offered);
        let accounted = sums(&[&log.taken[..], &log.lost[..]].concat());
        if overflow == 0 {
            prop_assert_eq!(accounted, all);
        } else {
            prop_assert!(accounted.iter().all(|(series, sum)| *sum <= all[series]));
        }
        let mut names = HashMap::new();
        for (id, items) in &log.tried {
            prop_assert!(items.len() <= MOST);
            prop_assert_eq!(*names.entry(id.clone()).or_insert(items), items, "{}", id);
        }
    }
}
