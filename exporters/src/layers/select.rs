//! A batch of some of another's items, what its fate says of the other's, and what layers that make one share.

use crate::{AnyExporter, Batch, DropReason, Exporter, ProfileMetrics, Receipt, Result, Signal, Span};
use std::{
    fmt,
    ops::Deref,
    ptr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Some of a batch's items, as a batch of the same identity.
#[derive(Debug)]
pub(super) struct Selected {
    batch: Batch,
    /// Where its items stand in the other batch.
    places: Vec<usize>,
    /// How many items that has.
    of: usize,
}

/// Some of a snapshot's points, and where they stand in it.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) metrics: Arc<ProfileMetrics>,
    pub(super) places: Vec<usize>,
}

impl Selected {
    /// The spans that are wanted; `None` for all.
    pub(super) fn spans(batch: &Batch, spans: &[Span], wanted: impl Fn(&Span) -> bool) -> Option<Self> {
        let (places, kept): (Vec<usize>, Vec<&Span>) =
            spans.iter().enumerate().filter(|(_, span)| wanted(span)).unzip();
        if kept.len() == spans.len() {
            return None;
        }
        let batch = batch.with_spans(kept.into_iter().cloned().collect());
        Some(Self { batch, places, of: spans.len() })
    }

    /// Those of a batch's points that are among these of its snapshot.
    pub(super) fn points(batch: &Batch, points: &Points) -> Self {
        let range = batch.range();
        let before = |place| points.places.partition_point(|kept| *kept < place);
        let kept = before(range.start)..before(range.end);
        let places = points.places.iter().take(kept.end).skip(kept.start).map(|place| place - range.start);
        let (places, of) = (places.collect(), range.len());
        Self { batch: batch.with_data(Signal::Metrics(points.metrics.clone()), kept), places, of }
    }

    /// How many items are left out.
    pub(super) fn left_out(&self) -> usize {
        self.of - self.batch.len()
    }

    /// Sends it, unless it is empty; the answer is about all items of the other batch.
    pub(super) async fn export(self, inner: &AnyExporter, reason: DropReason) -> Result<Receipt> {
        let left_out = self.left_out();
        if self.batch.is_empty() {
            return Ok(Receipt::default().with_dropped(reason, left_out));
        }
        match inner.export(self.batch).await {
            Ok(receipt) => Ok(receipt.with_dropped(reason, left_out)),
            Err(error) => Err(match error.fitting() {
                // As far as the first item that does not fit.
                Some(items) => error.with_fitting(self.places.get(items).copied().unwrap_or(self.of)),
                None => error,
            }),
        }
    }
}

/// What was made of the latest snapshot. Its parts come one after the other, and again after a failure; and what looks at the
/// whole of a part's snapshot finds the same for all of them.
#[derive(Debug, Default)]
pub(super) struct Latest<T>(Mutex<Option<(Weak<ProfileMetrics>, T)>>);

impl<T: Clone> Latest<T> {
    pub(super) fn of(&self, metrics: &Arc<ProfileMetrics>, make: impl FnOnce() -> T) -> T {
        let latest = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The address stays the snapshot's own as long as there is a weak reference to it.
        if let Some((of, made)) = &*latest()
            && ptr::eq(of.as_ptr(), Arc::as_ptr(metrics))
        {
            return made.clone();
        }
        let made = make();
        *latest() = Some((Arc::downgrade(metrics), made.clone()));
        made
    }
}

/// A function of the program's. If it panics, that costs the batch.
pub(super) struct Function<F: ?Sized>(Arc<F>);

impl<F: ?Sized> Function<F> {
    pub(super) fn new(function: Arc<F>) -> Self {
        Self(function)
    }
}

impl<F: ?Sized> Deref for Function<F> {
    type Target = F;
    fn deref(&self) -> &F {
        &self.0
    }
}

impl<F: ?Sized> Clone for Function<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: ?Sized> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("function")
    }
}
