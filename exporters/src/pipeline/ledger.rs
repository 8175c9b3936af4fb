//! The books of a leg: what became of every item that it was given.

use crate::{DropReason, Dropped, Receipt};

/// What became of the items that an exporter was given; an item is one series' point of one snapshot.
///
/// `accepted = exported + rejected + merged + dropped + dead_lettered + buffered`, whenever it is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Ledger {
    /// Items it was given.
    pub accepted: u64,
    /// Items its backend took.
    pub exported: u64,
    /// Items its backend refused out of batches it took.
    pub rejected: u64,
    /// Items whose change was added to that of a later item of the same series, so that nothing is lost but resolution in
    /// time; and items of which several became one statistic.
    pub merged: u64,
    /// Items given up, by reason.
    pub dropped: Dropped,
    /// Items put aside as dead letters.
    pub dead_lettered: u64,
    /// Items it holds: those that wait, and those on their way.
    pub buffered: u64,
    /// Of those that are exported: items that a fallback took.
    pub by_fallback: u64,
    /// Attempts that ended in a [`Timeout`](crate::ErrorKind::Timeout), so that nobody knows whether the backend took the batch.
    /// Not a part of the sum: the items are still held, and tried again.
    pub attempts_unknown: u64,
}

impl Ledger {
    /// Whether everything that was accepted is accounted for.
    pub fn is_balanced(&self) -> bool {
        let ended = self.exported + self.rejected + self.merged + self.dropped.total() + self.dead_lettered;
        self.accepted == ended + self.buffered
    }

    /// Items came in to be held.
    pub(super) fn accept(&mut self, items: usize) {
        self.accepted += items as u64;
        self.buffered += items as u64;
    }

    /// The mapping made other items of `given` ones that were held: `unselected` went into none, and of those that were
    /// `made`, `filtered` are not wanted. Where more are made than went in, they are accepted, too.
    pub(super) fn map(&mut self, given: usize, unselected: usize, made: usize, filtered: usize) {
        let selected = given - unselected.min(given);
        self.accept(made.saturating_sub(selected));
        self.merge(selected.saturating_sub(made));
        self.give_up(unselected + filtered, DropReason::Filtered);
    }

    /// `receipt` says what became of items that were held; what it does not name was taken.
    pub(super) fn settle(&mut self, items: usize, receipt: &Receipt) {
        let mut left = items;
        let mut take = |wanted: usize| {
            let taken = wanted.min(left);
            left -= taken;
            taken as u64
        };
        self.rejected += take(receipt.rejected);
        self.dead_lettered += take(receipt.dead_lettered);
        for (reason, count) in receipt.dropped.iter() {
            self.dropped.add(reason, take(usize::try_from(count).unwrap_or(usize::MAX)));
        }
        self.exported += left as u64;
        self.by_fallback += receipt.by_fallback.min(left) as u64;
        self.buffered -= items as u64;
    }

    /// Held items became one with others.
    pub(super) fn merge(&mut self, items: usize) {
        self.buffered -= items as u64;
        self.merged += items as u64;
    }

    /// Held items are given up.
    pub(super) fn give_up(&mut self, items: usize, reason: DropReason) {
        self.buffered -= items as u64;
        self.dropped.add(reason, items as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_apart() {
        let mut ledger = Ledger::default();
        ledger.accept(13);
        ledger.give_up(3, DropReason::Filtered);
        ledger.give_up(4, DropReason::TooLarge);
        ledger.give_up(1, DropReason::Panicked);
        ledger.settle(3, &Receipt::accepted(0).with_rejected(99));
        ledger.merge(1);
        assert!(ledger.is_balanced());
        assert_eq!((ledger.accepted, ledger.exported, ledger.rejected, ledger.buffered), (13, 0, 3, 1));
        assert_eq!(format!("{:?}", ledger.dropped), r#"{"filtered": 3, "too_large": 4, "panicked": 1}"#);
        assert_eq!(ledger.dropped.total(), 8);
        ledger.exported += 1;
        assert!(!ledger.is_balanced());
    }

    #[test]
    fn a_receipt_tells_every_item_and_none_twice() {
        let mut ledger = Ledger::default();
        ledger.accept(20);
        let mut receipt = Receipt::accepted(4).with_rejected(1).with_dropped(DropReason::Condition, 2);
        (receipt.dead_lettered, receipt.by_fallback) = (3, 4);
        ledger.settle(10, &receipt);
        assert_eq!((ledger.exported, ledger.by_fallback, ledger.rejected), (4, 4, 1));
        assert_eq!((ledger.dead_lettered, ledger.dropped.of(DropReason::Condition)), (3, 2));
        // One that counts wrong cannot do harm.
        receipt.dead_lettered = usize::MAX;
        ledger.settle(10, &receipt);
        assert!(ledger.is_balanced());
        assert_eq!((ledger.exported, ledger.dead_lettered, ledger.buffered), (4, 12, 0));
    }

    #[test]
    fn a_mapping_keeps_the_balance() {
        for (unselected, made, filtered, accepted, merged) in
            [(4, 2, 1, 10, 4), (0, 10, 0, 10, 0), (7, 9, 0, 16, 0), (10, 0, 0, 10, 0), (0, 0, 0, 10, 10)]
        {
            let mut ledger = Ledger::default();
            ledger.accept(10);
            ledger.map(10, unselected, made, filtered);
            assert!(ledger.is_balanced());
            assert_eq!((ledger.accepted, ledger.merged), (accepted, merged));
            assert_eq!(ledger.buffered as usize, made - filtered);
        }
    }
}
