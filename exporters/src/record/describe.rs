//! From totals to metrics: names, units and attributes, by the conventions of OpenTelemetry and autometrics.

use super::{
    histogram::{LAST, SCALE, ZERO_INDEX},
    keyed::Keyed,
    site::{Site, State},
    totals::Totals,
};
use crate::{
    clock,
    model::{
        Attributes, Buckets, Data, Descriptor, Ended, Exemplar, ExponentialHistogram, KeyValue, Metric,
        Number, Point, Scope, Series, Sum, bound,
    },
};
use std::{collections::HashMap, ptr, sync::Arc, time::SystemTime};

/// The metrics of functions, made once.
#[derive(Debug)]
pub(crate) struct Descriptors([Arc<Descriptor>; 9]);

/// Indices into [`Descriptors`], in the order of the names.
const CALLS: usize = 0;
const ALLOCATED: usize = 1;
const ALLOCATIONS: usize = 2;
const BUSY_TIME: usize = 3;
const CONCURRENT: usize = 4;
const DURATION: usize = 5;
const SELF_TIME: usize = 6;
const GOOD: usize = 7;
const TOTAL: usize = 8;

impl Default for Descriptors {
    fn default() -> Self {
        let new = |name: &'static str, unit, description: &'static str| {
            let exact_name = false;
            Arc::new(Descriptor { name: name.into(), unit, description: description.into(), exact_name })
        };
        Self([
            new("function.calls", "{call}".into(), "Calls that ended, by result"),
            new("function.calls.allocated", "By".into(), "Memory that the function itself allocated"),
            new(
                "function.calls.allocations",
                "{allocation}".into(),
                "How often the function itself allocated",
            ),
            new("function.calls.busy_time", "s".into(), "Time spent inside poll"),
            new("function.calls.concurrent", "{call}".into(), "Calls that are running"),
            new("function.calls.duration", "s".into(), "Time from the begin of a call to its end"),
            new(
                "function.calls.self_time",
                "s".into(),
                "Time spent in the function less that in profiled callees",
            ),
            new("function.objective.good", "{call}".into(), "Calls that met their objective"),
            new("function.objective.total", "{call}".into(), "Calls that had an objective"),
        ])
    }
}

/// Metrics under construction.
pub(crate) struct Metrics<'a> {
    descriptors: &'a Descriptors,
    sums: [Vec<Point<Number>>; 9],
    durations: Vec<Point<ExponentialHistogram>>,
}

impl Descriptors {
    pub(crate) fn empty(&self) -> Metrics<'_> {
        Metrics { descriptors: self, sums: Default::default(), durations: Vec::new() }
    }
}

impl Metrics<'_> {
    fn add(&mut self, metric: usize, series: &Arc<Series>, total: Number, change: Number) {
        let point = Point { series: series.clone(), total, change, exemplars: Vec::new() };
        self.sums[metric].push(point);
    }

    /// The metrics that have series.
    pub(crate) fn finish(mut self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for (index, descriptor) in self.descriptors.0.iter().enumerate() {
            let data = match index {
                DURATION => Data::ExponentialHistogram(std::mem::take(&mut self.durations)),
                _ => {
                    let points = std::mem::take(&mut self.sums[index]);
                    Data::Sum(Sum { monotonic: index != CONCURRENT, points })
                }
            };
            if !data.is_empty() {
                metrics.push(Metric { descriptor: descriptor.clone(), data });
            }
        }
        metrics
    }
}

/// What the functions are called: unique within their module.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<*const Site, Arc<str>>);

impl Names {
    /// Learns the types of methods that were called since.
    pub(crate) fn refresh(&mut self, sites: &[&'static Site]) {
        let mut taken = HashMap::new();
        for &site in sites {
            let state = site.state();
            let (name, spec) = (state.function(), &state.spec);
            // Two functions may have one name: in two blocks of one module, or as methods of two types that are not known yet.
            let nth: &mut u32 = taken.entry((spec.module, name.clone())).or_default();
            *nth += 1;
            let unique = match *nth {
                1 => name,
                _ if *nth == 2 => format!("{name}:{}", spec.line),
                nth => format!("{name}:{}:{nth}", spec.line),
            };
            let known = self.0.entry(ptr::from_ref(site)).or_insert_with(|| "".into());
            if **known != *unique {
                *known = unique.into();
            }
        }
    }

    pub(super) fn of(&self, site: &Site) -> Arc<str> {
        self.0.get(&ptr::from_ref(site)).cloned().unwrap_or_else(|| site.state().function().into())
    }
}

/// The attributes of one series' points, made once.
#[derive(Debug)]
pub(crate) struct Labels {
    start: SystemTime,
    function: Option<Arc<str>>,
    module: &'static str,
    scope: Arc<Scope>,
    /// `function`, `module`, and those of the user.
    plain: Arc<Series>,
    ok: Arc<Series>,
    objective: Option<Arc<Series>>,
    failures: Vec<(Box<str>, bool, Arc<Series>)>,
}

impl Labels {
    pub(crate) fn new(start: SystemTime) -> Self {
        let scope = Arc::<Scope>::default();
        let none = Arc::new(Series { scope: scope.clone(), attributes: Attributes::default(), start });
        let (plain, ok) = (none.clone(), none);
        Self { start, function: None, module: "", scope, plain, ok, objective: None, failures: Vec::new() }
    }

    /// Where the series stands among the others.
    pub(crate) fn order(&self) -> (&str, &str, String) {
        (self.module, self.function.as_deref().unwrap_or(""), format!("{:?}", self.plain.attributes))
    }

    /// Makes the attributes, unless they are as they should be.
    pub(crate) fn refresh(&mut self, names: &Names, site: &'static Site, keyed: Option<&Keyed>) {
        let function = names.of(site);
        if self.function.as_ref() == Some(&function) {
            return;
        }
        let spec = &site.state().spec;
        self.module = spec.module;
        self.scope = Arc::new(Scope { name: spec.package.into(), version: spec.version.into() });
        let own: Vec<KeyValue> = match keyed.map(|keyed| keyed.values.as_deref()) {
            None => Vec::new(),
            Some(None) => vec![KeyValue::new("otel.metric.overflow", true)],
            Some(Some(values)) => {
                let pair = |(key, value): (&&'static str, _)| KeyValue {
                    key: (*key).into(),
                    value: Clone::clone(value),
                };
                spec.keys.iter().zip(values).filter(|(_, value)| !value.is_absent()).map(pair).collect()
            }
        };
        let place = [KeyValue::new("function", function.to_string()), KeyValue::new("module", spec.module)];
        let base: Attributes = own.into_iter().chain(place).collect();
        self.function = Some(function);
        self.failures.clear();
        self.ok = self.series(&base, [KeyValue::new("result", "ok")]);
        self.objective = spec.objective.map(|objective| {
            let latency = objective.latency_nanos as f64 / 1e9;
            let latency = if latency > 0.0 { format!("{latency}") } else { String::new() };
            let attributes = [
                KeyValue::new("objective.name", objective.name),
                KeyValue::new("objective.target", format!("{}", objective.target)),
                KeyValue::new("objective.latency", latency),
            ];
            let attributes: Vec<_> = attributes.into_iter().filter(|a| a.value.to_string() != "").collect();
            self.series(&base, attributes)
        });
        self.plain = self.series(&base, []);
    }

    /// The series, as one that has ended after so many calls.
    pub(crate) fn ended(&self, calls: u64) -> Ended {
        Ended { series: self.plain.clone(), calls }
    }

    fn series(&self, base: &Attributes, more: impl IntoIterator<Item = KeyValue>) -> Arc<Series> {
        let attributes = base.iter().cloned().chain(more).collect();
        Arc::new(Series { scope: self.scope.clone(), attributes, start: self.start })
    }

    fn failure(&mut self, name: &str, cancelled: bool) -> Arc<Series> {
        let known = self
            .failures
            .iter()
            .find(|(other, other_cancelled, _)| **other == *name && *other_cancelled == cancelled);
        if let Some((.., series)) = known {
            return series.clone();
        }
        let attributes = match cancelled {
            true => vec![KeyValue::new("result", "cancelled")],
            false => vec![KeyValue::new("result", "error"), KeyValue::new("error.type", name.to_owned())],
        };
        let series = self.series(&self.plain.attributes, attributes);
        self.failures.push((name.into(), cancelled, series.clone()));
        series
    }
}

/// Adds the points of one series.
pub(crate) fn push(
    metrics: &mut Metrics<'_>,
    labels: &mut Labels,
    state: &State,
    total: &Totals,
    change: &Totals,
    exemplars: Vec<Exemplar>,
) {
    let seconds = |ticks: u64, weight: u64| {
        let ticks = if (ticks as i64) < 0 { 0 } else { ticks };
        Number::F64(clock::seconds(ticks) * weight as f64)
    };
    let count = Number::U64;
    let plain = labels.plain.clone();

    metrics.add(CALLS, &labels.ok, count(total.ok), count(change.ok));
    for failed in &total.failures {
        let series = labels.failure(&failed.name, failed.cancelled);
        metrics.add(
            CALLS,
            &series,
            count(failed.count),
            count(change.failed(&failed.name, failed.cancelled)),
        );
    }
    let running = |totals: &Totals| totals.started.saturating_sub(totals.ended) as i64;
    metrics.add(
        CONCURRENT,
        &plain,
        Number::I64(running(total)),
        Number::I64(change.started.wrapping_sub(change.ended) as i64),
    );
    metrics.durations.push(Point {
        series: plain.clone(),
        total: distribution(total, total.peak, state.one_in()),
        change: distribution(change, change.max, state.one_in()),
        exemplars,
    });
    // What was timed stands for what was not.
    let weight = state.one_in();
    metrics.add(SELF_TIME, &plain, seconds(total.own, weight), seconds(change.own, weight));
    if state.is_async() {
        metrics.add(BUSY_TIME, &plain, seconds(total.busy, weight), seconds(change.busy, weight));
    }
    if super::alloc::is_installed() {
        metrics.add(ALLOCATED, &plain, count(total.allocated * weight), count(change.allocated * weight));
        metrics.add(
            ALLOCATIONS,
            &plain,
            count(total.allocations * weight),
            count(change.allocations * weight),
        );
    }
    if let Some(series) = &labels.objective {
        metrics.add(GOOD, series, count(total.second), count(change.second));
        metrics.add(TOTAL, series, count(total.ended), count(change.ended));
    }
}

/// The durations in seconds; each stands for `weight` calls. `max` is the longest, in ticks.
pub(super) fn distribution(totals: &Totals, max: u64, weight: u64) -> ExponentialHistogram {
    let low = totals.counts.iter().next().map_or(0, |(bucket, _)| bucket);
    let highest = totals.counts.iter().next_back().map_or(0, |(bucket, _)| bucket);
    let counts: Vec<u64> = match low {
        0 => Vec::new(),
        _ => (low..=highest).map(|bucket| totals.counts.count(bucket) * weight).collect(),
    };
    let any = totals.zero > 0 || !counts.is_empty();
    // The longest call may have been seen in the interval before or after the one that its bucket is in.
    let max = match counts.is_empty() {
        true => 0.0,
        false => {
            let index = highest as i32 + ZERO_INDEX;
            let upper = if highest == LAST { f64::INFINITY } else { bound(SCALE, index) };
            clock::seconds(max).clamp(bound(SCALE, index - 1), upper)
        }
    };
    ExponentialHistogram {
        scale: SCALE,
        zero_count: totals.zero * weight,
        zero_threshold: bound(SCALE, ZERO_INDEX),
        positive: Buckets { offset: low as i32 + ZERO_INDEX, counts },
        sum: clock::seconds(totals.sum.wrapping_mul(weight)),
        max: any.then_some(max),
    }
}
