//! `SampleLayer`: of so many traces, some are kept, and whole.

use super::{forward, select::Selected};
use crate::{AnyExporter, Batch, DropReason, Error, ErrorKind, Exporter, Layer, Receipt, Result, Sampler};

/// Keeps the spans of some traces, by OpenTelemetry's `traceidratio`: whoever decides so, for the same ratio or a smaller one,
/// keeps the same traces or fewer of them. The other spans are dropped as [`DropReason::Sampled`]. Metrics are exact, and
/// all of them go through.
///
/// The ratio is that of all traces, not of those that arrive here: after a sampler with a ratio of 0.1, a layer with 0.5 leaves
/// out nothing.
/// What was exported whatever the profiler's sampler said, since it [matters](crate::KeepConfig), is kept, unless the ratio is 0.
#[derive(Clone, Debug)]
pub struct SampleLayer(Sampler);

impl SampleLayer {
    /// Keeps this share of all traces, from 0 to 1: `1.0 / 20.0` for one in twenty.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for anything else.
    pub fn new(ratio: f64) -> Result<Self> {
        match ratio {
            0.0..=1.0 => Ok(Self(Sampler::TraceIdRatio(ratio))),
            _ => Err(Error::new(ErrorKind::ConfigInvalid, "the ratio of a sample must be from 0 to 1")),
        }
    }
}

impl Layer for SampleLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Sample { inner, sampler: self.0.clone() })
    }
}

#[derive(Debug)]
struct Sample {
    inner: AnyExporter,
    sampler: Sampler,
}

impl Exporter for Sample {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let select = |spans| Selected::spans(&batch, spans, |span| self.sampler.takes(span));
        match batch.spans().and_then(select) {
            Some(selected) => selected.export(&self.inner, DropReason::Sampled).await,
            None => self.inner.export(batch).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemoryExporter, Span,
        layers::script::{batch, batch_of, paused},
        model::sample::{span, spans},
    };
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn it_is_opentelemetrys_share() {
        for (ratio, low, kept) in [
            (0.0, 0, false),
            (1.0, u64::MAX, true),
            (0.5, u64::MAX / 2, true),
            (0.5, u64::MAX / 2 + 1, false),
            (0.25, 0x3fff_ffff_ffff_ffff, true),
            (0.25, 0x4000_0000_0000_0000, false),
        ] {
            let layer = SampleLayer::new(ratio).unwrap();
            for high in [0, u128::from(u64::MAX) << 64] {
                assert_eq!(layer.0.takes(&span(high | u128::from(low))), kept, "{ratio} {low:x}");
            }
        }
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(SampleLayer::new(wrong).unwrap_err().kind(), ErrorKind::ConfigInvalid);
        }
    }

    #[test]
    fn a_smaller_sample_is_a_part_of_a_larger_one() {
        let random = RandomState::new();
        let spans: Vec<Span> = (0..10_000_u64).map(|n| span(u128::from(random.hash_one(n)))).collect();
        let [tenth, half] = [0.1, 0.5].map(|ratio| SampleLayer::new(ratio).unwrap());
        let kept = |layer: &SampleLayer| spans.iter().filter(|span| layer.0.takes(span)).count();
        // Six standard deviations: not in a thousand million runs.
        assert!(kept(&tenth).abs_diff(1000) < 180 && kept(&half).abs_diff(5000) < 300);
        assert!(spans.iter().all(|span| half.0.takes(span) || !tenth.0.takes(span)));
    }

    #[test]
    fn the_receipt_tells_of_every_span_and_metrics_go_through() {
        paused(async {
            let memory = MemoryExporter::new();
            let exporter = AnyExporter::new(memory.clone()).layer(SampleLayer::new(0.5).unwrap());
            let traces = [1, u128::from(u64::MAX), 2, u128::from(u64::MAX) - 1, 3];
            let receipt = exporter.export(batch_of(spans(traces.map(span)))).await.unwrap();
            assert_eq!(receipt, Receipt::accepted(3).with_dropped(DropReason::Sampled, 2));
            let taken = memory.take().remove(0);
            let kept = taken.spans().unwrap().iter().map(|span| u128::from_be_bytes(span.context.trace_id));
            assert_eq!(kept.collect::<Vec<_>>(), [1, 2, 3]);
            assert_eq!(exporter.export(batch(7)).await.unwrap(), Receipt::accepted(7));
        });
    }
}
