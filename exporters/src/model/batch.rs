//! What travels to exporters: metrics or spans behind an `Arc`, with an identity that survives retry and replay.

use super::{ProfileMetrics, Resource, Span, Spans};
use crate::Deadline;
use std::{fmt, ops::Range, sync::Arc};

/// Items on their way to a backend. Cloning and splitting are O(1).
#[derive(Clone, Debug)]
pub struct Batch {
    id: BatchId,
    signal: Signal,
    range: Range<usize>,
    deadline: Deadline,
    backlog: usize,
    is_repeated: bool,
}

/// The data of a [`Batch`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Signal {
    /// One snapshot of all metrics. An item is a series' point.
    Metrics(Arc<ProfileMetrics>),
    /// Finished spans.
    Spans(Arc<Spans>),
}

/// What the items of a [`Batch`] are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignalKind {
    /// Points of metrics.
    Metrics,
    /// Spans.
    Spans,
}

impl Signal {
    /// What its items are.
    pub fn kind(&self) -> SignalKind {
        match self {
            Self::Metrics(_) => SignalKind::Metrics,
            Self::Spans(_) => SignalKind::Spans,
        }
    }

    /// How many items it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Metrics(metrics) => metrics.len(),
            Self::Spans(spans) => spans.len(),
        }
    }

    /// The items at `range` alone.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        match self {
            _ if range == (0..self.len()) => self.clone(),
            Self::Metrics(metrics) => Self::Metrics(Arc::new(metrics.slice(range))),
            Self::Spans(spans) => {
                let part = spans.spans.get(range).unwrap_or_default();
                Self::Spans(Arc::new(spans.with(part.to_vec())))
            }
        }
    }
}

/// A batch's identity: the same through retry, spool, dead letter and replay; each part of a split has its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct BatchId {
    /// The process, unique among all.
    #[cfg_attr(feature = "file", serde(with = "super::exact::hex"))]
    pub instance: u128,
    /// The configured exporter the batch is for.
    pub leg: Arc<str>,
    /// Its number within the leg.
    pub sequence: u64,
    /// Which part of a split it is: 0 is the whole, 1 and 2 are what it was split into, 3 and 4 what 1 was, and so on: those of
    /// `p` are `2p + 1` and `2p + 2`. So the number has room for a depth of 63 splits: enough for any batch that is halved again
    /// and again, not for one from which piece after piece is cut off the front.
    pub part: u64,
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}/{}/{}", self.instance, self.leg, self.sequence, self.part)
    }
}

impl Batch {
    /// All of `signal`.
    pub fn new(id: BatchId, signal: Signal) -> Self {
        let range = 0..signal.len();
        Self { id, signal, range, deadline: Deadline::NEVER, backlog: 0, is_repeated: false }
    }

    /// Sets when there is no more time for it. Its parts share it.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same batch with other data in the place of its own, or some items of that: what of it goes to one of several exporters.
    pub(crate) fn with_data(&self, signal: Signal, range: Range<usize>) -> Self {
        Self { signal, range, ..self.clone() }
    }

    /// The same batch with other spans of the same resource.
    pub(crate) fn with_spans(&self, spans: Vec<Span>) -> Self {
        let (range, resource) = (0..spans.len(), self.resource().clone());
        self.with_data(Signal::Spans(Arc::new(Spans::new(resource, spans))), range)
    }

    /// When there is no more time for it: whoever waits between attempts stops that once it is set, and gives up when it has
    /// passed.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// The same batch, repeated by a layer, so that no other need do so.
    pub(crate) fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    /// Whether a layer repeats what fails.
    pub(crate) fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// Sets how many items wait behind it.
    #[must_use]
    pub fn with_backlog(mut self, items: usize) -> Self {
        self.backlog = items;
        self
    }

    /// How many items waited behind it when it was sent.
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    /// Its identity.
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// The data that [`range`](Self::range) is a part of.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Which items of the data belong to this batch: spans by position, metrics' points in order, metric after metric.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Splits off what comes after the first `at` items; `None` where either half would be empty, or at a depth of 63 splits,
    /// where [numbers](BatchId::part) end.
    pub fn split(&self, at: usize) -> Option<(Self, Self)> {
        if at == 0 || at >= self.len() {
            return None;
        }
        let middle = self.range.start + at;
        let first = self.id.part.checked_mul(2)?.checked_add(1)?;
        let half = |part, range| {
            let id = BatchId { part, ..self.id.clone() };
            Self { id, range, ..self.clone() }
        };
        let second = half(first.checked_add(1)?, middle..self.range.end);
        Some((half(first, self.range.start..middle), second))
    }

    /// Who reports.
    pub fn resource(&self) -> &Arc<Resource> {
        match &self.signal {
            Signal::Metrics(metrics) => &metrics.resource,
            Signal::Spans(spans) => &spans.resource,
        }
    }

    /// The spans of this batch; `None` when it holds metrics.
    pub fn spans(&self) -> Option<&[Span]> {
        match &self.signal {
            Signal::Spans(spans) => spans.spans.get(self.range()),
            Signal::Metrics(_) => None,
        }
    }

    /// The snapshot that this batch is [a part](Self::range) of; `None` when it holds spans.
    pub fn metrics(&self) -> Option<&Arc<ProfileMetrics>> {
        match &self.signal {
            Signal::Metrics(metrics) => Some(metrics),
            Signal::Spans(_) => None,
        }
    }
}
