//! Applies a mapping to snapshot after snapshot.

use super::{
    Mapping,
    entry::{MetricKind, MetricMapping, Source, Statistic},
    statistics::Read,
};
use crate::{
    Attributes, Data, Descriptor, ExponentialHistogram, KeyValue, Metric, Number, Point, ProfileMetrics,
    Scope, Series, Sum,
};
use std::{
    borrow::Cow,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

/// A mapping, and the series it has made: the same ones every time, since that is how points are told to belong together.
#[derive(Debug)]
pub(crate) struct Mapper {
    mapping: Cow<'static, Mapping>,
    series: Mutex<MadeSeries>,
}

/// What became of a snapshot.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) metrics: ProfileMetrics,
    /// Points that no mapping asked for.
    pub(crate) unselected: usize,
    /// Points, under the names they would have been sent by, that the filter left out.
    pub(crate) filtered: usize,
}

#[derive(Debug)]
struct MadeSeries {
    /// That of statistics over everything, once there was something.
    all: Option<Arc<Series>>,
    /// By the address of the series they were made of, which is kept so that the address stays its.
    labelled: HashMap<usize, (Arc<Series>, Arc<Series>)>,
}

impl Mapper {
    pub(crate) fn new(mapping: impl Into<Cow<'static, Mapping>>) -> Self {
        let series = MadeSeries { all: None, labelled: HashMap::new() };
        Self { mapping: mapping.into(), series: Mutex::new(series) }
    }

    /// Whether it would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.mapping.is_empty()
    }

    /// What is sent of `metrics`. Computations of the program's that panic give nothing.
    pub(crate) fn apply(&self, metrics: &ProfileMetrics) -> Mapped {
        let mut made = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let all = made.all(&self.mapping, metrics);
        let (mut mapped, unselected) = match &*self.mapping.metrics {
            [] => (metrics.metrics.clone(), 0),
            wanted => {
                let mapped = wanted.iter().filter_map(|wanted| map(wanted, metrics, &all)).collect();
                let asked = |name: &str| wanted.iter().any(|wanted| wanted.sources().contains(&name));
                let left = metrics.metrics.iter().filter(|metric| !asked(&metric.descriptor.name));
                (mapped, left.map(|metric| metric.data.len()).sum())
            }
        };
        let before: usize = mapped.iter().map(|metric: &Metric| metric.data.len()).sum();
        mapped.retain(|metric| self.mapping.lets_through(&metric.descriptor.name));
        let after: usize = mapped.iter().map(|metric| metric.data.len()).sum();
        if !self.mapping.labels.is_empty() {
            made.label(&mut mapped, &self.mapping, &all);
        }
        let metrics = ProfileMetrics {
            resource: metrics.resource.clone(),
            interval: metrics.interval.clone(),
            metrics: mapped,
        };
        Mapped { metrics, unselected, filtered: before - after }
    }
}

fn labels(mapping: &Mapping) -> impl Iterator<Item = KeyValue> {
    mapping.labels.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
}

impl MadeSeries {
    /// Its total was zero when that of the oldest series was.
    fn all(&mut self, mapping: &Mapping, metrics: &ProfileMetrics) -> Arc<Series> {
        let all = self.all.get_or_insert_with(|| {
            let sums = metrics.metrics.iter().filter_map(|metric| match &metric.data {
                Data::Sum(sum) => sum.points.iter().map(|point| point.series.start).min(),
                _ => None,
            });
            let start = sums.min().unwrap_or(metrics.interval.start);
            Arc::new(Series { scope: Arc::<Scope>::default(), attributes: labels(mapping).collect(), start })
        });
        all.clone()
    }

    /// Puts the labelled series in the place of each point's own, and forgets those that are not there any more.
    fn label(&mut self, metrics: &mut [Metric], mapping: &Mapping, all: &Arc<Series>) {
        let mut kept = HashMap::with_capacity(self.labelled.len());
        let mut label = |series: &mut Arc<Series>| {
            if Arc::ptr_eq(series, all) {
                return;
            }
            let address = Arc::as_ptr(series).addr();
            let (_, labelled) = kept.entry(address).or_insert_with(|| {
                self.labelled.remove(&address).unwrap_or_else(|| {
                    // What was measured tells more than what was configured.
                    let attributes: Attributes =
                        labels(mapping).chain(series.attributes.iter().cloned()).collect();
                    let labelled = Series { scope: series.scope.clone(), attributes, start: series.start };
                    (series.clone(), Arc::new(labelled))
                })
            });
            *series = labelled.clone();
        };
        metrics.iter_mut().for_each(|metric| metric.data.each_series_mut(&mut label));
        self.labelled = kept;
    }
}

/// The metric that `wanted` asks for; `None` where nothing has been measured.
fn map(wanted: &MetricMapping, metrics: &ProfileMetrics, all: &Arc<Series>) -> Option<Metric> {
    match wanted.source {
        Source::Named(_) => {
            let named = wanted.named()?;
            let data = match named.read {
                Read::Gauge(read) => gauge(all, read(metrics)? * factor(named.unit, wanted)),
                Read::Counter(_) => {
                    let (total, change) = named.count(metrics)?;
                    let point = Point { series: all.clone(), total, change, exemplars: Vec::new() };
                    counted(vec![point], wanted, metrics)?
                }
            };
            Some(metric(wanted, named.unit, named.help, data))
        }
        Source::Computed(compute) => {
            let value = catch_unwind(AssertUnwindSafe(|| compute(metrics))).unwrap_or_else(|payload| {
                // What it panicked with may panic when it is dropped.
                std::mem::forget(payload);
                tracing::warn!(target: "exporters", metric = &*wanted.name, "the computation of a metric panicked");
                None
            })?;
            Some(metric(wanted, "", "", gauge(all, value)))
        }
        Source::Recorded(name, statistic) => {
            let of = metrics.metric(name)?;
            let factor = factor(&of.descriptor.unit, wanted);
            let data = recorded(wanted, &of.data, statistic, factor, metrics)?;
            if data.is_empty() {
                return None;
            }
            let unit = match (statistic, &of.data) {
                (Some(Statistic::Count), _) => "{count}",
                (Some(Statistic::Rate), Data::ExponentialHistogram(_)) => "{count}",
                _ => &of.descriptor.unit,
            };
            Some(metric(wanted, unit, &of.descriptor.description, data))
        }
    }
}

fn metric(wanted: &MetricMapping, unit: &str, help: &str, data: Data) -> Metric {
    // A histogram keeps its unit.
    let kept = matches!(data, Data::ExponentialHistogram(_) | Data::Histogram(_));
    let unit = wanted.unit.clone().filter(|_| !kept).unwrap_or_else(|| match wanted.made_kind() {
        MetricKind::Rate => format!("{unit}/s").into(),
        _ => unit.to_owned().into(),
    });
    let description = wanted.help.clone().unwrap_or_else(|| help.to_owned().into());
    let descriptor = Descriptor { name: wanted.name.clone(), unit, description, exact_name: true };
    Metric { descriptor: Arc::new(descriptor), data }
}

fn gauge(series: &Arc<Series>, value: f64) -> Data {
    let value = Number::F64(value);
    Data::Gauge(vec![Point { series: series.clone(), total: value, change: value, exemplars: Vec::new() }])
}

/// A counter as what was asked for: itself, its rate, or a gauge of its total.
fn counted(points: Vec<Point<Number>>, wanted: &MetricMapping, metrics: &ProfileMetrics) -> Option<Data> {
    let seconds = metrics.interval_seconds();
    let as_gauge = |value: fn(&Point<Number>) -> f64, by: f64| {
        let point = |point: &Point<Number>| {
            let value = Number::F64(value(point) / by);
            Point { series: point.series.clone(), total: value, change: value, exemplars: Vec::new() }
        };
        Data::Gauge(points.iter().map(point).collect())
    };
    match wanted.made_kind() {
        MetricKind::Gauge => Some(as_gauge(|point| point.total.as_f64(), 1.0)),
        MetricKind::Rate if seconds > 0.0 => Some(as_gauge(|point| point.change.as_f64(), seconds)),
        MetricKind::Rate => None,
        _ => Some(Data::Sum(Sum { monotonic: true, points })),
    }
}

fn recorded(
    wanted: &MetricMapping,
    data: &Data,
    statistic: Option<Statistic>,
    factor: f64,
    metrics: &ProfileMetrics,
) -> Option<Data> {
    let number = |point: &Point<Number>| {
        let scaled =
            |number: Number| if factor == 1.0 { number } else { Number::F64(number.as_f64() * factor) };
        Point { total: scaled(point.total), change: scaled(point.change), ..point.clone() }
    };
    match data {
        Data::Sum(sum) if sum.monotonic => counted(sum.points.iter().map(number).collect(), wanted, metrics),
        Data::Sum(sum) => {
            let standing = |point: Point<Number>| Point { change: point.total, ..point };
            Some(Data::Gauge(sum.points.iter().map(number).map(standing).collect()))
        }
        Data::Gauge(points) => Some(Data::Gauge(points.iter().map(number).collect())),
        Data::Histogram(_) => Some(data.clone()),
        Data::ExponentialHistogram(points) => {
            let read: fn(&ExponentialHistogram) -> Option<f64> = match statistic {
                None => return Some(data.clone()),
                Some(Statistic::Mean) => ExponentialHistogram::mean,
                Some(Statistic::P50) => |histogram| histogram.quantile(0.5),
                Some(Statistic::P90) => |histogram| histogram.quantile(0.9),
                Some(Statistic::P95) => |histogram| histogram.quantile(0.95),
                Some(Statistic::P99) => |histogram| histogram.quantile(0.99),
                Some(Statistic::Max) => |histogram| histogram.max,
                Some(Statistic::Sum | Statistic::Count | Statistic::Rate | Statistic::Total) => {
                    let part = |histogram: &ExponentialHistogram| match statistic {
                        Some(Statistic::Sum) => Number::F64(histogram.sum * factor),
                        _ => Number::U64(histogram.count()),
                    };
                    let point = |point: &Point<ExponentialHistogram>| Point {
                        series: point.series.clone(),
                        total: part(&point.total),
                        change: part(&point.change),
                        exemplars: Vec::new(),
                    };
                    return counted(points.iter().map(point).collect(), wanted, metrics);
                }
            };
            let point = |point: &Point<ExponentialHistogram>| {
                let value = Number::F64(read(&point.change)? * factor);
                Some(Point {
                    series: point.series.clone(),
                    total: value,
                    change: value,
                    exemplars: Vec::new(),
                })
            };
            Some(Data::Gauge(points.iter().filter_map(point).collect()))
        }
    }
}

/// By what a value in `unit` is multiplied to be in the unit that is wanted; 1 where one of them is no time.
fn factor(unit: &str, wanted: &MetricMapping) -> f64 {
    fn seconds(unit: &str) -> Option<f64> {
        Some(match unit {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => return None,
        })
    }
    let wanted = wanted.unit.as_deref().and_then(seconds);
    match (seconds(unit), wanted) {
        (Some(from), Some(to)) => from / to,
        _ => 1.0,
    }
}

impl From<Mapping> for Cow<'static, Mapping> {
    fn from(mapping: Mapping) -> Self {
        Cow::Owned(mapping)
    }
}

impl From<&'static Mapping> for Cow<'static, Mapping> {
    fn from(mapping: &'static Mapping) -> Self {
        Cow::Borrowed(mapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buckets;
    use std::time::{Duration, SystemTime};

    fn point<T: Clone>(function: &'static str, total: T, change: T) -> Point<T> {
        let attributes = [KeyValue::new("function", function)].into_iter().collect();
        let series = Series { scope: Arc::default(), attributes, start: SystemTime::UNIX_EPOCH };
        Point { series: Arc::new(series), total, change, exemplars: Vec::new() }
    }

    fn recorded(name: &'static str, unit: &'static str, data: Data) -> Metric {
        let descriptor = Descriptor { name: name.into(), unit: unit.into(), ..Descriptor::default() };
        Metric { descriptor: Arc::new(descriptor), data }
    }

    /// Ten seconds in which `a` was called four times, 0.5 s each, and `b` never.
    fn snapshot() -> ProfileMetrics {
        let slow = ExponentialHistogram {
            scale: 3,
            positive: Buckets { offset: -8, counts: vec![4] },
            sum: 2.0,
            max: Some(0.5),
            ..ExponentialHistogram::default()
        };
        let none = ExponentialHistogram::default();
        let calls =
            vec![point("a", Number::U64(10), Number::U64(4)), point("b", Number::U64(0), Number::U64(0))];
        let metrics = vec![
            recorded("function.calls", "{call}", Data::Sum(Sum { monotonic: true, points: calls })),
            recorded(
                "function.calls.duration",
                "s",
                Data::ExponentialHistogram(vec![
                    point("a", slow.clone(), slow),
                    point("b", none.clone(), none),
                ]),
            ),
        ];
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        ProfileMetrics { resource: Arc::default(), interval: SystemTime::UNIX_EPOCH..end, metrics }
    }

    fn mapping(name: &'static str, source: &str) -> MetricMapping {
        MetricMapping::new(name, source).unwrap()
    }

    fn values(metric: &Metric) -> Vec<f64> {
        match &metric.data {
            Data::Gauge(points) => points.iter().map(|point| point.total.as_f64()).collect(),
            Data::Sum(sum) => sum.points.iter().map(|point| point.change.as_f64()).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn each_source_becomes_what_it_is_asked_to_be() {
        let mapping = Mapping::default()
            .metric(mapping("rate", "calls_per_second"))
            .metric(mapping("calls", "function.calls"))
            .metric(mapping("each_rate", "function.calls").kind(MetricKind::Rate).unwrap())
            .metric(mapping("p95", "function.calls.duration:p95").unit("ms").help("slow"))
            .metric(mapping("mean_s", "avg_latency_ms").unit("s"))
            .metric(mapping("count", "function.calls.duration:count"))
            .metric(mapping("whole", "function.calls.duration").unit("ms"))
            .metric(mapping("total", "total_calls").kind(MetricKind::Gauge).unwrap())
            .metric(mapping("messages", "messages_per_second"))
            .metric(MetricMapping::computed("answer", |metrics| Some(metrics.total_calls() as f64 * 4.2)))
            .metric(MetricMapping::computed("panics", |_| panic!("on purpose")));
        let mapped = Mapper::new(mapping).apply(&snapshot());
        let by_name = |name: &str| mapped.metrics.metric(name);
        let value = |name: &str| by_name(name).map(values);
        assert_eq!(value("rate"), Some(vec![0.4]));
        assert_eq!(value("calls"), Some(vec![4.0, 0.0]));
        assert_eq!(value("each_rate"), Some(vec![0.4, 0.0]));
        let p95 = value("p95").unwrap();
        assert!(p95.len() == 1 && (p95[0] / 500.0 - 1.0).abs() < 0.045, "{p95:?}");
        assert_eq!(value("mean_s"), Some(vec![0.5]));
        assert_eq!(value("count"), Some(vec![4.0, 0.0]));
        assert_eq!(by_name("whole").unwrap().descriptor.unit, "s");
        assert_eq!(value("total"), Some(vec![10.0]));
        assert!((value("answer").unwrap()[0] - 42.0).abs() < 1e-9);
        // Not measured, or not to be had.
        assert!(by_name("messages").is_none() && by_name("panics").is_none());
        let p95 = by_name("p95").unwrap();
        assert_eq!((&*p95.descriptor.unit, &*p95.descriptor.description), ("ms", "slow"));
        assert!(mapped.metrics.metrics.iter().all(|metric| metric.descriptor.exact_name));
        assert_eq!((mapped.unselected, mapped.filtered), (0, 0));
    }

    #[test]
    fn what_is_made_says_what_it_is() {
        let mut snapshot = snapshot();
        let running =
            Data::Sum(Sum { monotonic: false, points: vec![point("a", Number::I64(3), Number::I64(1))] });
        snapshot.metrics.insert(1, recorded("function.calls.concurrent", "{call}", running));
        let mapping = Mapping::default()
            .metric(mapping("running", "function.calls.concurrent"))
            .metric(mapping("failed", "error_rate"))
            .metric(mapping("total", "total_calls"))
            .metric(mapping("all", "total_calls").kind(MetricKind::Rate).unwrap())
            .metric(mapping("each", "function.calls:rate"))
            .metric(mapping("timed", "function.calls.duration:rate"))
            .metric(mapping("asked", "function.calls:rate").unit("rps"));
        let mapped = Mapper::new(mapping).apply(&snapshot).metrics;
        let unit = |name: &str| &*mapped.metric(name).unwrap().descriptor.unit;
        assert_eq!(["all", "each", "timed", "asked"].map(unit), ["{call}/s", "{call}/s", "{count}/s", "rps"]);
        let Data::Gauge(running) = &mapped.metric("running").unwrap().data else { unreachable!() };
        assert_eq!((running[0].total, running[0].change), (Number::I64(3), Number::I64(3)));
        let Data::Gauge(failed) = &mapped.metric("failed").unwrap().data else { unreachable!() };
        assert!(failed[0].total.as_f64().is_sign_positive(), "nothing is 0, not -0");
        let Data::Sum(total) = &mapped.metric("total").unwrap().data else { unreachable!() };
        assert_eq!(total.points[0].series.start, SystemTime::UNIX_EPOCH, "when its total was zero");
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let only = Mapping::default().metric(mapping("calls", "function.calls")).exclude("ca*");
        let mapped = Mapper::new(only).apply(&snapshot());
        assert_eq!((mapped.metrics.len(), mapped.unselected, mapped.filtered), (0, 2, 2));
        let all = Mapper::new(Mapping::default().include("*.calls")).apply(&snapshot());
        assert_eq!((all.metrics.len(), all.unselected, all.filtered), (2, 0, 2));
    }

    #[test]
    fn labelled_series_stay_the_same_ones() {
        let mapper = Mapper::new(Mapping::default().label("env", "test").label("function", "configured"));
        let (first, snapshot) = (snapshot(), snapshot());
        let series = |metrics: &ProfileMetrics| match &mapper.apply(metrics).metrics.metrics[0].data {
            Data::Sum(sum) => sum.points[0].series.clone(),
            _ => unreachable!(),
        };
        let labelled = series(&snapshot);
        assert_eq!(labelled.attributes.get_str("env"), Some("test"));
        assert_eq!(labelled.attributes.get_str("function"), Some("a"));
        assert!(Arc::ptr_eq(&labelled, &series(&snapshot)));
        assert!(!Arc::ptr_eq(&labelled, &series(&first)));
        assert_eq!(mapper.series.lock().unwrap().labelled.len(), 4);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (wrong, part) in [
            (MetricMapping::new("x", "p95_latency").err(), "p95_latency_ms"),
            (MetricMapping::new("x", "function.calls.duration:p9").err(), "p90"),
            (MetricMapping::new("x", "function.calls:p95").err(), "counter has no such statistic"),
            (MetricMapping::new("x", "error_rate:p95").err(), "only a recorded metric"),
            (mapping("x", "error_rate").kind(MetricKind::Counter).err(), "this is a gauge"),
            (mapping("x", "function.calls.duration").kind(MetricKind::Gauge).err(), "this is a histogram"),
        ] {
            let error = wrong.expect("an error").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
