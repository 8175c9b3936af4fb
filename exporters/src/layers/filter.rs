//! `FilterLayer`: what a backend need not have is left out.

use super::{
    forward,
    select::{Function, Latest, Points, Selected},
};
use crate::{
    AnyExporter, Batch, Descriptor, DropReason, Exporter, Layer, Mapping, Metric, ProfileMetrics, Receipt,
    Result, Series, Span,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

type WantsPoint = dyn Fn(&Descriptor, &Series) -> bool + Send + Sync;
type WantsSpan = dyn Fn(&Span) -> bool + Send + Sync;

/// Leaves out metrics by name, points by their series, and spans. They are dropped as
/// [`DropReason::Filtered`].
///
/// What is wanted must not change from one time to the next: a batch may come again in other parts.
///
/// ```
/// # use exporters::{AnyExporter, FilterLayer, MemoryExporter};
/// let filter = FilterLayer::new()
///     .exclude("log.*")
///     .points(|_, series| series.attributes.get_str("module") != Some("checkout::internal"))
///     .spans(|span| span.name != "health");
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(filter.clone());
/// assert_eq!(filter.filtered_count(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FilterLayer {
    names: Mapping,
    points: Option<Function<WantsPoint>>,
    spans: Option<Function<WantsSpan>>,
    filtered: Arc<AtomicU64>,
}

impl FilterLayer {
    /// Leaves out nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets only metrics through whose name fits this or another included glob (`*` is any text, `?` any character).
    #[must_use]
    pub fn include(mut self, glob: &str) -> Self {
        self.names = self.names.include(glob);
        self
    }

    /// Leaves metrics out whose name fits the glob, included or not.
    #[must_use]
    pub fn exclude(mut self, glob: &str) -> Self {
        self.names = self.names.exclude(glob);
        self
    }

    /// Of the metrics that the globs let through, lets only points through whose metric and series are `wanted`.
    #[must_use]
    pub fn points(mut self, wanted: impl Fn(&Descriptor, &Series) -> bool + Send + Sync + 'static) -> Self {
        self.points = Some(Function::new(Arc::new(wanted)));
        self
    }

    /// Lets only spans through that are `wanted`.
    #[must_use]
    pub fn spans(mut self, wanted: impl Fn(&Span) -> bool + Send + Sync + 'static) -> Self {
        self.spans = Some(Function::new(Arc::new(wanted)));
        self
    }

    /// How many items it has left out of batches that were answered for.
    pub fn filtered_count(&self) -> u64 {
        self.filtered.load(Relaxed)
    }

    /// The points that are wanted; `None` for all.
    fn select(&self, metrics: &ProfileMetrics) -> Option<Arc<Points>> {
        let (mut place, mut places) = (0, Vec::new());
        let mut select = |metric: &Metric| {
            let (descriptor, len) = (&metric.descriptor, metric.data.len());
            if !self.names.lets_through(&descriptor.name) {
                place += len;
                return None;
            }
            let data = metric.data.select(|series| {
                let wanted = self.points.as_ref().is_none_or(|wanted| wanted(descriptor, series));
                if wanted {
                    places.push(place);
                }
                place += 1;
                wanted
            });
            (!data.is_empty()).then(|| Metric { descriptor: descriptor.clone(), data })
        };
        let selected = metrics.metrics.iter().filter_map(&mut select).collect();
        if places.len() == place {
            return None;
        }
        let ProfileMetrics { resource, interval, ended, .. } = metrics;
        let (resource, interval, ended) = (resource.clone(), interval.clone(), ended.clone());
        let metrics = Arc::new(ProfileMetrics { resource, interval, metrics: selected, ended });
        Some(Arc::new(Points { metrics, places }))
    }
}

impl Layer for FilterLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(Filter { inner, layer: self.clone(), latest: Latest::default() })
    }
}

#[derive(Debug)]
struct Filter {
    inner: AnyExporter,
    layer: FilterLayer,
    latest: Latest<Option<Arc<Points>>>,
}

impl Filter {
    /// What is wanted of a batch; `None` for all.
    fn select(&self, batch: &Batch) -> Option<Selected> {
        let layer = &self.layer;
        match (batch.metrics(), batch.spans(), &layer.spans) {
            (Some(metrics), ..) if !layer.names.is_empty() || layer.points.is_some() => {
                let points = self.latest.of(metrics, || layer.select(metrics))?;
                Some(Selected::points(batch, &points))
            }
            (None, Some(spans), Some(wanted)) => Selected::spans(batch, spans, |span| wanted(span)),
            _ => None,
        }
    }
}

impl Exporter for Filter {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let Some(selected) = self.select(&batch) else { return self.inner.export(batch).await };
        let left_out = selected.left_out();
        let receipt = selected.export(&self.inner, DropReason::Filtered).await?;
        self.layer.filtered.fetch_add(left_out as u64, Relaxed);
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorKind, MemoryExporter, Signal, Value,
        layers::script::{Answer, Script, batch, batch_of, paused, send},
        model::sample::{changes, span, spans},
    };
    use proptest::{collection::vec, prelude::*};

    /// The number of a sample's series.
    fn at(series: &Series) -> usize {
        match series.attributes.get("at") {
            Some(Value::I64(at)) => *at as usize,
            other => unreachable!("{other:?}"),
        }
    }

    fn arrived(script: &Script) -> Vec<usize> {
        script.batches().iter().flat_map(changes).map(|(at, _)| at).collect()
    }

    #[test]
    fn metrics_are_chosen_by_name_and_points_by_series() {
        paused(async {
            for (filter, expected) in [
                (FilterLayer::new(), vec![0, 2, 4, 1, 3, 5]),
                (FilterLayer::new().include("e*"), vec![0, 2, 4]),
                (FilterLayer::new().exclude("e??n"), vec![1, 3, 5]),
                (FilterLayer::new().points(|_, series| at(series) > 2), vec![4, 3, 5]),
                (
                    FilterLayer::new()
                        .include("*d*")
                        .points(|metric, series| metric.name == "odd" && at(series) < 4),
                    vec![1, 3],
                ),
                (FilterLayer::new().include("x").include("y"), vec![]),
            ] {
                let script = Script::default();
                let exporter = script.exporter().layer(filter.clone());
                let batch = batch(6);
                let receipt = exporter.export(batch.clone()).await.unwrap();
                let left_out = 6 - expected.len();
                assert_eq!(
                    receipt,
                    Receipt::accepted(expected.len()).with_dropped(DropReason::Filtered, left_out)
                );
                assert_eq!(filter.filtered_count(), left_out as u64);
                assert_eq!(arrived(&script), expected);
                let ids = if expected.is_empty() { vec![] } else { vec![batch.id().clone()] };
                assert_eq!(script.taken(), ids);
            }
        });
    }

    #[test]
    fn spans_are_chosen_too() {
        paused(async {
            let memory = MemoryExporter::new();
            let filter = FilterLayer::new().exclude("*").spans(|span| span.context.trace_id[15] % 2 == 0);
            let exporter = AnyExporter::new(memory.clone()).layer(filter.clone());
            let spans = batch_of(spans((1..=7).map(span)));
            let (first, rest) = spans.split(4).unwrap();
            for (part, kept) in [(first, [2, 4].as_slice()), (rest, &[6])] {
                let receipt = exporter.export(part.clone()).await.unwrap();
                assert_eq!(
                    (receipt.accepted, receipt.dropped.total() as usize),
                    (kept.len(), part.len() - kept.len())
                );
                let taken = memory.take().remove(0);
                let traces: Vec<u8> =
                    taken.spans().unwrap().iter().map(|span| span.context.trace_id[15]).collect();
                assert_eq!((&*traces, taken.id()), (kept, part.id()));
            }
            assert_eq!(filter.filtered_count(), 4);
        });
    }

    #[test]
    fn what_failed_is_not_counted_and_the_parts_of_a_snapshot_are_chosen_from_once() {
        paused(async {
            let asked = Arc::new(AtomicU64::new(0));
            let filter = FilterLayer::new().points({
                let asked = asked.clone();
                move |_, series| {
                    asked.fetch_add(1, Relaxed);
                    at(series) != 3
                }
            });
            let script = Script::new([Answer::Fail(ErrorKind::Unavailable)]);
            let exporter = script.exporter().layer(filter.clone());
            let (first, rest) = batch(10).split(4).unwrap();
            exporter.export(rest.clone()).await.unwrap_err();
            assert_eq!(filter.filtered_count(), 0);
            for part in [first, rest] {
                exporter.export(part).await.unwrap();
            }
            assert_eq!((filter.filtered_count(), asked.load(Relaxed)), (1, 10));
            assert_eq!(arrived(&script), [0, 2, 4, 6, 8, 1, 5, 7, 9]);
            let [first, rest] = &script.batches()[..] else { unreachable!() };
            assert!(Arc::ptr_eq(first.metrics().unwrap(), rest.metrics().unwrap()));
        });
    }

    #[test]
    fn a_function_that_panics_costs_the_batch_alone() {
        paused(async {
            let filter = FilterLayer::new().points(|_, series| match at(series) {
                0 => panic!("on purpose"),
                at => at > 1,
            });
            let exporter = Script::default().exporter().layer(filter.clone());
            let panicked = tokio::spawn({
                let exporter = exporter.clone();
                async move { exporter.export(batch(3)).await }
            });
            assert!(panicked.await.unwrap_err().is_panic());
            let metrics = crate::model::sample::snapshot([(1, 1), (2, 1)]);
            let receipt = exporter.export(batch_of(Signal::Metrics(Arc::new(metrics)))).await.unwrap();
            assert_eq!((receipt.accepted, filter.filtered_count()), (1, 1));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// Wherever what the backend takes ends, every item that is wanted arrives once, and the receipts tell of all.
        #[test]
        fn places_are_those_of_the_whole_batch(wanted in vec(any::<bool>(), 0..40), most in vec(0..9_usize, 0..40), metrics: bool) {
            paused(async move {
                let wanted = Arc::new(wanted);
                let filter = FilterLayer::new()
                    .points({ let wanted = wanted.clone(); move |_, series| wanted[at(series)] })
                    .spans({ let wanted = wanted.clone(); move |span| wanted[usize::from(span.context.trace_id[15])] });
                // One item is never too large.
                let script = Script::new(most.into_iter().map(|most| Answer::AtMost(most.max(1))));
                let exporter = script.exporter().layer(filter.clone());
                let items = wanted.len();
                let batch = match metrics {
                    true => batch(items),
                    false => batch_of(spans((0..items as u128).map(span))),
                };
                let receipt = send(&exporter, batch).await.unwrap();
                let mut arrived = match metrics {
                    true => arrived(&script),
                    false => script.batches().iter().flat_map(|batch| batch.spans().unwrap().to_vec())
                        .map(|span| usize::from(span.context.trace_id[15])).collect(),
                };
                arrived.sort_unstable();
                let expected: Vec<usize> = (0..items).filter(|at| wanted[*at]).collect();
                let left_out = (items - expected.len()) as u64;
                assert_eq!((receipt.accepted, receipt.dropped.of(DropReason::Filtered)), (expected.len(), left_out));
                assert_eq!((arrived, filter.filtered_count()), (expected, left_out));
            });
        }
    }
}
