//! A leg with a spool, whose backend and process come and go.

use crate::{
    AnyExporter, BufferConfig, DropReason, Error, ErrorKind, Ledger, LegOptions, LegPatch, SpoolConfig,
    SpoolStats,
    journal::tests::Temp,
    model::sample::snapshot,
    pipeline::leg::{
        Leg,
        tests::{Answer, Backend, flush, items, sums},
    },
};
use proptest::{collection::vec, prelude::*};
use std::{collections::HashMap, fs, sync::Arc, time::Duration};
use tokio::{task::yield_now, time::Instant};

const DOWN: Answer = Answer::Fail(ErrorKind::Unavailable);

fn spooled(temp: &Temp) -> BufferConfig {
    BufferConfig::default().with_spool(SpoolConfig::new(&temp.0))
}

fn is_empty(temp: &Temp) -> bool {
    let spool = temp.0.join("leg");
    let left = |at| fs::read_dir(at).into_iter().flatten().flatten().map(|entry| entry.file_name());
    left(&spool).all(|name| name == ".lock")
}

/// A process with one leg, which ends when `drive` does, as if it were killed.
fn process<T>(backend: &Backend, buffer: BufferConfig, drive: impl AsyncFnOnce(&Arc<Leg>) -> T) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tokio.block_on(async {
        let options = LegOptions::default().with_buffer(buffer);
        let leg = Leg::new(AnyExporter::new(backend.clone()), "leg", options, rand());
        let leg = Arc::new(leg.with_spool().unwrap());
        let task = tokio::spawn(leg.clone().run());
        yield_now().await;
        let result = drive(&leg).await;
        task.abort();
        let _ = task.await;
        result
    })
}

/// Another one each time.
fn rand() -> u128 {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into()
}

fn stats(leg: &Leg) -> SpoolStats {
    leg.buffer_stats().spool.unwrap()
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        yield_now().await;
    }
}

/// Offers so many snapshots of 20 items, each of which is on the disk before the next comes.
async fn offer(leg: &Leg, count: u64) {
    for _ in 0..count {
        let before = stats(leg).batches;
        leg.offer(&Arc::new(snapshot(items(20))));
        until(|| stats(leg).batches > before).await;
    }
}

fn always_down(backend: &Backend) {
    backend.log().answers = vec![(DOWN, 0); 10_000].into();
}

#[test]
fn what_waits_on_the_disk_is_not_merged_and_not_in_memory() {
    let (temp, backend) = (Temp::new(), Backend::default());
    always_down(&backend);
    process(&backend, spooled(&temp).with_size(50), async |leg| {
        flush(leg, &items(20)).await.unwrap_err();
        offer(leg, 30).await;
        let (ledger, buffer) = (leg.ledger(), leg.buffer_stats());
        assert_eq!((ledger.buffered, ledger.merged), (31 * 20, 0));
        assert!(buffer.items <= 70 && buffer.groups >= 31, "{buffer:?}");
        backend.log().answers.clear();
        flush(leg, &[]).await.unwrap();
        assert_eq!((leg.ledger().exported, leg.ledger().buffered), (31 * 20, 0));
        let stats = stats(leg);
        assert_eq!((stats.batches, stats.done, stats.corrupt), (32, 32, 0));
    });
    assert!(is_empty(&temp));
    // Each on its own, in order.
    let taken = sums(&backend.log().taken);
    assert_eq!(taken, (0..20).map(|at| (at, 31)).collect());
}

#[test]
fn what_a_process_leaves_the_next_one_sends_under_the_same_names() {
    let (temp, backend) = (Temp::new(), Backend::default());
    always_down(&backend);
    process(&backend, spooled(&temp), async |leg| {
        // The backend takes 12 at once: it was asked for the first part of the first one.
        flush(leg, &items(20)).await.unwrap_err();
        offer(leg, 4).await;
    });
    assert!(!is_empty(&temp));
    backend.log().answers.clear();
    process(&backend, spooled(&temp), async |leg| {
        flush(leg, &items(1)).await.unwrap();
        let ledger = leg.ledger();
        assert_eq!((ledger.accepted, ledger.exported), (5 * 20 + 1, 5 * 20 + 1));
        assert_eq!((stats(leg).found, stats(leg).found_items), (5, 100));
    });
    assert!(is_empty(&temp));
    let log = backend.log();
    assert_eq!(sums(&log.taken), (0..20).map(|at| (at, if at == 0 { 6 } else { 5 })).collect());
    let mut names = HashMap::new();
    for (id, items) in &log.tried {
        assert_eq!(names.entry(id.clone()).or_insert(items), &items, "{id}");
    }
}

#[test]
fn what_cannot_be_sent_at_the_end_stays() {
    for flushes in [true, false] {
        let (temp, backend) = (Temp::new(), Backend::default());
        always_down(&backend);
        let buffer = spooled(&temp).with_flush_on_shutdown(flushes);
        process(&backend, buffer.with_flush_interval(Duration::from_secs(3600)), async |leg| {
            offer(leg, 3).await;
            let now = std::time::Instant::now();
            let done = leg.stop(&Arc::new(snapshot(items(20))), now + Duration::from_secs(4));
            let began = Instant::now();
            until(|| Arc::strong_count(&done) == 1).await;
            assert!(began.elapsed() < Duration::from_secs(3));
            assert_eq!(done.wait(now).map_err(|error| error.kind()).is_err(), flushes);
            let ledger = leg.ledger();
            assert!(ledger.is_balanced() && ledger.dropped.total() == 0);
            assert_eq!((ledger.buffered, ledger.merged), (4 * 20, 0));
        });
        backend.log().answers.clear();
        process(&backend, spooled(&temp), async |leg| flush(leg, &[]).await.unwrap());
        assert_eq!(sums(&backend.log().taken), (0..20).map(|at| (at, 4)).collect());
        assert!(is_empty(&temp));
    }
}

#[test]
fn where_the_disk_takes_no_more_it_waits_in_memory() {
    let (temp, backend) = (Temp::new(), Backend::default());
    always_down(&backend);
    let mut config = SpoolConfig::new(&temp.0);
    config.max_size = 20_000;
    let buffer = BufferConfig::default().with_spool(config).with_size(50);
    process(&backend, buffer, async |leg| {
        for _ in 0..40 {
            flush(leg, &items(20)).await.unwrap_err();
        }
        let (ledger, stats) = (leg.ledger(), stats(leg));
        assert!(stats.refused > 0 && stats.bytes <= 20_000 && stats.batches >= 2, "{stats:?}");
        assert!(ledger.is_balanced() && ledger.merged > 0 && ledger.dropped.total() == 0, "{ledger:?}");
        assert!(leg.buffer_stats().items <= 50 + 20);
        backend.log().answers.clear();
        flush(leg, &items(20)).await.unwrap();
        assert_eq!(leg.ledger().buffered, 0);
        // And there is room again.
        let before = leg.buffer_stats().spool.unwrap().batches;
        flush(leg, &items(20)).await.unwrap();
        assert!(leg.buffer_stats().spool.unwrap().batches > before);
    });
    assert_eq!(sums(&backend.log().taken), (0..20).map(|at| (at, 42)).collect());
}

#[test]
fn what_is_taken_from_the_disk_is_lost_and_counted_and_nothing_else() {
    let (temp, backend) = (Temp::new(), Backend::default());
    always_down(&backend);
    process(&backend, spooled(&temp).with_size(10), async |leg| {
        flush(leg, &items(20)).await.unwrap_err();
        offer(leg, 5).await;
        // All but the part that was tried are on the disk alone.
        fs::remove_dir_all(&temp.0).unwrap();
        backend.log().answers.clear();
        assert!(flush(leg, &items(1)).await.is_err());
        let ledger = leg.ledger();
        assert!(ledger.is_balanced() && ledger.buffered == 0, "{ledger:?}");
        assert_eq!(ledger.exported + ledger.dropped.of(DropReason::Lost), 6 * 20 + 1);
        assert!(ledger.dropped.of(DropReason::Lost) >= 4 * 20, "{ledger:?}");
        // It is made again.
        flush(leg, &items(1)).await.unwrap();
        assert!(temp.0.exists());
    });
}

/// As where the process has too many files open.
#[test]
fn what_cannot_be_read_at_the_moment_is_left_to_a_later_process() {
    let (temp, backend) = (Temp::new(), Backend::default());
    always_down(&backend);
    let spool = temp.0.join("leg");
    let aside = temp.0.join("aside");
    let segment = process(&backend, spooled(&temp).with_size(10), async |leg| {
        flush(leg, &items(20)).await.unwrap_err();
        offer(leg, 5).await;
        let mut files = fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
        let segment =
            files.find(|path| path.extension().is_some_and(|extension| extension == "spool")).unwrap();
        fs::rename(&segment, &aside).unwrap();
        // A link is not followed, but could be deleted.
        std::os::unix::fs::symlink(&aside, &segment).unwrap();
        backend.log().answers.clear();
        assert!(flush(leg, &[]).await.is_err());
        let ledger = leg.ledger();
        assert!(ledger.is_balanced() && ledger.dropped.of(DropReason::Lost) >= 4 * 20, "{ledger:?}");
        segment
    });
    assert!(segment.is_symlink());
    fs::rename(&aside, &segment).unwrap();
    process(&backend, spooled(&temp), async |leg| flush(leg, &[]).await.unwrap());
    assert!(sums(&backend.log().taken).values().all(|sum| *sum >= 6));
    assert!(is_empty(&temp));
}

#[test]
fn a_spool_that_cannot_be_had_is_refused_with_its_place() {
    let temp = Temp::new();
    let file = temp.0.join("file");
    fs::create_dir_all(&temp.0).unwrap();
    fs::write(&file, "").unwrap();
    let options =
        LegOptions::default().with_buffer(BufferConfig::default().with_spool(SpoolConfig::new(&file)));
    let leg = Leg::new(AnyExporter::new(Backend::default()), "leg", options, 1);
    let error = leg.with_spool().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("directory: "), "{error}");
}

#[test]
fn it_stays_the_same_while_the_leg_runs() {
    let (temp, backend) = (Temp::new(), Backend::default());
    process(&backend, spooled(&temp), async |leg| {
        let patch = |buffer| LegPatch::default().with_buffer(buffer);
        leg.update(&patch(leg.buffer().with_size(7))).unwrap();
        assert_eq!(leg.buffer().size, 7);
        let error: Error = leg.update(&patch(BufferConfig::default())).unwrap_err();
        assert!(error.to_string().contains("setting: spool"), "{error}");
    });
}

/// Also after one of them could not be sent, and however many there are.
#[test]
fn what_earlier_processes_left_is_sent_in_order_and_is_not_all_had_in_memory() {
    let (temp, backend) = (Temp::new(), Backend::default());
    always_down(&backend);
    process(&backend, spooled(&temp), async |leg| offer(leg, 9).await);
    process(&backend, spooled(&temp), async |leg| {
        for _ in 0..5 {
            flush(leg, &[]).await.unwrap_err();
        }
        assert_eq!(leg.ledger().buffered, 20, "one at a time");
        backend.log().tried.clear();
        backend.log().answers.clear();
        flush(leg, &[]).await.unwrap();
        assert_eq!((leg.ledger().exported, leg.ledger().buffered), (9 * 20, 0));
    });
    let log = backend.log();
    let order: Vec<_> = log.tried.iter().map(|(id, _)| (id.instance, id.sequence, id.part)).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(is_empty(&temp));
}

/// Something comes faster than the disk takes it.
#[test]
fn a_disk_that_is_slow_does_not_keep_all_from_being_sent() {
    let (temp, backend) = (Temp::new(), Backend::default());
    process(&backend, spooled(&temp), async |leg| {
        for _ in 0..3 {
            leg.offer(&Arc::new(snapshot(items(1))));
        }
        let mut offered = 3;
        let before = stats(leg).batches;
        // Each time that one is written, another one comes.
        let mut seen = before;
        while backend.log().tried.is_empty() {
            let now = stats(leg).batches;
            if now > seen {
                seen = now;
                offered += 1;
                leg.offer(&Arc::new(snapshot(items(1))));
            }
            assert!(offered < 100, "nothing is sent");
            yield_now().await;
        }
        flush(leg, &[]).await.unwrap();
        assert_eq!(leg.ledger().exported, offered);
    });
}

/// What can happen to a process and its backend.
#[derive(Clone, Debug)]
enum Step {
    Offer(usize),
    Flush,
    Up(bool),
    Kill,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever is on the disk arrives, once unless a process was killed; and no name means two things.
    #[test]
    fn everything_that_was_written_arrives(
        steps in vec(
            prop_oneof![
                4 => (1..20usize).prop_map(Step::Offer),
                2 => Just(Step::Flush),
                2 => any::<bool>().prop_map(Step::Up),
                1 => Just(Step::Kill),
            ],
            1..30,
        ),
        size in 1..60usize,
    ) {
        let (temp, backend) = (Temp::new(), Backend::default());
        let mut steps = steps.into_iter();
        let (mut offered, mut killed) = (0, false);
        loop {
            let (ended, ledger): (bool, Ledger) = process(&backend, spooled(&temp).with_size(size), async |leg| {
                for step in steps.by_ref() {
                    match step {
                        Step::Offer(count) => {
                            let before = stats(leg).batches;
                            leg.offer(&Arc::new(snapshot(items(count))));
                            offered += count as u64;
                            until(|| stats(leg).batches > before).await;
                        }
                        Step::Flush => drop(flush(leg, &[]).await),
                        Step::Up(true) => backend.log().answers.clear(),
                        Step::Up(false) => always_down(&backend),
                        Step::Kill => {
                            killed = true;
                            return (false, leg.ledger());
                        }
                    }
                    assert!(leg.ledger().is_balanced());
                }
                backend.log().answers.clear();
                flush(leg, &[]).await.unwrap();
                flush(leg, &[]).await.unwrap();
                (true, leg.ledger())
            });
            prop_assert!(ledger.is_balanced() && ledger.dropped.total() == 0, "{:?}", ledger);
            if ended {
                prop_assert_eq!(ledger.buffered, 0);
                break;
            }
        }
        prop_assert!(is_empty(&temp));
        let log = backend.log();
        let mut names = HashMap::new();
        for (id, items) in &log.tried {
            prop_assert_eq!(*names.entry(id.clone()).or_insert(items), items, "{}", id);
        }
        let taken = sums(&log.taken).values().sum::<u64>();
        prop_assert!(taken == offered || killed && taken > offered, "{} of {}", taken, offered);
    }
}
