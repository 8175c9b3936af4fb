//! Snapshots put together, so that no change is lost, and cut apart.

use super::{Data, Ended, Metric, Number, Point, ProfileMetrics, Sum};
use std::{collections::HashMap, ops::Range, sync::Arc};

/// Exemplars that a point keeps when intervals are merged, however many they are.
const MOST_EXEMPLARS: usize = 16;

/// What became of the points of a snapshot that was merged into a later one, besides those that were added to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Absorbed {
    /// They became one with a point that was there already.
    pub(crate) merged: usize,
    /// There was no room, or their buckets have other bounds.
    pub(crate) left_out: usize,
}

impl ProfileMetrics {
    /// Adds the changes of an earlier snapshot, as if there had been one interval; the totals are the later ones. Series that
    /// are not there any more are added, too, at most `room` of them.
    pub(crate) fn absorb(&mut self, earlier: &Self, mut room: usize) -> Absorbed {
        self.interval.start = self.interval.start.min(earlier.interval.start);
        let (before, mut merged) = (self.len(), 0);
        for metric in &earlier.metrics {
            let same =
                |mine: &Metric| mine.descriptor == metric.descriptor && mine.data.is_like(&metric.data);
            let at = self.metrics.iter().position(same).unwrap_or_else(|| {
                let name = &metric.descriptor.name;
                let at = self.metrics.partition_point(|mine| mine.descriptor.name <= *name);
                let data = metric.data.slice(0..0);
                self.metrics.insert(at, Metric { descriptor: metric.descriptor.clone(), data });
                at
            });
            let mine = &mut self.metrics[at];
            let known = mine.data.len();
            merged += mine.data.absorb(&metric.data, &mut room);
            if let ("function.calls", Data::Sum(sum)) = (&*mine.descriptor.name, &mine.data) {
                sum.points[known..].iter().for_each(|point| not_ended(&mut self.ended, point));
            }
        }
        let added = self.len() - before;
        Absorbed { merged, left_out: earlier.len() - added - merged }
    }

    /// The points at `range` alone, as [`Batch::range`](crate::Batch::range) counts them. Each keeps its series.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut before = 0;
        let within = self.metrics.iter().filter_map(|metric| {
            let len = metric.data.len();
            let place = |at: usize| at.saturating_sub(before).min(len);
            let part = place(range.start)..place(range.end);
            before += len;
            let cut =
                || Metric { descriptor: metric.descriptor.clone(), data: metric.data.slice(part.clone()) };
            (!part.is_empty()).then(cut)
        });
        let metrics = within.collect();
        // As all that is of the whole, it goes with the first part.
        let ended = if range.start == 0 { self.ended.clone() } else { Vec::new() };
        Self { resource: self.resource.clone(), interval: self.interval.clone(), metrics, ended }
    }
}

/// A series that has ended is among the others again, and so is not to be counted twice.
fn not_ended(ended: &mut [Ended], again: &Point<Number>) {
    let same = |ended: &&mut Ended| {
        let of = |key| ended.series.attributes.get(key) == again.series.attributes.get(key);
        of("function") && of("module")
    };
    if let Some(ended) = ended.iter_mut().find(same) {
        ended.calls = ended.calls.saturating_sub(again.total.as_f64() as u64);
    }
}

impl Data {
    /// Whether both hold the same kind of points, so that one can [absorb](Self::absorb) the other.
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Adds the changes of an earlier interval, of series that are not there only as long as there is room; gives how many
    /// points became one with a point that was there already.
    fn absorb(&mut self, earlier: &Self, room: &mut usize) -> usize {
        match (self, earlier) {
            (Self::Sum(mine), Self::Sum(theirs)) => absorb(&mut mine.points, &theirs.points, room, |a, b| {
                *a = a.plus(*b);
                true
            }),
            // The later value stands.
            (Self::Gauge(mine), Self::Gauge(theirs)) => absorb(mine, theirs, room, |_, _| true),
            (Self::Histogram(mine), Self::Histogram(theirs)) => absorb(mine, theirs, room, |a, b| {
                a.merge(b);
                a.bounds == b.bounds
            }),
            (Self::ExponentialHistogram(mine), Self::ExponentialHistogram(theirs)) => {
                absorb(mine, theirs, room, |a, b| {
                    a.merge(b);
                    true
                })
            }
            _ => 0,
        }
    }

    /// The points at `range`.
    fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::Sum(sum) => Self::Sum(Sum { monotonic: sum.monotonic, points: slice(&sum.points, range) }),
            Self::Gauge(points) => Self::Gauge(slice(points, range)),
            Self::Histogram(points) => Self::Histogram(slice(points, range)),
            Self::ExponentialHistogram(points) => Self::ExponentialHistogram(slice(points, range)),
        }
    }
}

fn slice<T: Clone>(points: &[Point<T>], range: Range<usize>) -> Vec<Point<T>> {
    points.get(range).unwrap_or_default().to_vec()
}

/// `add` says whether it could.
fn absorb<T: Clone>(
    mine: &mut Vec<Point<T>>,
    theirs: &[Point<T>],
    room: &mut usize,
    add: impl Fn(&mut T, &T) -> bool,
) -> usize {
    let index: HashMap<_, _> =
        mine.iter().enumerate().map(|(at, point)| (Arc::as_ptr(&point.series), at)).collect();
    let mut merged = 0;
    for point in theirs {
        match index.get(&Arc::as_ptr(&point.series)).and_then(|&at| mine.get_mut(at)) {
            Some(mine) => {
                merged += usize::from(add(&mut mine.change, &point.change));
                mine.exemplars.extend(point.exemplars.iter().cloned());
                // The later ones come first.
                mine.exemplars.truncate(MOST_EXEMPLARS);
            }
            None if *room > 0 => {
                *room -= 1;
                mine.push(point.clone());
            }
            None => {}
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Descriptor, Exemplar, Histogram, KeyValue, Series};
    use std::time::SystemTime;

    fn point<T: Clone>(value: T) -> Point<T> {
        let attributes = std::iter::empty::<crate::KeyValue>().collect();
        let series = Series { scope: Arc::default(), attributes, start: SystemTime::UNIX_EPOCH };
        Point { series: Arc::new(series), total: value.clone(), change: value, exemplars: Vec::new() }
    }

    fn metric(name: &'static str, data: Data) -> Metric {
        Metric { descriptor: Arc::new(Descriptor { name: name.into(), ..Descriptor::default() }), data }
    }

    fn histogram(bound: f64) -> Histogram {
        Histogram { bounds: vec![bound], counts: vec![1, 2], sum: 3.0 }
    }

    /// Two sums, a gauge, three histograms.
    fn metrics() -> ProfileMetrics {
        let points = [1, 2].map(|n| point(Number::U64(n))).into();
        let metrics = vec![
            metric("a", Data::Sum(Sum { monotonic: true, points })),
            metric("b", Data::Gauge(vec![point(Number::F64(0.5))])),
            metric("c", Data::Histogram([1.0, 2.0, 3.0].map(histogram).map(point).into())),
        ];
        ProfileMetrics { metrics, ..ProfileMetrics::none() }
    }

    fn series(metrics: &ProfileMetrics) -> Vec<*const Series> {
        fn of<T>(points: &[Point<T>]) -> Vec<*const Series> {
            points.iter().map(|point| Arc::as_ptr(&point.series)).collect()
        }
        let each = metrics.metrics.iter().map(|metric| match &metric.data {
            Data::Sum(sum) => of(&sum.points),
            Data::Gauge(points) => of(points),
            Data::Histogram(points) => of(points),
            Data::ExponentialHistogram(points) => of(points),
        });
        each.flatten().collect()
    }

    #[test]
    fn a_slice_has_the_points_that_a_batch_counts_and_their_series() {
        let whole = metrics();
        let all = series(&whole);
        for start in 0..=6 {
            for end in start..=6 {
                let slice = whole.slice(start..end);
                assert_eq!(series(&slice), all[start..end], "{start}..{end}");
                assert!(slice.metrics.iter().all(|metric| !metric.data.is_empty()));
                assert_eq!(slice.interval, whole.interval);
            }
        }
        assert_eq!(series(&whole.slice(4..100)), all[4..]);
        assert!(whole.slice(6..9).is_empty());
    }

    #[test]
    fn slices_merged_again_are_the_whole() {
        let whole = metrics();
        for at in 0..=6 {
            let mut later = whole.slice(at..6);
            let absorbed = later.absorb(&whole.slice(0..at), 6);
            assert_eq!((absorbed, later.len()), (Absorbed::default(), 6));
            assert!(later.metrics.is_sorted_by_key(|metric| metric.descriptor.name.clone()));
            assert_eq!(later.absorb(&whole, 0), Absorbed { merged: 6, left_out: 0 });
        }
    }

    #[test]
    fn what_cannot_be_merged_is_told() {
        let whole = metrics();
        let mut later = whole.clone();
        let Data::Histogram(points) = &mut later.metrics[2].data else { unreachable!() };
        points[0].change.bounds = vec![9.0];
        assert_eq!(later.absorb(&whole, 6), Absorbed { merged: 5, left_out: 1 });
        assert_eq!(later.absorb(&metrics(), 4), Absorbed { merged: 0, left_out: 2 });
        assert_eq!(later.len(), 10);
        // Another kind of the same name stands beside it.
        let other = metric("a", Data::Gauge(vec![point(Number::U64(1))]));
        let other = ProfileMetrics { metrics: vec![other], ..ProfileMetrics::none() };
        assert_eq!(later.absorb(&other, 6), Absorbed::default());
        assert_eq!(later.len(), 11);
    }

    #[test]
    fn totals_are_the_later_ones_also_where_series_have_ended() {
        let of = |function: &'static str, set: &'static str| {
            let attributes = [KeyValue::new("function", function), KeyValue::new("set", set)];
            let attributes = attributes.into_iter().collect();
            Arc::new(Series { scope: Arc::default(), attributes, start: SystemTime::UNIX_EPOCH })
        };
        let series = [of("f", "a"), of("f", "b"), of("f", "c"), of("g", "a")];
        let calls = |points: &[(usize, u64, u64)], ended: &[(usize, u64)]| {
            let point = |&(at, total, change): &(usize, u64, u64)| Point {
                series: series[at].clone(),
                total: Number::U64(total),
                change: Number::U64(change),
                exemplars: Vec::new(),
            };
            let points = points.iter().map(point).collect();
            let metrics = vec![metric("function.calls", Data::Sum(Sum { monotonic: true, points }))];
            let ended = ended.iter().map(|&(at, calls)| Ended { series: series[at].clone(), calls });
            ProfileMetrics { metrics, ended: ended.collect(), ..ProfileMetrics::none() }
        };
        // Two sets of `f` end, of which there is room for one; of `g` a third had ended before.
        let earlier = calls(&[(0, 7, 3), (1, 20, 1), (2, 100, 1), (3, 1, 1)], &[(3, 1000)]);
        let later = calls(&[(0, 8, 1), (3, 2, 1)], &[(0, 120), (3, 1000)]);
        for (room, added) in [(0, 0), (1, 1), (9, 2)] {
            let mut merged = later.clone();
            assert_eq!(merged.absorb(&earlier, room), Absorbed { merged: 2, left_out: 2 - added });
            assert_eq!(merged.len(), 2 + added);
            assert_eq!(merged.total_calls(), later.total_calls());
            assert_eq!([merged.function("f").total_calls(), merged.function("g").total_calls()], [128, 1002]);
            // The parts of it are still the whole.
            let parts = [merged.slice(0..1), merged.slice(1..9)].map(|part| part.total_calls());
            assert_eq!(parts.iter().sum::<u64>(), 1130);
        }
    }

    #[test]
    fn exemplars_do_not_pile_up() {
        let exemplar =
            |value| Exemplar { value, time: SystemTime::UNIX_EPOCH, trace_id: [1; 16], span_id: [1; 8] };
        let mut whole = metrics();
        let Data::Sum(sum) = &mut whole.metrics[0].data else { unreachable!() };
        sum.points[0].exemplars = vec![exemplar(1.0)];
        let mut later = whole.clone();
        (0..100).for_each(|_| _ = later.absorb(&whole, 0));
        let Data::Sum(sum) = &later.metrics[0].data else { unreachable!() };
        assert_eq!(sum.points[0].exemplars.len(), 16);
        assert_eq!(sum.points[0].change, Number::U64(101));
    }
}
