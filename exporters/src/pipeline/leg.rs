//! One exporter with its queue, its task, and the books of what it was given.

use super::{
    BufferConfig, BufferStats, LastExport, Ledger, LegOptions, LegPatch,
    buffer::{Buffer, Kept, Pace, Waiting},
    parts::Parts,
    request::{Done, Request},
    voice::Voice,
};
use crate::{
    AnyExporter, Batch, BatchId, Capability, Deadline, DropReason, Error, ErrorKind, Exporter, Health,
    Mapping, MonitorLayer, ProfileMetrics, Receipt, Signal, Spans,
    exporter::LONGEST_PAUSE,
    foreign::{caught, quietly},
    mapping::{Mapped, Mapper},
    model::Absorbed,
};
use spooling::{Spooling, may_be_there};
use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, time::Instant};

/// How long a backend that is down is left alone by a buffer that is full.
const AGAIN: Duration = Duration::from_secs(10);

/// An exporter that is sent snapshots and spans. While the backend does not take them, they wait in a [buffer](Buffer).
#[derive(Debug)]
pub(super) struct Leg {
    exporter: AnyExporter,
    name: Arc<str>,
    instance: u128,
    work: Mutex<Work>,
    wake: Notify,
    spool: Option<Spooling>,
    /// What it is given.
    takes: Takes,
    /// Of every batch; set when it is asked to stop.
    deadline: Deadline,
    /// Made when the exporter is first asked what it takes.
    mapper: OnceLock<Mapper>,
}

/// All of it behind one lock, so that the books are right whenever they are read.
#[derive(Debug)]
struct Work {
    options: LegOptions,
    buffer: Buffer,
    pace: Pace,
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
    flushes: Flushes,
    /// What the latest attempts came to.
    outcome: Outcome,
}

/// What an exporter is given, by what it said when it was added: metrics, unless it takes spans alone.
#[derive(Clone, Copy, Debug)]
struct Takes {
    metrics: bool,
    spans: bool,
}

impl Takes {
    fn of(exporter: &AnyExporter) -> Self {
        let Capability { metrics, spans, .. } = quietly(|| exporter.capability()).unwrap_or_default();
        Self { metrics: metrics || !spans, spans }
    }
}

/// The rounds in which something was sent.
#[derive(Debug, Default)]
struct Flushes {
    count: u64,
    took: Duration,
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
        let (buffer, pace, ledger, requests) = Default::default();
        let work = Work {
            options,
            buffer,
            pace,
            ledger,
            requests,
            sequence: 0,
            held_up: false,
            called: false,
            paused_until: None,
            last_export: None,
            flushes: Flushes::default(),
            outcome: Outcome::Well,
        };
        let (wake, mapper, deadline) = (Notify::new(), OnceLock::new(), Deadline::open());
        let (name, work, takes) = (name.into(), Mutex::new(work), Takes::of(&exporter));
        Self { exporter, name, instance, work, wake, spool: None, takes, deadline, mapper }
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

    pub(super) fn buffer(&self) -> BufferConfig {
        self.work().options.buffer.clone()
    }

    pub(super) fn buffer_stats(&self) -> BufferStats {
        let Work { buffer, options, pace, ledger, flushes, .. } = &*self.work();
        let config = &options.buffer;
        let compressed = buffer.compressed();
        BufferStats {
            items: buffer.items(),
            size: config.size,
            memory: buffer.memory() as u64,
            max_memory: config.max_memory,
            usage: buffer.usage(config),
            groups: buffer.lens().iter().sum(),
            merged: ledger.merged,
            overflowed: ledger.dropped.of(DropReason::Overflow),
            flushes: flushes.count,
            mean_flush_time: flushes.took.checked_div(u32::try_from(flushes.count).unwrap_or(u32::MAX)),
            flush_interval: pace.interval(config),
            compression_ratio: (compressed.after > 0)
                .then(|| compressed.before as f64 / compressed.after as f64),
            #[cfg(feature = "file")]
            spool: self.spool.as_ref().map(Spooling::stats),
        }
    }

    /// Changes settings, for the next batch.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where the spool would be another one.
    pub(super) fn update(&self, patch: &LegPatch) -> Result<(), Error> {
        let mut work = self.work();
        #[cfg(feature = "file")]
        if patch.buffer.as_ref().is_some_and(|buffer| buffer.spool != work.options.buffer.spool) {
            let message =
                "the spool cannot be changed while the exporter runs; leave it as `LegHandle::buffer` has it";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("setting", "spool"));
        }
        work.options.apply(patch);
        work.make_room();
        drop(work);
        self.wake.notify_one();
        Ok(())
    }

    /// Gives it a snapshot. Never waits for the backend.
    pub(super) fn offer(&self, metrics: &Arc<ProfileMetrics>) {
        self.give(metrics, None);
    }

    /// Gives it spans, if it takes any, and tells it of so many more that found no room where they were recorded. Never waits for
    /// the backend.
    pub(super) fn offer_spans(&self, spans: &Arc<Spans>, missed: u64) {
        if !self.takes.spans {
            return;
        }
        let mut work = self.work();
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        work.ledger.accept(spans.len() + missed);
        work.ledger.give_up(missed, DropReason::Overflow);
        if !spans.is_empty() {
            work.buffer.push(Signal::Spans(spans.clone()));
        }
        work.make_room();
        self.spool.iter().for_each(Spooling::begin);
        drop(work);
        self.wake.notify_one();
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
        let left = if self.buffer().flush_on_shutdown { left - reserve } else { Duration::ZERO };
        // First, so that an attempt that is on its way is not waited for after that.
        self.deadline.set(Instant::now() + left);
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
        if self.takes.metrics {
            work.ledger.accept(metrics.len());
            work.buffer.push(Signal::Metrics(metrics.clone()));
        }
        // At the end comes the last one, and who waits has a deadline: merging large snapshots may take longer.
        match request.as_ref().is_some_and(|request| request.shutdown) {
            // Nor is there a later attempt to wait for.
            true => work.paused_until = None,
            false => work.make_room(),
        }
        work.requests.extend(request);
        // Before anybody can send it.
        self.spool.iter().for_each(Spooling::begin);
        drop(work);
        self.wake.notify_one();
    }

    /// Sends what it is given, until it is asked to stop.
    pub(super) async fn run(self: Arc<Self>) {
        let mut trouble = Trouble::default();
        let mut last = Instant::now();
        if self.spool.is_some() {
            tokio::spawn(self.clone().keep_all());
        }
        loop {
            self.woken(last).await;
            let Some((waiting, requests)) = self.work().begin(last.elapsed()) else { continue };
            last = Instant::now();
            self.send_all(waiting, &mut trouble).await;
            if waiting != [0, 0] {
                self.work().flushes.add(last.elapsed());
            }
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

    /// Sends so much of what waits, the oldest first, until something can't go.
    async fn send_all(&self, waiting: [usize; 2], trouble: &mut Trouble) {
        trouble.down = self.work().left_alone();
        if trouble.down.is_some() {
            return self.work().held_up = true;
        }
        trouble.partly = None;
        self.settle_spool().await;
        self.send_left(trouble).await;
        // Metrics that come meanwhile do not go before spans that were there.
        for (spans, waiting) in [false, true].into_iter().zip(waiting) {
            for _ in 0..waiting {
                if trouble.down.is_some() {
                    break;
                }
                let Some(next) = self.work().next(spans, &self.deadline) else { break };
                self.send(next, trouble).await;
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

    /// Sends something that waited; what is done is kept no longer.
    async fn send(&self, waiting: Waiting, trouble: &mut Trouble) {
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
                    return self.put_back(part, parts, (mapped, &waiting.kept), error, trouble);
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
    fn mapped(
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
        (mapped, kept): (bool, &Kept),
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
            work.buffer.put_back(Waiting::new(signal).again(id, mapped, kept.clone()));
        }
        work.make_room();
        trouble.down = Some(error);
    }
}

impl Flushes {
    fn add(&mut self, took: Duration) {
        (self.count, self.took) = (self.count + 1, self.took + took);
    }
}

impl Work {
    /// If it is time to send: how much waits, and who asked.
    fn begin(&mut self, since: Duration) -> Option<([usize; 2], Vec<Request>)> {
        self.called = false;
        let config = &self.options.buffer;
        // A backend that is down is not asked more often because much waits for it.
        let is_full = self.buffer.is_full(config) && (!self.held_up || since >= AGAIN);
        let is_due = is_full || self.pace.interval(config).is_none_or(|interval| since >= interval);
        let is_due = is_due && self.pause().is_none();
        if !is_due && self.requests.is_empty() {
            return None;
        }
        // What waits for a backend that is down tells nothing of the load.
        if is_due && !self.held_up {
            self.pace.adapt(config, since, self.buffer.usage(config));
        }
        self.held_up = true;
        Some((self.buffer.lens(), std::mem::take(&mut self.requests)))
    }

    /// The oldest of metrics or spans that waits. When there is no more time, all of it in one: what is put aside takes a while each; and nothing that
    /// is kept.
    fn next(&mut self, spans: bool, deadline: &Deadline) -> Option<Waiting> {
        if deadline.has_passed() {
            let absorbed = self.buffer.merge_all();
            self.absorbed(absorbed);
        }
        self.buffer.pop(spans, !deadline.has_passed())
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
        let left = self.pace.interval(&self.options.buffer)?.saturating_sub(since);
        Some(left.max(self.pause().unwrap_or_default()))
    }

    /// Where too much waits, it is sent; or merged or given up, while it can't be.
    fn make_room(&mut self) {
        let config = &self.options.buffer;
        let waits = self.held_up || self.pace.interval(config).is_some();
        match self.held_up || self.called {
            true => {
                let absorbed = self.buffer.shrink(config);
                self.absorbed(absorbed);
            }
            false => self.called = self.buffer.is_full(config),
        }
        if waits {
            self.buffer.pack(&self.options.buffer);
        }
    }

    fn absorbed(&mut self, absorbed: Absorbed) {
        self.ledger.merge(absorbed.merged);
        self.ledger.give_up(absorbed.left_out, DropReason::Overflow);
    }
}

mod spooling;

#[cfg(test)]
mod buffering;
#[cfg(test)]
mod last;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod tests;
