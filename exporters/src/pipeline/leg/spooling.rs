//! A leg's spool: what comes is written at once, beside whatever the exporter does; what an earlier process left is sent first.

use super::{Kept, Leg, Trouble, Waiting};
use crate::{Batch, BatchId, Error, ErrorKind, Result, Signal, foreign::tell, spool::Spool};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long the end of a leg may wait for the disk, when there is no more time to send.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// A spool, and how far it is.
#[derive(Debug)]
pub(super) struct Spooling {
    spool: Spool,
    /// How often something came.
    came: watch::Sender<u64>,
    /// How much of that was written, or could not be.
    seen: watch::Sender<u64>,
}

impl Spooling {
    /// Something came.
    pub(super) fn begin(&self) {
        self.came.send_modify(|count| *count += 1);
    }

    #[cfg(feature = "file")]
    pub(super) fn stats(&self) -> crate::SpoolStats {
        self.spool.stats()
    }

    /// Waits until all that came was written, or could not be.
    async fn settled(&self) {
        let came = *self.came.borrow();
        // It is never gone, since it is ours.
        let _ = self.seen.subscribe().wait_for(|seen| *seen >= came).await;
    }
}

impl Leg {
    /// Takes up the spool that its settings name, if any.
    ///
    /// # Errors
    /// As [`Spool::open`].
    #[cfg(feature = "file")]
    pub(in crate::pipeline) fn with_spool(mut self) -> Result<Self> {
        if let Some(config) = self.buffer().spool {
            let spool = Spool::open(&config, &self.name)?;
            self.spool = Some(Spooling { spool, came: watch::Sender::new(0), seen: watch::Sender::new(0) });
        }
        Ok(self)
    }

    /// Writes what comes, as long as the leg lives.
    pub(super) async fn keep_all(self: Arc<Self>) {
        let Some(Spooling { spool, came, seen }) = &self.spool else { return };
        let mut coming = came.subscribe();
        coming.mark_changed();
        let mut works = true;
        while coming.changed().await.is_ok() {
            let count = *coming.borrow_and_update();
            // What comes meanwhile is not waited for.
            for _ in 0..self.waiting() {
                let Some((id, signal)) = self.begin_to_keep() else { break };
                let written = spool.append(&Batch::new(id.clone(), signal)).await;
                match &written {
                    Err(error) if works => {
                        tell!(exporter = &*self.name, %error, "what waits is in memory alone");
                    }
                    Ok(_) if !works => {
                        tell!(exporter = &*self.name, "what waits is on the disk again");
                    }
                    _ => {}
                }
                works = written.is_ok();
                self.work().buffer.keep(&id, written.ok());
                if !works {
                    break;
                }
            }
            seen.send_replace(count);
        }
    }

    fn waiting(&self) -> usize {
        self.work().buffer.lens().iter().sum()
    }

    fn begin_to_keep(&self) -> Option<(BatchId, Signal)> {
        let mut work = self.work();
        let sequence = work.sequence + 1;
        let id = BatchId { instance: self.instance, leg: self.name.clone(), sequence, part: 0 };
        let begun = work.buffer.begin_to_keep(id)?;
        work.sequence = sequence;
        Some(begun)
    }

    /// Waits for the disk, as long as there is time.
    pub(super) async fn settle_spool(&self) {
        if let Some(spooling) = &self.spool
            && self.deadline.limit(spooling.settled()).await.is_none()
        {
            let _ = tokio::time::timeout(LAST_WRITE, spooling.settled()).await;
        }
    }

    /// Sends what an earlier process left, until something can't go.
    pub(super) async fn send_left(&self, trouble: &mut Trouble) {
        let Some(Spooling { spool, .. }) = &self.spool else { return };
        while trouble.down.is_none() && !self.deadline.has_passed() {
            let next = self.work().buffer.pop_of_others(self.instance);
            if let Some(next) = next {
                self.send(next, trouble).await;
                continue;
            }
            match spool.next_left().await {
                Ok(None) => return,
                Ok(Some((record, batch))) => {
                    self.work().ledger.accept(batch.len());
                    let waiting = Waiting::new(batch.signal().clone());
                    let kept = Kept::Yes(Arc::new(record));
                    self.send(waiting.again(Some(batch.id().clone()), false, kept), trouble).await;
                }
                Err(error) => {
                    trouble.voice.failed(&error, 0);
                    trouble.partly = Some(error);
                }
            }
        }
    }

    /// What waited, from memory or from the disk.
    pub(super) async fn signal_of(&self, waiting: &Waiting) -> Result<Signal> {
        if let Some(signal) = waiting.signal() {
            return Ok(signal);
        }
        match (&self.spool, &waiting.kept) {
            (Some(spooling), Kept::Yes(record)) => Ok(spooling.spool.read(record).await?.signal().clone()),
            _ => Err(Error::new(ErrorKind::Unexpected, "what waited cannot be had again")),
        }
    }

    /// Nobody needs it on the disk any more, unless a part of it waits.
    pub(super) async fn release(&self, kept: Kept) {
        if let (Some(spooling), Kept::Yes(record)) = (&self.spool, kept)
            && let Some(record) = Arc::into_inner(record)
        {
            spooling.spool.done(record).await;
        }
    }
}

/// Whether what could not be read may be there for a later process, such as where this one has too many files open.
pub(super) fn may_be_there(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let gone = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof];
    cause.is_some_and(|cause| !gone.contains(&cause.kind()))
}

#[cfg(test)]
#[cfg(feature = "file")]
mod tests;
