//! A batch in parts, each as large as its exporter takes, and each with a number of its own.

use crate::{Batch, Signal};

/// The parts of a batch that are still to be sent; the first is on top.
///
/// Each part is split in two, and those again, so that it is a [binary tree](crate::BatchId::part) that numbers them. A number
/// has room for a depth of 63. So a split into many parts is balanced: n of them are no deeper than log₂ n. And wherever a
/// part is split, it is so that those it gives can still be halved down to single items.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Part>);

#[derive(Debug)]
struct Part {
    batch: Batch,
    /// Whether it was tried, or something that it is a part of: then somebody may know it by its number.
    was_tried: bool,
}

impl Parts {
    /// `was_tried`: it comes again, under the number that it had.
    pub(crate) fn new(whole: Batch, was_tried: bool) -> Self {
        Self(vec![Part { batch: whole, was_tried }])
    }

    /// The next part, of at most `size` items; all but the last are of that size.
    pub(crate) fn next(&mut self, size: usize) -> Option<Batch> {
        let size = size.max(1);
        let Part { mut batch, was_tried } = self.0.pop()?;
        while batch.len() > size {
            let halfway = batch.len().div_ceil(size).div_ceil(2).saturating_mul(size);
            let Some((first, rest)) = split(&batch, halfway) else { break };
            self.0.push(Part { batch: rest, was_tried });
            batch = first;
        }
        Some(batch)
    }

    /// A part is too large: splits it in two, after the `fitting` items if that is known; false where it can't be. A batch of n
    /// items is tried in at most 2n - 1 parts, whatever the backend takes for too large.
    pub(crate) fn again(&mut self, part: &Batch, fitting: Option<usize>) -> bool {
        let at = fitting.filter(|items| (1..part.len()).contains(items)).unwrap_or(half(part));
        let halves = split(part, at);
        let splits = halves.is_some();
        let halves = halves.into_iter().flat_map(|(first, rest)| [rest, first]);
        self.0.extend(halves.map(|batch| Part { batch, was_tried: true }));
        splits
    }

    /// What was not sent: the parts that somebody may know by their numbers, in order, and what is left, which nobody does.
    pub(crate) fn rest(self) -> (Vec<Batch>, Option<Signal>) {
        let (tried, untried): (Vec<_>, Vec<_>) = self.0.into_iter().rev().partition(|part| part.was_tried);
        let untried = untried.first().zip(untried.last()).map(|(first, last)| {
            first.batch.signal().slice(first.batch.range().start..last.batch.range().end)
        });
        (tried.into_iter().map(|part| part.batch).collect(), untried)
    }
}

fn half(part: &Batch) -> usize {
    part.len().div_ceil(2)
}

/// Splits after `at` items, or where that would leave too little room for the numbers of parts, in half.
fn split(part: &Batch, at: usize) -> Option<(Batch, Batch)> {
    let depth = part.id().part.saturating_add(1).ilog2();
    let longer = at.max(part.len().saturating_sub(at));
    let has_room = depth + 1 + halvings(longer) < u64::BITS;
    part.split(if has_room { at } else { half(part) })
}

/// How often `items` are halved until they are one.
fn halvings(items: usize) -> u32 {
    items.saturating_sub(1).checked_ilog2().map_or(0, |n| n + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchId, Signal, model::sample};
    use std::collections::HashSet;

    fn batch(items: usize) -> Batch {
        let id = BatchId { instance: 0, leg: "leg".into(), sequence: 1, part: 0 };
        Batch::new(id, Signal::Metrics(sample::snapshot((0..items).map(|at| (at, 1))).into()))
    }

    /// Every item once, in order, and no number twice.
    fn assert_whole(parts: &[Batch], items: usize) {
        let mut next = 0;
        for part in parts {
            assert_eq!(part.range().start, next);
            next = part.range().end;
        }
        assert_eq!(next, items);
        let numbers: HashSet<u64> = parts.iter().map(|part| part.id().part).collect();
        assert_eq!(numbers.len(), parts.len());
    }

    fn all(parts: &mut Parts, size: usize) -> Vec<Batch> {
        std::iter::from_fn(|| parts.next(size)).collect()
    }

    #[test]
    fn parts_are_as_large_as_they_may_be() {
        for (items, size) in [(0, 5), (1, 1), (10, 10), (10, 3), (11, 0), (100_000, 1), (99_999, 7)] {
            let parts = all(&mut Parts::new(batch(items), false), size);
            assert_whole(&parts, items);
            assert_eq!(parts.len(), items.div_ceil(size.max(1)).max(1));
            assert!(parts.iter().rev().skip(1).all(|part| part.len() == size.max(1)));
            let deepest = parts.iter().map(|part| (part.id().part + 1).ilog2()).max();
            assert_eq!(deepest, Some(halvings(parts.len())), "{items} by {size}");
        }
    }

    #[test]
    fn numbers_are_the_same_every_time() {
        let numbers =
            || all(&mut Parts::new(batch(8), false), 2).iter().map(|part| part.id().part).collect::<Vec<_>>();
        assert_eq!(numbers(), [3, 4, 5, 6]);
        assert_eq!(numbers(), numbers());
    }

    #[test]
    fn what_is_too_large_is_split_where_it_was_said_or_in_half() {
        let mut parts = Parts::new(batch(10), false);
        let whole = parts.next(usize::MAX).unwrap();
        assert!(parts.again(&whole, Some(3)));
        let first = parts.next(usize::MAX).unwrap();
        assert_eq!((first.range(), first.id().part), (0..3, 1));
        for useless in [None, Some(0), Some(3), Some(100)] {
            assert!(parts.again(&first, useless));
            let [first, last] = [(); 2].map(|()| parts.next(usize::MAX).unwrap());
            assert_eq!((first.range(), last.range()), (0..2, 2..3), "{useless:?}");
            assert!(!parts.again(&last, None), "one item");
        }
        assert_eq!(parts.next(usize::MAX).unwrap().range(), 3..10);
        assert!(parts.next(usize::MAX).is_none());
    }

    /// Cutting off one item after the other would need as many levels as there are items.
    #[test]
    fn numbers_do_not_run_out() {
        for size in [1, 2, 1000] {
            let (mut parts, mut sent, mut tried) =
                (Parts::new(batch(1000), false), Vec::new(), HashSet::new());
            while let Some(part) = parts.next(size) {
                assert!(tried.insert(part.id().part));
                match part.len() {
                    1 => sent.push(part),
                    _ => assert!(parts.again(&part, Some(1))),
                }
            }
            assert_whole(&sent, 1000);
            assert!(tried.len() < 2000);
        }
    }

    #[test]
    fn another_size_holds_for_the_next_part() {
        let mut parts = Parts::new(batch(100), false);
        let mut sizes = (1..20).cycle();
        let sent: Vec<Batch> = std::iter::from_fn(|| parts.next(sizes.next().unwrap())).collect();
        assert_whole(&sent, 100);
        assert_eq!(sent.first().map(Batch::len), Some(1));
    }

    #[test]
    fn what_was_tried_keeps_its_number() {
        let mut parts = Parts::new(batch(20), false);
        let first = parts.next(5).unwrap();
        assert!(parts.again(&first, Some(3)));
        let sent = parts.next(5).unwrap();
        assert_eq!(sent.range(), 0..3);
        let (tried, untried) = parts.rest();
        let numbers: Vec<_> = tried.iter().map(|part| (part.range(), part.id().part)).collect();
        assert_eq!(
            (numbers, untried.map(|untried| untried.len())),
            (vec![(3..5, 2 * first.id().part + 2)], Some(15))
        );
        let mut again = Parts::new(batch(20), true);
        again.next(5).unwrap();
        let (tried, untried) = again.rest();
        assert_eq!((tried.iter().map(Batch::len).sum::<usize>(), untried.is_none()), (15, true));
    }

    #[test]
    fn nothing_is_a_part_too() {
        let mut parts = Parts::new(batch(0), false);
        assert!(parts.next(5).is_some_and(|part| part.is_empty()));
        assert!(parts.next(5).is_none());
    }
}
