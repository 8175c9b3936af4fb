//! A buffer against a model of it, under random operations.

use super::*;
use crate::{
    Batch,
    model::sample::{self, changes, snapshot, span},
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};

fn full() -> bool {
    std::env::var("EXPORTERS_RELIABILITY").is_ok_and(|value| value == "full")
}

fn id(sequence: u64) -> BatchId {
    BatchId { instance: 0, leg: "leg".into(), sequence, part: 0 }
}

fn metrics(changes: &[(usize, u64)]) -> Signal {
    Signal::Metrics(Arc::new(snapshot(changes.iter().copied())))
}

fn spans(numbers: std::ops::Range<u128>) -> Signal {
    sample::spans(numbers.map(span))
}

/// What something holds: series and changes in the order of their numbers, or the numbers of spans.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Holds {
    Metrics(Vec<(usize, u64)>),
    Spans(Vec<u128>),
}

fn holds(waiting: &Waiting) -> Holds {
    match waiting.signal().unwrap() {
        Signal::Metrics(metrics) => {
            Holds::Metrics(sorted(changes(&Batch::new(id(0), Signal::Metrics(metrics)))))
        }
        Signal::Spans(spans) => {
            Holds::Spans(spans.spans.iter().map(|span| u128::from_be_bytes(span.context.trace_id)).collect())
        }
    }
}

/// Metrics first.
fn pop(buffer: &mut Buffer) -> Option<Waiting> {
    buffer.pop(false, true).or_else(|| buffer.pop(true, true))
}

fn all(buffer: &mut Buffer) -> Vec<Holds> {
    std::iter::from_fn(|| pop(buffer)).map(|waiting| holds(&waiting)).collect()
}

fn with(snapshots: &[&[(usize, u64)]]) -> Buffer {
    let mut buffer = Buffer::default();
    snapshots.iter().for_each(|changes| buffer.push(metrics(changes)));
    buffer
}

/// What others have too seems to hold nothing; a part has its share of what the whole held all the same.
#[test]
fn what_stays_of_spans_that_others_have_too_is_counted() {
    let mut own = span(1);
    own.attributes = crate::Attributes::new([crate::KeyValue::new("query", "x".repeat(10_000))]);
    let mut another = own.clone();
    another.attributes = crate::Attributes::new([crate::KeyValue::new("query", "y".repeat(10_000))]);
    let both = sample::spans([own, another]);
    let mut buffer = Buffer::default();
    buffer.push(both.clone());
    let before = buffer.memory();
    assert!(before > 20_000);
    let config = BufferConfig::default().with_max_memory(before as u64 - 1);
    assert_eq!(buffer.shrink(&config).left_out, 1);
    assert_eq!((buffer.items(), buffer.memory()), (1, before.div_ceil(2)));
    drop(both);
}

fn sized(size: usize) -> BufferConfig {
    BufferConfig::default().with_size(size)
}

fn absorbed(merged: usize, left_out: usize) -> Absorbed {
    Absorbed { merged, left_out }
}

#[test]
fn the_oldest_are_merged_and_only_as_far_as_it_takes() {
    let mut buffer = with(&[&[(0, 1), (1, 2)], &[(0, 10), (1, 20)], &[(0, 100), (1, 200)], &[(0, 5)]]);
    assert!(buffer.is_full(&sized(6)) && !buffer.is_full(&sized(7)));
    assert_eq!(buffer.shrink(&sized(7)), absorbed(0, 0));
    assert_eq!(buffer.shrink(&sized(6)), absorbed(2, 0));
    let merged = [vec![(0, 11), (1, 22)], vec![(0, 100), (1, 200)], vec![(0, 5)]];
    assert_eq!(all(&mut buffer), merged.map(Holds::Metrics));
    assert_eq!((buffer.items(), buffer.memory()), (0, 0));
}

#[test]
fn one_snapshot_may_always_wait() {
    let tiny = BufferConfig { max_memory: 1, ..sized(1) };
    let mut buffer = with(&[&[(0, 1), (1, 2), (2, 3)]]);
    assert_eq!(buffer.shrink(&tiny), absorbed(0, 0));
    buffer.push(metrics(&[(0, 1), (1, 1), (2, 1)]));
    assert_eq!(buffer.shrink(&tiny), absorbed(3, 0));
    assert_eq!(all(&mut buffer), [Holds::Metrics(vec![(0, 2), (1, 3), (2, 4)])]);
}

#[test]
fn series_that_have_ended_wait_as_long_as_there_is_room() {
    let ended = || with(&[&[(0, 1), (2, 2), (1, 3)], &[(0, 5), (4, 1)], &[(6, 1)]]);
    let mut roomy = ended();
    assert_eq!(roomy.shrink(&sized(5)), absorbed(1, 0));
    let kept = [vec![(0, 6), (1, 3), (2, 2), (4, 1)], vec![(6, 1)]];
    assert_eq!(all(&mut roomy), kept.map(Holds::Metrics));
    let mut tight = ended();
    // Never more than the largest snapshot.
    assert_eq!(tight.shrink(&sized(1)), absorbed(1, 2));
    assert_eq!(all(&mut tight), [Holds::Metrics(vec![(0, 6), (4, 1), (6, 1)])]);
}

#[test]
fn what_was_tried_or_mapped_is_merged_with_nothing() {
    for (id, mapped) in [(Some(id(7)), false), (None, true)] {
        let mut buffer = with(&[&[(0, 1)], &[(0, 10)]]);
        buffer.put_back(Waiting::new(metrics(&[(0, 100)])).again(id.clone(), mapped, Kept::No));
        assert_eq!(buffer.shrink(&sized(1)), absorbed(1, 0));
        assert_eq!(buffer.merge_all(), absorbed(0, 0));
        let tried = pop(&mut buffer).unwrap();
        assert_eq!((&tried.id, tried.mapped), (&id, mapped));
        buffer.put_back(tried);
        assert_eq!(all(&mut buffer), [vec![(0, 100)], vec![(0, 11)]].map(Holds::Metrics));
    }
}

/// A part that was not tried may come back before something that was written meanwhile.
#[test]
fn what_is_kept_is_merged_with_nothing() {
    let mut buffer = with(&[&[(0, 1)]]);
    buffer.begin_to_keep(id(7)).unwrap();
    buffer.put_back(Waiting::new(metrics(&[(0, 10)])));
    assert_eq!((buffer.shrink(&sized(1)), buffer.merge_all()), (absorbed(0, 0), absorbed(0, 0)));
    for change in [100, 1000] {
        buffer.push(metrics(&[(0, change)]));
    }
    assert_eq!(buffer.merge_all(), absorbed(1, 0));
    let held: Vec<_> = buffer.metrics.waiting.iter().map(holds).collect();
    assert_eq!(held, [vec![(0, 10)], vec![(0, 1)], vec![(0, 1100)]].map(Holds::Metrics));
}

#[test]
fn snapshots_without_items_do_not_pile_up() {
    let mut buffer = with(&[&[] as &[_]; 10]);
    assert!(buffer.is_full(&sized(9)));
    buffer.shrink(&sized(3));
    assert_eq!(buffer.lens(), [3, 0]);
}

#[test]
fn where_memory_is_short_snapshots_are_merged_and_then_spans_are_given_up() {
    let each = spans(0..1).memory() - spans(0..0).memory();
    let one = metrics(&[(0, 1)]).memory();
    for (overflow, left) in [(Overflow::DropOldest, 4..8), (Overflow::DropNewest, 0..4)] {
        let mut buffer = with(&[&[(0, 1)], &[(0, 2)]]);
        buffer.push(spans(0..3));
        buffer.push(spans(3..8));
        // Of two groups, four spans and their snapshot.
        let max_memory = (one + 2 * spans(0..0).memory() + 4 * each) as u64;
        let config = BufferConfig { max_memory, ..BufferConfig::default().with_overflow(overflow) };
        assert!(buffer.is_full(&config));
        assert_eq!(buffer.shrink(&config), absorbed(1, 4), "{overflow:?}");
        assert!(!buffer.is_full(&config));
        let left = left.collect::<Vec<u128>>();
        let held = all(&mut buffer);
        assert_eq!(held[0], Holds::Metrics(vec![(0, 3)]));
        let held = held[1..].iter().flat_map(|group| match group {
            Holds::Spans(numbers) => numbers.clone(),
            Holds::Metrics(_) => unreachable!(),
        });
        assert_eq!(held.collect::<Vec<_>>(), left);
    }
}

#[test]
fn what_is_not_in_memory_is_not_given_up() {
    let mut buffer = with(&[&[(0, 1), (1, 2)]]);
    buffer.push(spans(0..2));
    let group = buffer.spans.take(0).unwrap();
    buffer.spans.push(Waiting { held: Held::OnDisk(true), memory: 0, kept: Kept::Writing, ..group });
    buffer.push(spans(2..4));
    let tiny = BufferConfig { max_memory: 1, ..BufferConfig::default() };
    assert_eq!(buffer.shrink(&tiny), absorbed(0, 2));
    assert_eq!((buffer.spans.waiting.len(), buffer.spans.waiting[0].len()), (1, 2));
}

#[cfg(all(feature = "file", feature = "zstd"))]
#[test]
fn what_is_compressed_is_smaller_and_the_same() {
    let many: Vec<_> = (0..500).map(|at| (at, at as u64)).collect();
    let mut buffer = with(&[&many, &many]);
    buffer.push(spans(0..500));
    let (before, mut same) = (buffer.memory(), with(&[&many, &many]));
    same.push(spans(0..500));
    buffer.pack(&BufferConfig::default());
    assert_eq!(buffer.memory(), before, "nobody asked for it");
    buffer.pack(&BufferConfig::default().with_compression(1500));
    assert_eq!(buffer.memory(), before, "too little");
    buffer.pack(&BufferConfig::default().with_compression(1499));
    let after = buffer.memory();
    assert!(after * 5 < before, "{before} -> {after}");
    let Compressed { before: counted, after: left } = buffer.compressed();
    assert_eq!((counted as usize, left as usize), (before, after));
    // Series are still the same ones.
    assert_eq!(buffer.shrink(&sized(1)), same.shrink(&sized(1)));
    buffer.pack(&BufferConfig::default().with_compression(1));
    assert_eq!(all(&mut buffer), all(&mut same));
}

/// What can happen to a buffer.
#[derive(Clone, Debug)]
enum Step {
    Metrics(Vec<(usize, u64)>),
    /// So many.
    Spans(u8),
    /// The oldest goes.
    Take,
    /// What went last comes back, under a name.
    PutBack,
    Shrink,
    MergeAll,
    Pack,
    /// Other settings hold.
    Resize {
        size: usize,
        memory: Option<u64>,
        overflow: Overflow,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let changes = vec((0..6usize, 1..100u64), 0..6).prop_map(|mut changes| {
        changes.sort_unstable();
        changes.dedup_by_key(|(series, _)| *series);
        changes
    });
    let overflow = select(&[Overflow::DropOldest, Overflow::DropNewest][..]);
    prop_oneof![
        4 => changes.prop_map(Step::Metrics),
        3 => (0..20u8).prop_map(Step::Spans),
        3 => Just(Step::Take),
        2 => Just(Step::PutBack),
        4 => Just(Step::Shrink),
        1 => Just(Step::MergeAll),
        1 => Just(Step::Pack),
        2 => (1..20usize, prop::option::of(0..20_000u64), overflow)
            .prop_map(|(size, memory, overflow)| Step::Resize { size, memory, overflow }),
    ]
}

fn sorted(mut changes: Vec<(usize, u64)>) -> Vec<(usize, u64)> {
    changes.sort_unstable();
    changes
}

/// The same in as few words as it takes: lists in which nothing has a size but by its number of items.
#[derive(Debug, Default)]
struct Model {
    metrics: Vec<(bool, Vec<(usize, u64)>)>,
    spans: Vec<(bool, Vec<u128>)>,
    largest: usize,
}

impl Model {
    fn room(&self) -> usize {
        self.metrics.iter().map(|(_, changes)| changes.len().max(1)).sum()
    }

    /// Merges the two oldest that may be.
    fn merge(&mut self, most: usize) -> Option<Absorbed> {
        let fixed = self.metrics.iter().take_while(|(tried, _)| *tried).count();
        (self.metrics.len() >= fixed + 2).then(|| {
            let (_, earlier) = self.metrics.remove(fixed);
            let later = &mut self.metrics[fixed].1;
            let mut room = most.saturating_sub(later.len());
            let mut sum = absorbed(0, 0);
            // Metric after metric: first the even ones.
            let (even, odd): (Vec<_>, Vec<_>) = earlier.into_iter().partition(|(series, _)| series % 2 == 0);
            for (series, change) in even.into_iter().chain(odd) {
                match later.iter_mut().find(|(mine, _)| *mine == series) {
                    Some((_, mine)) => {
                        *mine += change;
                        sum.merged += 1;
                    }
                    None if room > 0 => {
                        room -= 1;
                        later.push((series, change));
                    }
                    None => sum.left_out += 1,
                }
            }
            sum
        })
    }

    fn take(&mut self) -> Option<Holds> {
        match self.metrics.is_empty() {
            false => Some(Holds::Metrics(sorted(self.metrics.remove(0).1))),
            true => (!self.spans.is_empty()).then(|| Holds::Spans(self.spans.remove(0).1)),
        }
    }

    fn put_back(&mut self, holds: Holds) {
        match holds {
            Holds::Metrics(changes) => self.metrics.insert(0, (true, changes)),
            Holds::Spans(numbers) => self.spans.insert(0, (true, numbers)),
        }
    }

    /// Gives up so many spans.
    fn overflow(&mut self, mut count: usize, overflow: Overflow) {
        let oldest = overflow == Overflow::DropOldest;
        while count > 0 {
            let at = if oldest { 0 } else { self.spans.len() - 1 };
            let (tried, group) = &mut self.spans[at];
            let goes = count.min(group.len());
            let from = if oldest { 0 } else { group.len() - goes };
            group.drain(from..from + goes);
            // It is not what was tried any more.
            *tried = false;
            count -= goes;
            if group.is_empty() {
                self.spans.remove(at);
            }
        }
    }
}

/// Does the same to both, and compares them after each step.
fn compare(steps: Vec<Step>) {
    let (mut buffer, mut model) = (Buffer::default(), Model::default());
    let (mut config, mut taken, mut next) = (sized(10), None::<Waiting>, 0);
    let (mut accepted, mut ended) = (0, 0);
    for step in steps {
        match step {
            Step::Metrics(changes) => {
                accepted += changes.len();
                buffer.push(metrics(&changes));
                model.largest = model.largest.max(changes.len());
                model.metrics.push((false, changes));
            }
            Step::Spans(count) => {
                let numbers = next..next + u128::from(count);
                next = numbers.end;
                accepted += usize::from(count);
                buffer.push(spans(numbers.clone()));
                model.spans.push((false, numbers.collect()));
            }
            Step::Take => {
                ended += taken.take().map_or(0, |waiting| waiting.len());
                taken = pop(&mut buffer);
                assert_eq!(taken.as_ref().map(holds), model.take());
            }
            Step::PutBack => {
                if let Some(waiting) = taken.take() {
                    model.put_back(holds(&waiting));
                    buffer.put_back(waiting.again(Some(id(1)), false, Kept::No));
                }
            }
            Step::MergeAll => {
                let sum = buffer.merge_all();
                let mut expected = absorbed(0, 0);
                while let Some(one) = model.merge(usize::MAX) {
                    expected.merged += one.merged;
                }
                assert_eq!(sum, expected);
                ended += sum.merged;
            }
            Step::Shrink => ended += shrink(&mut buffer, &mut model, &config),
            Step::Pack => {
                #[cfg(all(feature = "file", feature = "zstd"))]
                buffer.pack(&config.clone().with_compression(3));
            }
            Step::Resize { size, memory, overflow } => {
                config = sized(size).with_overflow(overflow);
                config.max_memory = memory.unwrap_or(config.max_memory);
            }
        }
        same(&buffer, &model);
        let on_its_way = taken.as_ref().map_or(0, Waiting::len);
        let held: usize = buffer.metrics.waiting.iter().chain(&buffer.spans.waiting).map(Waiting::len).sum();
        assert_eq!(accepted, ended + held + on_its_way, "every item is somewhere");
    }
}

/// Makes room in both; gives how many items are no more.
fn shrink(buffer: &mut Buffer, model: &mut Model, config: &BufferConfig) -> usize {
    let spans_of = |buffer: &Buffer| buffer.spans.waiting.iter().map(Waiting::len).sum::<usize>();
    let (snapshots, spans) = (buffer.metrics.waiting.len(), spans_of(buffer));
    let sum = buffer.shrink(config);
    let gone = spans - spans_of(buffer);
    let mut expected = absorbed(0, gone);
    // How often depends on bytes, too, of which the model knows nothing.
    let merges = snapshots - buffer.metrics.waiting.len();
    for _ in 0..merges {
        let one = model.merge(model.largest.max(config.size)).unwrap();
        expected.merged += one.merged;
        expected.left_out += one.left_out;
    }
    let fixed = model.metrics.iter().take_while(|(tried, _)| *tried).count();
    let at_its_limit = model.metrics.len() < fixed + 2;
    assert!(model.room() <= config.size || at_its_limit);
    let is_small = buffer.memory() as u64 <= config.max_memory;
    assert!(is_small || at_its_limit && buffer.spans.waiting.is_empty());
    if gone > 0 {
        model.overflow(gone, config.overflow);
        // One more would not have found room.
        let packed = buffer.compressed().before > 0;
        let room = config.max_memory as usize - buffer.memory().min(config.max_memory as usize);
        let one = spans_memory(2) - spans_memory(1);
        assert!(packed || at_its_limit && room <= 2 * one + spans_memory(0), "{room} bytes were left");
    }
    model.spans.retain(|(_, group)| !group.is_empty());
    buffer_without_empty_groups(buffer);
    assert_eq!(sum, expected);
    sum.merged + sum.left_out
}

fn spans_memory(count: u128) -> usize {
    spans(0..count).memory()
}

/// A group without spans is neither in the way nor missed.
fn buffer_without_empty_groups(buffer: &mut Buffer) {
    while let Some(at) = buffer.spans.waiting.iter().position(|group| group.len() == 0) {
        buffer.spans.take(at);
    }
}

fn same(buffer: &Buffer, model: &Model) {
    let held = |line: &Line| {
        line.waiting.iter().map(|waiting| (waiting.id.is_some(), holds(waiting))).collect::<Vec<_>>()
    };
    let metrics =
        model.metrics.iter().map(|(tried, changes)| (*tried, Holds::Metrics(sorted(changes.clone()))));
    assert_eq!(held(&buffer.metrics), metrics.collect::<Vec<_>>());
    let spans = model.spans.iter().map(|(tried, numbers)| (*tried, Holds::Spans(numbers.clone())));
    assert_eq!(held(&buffer.spans), spans.collect::<Vec<_>>());
    assert_eq!(buffer.metrics.room, model.room());
    for line in [&buffer.metrics, &buffer.spans] {
        assert_eq!(line.memory, line.waiting.iter().map(|waiting| waiting.memory).sum::<usize>());
    }
}

#[test]
fn reliability_a_buffer_is_what_its_model_is() {
    let sequences = if full() { 100_000 } else { 1_000 };
    let config = ProptestConfig { cases: sequences, failure_persistence: None, ..Default::default() };
    let steps = vec(step(), 0..64);
    TestRunner::new(config)
        .run(&steps, |steps| {
            compare(steps);
            Ok(())
        })
        .unwrap();
    println!("| a buffer against a model of it, {sequences} random sequences | the same | the same |");
}
