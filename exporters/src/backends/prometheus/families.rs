//! Which metrics make up which family of the page, and what every series' lines begin with, remembered between pages.

use super::{
    config::PrometheusConfig,
    known::{Ends, Known, Stale},
    wire::{self, Kind, Labels, Name},
};
use crate::{Data, Descriptor, Metric, Series, foreign::tell};
use std::{collections::HashSet, sync::Arc};

/// What never changes from page to page.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) config: PrometheusConfig,
    /// Classic buckets of latencies, and of anything else.
    bounds: [Vec<Bound>; 2],
}

/// The upper bound of a classic bucket of an exponential histogram: 2^exponent.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) exponent: i32,
    pub(super) value: f64,
    /// What follows `le="` on a line of text.
    pub(super) text: Box<[u8]>,
}

impl Style {
    pub(super) fn new(config: &PrometheusConfig) -> crate::Result<Self> {
        config.check()?;
        let bound = |exponent: i32| {
            let value = 2f64.powi(exponent);
            Bound { exponent, value, text: after_le(value) }
        };
        let latency = config.exponents()?.into_iter().map(bound).collect();
        // Sizes and counts: powers of 16 up to 2^40.
        let other = (0..=40).step_by(4).map(bound).collect();
        Ok(Self { config: config.clone(), bounds: [latency, other] })
    }

    fn name(&self, metric: &Metric) -> Name {
        wire::name(&metric.descriptor, kind(&metric.data), self.config.namespace.as_deref())
    }

    fn labels(&self, series: &Series, kind: Kind) -> Labels {
        let scope = self.config.scope_labels.then_some(&*series.scope);
        wire::labels(&self.config.labels, scope, &series.attributes, kind)
    }

    pub(super) fn bounds(&self, family: &Family) -> &[Bound] {
        &self.bounds[usize::from(!family.latency)]
    }
}

/// A bound, and the end of the label set.
pub(super) fn after_le(bound: f64) -> Box<[u8]> {
    format!("{}\"}} ", wire::le(bound)).into_bytes().into()
}

fn kind(data: &Data) -> Kind {
    match data {
        Data::Sum(sum) if sum.monotonic => Kind::Counter { suffix: true },
        Data::Sum(_) | Data::Gauge(_) => Kind::Gauge,
        Data::Histogram(_) | Data::ExponentialHistogram(_) => Kind::Histogram,
    }
}

/// One name of the page with all its series.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: Name,
    pub(super) members: Vec<Member>,
    /// The family's first lines; of protobuf, its first fields.
    pub(super) head: [Box<[u8]>; 2],
    latency: bool,
    /// Series that were left out.
    duplicates: u64,
}

/// One metric of the snapshot, which is usually all there is in a family.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// Its position in the snapshot.
    pub(super) metric: usize,
    pub(super) known: Known,
    /// The bounds of its explicit histograms, as text.
    pub(super) explicit: Explicit,
    /// Room for one histogram's classic buckets.
    pub(super) counts: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Explicit {
    bounds: Vec<f64>,
    texts: Vec<Box<[u8]>>,
}

impl Explicit {
    /// The text of `bounds`, which are usually the same for every series of a metric.
    pub(super) fn texts(&mut self, bounds: &[f64]) -> &[Box<[u8]>] {
        if self.bounds != bounds {
            self.bounds = bounds.to_vec();
            self.texts = bounds.iter().map(|bound| after_le(*bound)).collect();
        }
        &self.texts
    }
}

/// How a format writes what is remembered.
pub(super) struct Encoder {
    pub(super) head: fn(&Name, help: &str) -> [Box<[u8]>; 2],
    /// Appends what the lines of a series begin with.
    pub(super) prefix: fn(&mut Vec<u8>, &Name, &Labels, created: bool) -> Ends,
}

/// All families of one format.
pub(super) struct Families {
    encoder: Encoder,
    /// The metrics that the plan was made for.
    sources: Vec<(Arc<Descriptor>, Kind)>,
    list: Vec<Family>,
}

impl Families {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self { encoder, sources: Vec::new(), list: Vec::new() }
    }

    /// Calls `write` for every family in order; again with the family refreshed where it says [`Stale`].
    pub(super) fn each(
        &mut self,
        style: &Style,
        metrics: &[Metric],
        mut write: impl FnMut(&mut Family) -> Result<(), Stale>,
    ) {
        if !self.is_for(metrics) {
            self.plan(style, metrics);
        }
        for family in &mut self.list {
            if write(family).is_err() {
                family.refresh(&self.encoder, style, metrics);
                // Refreshed from the same snapshot, it cannot be stale.
                let _ = write(family);
            }
        }
    }

    fn is_for(&self, metrics: &[Metric]) -> bool {
        let same = |(source, metric): (&(Arc<Descriptor>, Kind), &Metric)| {
            let (descriptor, was) = source;
            let known = Arc::ptr_eq(descriptor, &metric.descriptor) || *descriptor == metric.descriptor;
            known && *was == kind(&metric.data)
        };
        self.sources.len() == metrics.len() && self.sources.iter().zip(metrics).all(same)
    }

    /// Gives every metric a family: metrics of the same name and kind share one; any other clash of names is resolved by
    /// a number at the end of the later name. Names that a user chose come first, and so stay as they are.
    fn plan(&mut self, style: &Style, metrics: &[Metric]) {
        self.sources = metrics.iter().map(|m| (Arc::clone(&m.descriptor), kind(&m.data))).collect();
        self.list.clear();
        let mut taken = HashSet::new();
        if style.config.target_info {
            taken.extend(["target".to_owned(), "target_info".to_owned()]);
        }
        let mut order: Vec<_> = metrics.iter().enumerate().collect();
        order.sort_by_key(|(_, metric)| !metric.descriptor.exact_name);
        for (position, metric) in order {
            let mut name = style.name(metric);
            let member = Member { metric: position, ..Member::default() };
            if let Some(family) = self.list.iter_mut().find(|family| family.name == name) {
                let apart = |other: &Member| !overlap(style, metric, &metrics[other.metric], name.kind);
                if family.members.iter().all(apart) {
                    family.members.push(member);
                    continue;
                }
            }
            rename(&mut name, &taken, &metric.descriptor);
            taken.extend(claims(&name));
            let head = (self.encoder.head)(&name, &metric.descriptor.description);
            let latency = metric.descriptor.unit == "s";
            self.list.push(Family { name, members: vec![member], head, latency, duplicates: 0 });
        }
    }
}

fn rename(name: &mut Name, taken: &HashSet<String>, descriptor: &Descriptor) {
    let wanted = name.family.clone();
    let mut number = 1u32;
    while claims(name).iter().any(|claim| taken.contains(claim)) {
        number += 1;
        name.family = format!("{wanted}_{number}");
        // The name no longer ends with it.
        name.unit.clear();
    }
    if number > 1 {
        tell!(
            metric = ?descriptor.name, wanted, renamed = name.family,
            "another metric has this name in Prometheus already"
        );
    }
}

/// Every name that samples or metadata of the family may use.
fn claims(name: &Name) -> Vec<String> {
    let suffixes: &[&str] = match name.kind {
        Kind::Counter { suffix: true } => &["", "_total", "_created"],
        Kind::Counter { suffix: false } | Kind::Gauge => &[""],
        Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", name.family)).collect()
}

fn overlap(style: &Style, a: &Metric, b: &Metric, kind: Kind) -> bool {
    let of = |metric| all_series(metric).into_iter().map(|series| style.labels(series, kind));
    let known: HashSet<_> = of(a).collect();
    of(b).any(|labels| known.contains(&labels))
}

fn all_series(metric: &Metric) -> Vec<&Arc<Series>> {
    match &metric.data {
        Data::Sum(sum) => sum.points.iter().map(|point| &point.series).collect(),
        Data::Gauge(points) => points.iter().map(|point| &point.series).collect(),
        Data::Histogram(points) => points.iter().map(|point| &point.series).collect(),
        Data::ExponentialHistogram(points) => points.iter().map(|point| &point.series).collect(),
    }
}

impl Family {
    /// Brings what is remembered in line with the snapshot; series that are still there are not encoded anew.
    fn refresh(&mut self, encoder: &Encoder, style: &Style, metrics: &[Metric]) {
        for Member { metric, known, .. } in &mut self.members {
            known.refresh(all_series(&metrics[*metric]), |bytes, series| {
                let labels = style.labels(series, self.name.kind);
                (encoder.prefix)(bytes, &self.name, &labels, style.config.created)
            });
        }
        let mut seen = HashSet::new();
        let mut duplicates = 0u64;
        for member in &mut self.members {
            duplicates += member.known.mark_duplicates(&mut seen);
        }
        // Once, not with every page that brings other series.
        if duplicates > self.duplicates {
            tell!(
                metric = self.name.family,
                duplicates,
                "series whose labels are the same in Prometheus are left out"
            );
        }
        self.duplicates = duplicates;
    }
}
