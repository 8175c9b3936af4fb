//! What one exporter of a route is sent of a batch, and what its answer says of the batch.

use crate::{Batch, Dropped, Mapping, ProfileMetrics, Receipt, Signal, mapping::Mapper};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// An exporter's own mapping, where those of a route differ, so that the leg cannot apply them.
#[derive(Debug)]
pub(super) struct Share {
    mapper: Mapper,
    /// What it made last, since a snapshot comes in parts.
    last: Mutex<(Weak<ProfileMetrics>, Arc<ProfileMetrics>)>,
}

impl Share {
    pub(super) fn new(mapping: &'static Mapping) -> Self {
        let nothing = Arc::new(ProfileMetrics::none());
        Self { mapper: Mapper::new(mapping), last: Mutex::new((Weak::new(), nothing)) }
    }

    /// The batch as the exporter asks for it: of what its mapping makes of the whole snapshot, as large a part as the batch is
    /// of the snapshot, so that all parts together are all of it. What the leg has mapped stays as it is.
    pub(super) fn of(&self, batch: &Batch) -> Batch {
        let Some(metrics) = batch.metrics() else { return batch.clone() };
        if metrics.metrics.iter().all(|metric| metric.descriptor.exact_name) {
            return batch.clone();
        }
        let mapped = self.mapped(metrics);
        let (range, from, to) = (batch.range(), metrics.len(), mapped.len());
        let range = proportion(range.start, from, to)..proportion(range.end, from, to);
        batch.with_data(Signal::Metrics(mapped), range)
    }

    fn mapped(&self, metrics: &Arc<ProfileMetrics>) -> Arc<ProfileMetrics> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !Weak::ptr_eq(&last.0, &Arc::downgrade(metrics)) {
            *last = (Arc::downgrade(metrics), Arc::new(self.mapper.apply(metrics).metrics));
        }
        last.1.clone()
    }
}

/// `items` of `from`, of `to`; rounded down.
pub(super) fn proportion(items: usize, from: usize, to: usize) -> usize {
    let exact = items as u128 * to as u128 / from.max(1) as u128;
    usize::try_from(exact).unwrap_or(usize::MAX).min(to)
}

/// A receipt of `from` items as one of `to`. As in a leg's books, what it does not name was taken.
pub(super) fn scaled(receipt: &Receipt, from: usize, to: usize) -> Receipt {
    let mut left = to;
    let mut take = |items: usize| {
        // Rounded up: what was lost is told.
        let kept = if from == 0 { to } else { proportion(from.saturating_sub(items), from, to) };
        let taken = (to - kept).min(left);
        left -= taken;
        taken
    };
    let (rejected, dead_lettered) = (take(receipt.rejected), take(receipt.dead_lettered));
    let mut dropped = Dropped::default();
    for (reason, items) in receipt.dropped.iter() {
        dropped.add(reason, take(usize::try_from(items).unwrap_or(usize::MAX)) as u64);
    }
    Receipt {
        accepted: left,
        rejected,
        dead_lettered,
        dropped,
        by_fallback: proportion(receipt.by_fallback, from, to).min(left),
        ..receipt.clone()
    }
}

/// How many items a receipt is about.
pub(super) fn total(receipt: &Receipt) -> usize {
    let dropped = usize::try_from(receipt.dropped.total()).unwrap_or(usize::MAX);
    [receipt.rejected, receipt.dead_lettered, dropped]
        .iter()
        .fold(receipt.accepted, |sum, more| sum.saturating_add(*more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DropReason, MetricMapping, layers::script::batch};
    use proptest::prelude::*;

    fn statistics() -> &'static Mapping {
        let metric = |name: &str| MetricMapping::new(name.to_owned(), "interval_seconds").unwrap();
        Box::leak(Box::new(
            ["a", "b", "c"].into_iter().fold(Mapping::default(), |all, name| all.metric(metric(name))),
        ))
    }

    #[test]
    fn the_parts_of_a_snapshot_are_sent_all_of_what_it_is_mapped_to() {
        let share = Share::new(statistics());
        let whole = batch(10);
        let (first, rest) = whole.split(4).unwrap();
        let (second, third) = rest.split(2).unwrap();
        let ranges = [&first, &second, &third].map(|part| share.of(part).range());
        assert_eq!(ranges, [0..1, 1..1, 1..3]);
        assert_eq!(share.of(&first).id(), first.id());
        let [one, other] = [&first, &third].map(|part| Arc::as_ptr(share.of(part).metrics().unwrap()));
        assert_eq!(one, other, "it is mapped once");
        assert_eq!(share.of(&share.of(&whole)).range(), 0..3, "and not again");
        assert_eq!(share.of(&batch(0)).len(), 0);
    }

    proptest! {
        #[test]
        fn a_receipt_accounts_for_every_item_once(counts in proptest::array::uniform5(0usize..50), to in 0usize..200) {
            let [accepted, rejected, dead_lettered, condition, by_fallback] = counts;
            let mut receipt = Receipt::accepted(accepted).with_rejected(rejected).with_dropped(DropReason::Condition, condition);
            (receipt.dead_lettered, receipt.by_fallback) = (dead_lettered, by_fallback);
            let from = total(&receipt);
            let scaled = scaled(&receipt, from, to);
            prop_assert_eq!(total(&scaled), to);
            prop_assert!(scaled.by_fallback <= scaled.accepted);
            prop_assert!(to == 0 || rejected == 0 || scaled.rejected > 0);
            if from == to {
                prop_assert_eq!((scaled.accepted, scaled.rejected), (accepted, rejected));
            }
        }
    }
}
