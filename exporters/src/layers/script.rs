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
}

/// Answers so, and then takes everything. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    attempts: Vec<(Instant, BatchId)>,
    taken: Vec<BatchId>,
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

    /// When it was asked, and with what.
    pub(crate) fn attempts(&self) -> Vec<(Instant, BatchId)> {
        self.state().attempts.clone()
    }

    /// What it took.
    pub(crate) fn taken(&self) -> Vec<BatchId> {
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
            Answer::Take => {}
            Answer::Fail(kind) => return Err(Error::new(kind, message)),
            Answer::Busy(pause) => {
                return Err(Error::new(ErrorKind::RateLimited, message).with_retry_after(pause));
            }
            Answer::Slow(pause) => tokio::time::sleep(pause).await,
            Answer::Never => std::future::pending().await,
            Answer::Panic => std::panic::resume_unwind(Box::new(message)),
        }
        self.state().taken.push(batch.id().clone());
        Ok(Receipt::accepted(batch.len()))
    }
    async fn health(&self) -> Health {
        Health::Healthy
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
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = BatchId { instance: 1, leg: "leg".into(), sequence: NEXT.fetch_add(1, Relaxed), part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(snapshot((0..items).map(|at| (at, 1))))))
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
    Batch::new(batch(0).id().clone(), Signal::Spans((0..count).map(span).collect()))
}

/// Runs a test in which time passes when everybody waits for it.
pub(crate) fn paused(test: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio.unwrap().block_on(test);
}
