//! For the tests of layers: a backend that answers by script, under a clock that is driven by hand.

use crate::{
    AnyExporter, Attributes, Batch, BatchId, Capability, Error, ErrorKind, Exporter, Health, Info, Receipt,
    Result, Signal, Span, SpanContext, SpanKind, Status, model::sample::snapshot,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What the backend answers to one attempt.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code)]
pub(crate) enum Answer {
    Take,
    Fail(ErrorKind),
    /// It asks to be left alone for so long.
    Busy(Duration),
    /// It takes it after a while.
    Slow(Duration),
    Never,
    Panic,
    /// More items are too large; it says how many are not.
    AtMost(usize),
}

/// Answers so, and then takes everything. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    healths: VecDeque<Answer>,
    asked: Vec<Instant>,
    attempts: Vec<(Instant, BatchId)>,
    taken: Vec<Batch>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.state().answers = answers.into_iter().collect();
        script
    }

    pub(crate) fn exporter(&self) -> AnyExporter {
        AnyExporter::new(self.clone())
    }

    /// With these answers to who asks for its health: well after [`Answer::Take`] and later, [`Answer::Busy`] is degraded.
    pub(crate) fn with_healths(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.state().healths = answers.into_iter().collect();
        self
    }

    /// When it was asked for its health.
    pub(crate) fn asked(&self) -> Vec<Instant> {
        self.state().asked.clone()
    }

    /// When it was asked to export, and what.
    pub(crate) fn attempts(&self) -> Vec<(Instant, BatchId)> {
        self.state().attempts.clone()
    }

    /// What it took.
    pub(crate) fn taken(&self) -> Vec<BatchId> {
        self.state().taken.iter().map(|batch| batch.id().clone()).collect()
    }

    /// The same, as it came.
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.state().taken.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exporter for Script {
    fn info(&self) -> Info {
        Info::new("script")
    }
    fn capability(&self) -> Capability {
        Capability::ALL
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let answer = {
            let mut state = self.state();
            state.attempts.push((Instant::now(), batch.id().clone()));
            state.answers.pop_front().unwrap_or(Answer::Take)
        };
        let message = "as the test has it";
        match answer {
            Answer::AtMost(items) if batch.len() > items => {
                return Err(Error::new(ErrorKind::PayloadTooLarge, message).with_fitting(items));
            }
            Answer::Take | Answer::AtMost(_) => {}
            Answer::Fail(kind) => return Err(Error::new(kind, message)),
            Answer::Busy(pause) => {
                return Err(Error::new(ErrorKind::RateLimited, message).with_retry_after(pause));
            }
            Answer::Slow(pause) => tokio::time::sleep(pause).await,
            Answer::Never => std::future::pending().await,
            Answer::Panic => std::panic::resume_unwind(Box::new(message)),
        }
        let receipt = Receipt::accepted(batch.len());
        self.state().taken.push(batch);
        Ok(receipt)
    }
    async fn health(&self) -> Health {
        let answer = {
            let mut state = self.state();
            state.asked.push(Instant::now());
            state.healths.pop_front().unwrap_or(Answer::Take)
        };
        let message = "as the test has it";
        match answer {
            Answer::Take | Answer::AtMost(_) => Health::Healthy,
            Answer::Fail(kind) => Health::Unhealthy(Error::new(kind, message)),
            Answer::Busy(_) => Health::Degraded(Error::new(ErrorKind::RateLimited, message)),
            Answer::Slow(pause) => {
                tokio::time::sleep(pause).await;
                Health::Healthy
            }
            Answer::Never => std::future::pending().await,
            Answer::Panic => std::panic::resume_unwind(Box::new(message)),
        }
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

/// A batch of so many items, each time with another number.
pub(crate) fn batch(items: usize) -> Batch {
    batch_of(Signal::Metrics(Arc::new(snapshot((0..items).map(|at| (at, 1))))))
}

/// The same of other data.
pub(crate) fn batch_of(signal: Signal) -> Batch {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = BatchId { instance: 1, leg: "leg".into(), sequence: NEXT.fetch_add(1, Relaxed), part: 0 };
    Batch::new(id, signal)
}

/// Sends all of it, in parts where that is too large, as a leg does; gives what the receipts say.
pub(crate) async fn send(exporter: &AnyExporter, batch: Batch) -> Result<Receipt> {
    let (mut parts, mut sum) = (vec![batch], Receipt::default());
    while let Some(part) = parts.pop() {
        match exporter.export(part.clone()).await {
            Ok(receipt) => {
                sum.accepted += receipt.accepted;
                receipt.dropped.iter().for_each(|(reason, items)| sum.dropped.add(reason, items));
            }
            Err(error) if error.kind() == ErrorKind::PayloadTooLarge && part.len() > 1 => {
                let fitting = error.fitting().filter(|items| (1..part.len()).contains(items));
                let halves = part.split(fitting.unwrap_or(part.len() / 2));
                parts.extend(halves.into_iter().flat_map(|(first, rest)| [rest, first]));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

/// A batch of so many spans, each with its number as its identity.
pub(crate) fn spans(count: usize) -> Batch {
    let span = |at: usize| Span {
        context: SpanContext {
            trace_id: [1; 16],
            span_id: (at as u64 + 1).to_be_bytes(),
            ..SpanContext::default()
        },
        parent_id: [0; 8],
        parent_is_remote: false,
        name: "charge".into(),
        kind: SpanKind::Server,
        start: SystemTime::UNIX_EPOCH,
        end: SystemTime::UNIX_EPOCH,
        attributes: Attributes::default(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: Status::Ok,
        scope: Arc::default(),
    };
    Batch::new(batch(0).id().clone(), crate::model::sample::spans((0..count).map(span)))
}

/// Runs a test in which time passes when everybody waits for it.
pub(crate) fn paused(test: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio.unwrap().block_on(test);
}

/// The same, in a program whose `tracing` subscriber panics at every event.
pub(crate) fn with_bad_subscriber(test: impl Future<Output = ()>) {
    use tracing::{Event, Metadata, Subscriber, span};
    struct Bad;
    impl Subscriber for Bad {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            if event.metadata().target() == "exporters" {
                std::panic::resume_unwind(Box::new("the subscriber's own fault"));
            }
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    tracing::subscriber::with_default(Bad, || paused(test));
}
