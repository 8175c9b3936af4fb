//! The books of a leg: what became of every item that it was given.

use std::fmt;

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
    /// Attempts that ended in a [`Timeout`](crate::ErrorKind::Timeout), so that nobody knows whether the backend took the batch.
    /// Not a part of the sum: the items are still held, and tried again.
    pub attempts_unknown: u64,
}

/// Why items were given up.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// The exporter's mapping or a filter leaves them out.
    Filtered,
    /// No condition of a route applied.
    Condition,
    /// There was no room to hold them any longer.
    Overflow,
    /// One of them alone is more than the backend takes at once.
    TooLarge,
    /// The export failed in a way that trying again would not cure.
    Refused,
    /// The exporter does not carry metrics.
    Unsupported,
    /// The exporter panicked.
    Panicked,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Filtered,
        Self::Condition,
        Self::Overflow,
        Self::TooLarge,
        Self::Refused,
        Self::Unsupported,
        Self::Panicked,
    ];

    /// The reason as a low-cardinality attribute, for example `too_large`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Condition => "condition",
            Self::Overflow => "overflow",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Panicked => "panicked",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts of items given up, by reason.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// Items given up for `reason`.
    pub const fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Items given up, for whatever reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons for which any were, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|(_, items)| *items > 0)
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(reason, items)| (reason.as_str(), items))).finish()
    }
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

    /// The backend answered for items that were held.
    pub(super) fn export(&mut self, items: usize, rejected: usize) {
        let (items, rejected) = (items as u64, rejected.min(items) as u64);
        self.buffered -= items;
        self.rejected += rejected;
        self.exported += items - rejected;
    }

    /// Held items became one with others.
    pub(super) fn merge(&mut self, items: usize) {
        self.buffered -= items as u64;
        self.merged += items as u64;
    }

    /// Held items are given up.
    pub(super) fn give_up(&mut self, items: usize, reason: DropReason) {
        self.buffered -= items as u64;
        self.dropped.0[reason as usize] += items as u64;
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
        ledger.export(3, 99);
        ledger.merge(1);
        assert!(ledger.is_balanced());
        assert_eq!((ledger.accepted, ledger.exported, ledger.rejected, ledger.buffered), (13, 0, 3, 1));
        assert_eq!(format!("{:?}", ledger.dropped), r#"{"filtered": 3, "too_large": 4, "panicked": 1}"#);
        assert_eq!(ledger.dropped.total(), 8);
        ledger.exported += 1;
        assert!(!ledger.is_balanced());
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

    #[test]
    fn every_reason_is_at_its_place() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason}");
        }
    }
}
