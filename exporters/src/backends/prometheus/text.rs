//! The two text formats: 0.0.4, and OpenMetrics 1.0.

use super::{
    buckets::{self, cumulate, is_valid, latest},
    families::{Bound, Encoder, Explicit, Families, Family, Member, Style},
    known::{Ends, Remembered, Stale},
    wire::{self, Kind, Labels, Name},
};
use crate::{Data, Exemplar, ExponentialHistogram, Histogram, Metric, Number, Point, Resource};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const ENCODER: Encoder = Encoder { head, prefix };

/// Metadata: in text 0.0.4, and in OpenMetrics.
fn head(name: &Name, help: &str) -> [Box<[u8]>; 2] {
    let Name { family, unit, kind } = name;
    let (total, classic, open) = match kind {
        Kind::Counter { suffix: true } => ("_total", "counter", "counter"),
        // Its samples lack the suffix that OpenMetrics demands of a counter.
        Kind::Counter { suffix: false } => ("", "counter", "unknown"),
        Kind::Gauge => ("", "gauge", "gauge"),
        Kind::Histogram => ("", "histogram", "histogram"),
    };
    let (mut plain, mut metrics) = (Vec::new(), Vec::new());
    if !help.is_empty() {
        plain.extend_from_slice(format!("# HELP {family}{total} ").as_bytes());
        wire::escape_help(&mut plain, help);
        plain.push(b'\n');
    }
    plain.extend_from_slice(format!("# TYPE {family}{total} {classic}\n").as_bytes());
    metrics.extend_from_slice(format!("# TYPE {family} {open}\n").as_bytes());
    if !unit.is_empty() {
        metrics.extend_from_slice(format!("# UNIT {family} {unit}\n").as_bytes());
    }
    if !help.is_empty() {
        metrics.extend_from_slice(format!("# HELP {family} ").as_bytes());
        wire::escape(&mut metrics, help);
        metrics.push(b'\n');
    }
    [plain.into(), metrics.into()]
}

/// `name{labels} `; of a histogram `name_bucket{labels,le="`, `name_sum{labels} ` and `name_count{labels} `; at last,
/// if asked for, `name_created{labels} `.
fn prefix(out: &mut Vec<u8>, name: &Name, labels: &Labels, created: bool) -> Ends {
    let start = out.len();
    let mut part = |suffix: &str, le: bool| {
        out.extend_from_slice(name.family.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        let mut separator = b'{';
        for (key, value) in labels {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"=\"");
            wire::escape(out, value);
            out.push(b'"');
        }
        match (le, separator) {
            (true, separator) => out.extend_from_slice(&[separator, b'l', b'e', b'=', b'"']),
            (false, b'{') => out.push(b' '),
            (false, _) => out.extend_from_slice(b"} "),
        }
        (out.len() - start) as u32
    };
    match name.kind {
        Kind::Counter { suffix: true } => {
            let total = part("_total", false);
            [total, total, total, if created { part("_created", false) } else { total }]
        }
        Kind::Counter { suffix: false } | Kind::Gauge => [part("", false); 4],
        Kind::Histogram => {
            let (bucket, sum, count) = (part("_bucket", true), part("_sum", false), part("_count", false));
            [bucket, sum, count, if created { part("_created", false) } else { count }]
        }
    }
}

/// The lines of one page.
pub(super) struct Page<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) open_metrics: bool,
    /// Points that could not be written.
    pub(super) dropped: u64,
}

pub(super) fn target_info(out: &mut Vec<u8>, resource: &Resource, open_metrics: bool) {
    let labels = wire::labels(None, None, &resource.attributes, Kind::Gauge);
    if labels.is_empty() {
        return;
    }
    out.extend_from_slice(match open_metrics {
        true => b"# TYPE target info\n# HELP target Target metadata\n",
        false => b"# HELP target_info Target metadata\n# TYPE target_info gauge\n",
    });
    let name = Name { family: "target_info".into(), unit: String::new(), kind: Kind::Gauge };
    prefix(out, &name, &labels, false);
    out.extend_from_slice(b"1\n");
}

impl Page<'_> {
    pub(super) fn families(&mut self, families: &mut Families, style: &Style, metrics: &[Metric]) {
        families.each(style, metrics, |family| self.family(family, style, metrics));
    }

    fn family(&mut self, family: &mut Family, style: &Style, metrics: &[Metric]) -> Result<(), Stale> {
        let (start, dropped) = (self.out.len(), self.dropped);
        self.out.extend_from_slice(&family.head[usize::from(self.open_metrics)]);
        let head = self.out.len();
        let (kind, bounds) = (family.name.kind, style.bounds(family));
        let result = family.members.iter_mut().try_for_each(|member| match &metrics[member.metric].data {
            Data::Sum(sum) => self.numbers(member, &sum.points, kind),
            Data::Gauge(points) => self.numbers(member, points, kind),
            Data::ExponentialHistogram(points) => self.exponential(member, points, bounds),
            Data::Histogram(points) => self.explicit(member, points),
        });
        if result.is_err() {
            self.dropped = dropped;
        }
        if result.is_err() || self.out.len() == head {
            self.out.truncate(start);
        }
        result
    }

    fn numbers(&mut self, member: &Member, points: &[Point<Number>], kind: Kind) -> Result<(), Stale> {
        let counter = matches!(kind, Kind::Counter { .. });
        let exemplars = self.open_metrics && kind == Kind::Counter { suffix: true };
        member.known.each(points, |point, series| {
            let impossible = match point.total {
                Number::U64(_) => false,
                Number::I64(n) => counter && n < 0,
                Number::F64(n) => counter && !(n.is_finite() && n >= 0.0),
            };
            if impossible || series.duplicate {
                self.dropped += 1;
                return;
            }
            self.out.extend_from_slice(series.part(0));
            match point.total {
                Number::U64(n) => self.integer(n),
                Number::I64(n) => self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
                Number::F64(n) => wire::push_f64(self.out, n),
            }
            if exemplars && let Some(exemplar) = latest(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY) {
                self.exemplar(exemplar);
            }
            self.out.push(b'\n');
            self.created(series);
        })
    }

    fn exponential(
        &mut self,
        member: &mut Member,
        points: &[Point<ExponentialHistogram>],
        bounds: &[Bound],
    ) -> Result<(), Stale> {
        let Member { known, counts: scratch, .. } = member;
        let mut soon = points.iter().skip(buckets::AHEAD);
        known.each(points, |point, series| {
            buckets::prefetch(soon.next());
            let h = &point.total;
            if series.duplicate || !h.sum.is_finite() || !(-10..=20).contains(&h.scale) {
                self.dropped += 1;
                return;
            }
            let count = cumulate(h, bounds, scratch);
            let mut lower = f64::NEG_INFINITY;
            for (bound, count) in bounds.iter().zip(&*scratch) {
                self.bucket(series, &bound.text, *count, &point.exemplars, lower, bound.value);
                lower = bound.value;
            }
            self.end(series, count, h.sum, false, &point.exemplars, lower);
        })
    }

    fn explicit(&mut self, member: &mut Member, points: &[Point<Histogram>]) -> Result<(), Stale> {
        let Member { known, explicit, .. } = member;
        let explicit: &mut Explicit = explicit;
        known.each(points, |point, series| {
            let h = &point.total;
            if series.duplicate || !is_valid(h) {
                self.dropped += 1;
                return;
            }
            let mut count = 0;
            let mut lower = f64::NEG_INFINITY;
            for ((text, n), bound) in explicit.texts(&h.bounds).iter().zip(&h.counts).zip(&h.bounds) {
                count += n;
                self.bucket(series, text, count, &point.exemplars, lower, *bound);
                lower = *bound;
            }
            let negative = h.bounds.first().is_some_and(|first| *first < 0.0);
            self.end(series, h.count(), h.sum, negative, &point.exemplars, lower);
        })
    }

    #[inline]
    fn bucket(
        &mut self,
        series: Remembered<'_>,
        le: &[u8],
        count: u64,
        exemplars: &[Exemplar],
        lower: f64,
        upper: f64,
    ) {
        self.out.extend_from_slice(series.part(0));
        self.out.extend_from_slice(le);
        self.integer(count);
        if self.open_metrics
            && !exemplars.is_empty()
            && let Some(exemplar) = latest(exemplars, lower, upper)
        {
            self.exemplar(exemplar);
        }
        self.out.push(b'\n');
    }

    fn end(
        &mut self,
        series: Remembered<'_>,
        count: u64,
        sum: f64,
        negative: bool,
        exemplars: &[Exemplar],
        lower: f64,
    ) {
        self.bucket(series, b"+Inf\"} ", count, exemplars, lower, f64::INFINITY);
        // OpenMetrics knows no sum that may go down, and no count without a sum.
        if !(self.open_metrics && (negative || sum < 0.0)) {
            self.out.extend_from_slice(series.part(1));
            wire::push_f64(self.out, sum);
            self.out.push(b'\n');
            self.out.extend_from_slice(series.part(2));
            self.integer(count);
            self.out.push(b'\n');
        }
        self.created(series);
    }

    fn created(&mut self, series: Remembered<'_>) {
        let prefix = series.part(3);
        if self.open_metrics && !prefix.is_empty() && series.start() > UNIX_EPOCH {
            self.out.extend_from_slice(prefix);
            self.time(series.start());
            self.out.push(b'\n');
        }
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        self.out.extend_from_slice(b" # {trace_id=\"");
        push_hex(self.out, &exemplar.trace_id);
        self.out.extend_from_slice(b"\",span_id=\"");
        push_hex(self.out, &exemplar.span_id);
        self.out.extend_from_slice(b"\"} ");
        wire::push_f64(self.out, exemplar.value);
        self.out.push(b' ');
        self.time(exemplar.time);
    }

    fn time(&mut self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.integer(since.as_secs());
        let millis = since.subsec_millis();
        self.out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis)]);
    }

    #[inline]
    fn integer(&mut self, n: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
}

fn digit(n: u32) -> u8 {
    b'0' + (n % 10) as u8
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
