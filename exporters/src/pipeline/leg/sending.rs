//! Sends what waited: in batches as large as the exporter takes, each with an answer that goes into the books.

use super::{Leg, Trouble, spooling::may_be_there};
use crate::{
    Batch, BatchId, Capability, DropReason, Error, ErrorKind, Exporter, Mapping, ProfileMetrics, Receipt,
    Signal,
    exporter::LONGEST_PAUSE,
    foreign::{caught, quietly},
    mapping::{Mapped, Mapper},
    pipeline::{
        LastExport, Ledger,
        buffer::{Kept, Waiting},
        parts::Parts,
    },
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

impl Leg {
    /// Sends something that waited; what is done is kept no longer.
    pub(super) async fn send(&self, waiting: Waiting, trouble: &mut Trouble) {
        let kept = waiting.kept.clone();
        match self.signal_of(&waiting).await {
            Ok(signal) => self.send_parts(waiting, signal, trouble).await,
            Err(error) => {
                let may_be_there = may_be_there(&error);
                self.lose(waiting.len(), DropReason::Lost, error, trouble);
                if may_be_there {
                    return;
                }
            }
        }
        self.release(kept).await;
    }

    /// Sends it in as many batches as it takes.
    async fn send_parts(&self, mut waiting: Waiting, signal: Signal, trouble: &mut Trouble) {
        let was_tried = waiting.id.is_some();
        let id = waiting.id.take().unwrap_or_else(|| self.next_id());
        let items = waiting.len();
        let capability = match quietly(|| self.exporter.capability()) {
            Ok(capability) => capability,
            Err(panicked) => return self.lose(items, DropReason::Panicked, panicked.into(), trouble),
        };
        let (takes, what) = match &signal {
            Signal::Metrics(_) => (capability.metrics, "the exporter does not take metrics"),
            Signal::Spans(_) => (capability.spans, "the exporter does not take spans"),
        };
        if !takes {
            let error = Error::new(ErrorKind::Unsupported, what);
            return self.lose(items, DropReason::Unsupported, error, trouble);
        }
        if self.is_over() && !capability.dead_letters && matches!(waiting.kept, Kept::No) {
            return self.work().ledger.give_up(items, DropReason::Shutdown);
        }
        let (signal, mapped) = match signal {
            Signal::Metrics(metrics) if !waiting.mapped => match self.mapped(metrics, capability.mapping) {
                Some((metrics, mapped)) => (Signal::Metrics(metrics), mapped),
                None => return,
            },
            signal => (signal, waiting.mapped),
        };
        let backlog = self.work().buffer.items();
        let whole = Batch::new(id, signal).with_deadline(self.deadline.clone()).with_backlog(backlog);
        let mut parts = Parts::new(whole, was_tried);
        while let Some(part) = parts.next(self.batch_size(capability)) {
            let began = Instant::now();
            let error = match caught(|| self.exporter.export(part.clone())).await {
                Ok(Ok(receipt)) => {
                    self.settle(&part, &receipt, began.elapsed(), trouble);
                    continue;
                }
                Ok(Err(error)) => error,
                Err(panicked) => {
                    self.lose(part.len(), DropReason::Panicked, panicked.into(), trouble);
                    continue;
                }
            };
            let reason = match error.kind() {
                ErrorKind::PayloadTooLarge if parts.again(&part, error.fitting()) => continue,
                // A breaker that is open sent nothing, and will close.
                kind if error.is_retryable() || kind == ErrorKind::CircuitOpen => {
                    return self.put_back(part, parts, (&waiting, mapped), error, trouble);
                }
                ErrorKind::PayloadTooLarge => DropReason::TooLarge,
                ErrorKind::Unsupported => DropReason::Unsupported,
                _ => DropReason::Refused,
            };
            self.lose(part.len(), reason, error, trouble);
        }
    }

    /// Whether nothing is to be sent any more.
    fn is_over(&self) -> bool {
        self.deadline.has_passed() && !self.work().options.buffer.flush_on_shutdown
    }

    /// What is sent of what was recorded, and whether that is something else; `None` where nothing is.
    pub(super) fn mapped(
        &self,
        metrics: Arc<ProfileMetrics>,
        asked_for: Option<&'static Mapping>,
    ) -> Option<(Arc<ProfileMetrics>, bool)> {
        let mapper = self.mapper.get_or_init(|| match (&self.work().options.mapping, asked_for) {
            (Some(mapping), Some(asked_for)) => Mapper::new(mapping.clone().over(asked_for)),
            (Some(mapping), None) => Mapper::new(mapping.clone()),
            (None, Some(mapping)) => Mapper::new(mapping),
            (None, None) => Mapper::new(Mapping::default()),
        });
        if mapper.is_empty() {
            return Some((metrics, false));
        }
        let Mapped { metrics: mapped, unselected, filtered } = mapper.apply(&metrics);
        self.work().ledger.map(metrics.len(), unselected, mapped.len() + filtered, filtered);
        (!mapped.is_empty()).then(|| (Arc::new(mapped), true))
    }

    fn next_id(&self) -> BatchId {
        let mut work = self.work();
        work.sequence += 1;
        BatchId { instance: self.instance, leg: self.name.clone(), sequence: work.sequence, part: 0 }
    }

    /// What is only put aside any more is not split: each part takes a while, and may be as large as it is.
    pub(super) fn batch_size(&self, capability: Capability) -> usize {
        if capability.dead_letters && self.deadline.has_passed() {
            return usize::MAX;
        }
        let limits = [self.work().options.batch_size, capability.max_items];
        limits.into_iter().flatten().min().unwrap_or(usize::MAX)
    }

    /// Somebody answered for a part.
    pub(super) fn settle(&self, part: &Batch, receipt: &Receipt, duration: Duration, trouble: &mut Trouble) {
        let mut work = self.work();
        let before = work.ledger;
        work.ledger.settle(part.len(), receipt);
        let of = |count: fn(&Ledger) -> u64| count(&work.ledger) - count(&before);
        let (items, at) = (of(|ledger| ledger.exported) as usize, SystemTime::now());
        for (count, message) in [
            (of(|ledger| ledger.rejected), "the backend refused items of a batch that it took"),
            (of(|ledger| ledger.dead_lettered), "items were put aside as dead letters"),
            (of(|ledger| ledger.by_fallback), "a fallback took the items"),
            (of(|ledger| ledger.dropped.failed()), "items were given up"),
        ] {
            if count > 0 {
                let error = Error::new(ErrorKind::Rejected, message).with_context("items", count);
                trouble.partly.get_or_insert(error);
            }
        }
        work.last_export = Some(LastExport { at, items, bytes: receipt.bytes, duration });
    }

    /// Trying again would not help.
    fn lose(&self, items: usize, reason: DropReason, error: Error, trouble: &mut Trouble) {
        self.work().ledger.give_up(items, reason);
        trouble.voice.failed(&error, items);
        trouble.partly.get_or_insert_with(|| error.clone());
        trouble.lost.get_or_insert(error);
    }

    /// Holds a part again that could not go, and all that comes after it.
    fn put_back(
        &self,
        part: Batch,
        parts: Parts,
        (whole, mapped): (&Waiting, bool),
        error: Error,
        trouble: &mut Trouble,
    ) {
        trouble.voice.failed(&error, 0);
        let (tried, untried) = parts.rest();
        let mut all: Vec<_> = [part]
            .into_iter()
            .chain(tried)
            .map(|part| (part.signal().slice(part.range()), Some(part.id().clone())))
            .collect();
        let mut work = self.work();
        let pause = error.retry_after().filter(|_| self.deadline.at().is_none());
        work.paused_until = pause.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
        work.ledger.attempts_unknown += u64::from(error.kind() == ErrorKind::Timeout);
        all.extend(untried.map(|untried| (untried, None)));
        for (signal, id) in all.into_iter().rev() {
            work.buffer.put_back(whole.part(signal).again(id, mapped, whole.kept.clone()));
        }
        work.make_room();
        trouble.down = Some(error);
    }
}
