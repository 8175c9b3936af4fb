//! One exporter with its queue, its task, and the books of what it was given.

use super::{
    BufferConfig, BufferStats, LastExport, Ledger, LegOptions, LegPatch,
    buffer::{Buffer, Kept, Pace, Waiting},
    request::{Done, Request},
    voice::Voice,
};
use crate::{
    AnyExporter, Capability, Deadline, DropReason, Error, ErrorKind, Exporter, Health, MonitorLayer,
    ProfileMetrics, Sampler, Signal, Spans,
    foreign::{caught, quietly},
    mapping::Mapper,
    model::Absorbed,
};
use spooling::Spooling;
use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
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
    /// Whether it has spans recorded where nobody says which.
    traces: bool,
}

impl Takes {
    fn of(exporter: &AnyExporter) -> Self {
        let Capability { metrics, spans, traces, .. } = quietly(|| exporter.capability()).unwrap_or_default();
        Self { metrics: metrics || !spans, spans, traces: spans && traces }
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

    /// Whether it has spans recorded where nobody says which.
    pub(super) fn has_traces(&self) -> bool {
        self.takes.traces
    }

    /// Which traces it takes, of those whose spans are recorded: as [`Sampler::bound`] has it.
    pub(super) fn trace_bound(&self) -> u64 {
        let bound = self.work().options.trace_sampler.as_ref().map_or(u64::MAX, Sampler::bound);
        if self.takes.spans { bound } else { 0 }
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

    /// Gives it spans, of so much memory, if it takes any. Never waits for the backend.
    pub(super) fn offer_spans(&self, spans: &Arc<Spans>, memory: usize) {
        if !self.takes.spans {
            return;
        }
        let mut work = self.work();
        work.ledger.accept(spans.len());
        let mut waiting = Waiting::of_memory(Signal::Spans(spans.clone()), memory);
        if let Some(sampler) = &work.options.trace_sampler {
            let mut sampled: Vec<_> =
                spans.spans.iter().filter(|span| sampler.takes(span)).cloned().collect();
            sampled.shrink_to_fit();
            waiting = waiting.part(Signal::Spans(Arc::new(spans.with(sampled))));
        }
        work.ledger.give_up(spans.len() - waiting.len(), DropReason::Sampled);
        if waiting.len() > 0 {
            work.buffer.push(waiting);
        }
        work.make_room();
        self.spool.iter().for_each(Spooling::begin);
        drop(work);
        self.wake.notify_one();
    }

    /// Tells it of so many spans that found no room where they were recorded, if it takes any.
    pub(super) fn miss_spans(&self, missed: u64) {
        if self.takes.spans {
            let missed = usize::try_from(missed).unwrap_or(usize::MAX);
            let mut work = self.work();
            work.ledger.accept(missed);
            work.ledger.give_up(missed, DropReason::Overflow);
        }
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

mod sending;
mod spooling;

#[cfg(test)]
mod buffering;
#[cfg(test)]
mod last;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod tests;
