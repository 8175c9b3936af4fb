//! What waits on the disk as well: it is written in the order in which it came, and leaves memory where there is no room.

use super::{Buffer, Held, Line, Waiting};
use crate::{BatchId, Signal, spool::Record};
use std::sync::Arc;

/// Whether something that waits is in the spool.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline) enum Kept {
    #[default]
    No,
    /// It is being written.
    Writing,
    /// It is, as a whole of which this may be a part.
    Yes(Arc<Record>),
}

impl Buffer {
    /// The first that is to be written, under this name.
    pub(in crate::pipeline) fn begin_to_keep(&mut self, id: BatchId) -> Option<(BatchId, Signal)> {
        let lines = [&mut self.metrics, &mut self.spans];
        let mut all = lines.into_iter().flat_map(|line| &mut line.waiting);
        let next = all.find(|waiting| waiting.is_untouched())?;
        let signal = next.signal()?;
        next.id = Some(id.clone());
        next.kept = Kept::Writing;
        Some((id, signal))
    }

    /// It was written; or was not, and then is as it was before.
    pub(in crate::pipeline) fn keep(&mut self, id: &BatchId, record: Option<Record>) {
        let lines = [&mut self.metrics, &mut self.spans];
        let mut all = lines.into_iter().flat_map(|line| &mut line.waiting);
        let of =
            |waiting: &&mut Waiting| waiting.id.as_ref() == Some(id) && matches!(waiting.kept, Kept::Writing);
        if let Some(written) = all.find(of) {
            match record {
                Some(record) => written.kept = Kept::Yes(Arc::new(record)),
                None => (written.id, written.kept) = (None, Kept::No),
            }
        }
    }

    /// The oldest, where it is of an earlier process and came back.
    pub(in crate::pipeline) fn pop_of_others(&mut self, instance: u128) -> Option<Waiting> {
        let of_others = |line: &&mut Line| {
            let id = line.waiting.front().and_then(|waiting| waiting.id.as_ref());
            id.is_some_and(|id| id.instance != instance)
        };
        [&mut self.metrics, &mut self.spans].into_iter().find(of_others)?.pop(true)
    }

    /// Has the latest that is on the disk, and as it was recorded, leave memory. Whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        self.metrics.evict() || self.spans.evict()
    }
}

impl Line {
    fn evict(&mut self) -> bool {
        let may = |waiting: &&mut Waiting| {
            matches!(&waiting.kept, Kept::Yes(record) if record.items() == waiting.items)
                && !waiting.mapped
                && !matches!(waiting.held, Held::OnDisk(_))
        };
        let Some(waiting) = self.waiting.iter_mut().rev().find(may) else { return false };
        (self.room, self.memory) = (self.room - waiting.room(), self.memory - waiting.memory);
        (waiting.held, waiting.memory) = (Held::OnDisk(waiting.is_spans()), 0);
        true
    }
}
