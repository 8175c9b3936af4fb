//! The bytes that data really holds: what the allocator gets back when it goes.

use super::{
    Attributes, Data, Exemplar, ExponentialHistogram, Histogram, KeyValue, Number, Point, ProfileMetrics,
    Scope, Series, Signal, Span, SpanLink, Spans, Status, Value,
};
use std::{borrow::Cow, mem::size_of, sync::Arc};

/// The two counters of an `Arc`.
const COUNTERS: usize = 2 * size_of::<usize>();

impl Signal {
    /// Bytes that go when this does. What is shared with others, as series are with the recorder that counts on with them, goes
    /// with the last of them.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Metrics(metrics) => COUNTERS + size_of::<ProfileMetrics>() + metrics.memory(),
            Self::Spans(spans) => of_spans(&spans.spans, spans.spans.iter().map(Span::memory).sum()),
        }
    }
}

/// The same of spans of which is known how much they hold elsewhere.
pub(crate) fn of_spans(spans: &Vec<Span>, held: usize) -> usize {
    COUNTERS + size_of::<Spans>() + spans.capacity() * size_of::<Span>() + held
}

/// Items beside each other, and what each holds elsewhere.
fn list<T>(items: &[T], of: impl Fn(&T) -> usize) -> usize {
    size_of_val(items) + items.iter().map(of).sum::<usize>()
}

/// The same, with room for more.
fn vec<T>(items: &Vec<T>, of: impl Fn(&T) -> usize) -> usize {
    items.capacity() * size_of::<T>() + items.iter().map(of).sum::<usize>()
}

#[expect(clippy::ptr_arg, reason = "whether it is owned is the question")]
pub(crate) fn text(text: &Cow<'static, str>) -> usize {
    match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => text.capacity(),
    }
}

/// The bytes of something shared, if nobody else has it.
pub(crate) fn shared<T>(shared: &Arc<T>, of: impl Fn(&T) -> usize) -> usize {
    match Arc::strong_count(shared) {
        1 => COUNTERS + size_of::<T>() + of(shared),
        _ => 0,
    }
}

impl ProfileMetrics {
    fn memory(&self) -> usize {
        let ended = vec(&self.ended, |ended| shared(&ended.series, Series::memory));
        ended + vec(&self.metrics, |metric| metric.data.memory())
    }
}

impl Data {
    fn memory(&self) -> usize {
        match self {
            Self::Sum(sum) => points(&sum.points, |_: &Number| 0),
            Self::Gauge(gauges) => points(gauges, |_: &Number| 0),
            Self::Histogram(histograms) => points(histograms, |histogram: &Histogram| {
                vec(&histogram.bounds, |_| 0) + vec(&histogram.counts, |_| 0)
            }),
            Self::ExponentialHistogram(histograms) => {
                points(histograms, |histogram: &ExponentialHistogram| vec(&histogram.positive.counts, |_| 0))
            }
        }
    }
}

fn points<T>(points: &Vec<Point<T>>, of: impl Fn(&T) -> usize) -> usize {
    vec(points, |point| {
        let exemplars = vec(&point.exemplars, |_: &Exemplar| 0);
        of(&point.total) + of(&point.change) + exemplars + shared(&point.series, Series::memory)
    })
}

impl Series {
    pub(crate) fn memory(&self) -> usize {
        shared(&self.scope, Scope::memory) + self.attributes.memory()
    }
}

impl Scope {
    fn memory(&self) -> usize {
        text(&self.name) + text(&self.version)
    }
}

impl Attributes {
    pub(crate) fn memory(&self) -> usize {
        match self.is_shared() {
            true => 0,
            false => COUNTERS + list(self, |KeyValue { key, value }| text(key) + value.memory()),
        }
    }
}

impl Value {
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::String(string) => text(string),
            Self::Array(array) => COUNTERS + list(array, Self::memory),
            _ => 0,
        }
    }
}

impl Span {
    pub(crate) fn memory(&self) -> usize {
        let status = match &self.status {
            Status::Error(why) => text(why),
            _ => 0,
        };
        let events = vec(&self.events, |event| text(&event.name) + event.attributes.memory());
        let link = |link: &SpanLink| text(&link.context.trace_state) + link.attributes.memory();
        let strings = text(&self.name) + text(&self.context.trace_state) + status;
        strings
            + events
            + vec(&self.links, link)
            + self.attributes.memory()
            + shared(&self.scope, Scope::memory)
    }
}
