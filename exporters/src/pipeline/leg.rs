//! One exporter with its queue, its task, and the books of what it was given.

use super::{
    BufferStats, LastExport, Ledger, LegOptions, LegPatch,
    parts::Parts,
    queue::{Queue, Waiting},
    request::{Done, Request},
    voice::Voice,
};
use crate::{
    AnyExporter, Batch, BatchId, Capability, Deadline, DropReason, Error, ErrorKind, Exporter, Health,
    Mapping, MonitorLayer, ProfileMetrics, Receipt, Signal,
    exporter::LONGEST_PAUSE,
    foreign::{caught, quietly},
    mapping::{Mapped, Mapper},
    model::Absorbed,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, time::Instant};

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
    /// Of every batch; set when it is asked to stop.
    deadline: Deadline,
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
    /// The backend asked to be left alone until then.
    paused_until: Option<Instant>,
    last_export: Option<LastExport>,
    /// What the latest attempts came to.
    outcome: Outcome,
}

#[derive(Debug, Default)]
enum Outcome {
    #[default]
    Well,
    /// All that waited went, but not all as it should.
    Partly(Error),
    /// Some of it is held.
    Down(Error),
}

/// What went wrong.
#[derive(Debug, Default)]
struct Trouble {
    /// Items were given up since somebody asked.
    lost: Option<Error>,
    /// Items are held that could not go.
    down: Option<Error>,
    /// In this round, not all went as it should.
    partly: Option<Error>,
    voice: Voice,
}

impl Leg {
    pub(super) fn new(exporter: AnyExporter, name: &str, options: LegOptions, instance: u128) -> Self {
        let exporter = match &options.monitor {
            Some(monitor) => exporter.layer(monitor.clone()),
            None => exporter,
        };
        let (queue, ledger, requests) = Default::default();
        let work = Work {
            options,
            queue,
            ledger,
            requests,
            sequence: 0,
            held_up: false,
            called: false,
            paused_until: None,
            last_export: None,
            outcome: Outcome::Well,
        };
        let (wake, mapper, deadline) = (Notify::new(), OnceLock::new(), Deadline::open());
        Self { exporter, name: name.into(), instance, work: Mutex::new(work), wake, deadline, mapper }
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

    pub(super) fn monitor(&self) -> Option<MonitorLayer> {
        self.work().options.monitor.clone()
    }

    pub(super) fn last_export(&self) -> Option<LastExport> {
        self.work().last_export
    }

    pub(super) fn health(&self) -> Health {
        match &self.work().outcome {
            Outcome::Well => Health::Healthy,
            Outcome::Partly(error) => Health::Degraded(error.clone()),
            Outcome::Down(error) => Health::Unhealthy(error.clone()),
        }
    }

    pub(super) fn buffer_stats(&self) -> BufferStats {
        let Work { queue, options, ledger, .. } = &*self.work();
        BufferStats {
            items: queue.size(),
            size: options.queue_size,
            snapshots: queue.len(),
            merged: ledger.merged,
            overflowed: ledger.dropped.of(DropReason::Overflow),
        }
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

    /// Gives it a snapshot and asks it to send what it has.
    pub(super) fn flush(&self, metrics: &Arc<ProfileMetrics>) -> Arc<Done> {
        self.request(metrics, false)
    }

    /// Gives it the last snapshot and asks it to send what it has, and to stop; who asks waits until `end`.
    pub(super) fn stop(&self, metrics: &Arc<ProfileMetrics>, end: std::time::Instant) -> Arc<Done> {
        let left = end.saturating_duration_since(std::time::Instant::now());
        // What cannot be sent by then is put aside, which takes a while.
        let reserve = (left / 4).min(Duration::from_millis(500));
        // First, so that an attempt that is on its way is not waited for after that.
        self.deadline.set(Instant::now() + (left - reserve));
        self.request(metrics, true)
    }

    fn request(&self, metrics: &Arc<ProfileMetrics>, shutdown: bool) -> Arc<Done> {
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
        match request.as_ref().is_some_and(|request| request.shutdown) {
            // Nor is there a later attempt to wait for.
            true => work.paused_until = None,
            false => work.make_room(),
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
                false => trouble.lost.take().or_else(|| trouble.down.clone()),
            };
            let mut stop = false;
            for request in requests {
                let finished = match request.shutdown {
                    true => caught(|| self.exporter.shutdown()).await,
                    false => match self.deadline.limit(caught(|| self.exporter.flush())).await {
                        Some(flushed) => flushed,
                        None => {
                            Ok(Err(Error::new(ErrorKind::Timeout, "the exporter was not flushed at the end")))
                        }
                    },
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
        let Some(left) = self.work().due_in(last.elapsed()) else { return self.wake.notified().await };
        let _ = tokio::time::timeout(left, self.wake.notified()).await;
    }

    /// Sends so many snapshots, the oldest first, until one can't go.
    async fn send_all(&self, waiting: usize, trouble: &mut Trouble) {
        trouble.down = self.work().left_alone();
        if trouble.down.is_some() {
            return self.work().held_up = true;
        }
        trouble.partly = None;
        for _ in 0..waiting {
            let Some(next) = self.work().next(&self.deadline) else { break };
            self.send(next, trouble).await;
            if trouble.down.is_some() {
                break;
            }
        }
        let (down, partly) = (trouble.down.clone(), trouble.partly.take());
        trouble.voice.speak(&self.name, down.is_none() && partly.is_none());
        let mut work = self.work();
        work.held_up = down.is_some();
        work.outcome = match (down, partly) {
            (Some(error), _) => Outcome::Down(error),
            (None, Some(error)) => Outcome::Partly(error),
            (None, None) => Outcome::Well,
        };
    }

    /// Sends a snapshot in as many batches as it takes.
    async fn send(&self, mut waiting: Waiting, trouble: &mut Trouble) {
        let was_tried = waiting.id.is_some();
        let id = waiting.id.take().unwrap_or_else(|| self.next_id());
        let backlog = self.work().queue.size();
        let whole = |waiting: Waiting| {
            let whole = Batch::new(id, Signal::Metrics(waiting.metrics));
            whole.with_deadline(self.deadline.clone()).with_backlog(backlog)
        };
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
        let mut parts = Parts::new(whole(waiting), was_tried);
        while let Some(part) = parts.next(self.batch_size(capability)) {
            let began = Instant::now();
            match caught(|| self.exporter.export(part.clone())).await {
                Ok(Ok(receipt)) => self.settle(&part, &receipt, began.elapsed(), trouble),
                Ok(Err(error)) => match error.kind() {
                    ErrorKind::PayloadTooLarge if parts.again(&part, error.fitting()) => {}
                    // A breaker that is open sent nothing, and will close.
                    kind if error.is_retryable() || kind == ErrorKind::CircuitOpen => {
                        return self.put_back(&part, parts, error, trouble);
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

    /// What is only put aside any more is not split: each part takes a while, and may be as large as it is.
    fn batch_size(&self, capability: Capability) -> usize {
        if capability.dead_letters && self.deadline.has_passed() {
            return usize::MAX;
        }
        let limits = [self.work().options.batch_size, capability.max_items];
        limits.into_iter().flatten().min().unwrap_or(usize::MAX)
    }

    /// Somebody answered for a part.
    fn settle(&self, part: &Batch, receipt: &Receipt, duration: Duration, trouble: &mut Trouble) {
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
    fn lose(&self, part: &Batch, reason: DropReason, error: Error, trouble: &mut Trouble) {
        self.work().ledger.give_up(part.len(), reason);
        trouble.voice.failed(&error, part.len());
        trouble.partly.get_or_insert_with(|| error.clone());
        trouble.lost.get_or_insert(error);
    }

    /// Holds a part again that could not go, and all that comes after it.
    fn put_back(&self, part: &Batch, parts: Parts, error: Error, trouble: &mut Trouble) {
        trouble.voice.failed(&error, 0);
        let Some(metrics) = part.metrics() else { return };
        let slice = |range: std::ops::Range<usize>| match range.len() == metrics.len() {
            true => metrics.clone(),
            false => Arc::new(metrics.slice(range)),
        };
        let mapped = self.mapper.get().is_some_and(|mapper| !mapper.is_empty());
        let waiting = |range, id| Waiting { metrics: slice(range), id, mapped };
        let (tried, untried) = parts.rest();
        let mut work = self.work();
        let pause = error.retry_after().filter(|_| self.deadline.at().is_none());
        work.paused_until = pause.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
        work.ledger.attempts_unknown += u64::from(error.kind() == ErrorKind::Timeout);
        if let Some(start) = untried.filter(|start| *start < metrics.len()) {
            work.queue.put_back(waiting(start..metrics.len(), None));
        }
        for part in tried.iter().rev().chain([part]) {
            work.queue.put_back(waiting(part.range(), Some(part.id().clone())));
        }
        work.make_room();
        trouble.down = Some(error);
    }
}

impl Work {
    /// If it is time to send: how many snapshots wait, and who asked.
    fn begin(&mut self, since: Duration) -> Option<(usize, Vec<Request>)> {
        self.called = false;
        let pauses = self.pause().is_some();
        let due = !pauses
            && (self.options.flush_interval.is_none_or(|interval| since >= interval)
                || self.queue.is_over(self.options.queue_size));
        if !due && self.requests.is_empty() {
            return None;
        }
        self.held_up = true;
        Some((self.queue.len(), std::mem::take(&mut self.requests)))
    }

    /// The oldest that waits. When there is no more time, all of it in one: what is put aside takes a while each.
    fn next(&mut self, deadline: &Deadline) -> Option<Waiting> {
        if deadline.has_passed() {
            let absorbed = self.queue.merge_all();
            self.absorbed(absorbed);
        }
        self.queue.pop()
    }

    /// How long the backend is to be left alone.
    fn pause(&self) -> Option<Duration> {
        let left = self.paused_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Why nothing is sent though something waits.
    fn left_alone(&self) -> Option<Error> {
        let left = self.pause()?;
        let error = match &self.outcome {
            Outcome::Down(error) => error.clone(),
            _ => Error::new(ErrorKind::RateLimited, "the backend asked to be left alone"),
        };
        Some(error.with_retry_after(left))
    }

    /// When what waits is to be sent, though nothing comes.
    fn due_in(&self, since: Duration) -> Option<Duration> {
        let left = self.options.flush_interval?.saturating_sub(since);
        Some(left.max(self.pause().unwrap_or_default()))
    }

    /// Where too much waits, it is sent; or merged, while it can't be.
    fn make_room(&mut self) {
        let limit = self.options.queue_size;
        if !self.held_up && !self.called {
            self.called = self.queue.is_over(limit);
            return;
        }
        let absorbed = self.queue.shrink(limit);
        self.absorbed(absorbed);
    }

    fn absorbed(&mut self, absorbed: Absorbed) {
        self.ledger.merge(absorbed.merged);
        self.ledger.give_up(absorbed.left_out, DropReason::Overflow);
    }
}

#[cfg(test)]
mod last;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod tests;
