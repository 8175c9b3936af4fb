//! One exporter with its queue, its task, and the books of what it was given.

use super::{
    DropReason, Ledger, LegOptions, LegPatch,
    parts::Parts,
    queue::{Queue, Waiting},
    request::{Done, Request},
};
use crate::{
    AnyExporter, Batch, BatchId, Capability, Error, ErrorKind, Exporter, Mapping, ProfileMetrics, Signal,
    foreign::{caught, quietly, tell},
    mapping::{Mapped, Mapper},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// An exporter that is sent snapshots.
///
/// Metrics are state: while the backend does not take them, snapshots wait, and where they are too many the oldest are merged,
/// so that the sums stay exact and what is held does not grow, however long it takes.
#[derive(Debug)]
pub(super) struct Leg {
    exporter: AnyExporter,
    name: Arc<str>,
    instance: u128,
    work: Mutex<Work>,
    wake: Notify,
    /// Made when the exporter is first asked what it takes.
    mapper: OnceLock<Mapper>,
}

/// All of it behind one lock, so that the books are right whenever they are read.
#[derive(Debug)]
struct Work {
    options: LegOptions,
    queue: Queue,
    ledger: Ledger,
    requests: Vec<Request>,
    sequence: u64,
    /// The backend is busy or down: what comes has to wait.
    held_up: bool,
    /// The task was called, since too much waits.
    called: bool,
}

/// What went wrong since somebody asked.
#[derive(Debug, Default)]
struct Trouble {
    /// Items were given up.
    lost: Option<Error>,
    /// Items are held that could not go.
    down: Option<Error>,
    /// How many of the snapshot that is being sent were given up, and for which error first.
    given_up: BTreeMap<DropReason, (usize, String)>,
}

impl Leg {
    pub(super) fn new(exporter: AnyExporter, name: &str, options: LegOptions, instance: u128) -> Self {
        let (queue, ledger, requests) = Default::default();
        let work = Work { options, queue, ledger, requests, sequence: 0, held_up: false, called: false };
        let (wake, mapper) = (Notify::new(), OnceLock::new());
        Self { exporter, name: name.into(), instance, work: Mutex::new(work), wake, mapper }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.work().ledger
    }

    /// Changes settings, for the next batch.
    pub(super) fn update(&self, patch: &LegPatch) {
        let mut work = self.work();
        work.options.apply(patch);
        work.make_room();
        drop(work);
        self.wake.notify_one();
    }

    /// Gives it a snapshot. Never waits for the backend.
    pub(super) fn offer(&self, metrics: &Arc<ProfileMetrics>) {
        self.give(metrics, None);
    }

    /// Gives it a snapshot and asks it to send what it has, and to stop if `shutdown`.
    pub(super) fn request(&self, metrics: &Arc<ProfileMetrics>, shutdown: bool) -> Arc<Done> {
        let done = Arc::<Done>::default();
        self.give(metrics, Some(Request { shutdown, done: done.clone() }));
        done
    }

    /// Both at once, so that who asks is told what became of the snapshot.
    fn give(&self, metrics: &Arc<ProfileMetrics>, request: Option<Request>) {
        let mut work = self.work();
        work.ledger.accept(metrics.len());
        work.queue.push(metrics.clone());
        // At the end comes the last one, and who waits has a deadline: merging large snapshots may take longer.
        if !request.as_ref().is_some_and(|request| request.shutdown) {
            work.make_room();
        }
        work.requests.extend(request);
        drop(work);
        self.wake.notify_one();
    }

    /// Sends what it is given, until it is asked to stop.
    pub(super) async fn run(self: Arc<Self>) {
        let mut trouble = Trouble::default();
        let mut last = Instant::now();
        loop {
            self.woken(last).await;
            let Some((waiting, requests)) = self.work().begin(last.elapsed()) else { continue };
            last = Instant::now();
            self.send_all(waiting, &mut trouble).await;
            // Everyone who asks is told.
            let told = match requests.is_empty() {
                true => None,
                false => std::mem::take(&mut trouble).tell(),
            };
            let mut stop = false;
            for request in requests {
                let finished = match request.shutdown {
                    true => caught(|| self.exporter.shutdown()).await,
                    false => caught(|| self.exporter.flush()).await,
                };
                stop |= request.shutdown;
                let finished = finished.map_err(Error::from).flatten();
                request.done.set(told.clone().map_or(finished, Err));
            }
            if stop {
                return;
            }
        }
    }

    /// Something came or changed, or what waits has waited for long enough.
    async fn woken(&self, last: Instant) {
        let interval = self.work().options.flush_interval;
        match interval {
            None => self.wake.notified().await,
            Some(interval) => {
                let left = interval.saturating_sub(last.elapsed());
                let _ = tokio::time::timeout(left, self.wake.notified()).await;
            }
        }
    }

    /// Sends so many snapshots, the oldest first, until one can't go.
    async fn send_all(&self, waiting: usize, trouble: &mut Trouble) {
        trouble.down = None;
        for _ in 0..waiting {
            let Some(next) = self.work().queue.pop() else { break };
            self.send(next, trouble).await;
            trouble.log(&self.name);
            if trouble.down.is_some() {
                break;
            }
        }
        self.work().held_up = trouble.down.is_some();
    }

    /// Sends a snapshot in as many batches as it takes.
    async fn send(&self, mut waiting: Waiting, trouble: &mut Trouble) {
        let id = waiting.id.take().unwrap_or_else(|| self.next_id());
        let whole = |waiting: Waiting| Batch::new(id, Signal::Metrics(waiting.metrics));
        let capability = match quietly(|| self.exporter.capability()) {
            Ok(capability) if capability.metrics => capability,
            Ok(_) => {
                let error = Error::new(ErrorKind::Unsupported, "the exporter does not take metrics");
                return self.lose(&whole(waiting), DropReason::Unsupported, error, trouble);
            }
            Err(panicked) => {
                return self.lose(&whole(waiting), DropReason::Panicked, panicked.into(), trouble);
            }
        };
        let Some(waiting) = self.mapped(waiting, capability.mapping) else { return };
        let mut parts = Parts::new(whole(waiting));
        while let Some(part) = parts.next(self.batch_size(capability)) {
            match caught(|| self.exporter.export(part.clone())).await {
                Ok(Ok(receipt)) => self.work().ledger.export(part.len(), receipt.rejected),
                Ok(Err(error)) => match error.kind() {
                    ErrorKind::PayloadTooLarge if parts.again(&part, error.fitting()) => {}
                    // A breaker that is open sent nothing, and will close.
                    kind if error.is_retryable() || kind == ErrorKind::CircuitOpen => {
                        return self.put_back(&part, error, trouble);
                    }
                    ErrorKind::PayloadTooLarge => self.lose(&part, DropReason::TooLarge, error, trouble),
                    ErrorKind::Unsupported => self.lose(&part, DropReason::Unsupported, error, trouble),
                    _ => self.lose(&part, DropReason::Refused, error, trouble),
                },
                Err(panicked) => self.lose(&part, DropReason::Panicked, panicked.into(), trouble),
            }
        }
    }

    /// What is sent of what was recorded; `None` where nothing is.
    fn mapped(&self, waiting: Waiting, asked_for: Option<&'static Mapping>) -> Option<Waiting> {
        let mapper = self.mapper.get_or_init(|| match (&self.work().options.mapping, asked_for) {
            (Some(mapping), Some(asked_for)) => Mapper::new(mapping.clone().over(asked_for)),
            (Some(mapping), None) => Mapper::new(mapping.clone()),
            (None, Some(mapping)) => Mapper::new(mapping),
            (None, None) => Mapper::new(Mapping::default()),
        });
        if waiting.mapped || mapper.is_empty() {
            return Some(waiting);
        }
        let Mapped { metrics, unselected, filtered } = mapper.apply(&waiting.metrics);
        self.work().ledger.map(waiting.metrics.len(), unselected, metrics.len() + filtered, filtered);
        (!metrics.is_empty()).then(|| Waiting { metrics: Arc::new(metrics), mapped: true, ..waiting })
    }

    fn next_id(&self) -> BatchId {
        let mut work = self.work();
        work.sequence += 1;
        BatchId { instance: self.instance, leg: self.name.clone(), sequence: work.sequence, part: 0 }
    }

    fn batch_size(&self, capability: Capability) -> usize {
        let limits = [self.work().options.batch_size, capability.max_items];
        limits.into_iter().flatten().min().unwrap_or(usize::MAX)
    }

    /// Trying again would not help.
    fn lose(&self, part: &Batch, reason: DropReason, error: Error, trouble: &mut Trouble) {
        self.work().ledger.give_up(part.len(), reason);
        trouble.given_up.entry(reason).or_insert_with(|| (0, error.to_string())).0 += part.len();
        trouble.lost.get_or_insert(error);
    }

    /// Holds a part again that could not go, and all that comes after it.
    fn put_back(&self, part: &Batch, error: Error, trouble: &mut Trouble) {
        tell!(exporter = &*self.name, %error, "an export failed");
        let Some(metrics) = part.metrics() else { return };
        let slice = |range: std::ops::Range<usize>| match range.len() == metrics.len() {
            true => metrics.clone(),
            false => Arc::new(metrics.slice(range)),
        };
        let mapped = self.mapper.get().is_some_and(|mapper| !mapper.is_empty());
        let tried = Waiting { metrics: slice(part.range()), id: Some(part.id().clone()), mapped };
        let rest = Waiting { metrics: slice(part.range().end..metrics.len()), id: None, mapped };
        let mut work = self.work();
        work.ledger.attempts_unknown += u64::from(error.kind() == ErrorKind::Timeout);
        if !rest.metrics.is_empty() {
            work.queue.put_back(rest);
        }
        work.queue.put_back(tried);
        work.make_room();
        trouble.down = Some(error);
    }
}

impl Work {
    /// If it is time to send: how many snapshots wait, and who asked.
    fn begin(&mut self, since: Duration) -> Option<(usize, Vec<Request>)> {
        self.called = false;
        let due = self.options.flush_interval.is_none_or(|interval| since >= interval);
        if !due && !self.queue.is_over(self.options.queue_size) && self.requests.is_empty() {
            return None;
        }
        self.held_up = true;
        Some((self.queue.len(), std::mem::take(&mut self.requests)))
    }

    /// Where too much waits, it is sent; or merged, while it can't be.
    fn make_room(&mut self) {
        let limit = self.options.queue_size;
        if !self.held_up && !self.called {
            self.called = self.queue.is_over(limit);
            return;
        }
        let absorbed = self.queue.shrink(limit);
        self.ledger.merge(absorbed.merged);
        self.ledger.give_up(absorbed.left_out, DropReason::Overflow);
    }
}

impl Trouble {
    /// Once for a snapshot, which may have been cut down to single items.
    fn log(&mut self, exporter: &str) {
        for (reason, (items, error)) in std::mem::take(&mut self.given_up) {
            tell!(exporter, items, %reason, error, "an export failed; its items are lost");
        }
    }

    fn tell(self) -> Option<Error> {
        self.lost.or(self.down)
    }
}

#[cfg(test)]
mod tests;
