//! What waits, compressed: the record of it, and the series that it shares with whoever counts on with them.

use crate::{
    Batch, BatchId, Error, ErrorKind, Metric, Result, Series, Signal, encode::record, model::shared,
};
use std::sync::{Arc, LazyLock};

/// What Zstandard calls fast: what waits is small, and read once.
const LEVEL: i32 = 1;

/// Metrics or spans, compressed.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    record: Box<[u8]>,
    /// Bytes of the record before.
    len: usize,
    /// Of every point, so that it is still the same; of spans none.
    series: Option<Box<[Arc<Series>]>>,
}

/// No record in memory is asked for it.
static NOBODY: LazyLock<BatchId> =
    LazyLock::new(|| BatchId { instance: 0, leg: "".into(), sequence: 0, part: 0 });

impl Packed {
    /// `None` where it can't be, which costs memory alone.
    pub(super) fn new(signal: &Signal) -> Option<Self> {
        let json = record::encode(&Batch::new(NOBODY.clone(), signal.clone()), None).ok()?;
        let record = zstd::bulk::compress(&json, LEVEL).ok()?.into_boxed_slice();
        let series = match signal {
            Signal::Spans(_) => None,
            Signal::Metrics(metrics) => {
                let mut series = Vec::new();
                let mut each = |metric: &Metric| metric.data.each_series(|one| series.push(one.clone()));
                metrics.metrics.iter().for_each(&mut each);
                Some(series.into())
            }
        };
        Some(Self { record, len: json.len(), series })
    }

    pub(super) fn is_spans(&self) -> bool {
        self.series.is_none()
    }

    pub(super) fn memory(&self) -> usize {
        let series = self.series.iter().flatten();
        self.record.len() + series.map(|one| size_of_val(one) + shared(one, Series::memory)).sum::<usize>()
    }

    /// As it was.
    ///
    /// # Errors
    /// [`Unexpected`](ErrorKind::Unexpected) where the memory is not as it was left.
    pub(super) fn unpack(&self) -> Result<Signal> {
        let json = zstd::bulk::decompress(&self.record, self.len).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "what waited cannot be decompressed").with_source(error)
        })?;
        let mut signal = record::decode(&json)?.0.signal().clone();
        if let Signal::Metrics(metrics) = &mut signal {
            let mut series = self.series.iter().flatten();
            for metric in &mut Arc::make_mut(metrics).metrics {
                metric.data.each_series_mut(|mine| {
                    if let Some(shared) = series.next() {
                        mine.clone_from(shared);
                    }
                });
            }
        }
        Ok(signal)
    }
}
