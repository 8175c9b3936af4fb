//! Spools on a real file system: what is there again, what is not, and what goes wrong with disks, files and neighbours.

mod hostile;
mod killed;
mod model;

use super::*;
use crate::{BatchId, Signal, journal::tests::Temp, layers::script, model::sample::changes};
use std::fs;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn full() -> bool {
    std::env::var("EXPORTERS_RELIABILITY").is_ok_and(|value| value == "full")
}

fn config(temp: &Temp) -> SpoolConfig {
    SpoolConfig::new(temp.0.join("spool"))
}

fn open(temp: &Temp) -> Spool {
    Spool::open(&config(temp), "leg").unwrap()
}

/// A batch of that number, as large as the number says.
fn batch(sequence: u64) -> Batch {
    let id = BatchId { instance: 7, leg: "leg".into(), sequence, part: 0 };
    Batch::new(id, Signal::Metrics(script::batch(1 + sequence as usize % 4).metrics().unwrap().clone()))
}

/// The same data under the same name.
#[track_caller]
fn assert_same(read: &Batch, written: &Batch) {
    assert_eq!((read.id(), changes(read)), (written.id(), changes(written)));
}

fn append(spool: &Spool, sequences: impl IntoIterator<Item = u64>) -> Vec<Record> {
    let one = |sequence| run(spool.append(&batch(sequence))).unwrap();
    sequences.into_iter().map(one).collect()
}

/// Everything that is left, each as it was written.
#[track_caller]
fn left(spool: &Spool) -> Vec<(u64, Record)> {
    run(async {
        let mut all = Vec::new();
        while let Some((record, read)) = spool.next_left().await.unwrap() {
            let sequence = read.id().sequence;
            assert_same(&read, &batch(sequence));
            assert_same(&spool.read(&record).await.unwrap(), &read);
            assert_eq!(record.items(), read.len());
            all.push((sequence, record));
        }
        all
    })
}

#[track_caller]
fn sequences(spool: &Spool) -> Vec<u64> {
    left(spool).into_iter().map(|(sequence, _)| sequence).collect()
}

/// All segments, in the order of their paths.
fn segments(temp: &Temp) -> Vec<PathBuf> {
    fn all(directory: &Path, into: &mut Vec<PathBuf>) {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension().is_some_and(|extension| extension == "spool") {
                true => into.push(path),
                false if path.is_dir() => all(&path, into),
                false => {}
            }
        }
    }
    let mut into = Vec::new();
    all(&temp.0, &mut into);
    into.sort();
    into
}

#[test]
fn what_is_not_done_is_there_again_once_and_in_order() {
    let temp = Temp::new();
    let spool = open(&temp);
    assert!(sequences(&spool).is_empty());
    let mut records = append(&spool, 1..=5);
    for (record, sequence) in records.iter().zip(1..) {
        assert_same(&run(spool.read(record)).unwrap(), &batch(sequence));
    }
    run(spool.done(records.remove(1)));
    assert!(sequences(&spool).is_empty(), "it is not of an earlier process");
    let SpoolStats { bytes, files, batches, items, done, .. } = spool.stats();
    assert_eq!((files, batches, items, done), (1, 5, 2 + 3 + 4 + 1 + 2, 1));
    assert_eq!(bytes, fs::metadata(&segments(&temp)[0]).unwrap().len());
    drop((spool, records));

    let spool = open(&temp);
    // In between, more comes, into the same file.
    let (first, _) = run(spool.next_left()).unwrap().unwrap();
    let new = append(&spool, [6]);
    let mut rest = left(&spool);
    assert_eq!(rest.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((spool.stats().found, segments(&temp).len()), (4, 1));
    run(spool.done(first));
    run(spool.done(rest.remove(0).1));
    drop((spool, rest, new));

    let spool = open(&temp);
    for (_, record) in left(&spool) {
        run(spool.done(record));
    }
    assert_eq!((spool.stats().done, spool.stats().bytes), (3, 0));
    drop(spool);
    assert_eq!(fs::read_dir(config(&temp).directory).unwrap().count(), 0, "drained, it leaves nothing");
}

#[test]
fn a_segment_goes_when_all_in_it_is_done() {
    let temp = Temp::new();
    let config = SpoolConfig { max_size: 400_000, durability: Durability::Flushed, ..config(&temp) };
    let spool = Spool::open(&config, "leg").unwrap();
    let mut records = Vec::new();
    while segments(&temp).len() < 3 {
        records.extend(append(&spool, [records.len() as u64]));
    }
    assert!(spool.stats().bytes < 3 * 65_536);
    // All but the last: the first two files are needed no more.
    let last = records.pop().unwrap();
    for record in records {
        run(spool.done(record));
    }
    assert_eq!((segments(&temp).len(), spool.stats().files), (1, 1));
    // The one that is written to stays, until the next one begins.
    run(spool.done(last));
    assert_eq!(segments(&temp).len(), 1);
    append(&spool, [1]);
    assert_eq!(segments(&temp).len(), 1);
}

#[test]
fn where_it_is_full_nothing_more_comes_until_something_is_done() {
    let temp = Temp::new();
    let config = SpoolConfig { max_size: 10_000, ..config(&temp) };
    for _ in 0..2 {
        let spool = Spool::open(&config, "leg").unwrap();
        let mut records: Vec<_> = left(&spool).into_iter().map(|(_, record)| record).collect();
        let error = loop {
            match run(spool.append(&batch(0))) {
                Ok(record) => records.push(record),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("max_size: 10000"), "{error}");
        let stats = spool.stats();
        assert!(stats.bytes <= 10_000 && stats.bytes > 9_000 && records.len() > 5, "{stats:?}");
        assert_eq!((stats.refused, stats.last_error), (1, Some(error.to_string())));
        for record in records {
            run(spool.done(record));
        }
        let record = run(spool.append(&batch(0))).unwrap();
        assert_eq!(spool.stats().last_error, None);
        assert_same(&run(spool.read(&record)).unwrap(), &batch(0));
    }
    let small = SpoolConfig { max_size: 10, directory: temp.0.join("small"), ..config };
    assert!(run(Spool::open(&small, "leg").unwrap().append(&batch(1))).is_err());
}

#[test]
fn nobody_takes_what_is_anothers_while_that_runs() {
    let temp = Temp::new();
    let (one, two) = (open(&temp), open(&temp));
    let other_leg = Spool::open(&config(&temp), "leg.1").unwrap();
    append(&one, [1]);
    append(&two, [2]);
    append(&other_leg, [3]);
    let three = open(&temp);
    assert!(sequences(&three).is_empty());
    assert_eq!(segments(&temp).len(), 3);
    // A clone holds it as well.
    let clone = two.clone();
    drop((one, two, three));
    let one = open(&temp);
    let found = left(&one);
    assert_eq!(found.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1]);
    drop(one);
    drop(clone);
    let (one, two) = (open(&temp), open(&temp));
    assert_eq!((sequences(&two), sequences(&one)), (vec![], vec![1, 2]));
    drop((one, two, other_leg));
    assert_eq!(sequences(&Spool::open(&config(&temp), "leg.1").unwrap()), [3]);
    // What the first one took over goes with its directory, when it is done.
    let one = open(&temp);
    for (_, record) in left(&one) {
        run(one.done(record));
    }
    assert!(!config(&temp).directory.join("leg.1").exists());
}

#[test]
fn a_call_that_is_dropped_does_nothing_or_all_of_it() {
    let temp = Temp::new();
    append(&open(&temp), 1..=2);
    let spool = open(&temp);
    let poll = async |future: std::pin::Pin<&mut dyn Future<Output = ()>>| {
        let mut future = future;
        std::future::poll_fn(|cx| {
            assert!(future.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    };
    run(async {
        let held = spool.state.clone().lock_owned().await;
        let mut waiting = Box::pin(async { drop(spool.append(&batch(9)).await) });
        poll(waiting.as_mut()).await;
        drop((waiting, held));
        assert_eq!(spool.stats().batches, 0);
        // On its way: the next one to ask has it.
        let mut reading = Box::pin(async { drop(spool.next_left().await) });
        poll(reading.as_mut()).await;
        drop(reading);
        let mut appending = Box::pin(async { drop(spool.append(&batch(3)).await) });
        poll(appending.as_mut()).await;
        drop(appending);
    });
    assert_eq!(sequences(&spool), [1, 2]);
    drop(spool);
    assert!(sequences(&open(&temp)).starts_with(&[1, 2]));
}

#[test]
fn a_forked_child_leaves_it_alone() {
    let temp = Temp::new();
    let spool = open(&temp);
    let record = append(&spool, [1]).remove(0);
    let state = spool.state.try_lock().unwrap();
    let child = Spool { process: 0, ..spool.clone() };
    for error in [run(child.append(&batch(2))).unwrap_err(), run(child.read(&record)).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(run(child.next_left()).is_err());
    drop(state);
    run(child.done(record));
    drop((child, spool));
    assert_eq!(sequences(&open(&temp)), [1]);
}

#[test]
fn it_works_without_tokio() {
    let temp = Temp::new();
    let spool = open(&temp);
    let mut without = Box::pin(async {
        let record = spool.append(&batch(1)).await.unwrap();
        assert_same(&spool.read(&record).await.unwrap(), &batch(1));
        spool.done(record).await;
        assert!(spool.next_left().await.unwrap().is_none());
    });
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(without.as_mut().poll(&mut cx).is_ready());
}

#[cfg(feature = "yaml")]
#[test]
fn its_settings_are_read() {
    let read = |text| crate::Settings::from_yaml(text).unwrap().read::<SpoolConfig>();
    let mut expected = SpoolConfig::new("/d");
    assert_eq!(read("{ directory: /d }").unwrap(), expected);
    (expected.max_size, expected.durability) = (100_000_000, Durability::Flushed);
    assert_eq!(read("{ directory: /d, max_size: 100MB, durability: flushed }").unwrap(), expected);
    for (wrong, part) in [("{ max_size: 1MB }", "directory"), ("{ directory: /d, x: 1 }", "x")] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(Spool::open(&SpoolConfig::new(""), "leg").unwrap_err().kind(), ErrorKind::ConfigInvalid);
}
