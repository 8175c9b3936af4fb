//! Which exporters of a route are done with a batch that as a whole failed, so that none is sent it twice.

use crate::{BatchId, DropReason, ErrorKind, Receipt};
use std::{
    collections::{HashMap, VecDeque},
    iter,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Batches that are remembered; then the one that failed longest ago is forgotten.
const MOST: usize = 1024;

/// How an exporter is done with a batch.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Took(Receipt),
    /// It would refuse it again.
    Refused(ErrorKind, DropReason),
}

/// The exporters, by number, that are done with each of the latest batches that failed.
#[derive(Debug, Default)]
pub(super) struct Finished(Mutex<Batches>);

#[derive(Debug, Default)]
struct Batches {
    done: HashMap<BatchId, Vec<(usize, Done)>>,
    /// The one that failed longest ago comes first.
    order: VecDeque<BatchId>,
}

/// Who took a batch while others are asked; that is not forgotten where it is abandoned.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    finished: &'a Finished,
    id: &'a BatchId,
    took: Mutex<Vec<(usize, Done)>>,
}

impl Asking<'_> {
    pub(super) fn took(&self, exporter: usize, receipt: &Receipt) {
        self.all().push((exporter, Done::Took(receipt.clone())));
    }

    /// All have answered: what is to be remembered is decided elsewhere.
    pub(super) fn done(self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, Vec<(usize, Done)>> {
        self.took.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let took = std::mem::take(&mut *self.all());
        if !took.is_empty() {
            self.finished.keep(self.id, took);
        }
    }
}

impl Finished {
    /// Exporters are asked to take the batch.
    pub(super) fn asking<'a>(&'a self, id: &'a BatchId) -> Asking<'a> {
        Asking { finished: self, id, took: Mutex::default() }
    }

    /// How `exporter` is done with the batch, or that it took a larger one that this is a part of.
    pub(super) fn with(&self, id: &BatchId, exporter: usize) -> Option<Done> {
        let batches = self.batches();
        if batches.done.is_empty() {
            return None;
        }
        let whole = |part: &u64| (*part > 0).then(|| (part - 1) / 2);
        iter::successors(Some(id.part), whole).find_map(|part| {
            let done = batches.done.get(&BatchId { part, ..id.clone() })?;
            let (_, done) = done.iter().find(|(other, _)| *other == exporter)?;
            // What it refused as a whole it may take in part.
            (part == id.part || matches!(done, Done::Took(_))).then(|| done.clone())
        })
    }

    /// Nobody took the batch as a whole yet, and these are done with it, as are those of which that is known already.
    pub(super) fn keep(&self, id: &BatchId, mut done: Vec<(usize, Done)>) {
        let mut batches = self.batches();
        for known in batches.done.get(id).into_iter().flatten() {
            if done.iter().all(|(exporter, _)| *exporter != known.0) {
                done.push(known.clone());
            }
        }
        batches.forget(id);
        if done.is_empty() {
            return;
        }
        if batches.order.len() >= MOST
            && let Some(oldest) = batches.order.pop_front()
        {
            batches.done.remove(&oldest);
        }
        batches.order.push_back(id.clone());
        batches.done.insert(id.clone(), done);
    }

    /// The batch will not come again.
    pub(super) fn forget(&self, id: &BatchId) {
        self.batches().forget(id);
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batches {
    fn forget(&mut self, id: &BatchId) {
        if self.done.remove(id).is_some() {
            self.order.retain(|other| other != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64, part: u64) -> BatchId {
        BatchId { instance: 1, leg: "leg".into(), sequence, part }
    }

    fn took() -> Vec<(usize, Done)> {
        vec![
            (0, Done::Took(Receipt::accepted(8))),
            (1, Done::Refused(ErrorKind::Rejected, DropReason::Refused)),
        ]
    }

    /// One that was not asked this time is still done.
    #[test]
    fn who_is_done_stays_so() {
        let finished = Finished::default();
        finished.keep(&id(1, 0), took());
        finished.keep(&id(1, 0), vec![(2, Done::Took(Receipt::accepted(8)))]);
        finished.keep(&id(1, 0), Vec::new());
        assert!((0..3).all(|exporter| finished.with(&id(1, 0), exporter).is_some()));
    }

    #[test]
    fn parts_of_what_was_taken_were_taken() {
        let finished = Finished::default();
        finished.keep(&id(1, 1), took());
        for (part, taken) in
            [(0, false), (1, true), (2, false), (3, true), (4, true), (5, false), (10, true), (11, false)]
        {
            assert_eq!(finished.with(&id(1, part), 0).is_some(), taken, "{part}");
            assert!(finished.with(&id(2, part), 0).is_none() && finished.with(&id(1, part), 2).is_none());
        }
        assert!(matches!(finished.with(&id(1, 1), 1), Some(Done::Refused(..))));
        assert!(finished.with(&id(1, 3), 1).is_none(), "a part may be taken");
        finished.forget(&id(1, 1));
        assert!(finished.with(&id(1, 1), 0).is_none());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let finished = Finished::default();
        for sequence in 0..3 * MOST as u64 {
            finished.keep(&id(sequence, 0), took());
            // One that fails again is not the oldest any more.
            finished.keep(&id(7, 0), took());
        }
        let batches = finished.batches();
        assert_eq!((batches.done.len(), batches.order.len()), (MOST, MOST));
        assert!(
            batches.done.contains_key(&id(7, 0)) && batches.done.contains_key(&id(3 * MOST as u64 - 1, 0))
        );
        assert!(!batches.done.contains_key(&id(2 * MOST as u64, 0)));
    }
}
