//! From a batch to a request: groups items by scope, leaves out what the protocol forbids, and stops at the limit.

use super::buckets;
use crate::{
    Attributes, Batch, Data, Descriptor, Error, ErrorKind, Exemplar, ExponentialHistogram, Histogram, Metric,
    Number, Point, ProfileMetrics, Result, Scope, Series, Span,
};
use std::{ops::Range, sync::Arc, time::SystemTime};

/// How items are written.
#[derive(Debug, Default)]
pub(super) struct Style {
    /// Counters and histograms as changes in the interval, not as totals.
    pub(super) delta: bool,
    /// Histograms over these bounds, not over exponential ones.
    pub(super) bounds: Option<Vec<f64>>,
    /// Put before every span's name.
    pub(super) span_name_prefix: String,
    /// Only spans without a parent in this process.
    pub(super) only_roots: bool,
    /// Over the resource's own.
    pub(super) attributes: Attributes,
}

/// What was written of a batch.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) body: Vec<u8>,
    /// Items in it.
    pub(super) items: usize,
    /// Items that cannot be written: no finite number, no name, no identity.
    pub(super) skipped: usize,
    /// Items that are not wanted.
    pub(super) filtered: usize,
}

/// What all points have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) attributes: &'a Attributes,
    /// When counting began, in nanoseconds since 1970; 0 for a value that stands for itself.
    pub(super) start: u64,
    /// When it was counted.
    pub(super) time: u64,
    pub(super) exemplars: &'a [Exemplar],
}

/// What is counted, and since when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Gauge,
    Sum { monotonic: bool, delta: bool },
    Histogram { delta: bool },
    Exponential { delta: bool },
}

impl Kind {
    /// `AggregationTemporality`: 1 is delta, 2 cumulative.
    pub(super) fn temporality(self) -> Option<u8> {
        match self {
            Self::Gauge => None,
            Self::Sum { delta, .. } | Self::Histogram { delta } | Self::Exponential { delta } => {
                Some(if delta { 1 } else { 2 })
            }
        }
    }
}

/// The two forms that the protocol has. What is written between two calls is theirs; what goes where, [`write`]'s.
pub(super) trait Format {
    /// The most that may come after the last item.
    const TAIL: usize;

    fn with_capacity(bytes: usize) -> Self;
    fn into_body(self) -> Vec<u8>;
    fn len(&self) -> usize;

    /// The one message of a request, of so many items.
    fn request(&mut self, of: Of, resource: &[&Attributes], items: usize, content: impl FnOnce(&mut Self));
    /// What one scope has measured.
    fn scope(&mut self, of: Of, scope: &Scope, items: usize, content: impl FnOnce(&mut Self));
    fn metric(&mut self, descriptor: &Descriptor, kind: Kind, items: usize, content: impl FnOnce(&mut Self));
    fn number(&mut self, head: Head<'_>, value: Number);
    fn histogram(&mut self, head: Head<'_>, histogram: &Histogram, max: Option<f64>);
    fn exponential(&mut self, head: Head<'_>, histogram: &ExponentialHistogram);
    fn span(&mut self, span: &Span, prefix: &str);
}

/// What a request holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Of {
    Metrics,
    Spans,
}

/// About as many bytes as an item becomes.
const BYTES_OF_ITEM: usize = 160;

/// Writes a batch in at most `limit` bytes.
///
/// # Errors
/// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) where it does not fit, with the number of items that would have.
pub(super) fn write<F: Format>(batch: &Batch, style: &Style, limit: usize) -> Result<Written> {
    let fitting = match attempt::<F>(batch, batch.range(), style, limit) {
        Ok(written) => return Ok(written),
        Err(Some(fitting)) => fitting,
        Err(None) => search(batch.len(), |items| {
            let start = batch.range().start;
            attempt::<F>(batch, start..start + items, style, limit).is_ok()
        }),
    };
    let error = Error::new(ErrorKind::PayloadTooLarge, "the batch is larger than a payload may be");
    Err(error.with_context("bytes", limit).with_fitting(fitting))
}

/// About how many of `items` fit, and never more than do.
fn search(items: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut most, mut too_many) = (0, items);
    while too_many - most > 1 + most / 8 {
        let middle = most + (too_many - most) / 2;
        if fits(middle) { most = middle } else { too_many = middle }
    }
    most
}

/// Else how many items fit, if that is known: those of several scopes are not written in their order.
fn attempt<F: Format>(
    batch: &Batch,
    range: Range<usize>,
    style: &Style,
    limit: usize,
) -> Result<Written, Option<usize>> {
    let items = range.len();
    let mut format = F::with_capacity(items.saturating_mul(BYTES_OF_ITEM).min(limit));
    let of = match batch.metrics() {
        Some(_) => Of::Metrics,
        None => Of::Spans,
    };
    let all = batch.range();
    let spans = batch.spans().unwrap_or_default();
    let spans = spans.get(range.start - all.start..range.end - all.start).unwrap_or_default();
    let groups = match batch.metrics() {
        Some(metrics) => Groups::of_metrics(metrics, range.clone()),
        None => Groups::new(spans.iter().map(|span| &span.scope)),
    };
    let limit = limit.saturating_sub(F::TAIL);
    let mut walk = Walk { style, groups: &groups, group: 0, limit, full: None, counts: Written::default() };
    format.request(of, &[&batch.resource().attributes, &style.attributes], items, |format| {
        for (group, scope) in groups.scopes.iter().enumerate() {
            walk.group = group as u32;
            format.scope(of, scope, items, |format| match batch.metrics() {
                Some(metrics) => walk.metrics(format, metrics, range.clone()),
                None => walk.spans(format, spans),
            });
        }
    });
    match walk.full {
        Some(at) => Err(groups.is_sole().then_some(at)),
        None => Ok(Written { body: format.into_body(), ..walk.counts }),
    }
}

/// Who measured which item.
struct Groups<'a> {
    scopes: Vec<&'a Arc<Scope>>,
    /// Of each item its scope; none, where there is only one.
    of: Vec<u32>,
}

impl<'a> Groups<'a> {
    fn new(all: impl Iterator<Item = &'a Arc<Scope>>) -> Self {
        let mut groups = Self { scopes: Vec::new(), of: Vec::new() };
        let mut last = 0;
        for (at, scope) in all.enumerate() {
            groups.add(at, scope, &mut last);
        }
        groups
    }

    fn of_metrics(metrics: &'a ProfileMetrics, range: Range<usize>) -> Self {
        let mut groups = Self { scopes: Vec::new(), of: Vec::new() };
        let (mut last, mut at) = (0, 0);
        for (metric, part, _) in parts(metrics, range) {
            let mut see = |series: &'a Arc<Series>| {
                groups.add(at, &series.scope, &mut last);
                at += 1;
            };
            match &metric.data {
                Data::Sum(sum) => within(&sum.points, part).iter().for_each(|p| see(&p.series)),
                Data::Gauge(points) => within(points, part).iter().for_each(|p| see(&p.series)),
                Data::Histogram(points) => within(points, part).iter().for_each(|p| see(&p.series)),
                Data::ExponentialHistogram(points) => {
                    within(points, part).iter().for_each(|p| see(&p.series))
                }
            }
        }
        groups
    }

    /// Neighbours mostly are of one scope.
    fn add(&mut self, at: usize, scope: &'a Arc<Scope>, last: &mut u32) {
        let same = self.scopes.get(*last as usize).is_some_and(|known| Arc::ptr_eq(known, scope));
        if !same {
            let known = self.scopes.iter().position(|known| **known == *scope);
            *last = known.unwrap_or(self.scopes.len()) as u32;
            if known.is_none() {
                self.scopes.push(scope);
                self.of.resize(at, 0);
            }
        }
        if !self.is_sole() {
            self.of.push(*last);
        }
    }

    fn is_sole(&self) -> bool {
        self.scopes.len() <= 1
    }

    fn is(&self, at: usize, group: u32) -> bool {
        self.is_sole() || self.of.get(at) == Some(&group)
    }
}

/// The metrics with points in `range`: which of their points, and the position of the first of these among those of `range`.
fn parts(
    metrics: &ProfileMetrics,
    range: Range<usize>,
) -> impl Iterator<Item = (&Metric, Range<usize>, usize)> {
    let mut first = 0;
    metrics.metrics.iter().filter_map(move |metric| {
        let len = metric.data.len();
        let start = range.start.saturating_sub(first).min(len);
        let end = range.end.saturating_sub(first).min(len);
        let position = (first + start).saturating_sub(range.start);
        first += len;
        (start < end).then_some((metric, start..end, position))
    })
}

fn within<T>(points: &[T], part: Range<usize>) -> &[T] {
    points.get(part).unwrap_or_default()
}

/// One way through the items of one scope.
struct Walk<'a> {
    style: &'a Style,
    groups: &'a Groups<'a>,
    group: u32,
    limit: usize,
    /// The position of the item that was one too many.
    full: Option<usize>,
    counts: Written,
}

impl Walk<'_> {
    fn metrics<F: Format>(&mut self, format: &mut F, metrics: &ProfileMetrics, range: Range<usize>) {
        let end = nanos(metrics.interval.end);
        let begin = nanos(metrics.interval.start).min(end);
        let style = self.style;
        for (metric, part, first) in parts(metrics, range) {
            if self.full.is_some() {
                return;
            }
            let place = Place { metric, first, begin, end };
            match &metric.data {
                Data::Sum(sum) => {
                    // What goes up and down has a value at any moment, whichever way is preferred.
                    let delta = style.delta && sum.monotonic;
                    let kind = Kind::Sum { monotonic: sum.monotonic, delta };
                    let value = |p: &Point<Number>| if delta { p.change } else { p.total };
                    let valid = |p: &Point<Number>| value(p).as_f64().is_finite();
                    self.points(format, place, kind, within(&sum.points, part), valid, |format, head, p| {
                        format.number(head, value(p));
                    });
                }
                Data::Gauge(points) => {
                    let valid = |p: &Point<Number>| p.total.as_f64().is_finite();
                    self.points(
                        format,
                        place,
                        Kind::Gauge,
                        within(points, part),
                        valid,
                        |format, head, p| {
                            format.number(head, p.total);
                        },
                    );
                }
                Data::Histogram(points) => {
                    let (delta, kind) = (style.delta, Kind::Histogram { delta: style.delta });
                    let valid = |p: &Point<Histogram>| buckets::is_valid(of_point(delta, p));
                    self.points(format, place, kind, within(points, part), valid, |format, head, p| {
                        format.histogram(head, of_point(delta, p), None);
                    });
                }
                Data::ExponentialHistogram(points) => {
                    self.exponential(format, place, within(points, part));
                }
            }
        }
    }

    fn exponential<F: Format>(
        &mut self,
        format: &mut F,
        place: Place<'_>,
        points: &[Point<ExponentialHistogram>],
    ) {
        let delta = self.style.delta;
        let valid = |p: &Point<ExponentialHistogram>| {
            let h = of_point(delta, p);
            h.sum.is_finite() && h.zero_threshold.is_finite()
        };
        let max = |h: &ExponentialHistogram| h.max.filter(|max| max.is_finite());
        match &self.style.bounds {
            None => {
                let kind = Kind::Exponential { delta };
                self.points(format, place, kind, points, valid, |format, head, p| {
                    format.exponential(head, of_point(delta, p));
                });
            }
            Some(bounds) => {
                let kind = Kind::Histogram { delta };
                let mut explicit = Histogram { bounds: bounds.clone(), ..Histogram::default() };
                self.points(format, place, kind, points, valid, |format, head, p| {
                    let h = of_point(delta, p);
                    buckets::explicit(h, &mut explicit);
                    format.histogram(head, &explicit, max(h));
                });
            }
        }
    }

    /// The points of one metric that are of this scope.
    fn points<F: Format, T>(
        &mut self,
        format: &mut F,
        place: Place<'_>,
        kind: Kind,
        points: &[Point<T>],
        valid: impl Fn(&Point<T>) -> bool,
        mut write: impl FnMut(&mut F, Head<'_>, &Point<T>),
    ) {
        let (groups, group) = (self.groups, self.group);
        let named = !place.metric.descriptor.name.is_empty();
        let mine = || {
            let all = points.iter().enumerate().map(|(at, point)| (place.first + at, point));
            all.filter(|(at, _)| groups.is(*at, group))
        };
        if !named || !mine().any(|(_, point)| valid(point)) {
            self.counts.skipped += mine().count();
            return;
        }
        format.metric(&place.metric.descriptor, kind, points.len(), |format| {
            for (at, point) in mine() {
                if !valid(point) {
                    self.counts.skipped += 1;
                    continue;
                }
                write(format, place.head(kind, point), point);
                self.counts.items += 1;
                if format.len() > self.limit {
                    self.full = Some(at);
                    return;
                }
            }
        });
    }

    fn spans<F: Format>(&mut self, format: &mut F, spans: &[Span]) {
        if self.full.is_some() {
            return;
        }
        for (at, span) in spans.iter().enumerate() {
            if !self.groups.is(at, self.group) {
                continue;
            }
            if span.context.trace_id == [0; 16] || span.context.span_id == [0; 8] {
                self.counts.skipped += 1;
                continue;
            }
            if self.style.only_roots && span.parent_id != [0; 8] && !span.parent_is_remote {
                self.counts.filtered += 1;
                continue;
            }
            format.span(span, &self.style.span_name_prefix);
            self.counts.items += 1;
            if format.len() > self.limit {
                self.full = Some(at);
                return;
            }
        }
    }
}

/// What is asked for: the change in the interval, or the total.
fn of_point<T>(delta: bool, point: &Point<T>) -> &T {
    if delta { &point.change } else { &point.total }
}

/// A metric, and the position of its first point; the interval.
#[derive(Clone, Copy)]
struct Place<'a> {
    metric: &'a Metric,
    first: usize,
    begin: u64,
    end: u64,
}

impl<'a> Place<'a> {
    fn head<T>(&self, kind: Kind, point: &'a Point<T>) -> Head<'a> {
        let start = match kind.temporality() {
            None => 0,
            Some(1) => self.begin,
            Some(_) => nanos(point.series.start).min(self.end),
        };
        let Point { series, exemplars, .. } = point;
        Head { attributes: &series.attributes, start, time: self.end, exemplars }
    }
}

/// Nanoseconds since 1970: 0 before, the most there are in 2554.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into())
}

/// Start and end of a span, of which the second is never before the first.
pub(super) fn times(span: &Span) -> (u64, u64) {
    let start = nanos(span.start);
    (start, nanos(span.end).max(start))
}

/// `Span.flags` and `Link.flags`: the trace's own, and whether the parent is in another process, if that is known.
pub(super) fn flags(trace_flags: u8, is_remote: Option<bool>) -> u32 {
    u32::from(trace_flags) | is_remote.map_or(0, |remote| if remote { 0x300 } else { 0x100 })
}
