//! Snapshots that wait to be sent, oldest first, in bounded room.

use crate::{BatchId, ProfileMetrics, model::Absorbed};
use std::{collections::VecDeque, sync::Arc};

/// A snapshot, or a part of one, that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) metrics: Arc<ProfileMetrics>,
    /// What it was called when it was tried before: as long as it is the same, so is its name.
    pub(super) id: Option<BatchId>,
    /// Whether the mapping was applied, so that it is what is sent and not what was recorded.
    pub(super) mapped: bool,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    size: usize,
    largest: usize,
}

/// The room that a snapshot takes; one without items takes some, too.
fn size(metrics: &ProfileMetrics) -> usize {
    metrics.len().max(1)
}

impl Queue {
    /// How many snapshots wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many items wait; a snapshot without any counts as one.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether more waits than `limit` items.
    pub(super) fn is_over(&self, limit: usize) -> bool {
        self.size > limit
    }

    /// A new snapshot comes.
    pub(super) fn push(&mut self, metrics: Arc<ProfileMetrics>) {
        self.largest = self.largest.max(metrics.len());
        self.size += size(&metrics);
        self.waiting.push_back(Waiting { metrics, id: None, mapped: false });
    }

    /// One that could not go comes back.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.size += size(&waiting.metrics);
        self.waiting.push_front(waiting);
    }

    /// The oldest goes.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.size -= size(&oldest.metrics);
        Some(oldest)
    }

    /// Merges the two oldest of those that are as they were recorded and were not tried, until no more than `limit` items wait, or
    /// one such snapshot. What was tried may be there already, by its name, or be at some exporters of a route.
    /// Nothing is lost but resolution in time; except that series which have ended may not make it larger than both `limit`
    /// and the largest snapshot there was.
    pub(super) fn shrink(&mut self, limit: usize) -> Absorbed {
        self.merge(limit, self.largest.max(limit))
    }

    /// Merges all that can be, and leaves nothing out.
    pub(super) fn merge_all(&mut self) -> Absorbed {
        self.merge(0, usize::MAX)
    }

    /// Until no more than `limit` items wait. Series that have ended do not make a snapshot larger than `most`.
    fn merge(&mut self, limit: usize, most: usize) -> Absorbed {
        let mut sum = Absorbed::default();
        let fixed = self.waiting.iter().take_while(|waiting| waiting.mapped || waiting.id.is_some()).count();
        while self.is_over(limit) && self.len() > fixed + 1 {
            let (Some(earlier), Some(later)) = (self.waiting.remove(fixed), self.waiting.get_mut(fixed))
            else {
                break;
            };
            self.size -= size(&earlier.metrics) + size(&later.metrics);
            let room = most.saturating_sub(later.metrics.len());
            let absorbed = Arc::make_mut(&mut later.metrics).absorb(&earlier.metrics, room);
            sum.merged += absorbed.merged;
            sum.left_out += absorbed.left_out;
            self.size += size(&later.metrics);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Batch, Signal,
        model::sample::{changes, snapshot},
    };

    fn id(sequence: u64) -> BatchId {
        BatchId { instance: 0, leg: "leg".into(), sequence, part: 0 }
    }

    fn queue(snapshots: &[&[(usize, u64)]]) -> Queue {
        let mut queue = Queue::default();
        snapshots.iter().for_each(|changes| queue.push(Arc::new(snapshot(changes.iter().copied()))));
        queue
    }

    fn all(queue: &mut Queue) -> Vec<Vec<(usize, u64)>> {
        let next =
            || queue.pop().map(|waiting| changes(&Batch::new(id(0), Signal::Metrics(waiting.metrics))));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn the_oldest_are_merged_and_only_as_far_as_it_takes() {
        let mut queue = queue(&[&[(0, 1), (1, 2)], &[(0, 10), (1, 20)], &[(0, 100), (1, 200)], &[(0, 5)]]);
        assert!(queue.is_over(6) && !queue.is_over(7));
        assert_eq!(queue.shrink(7), Absorbed::default());
        assert_eq!(queue.shrink(6), Absorbed { merged: 2, left_out: 0 });
        assert_eq!(all(&mut queue), [vec![(0, 11), (1, 22)], vec![(0, 100), (1, 200)], vec![(0, 5)]]);
        assert!(!queue.is_over(0));
    }

    #[test]
    fn one_snapshot_may_always_wait() {
        let mut queue = queue(&[&[(0, 1), (1, 2), (2, 3)]]);
        assert_eq!(queue.shrink(1), Absorbed::default());
        queue.push(Arc::new(snapshot([(0, 1), (1, 1), (2, 1)])));
        assert_eq!(queue.shrink(1), Absorbed { merged: 3, left_out: 0 });
        assert_eq!(all(&mut queue), [[(0, 2), (2, 4), (1, 3)]]);
    }

    #[test]
    fn series_that_have_ended_wait_as_long_as_there_is_room() {
        let ended = || queue(&[&[(0, 1), (2, 2), (1, 3)], &[(0, 5), (4, 1)], &[(6, 1)]]);
        let mut roomy = ended();
        assert_eq!(roomy.shrink(5), Absorbed { merged: 1, left_out: 0 });
        assert_eq!(all(&mut roomy), [vec![(0, 6), (4, 1), (2, 2), (1, 3)], vec![(6, 1)]]);
        let mut tight = ended();
        // Never more than the largest snapshot.
        assert_eq!(tight.shrink(1), Absorbed { merged: 1, left_out: 2 });
        assert_eq!(all(&mut tight), [[(6, 1), (0, 6), (4, 1)]]);
    }

    #[test]
    fn what_was_tried_is_merged_with_nothing() {
        let mut queue = queue(&[&[(0, 1)], &[(0, 10)]]);
        queue.put_back(Waiting { metrics: Arc::new(snapshot([(0, 100)])), id: Some(id(7)), mapped: false });
        assert_eq!(queue.shrink(1), Absorbed { merged: 1, left_out: 0 });
        let tried = queue.pop().unwrap();
        assert_eq!(tried.id, Some(id(7)));
        queue.put_back(tried);
        assert_eq!(all(&mut queue), [[(0, 100)], [(0, 11)]]);
    }

    #[test]
    fn what_was_mapped_is_merged_with_nothing() {
        let mut queue = queue(&[&[(0, 1)], &[(0, 10)]]);
        queue.put_back(Waiting { metrics: Arc::new(snapshot([(0, 100)])), id: None, mapped: true });
        assert_eq!(queue.shrink(1), Absorbed { merged: 1, left_out: 0 });
        assert_eq!(all(&mut queue), [[(0, 100)], [(0, 11)]]);
    }

    #[test]
    fn snapshots_without_items_do_not_pile_up() {
        let mut queue = queue(&[&[] as &[_]; 10]);
        assert!(queue.is_over(9));
        queue.shrink(3);
        assert_eq!(queue.len(), 3);
    }
}
