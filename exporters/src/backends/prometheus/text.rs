//! The two text formats: 0.0.4, and OpenMetrics 1.0.

use super::{
    families::{Bound, Encoder, Entry, Explicit, Families, Family, Member, Prefix, Stale, Style},
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
fn prefix(name: &Name, labels: &Labels, created: bool) -> Prefix {
    let mut bytes = Vec::new();
    let mut part = |suffix: &str, le: bool| {
        bytes.extend_from_slice(name.family.as_bytes());
        bytes.extend_from_slice(suffix.as_bytes());
        let mut separator = b'{';
        for (key, value) in labels {
            bytes.push(separator);
            separator = b',';
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(b"=\"");
            wire::escape(&mut bytes, value);
            bytes.push(b'"');
        }
        match (le, separator) {
            (true, separator) => bytes.extend_from_slice(&[separator, b'l', b'e', b'=', b'"']),
            (false, b'{') => bytes.push(b' '),
            (false, _) => bytes.extend_from_slice(b"} "),
        }
        bytes.len() as u32
    };
    let first = match name.kind {
        Kind::Counter { suffix: true } => part("_total", false),
        Kind::Counter { suffix: false } | Kind::Gauge => part("", false),
        Kind::Histogram => part("_bucket", true),
    };
    let cuts = match name.kind {
        Kind::Histogram => [first, part("_sum", false), part("_count", false)],
        _ => [first; 3],
    };
    if created && !matches!(name.kind, Kind::Gauge | Kind::Counter { suffix: false }) {
        part("_created", false);
    }
    Prefix { bytes: bytes.into(), cuts }
}

impl Entry {
    fn part(&self, number: usize) -> &[u8] {
        let cuts = self.text.cuts;
        let start = number.checked_sub(1).map_or(0, |before| cuts[before]) as usize;
        let end = cuts.get(number).map_or(self.text.bytes.len(), |end| *end as usize);
        &self.text.bytes[start..end]
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
    out.extend_from_slice(&prefix(&name, &labels, false).bytes);
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
        each(points, &member.entries, |point, entry| {
            let impossible = match point.total {
                Number::U64(_) => false,
                Number::I64(n) => counter && n < 0,
                Number::F64(n) => counter && !(n.is_finite() && n >= 0.0),
            };
            if impossible || entry.duplicate {
                self.dropped += 1;
                return;
            }
            self.out.extend_from_slice(entry.part(0));
            match point.total {
                Number::U64(n) => self.integer(n),
                Number::I64(n) => self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
                Number::F64(n) => wire::push_f64(self.out, n),
            }
            if exemplars && let Some(exemplar) = latest(&point.exemplars, f64::NEG_INFINITY, f64::INFINITY) {
                self.exemplar(exemplar);
            }
            self.out.push(b'\n');
            self.created(entry);
        })
    }

    fn exponential(
        &mut self,
        member: &Member,
        points: &[Point<ExponentialHistogram>],
        bounds: &[Bound],
    ) -> Result<(), Stale> {
        each(points, &member.entries, |point, entry| {
            let h = &point.total;
            if entry.duplicate || !h.sum.is_finite() || !(-10..=20).contains(&h.scale) {
                self.dropped += 1;
                return;
            }
            let mut buckets = Cumulative::new(h);
            let mut lower = f64::NEG_INFINITY;
            for bound in bounds {
                let count = buckets.up_to(bound);
                self.bucket(entry, &bound.text, count, &point.exemplars, lower, bound.value);
                lower = bound.value;
            }
            self.end(entry, buckets.total(), h.sum, false, &point.exemplars, lower);
        })
    }

    fn explicit(&mut self, member: &mut Member, points: &[Point<Histogram>]) -> Result<(), Stale> {
        let Member { entries, explicit, .. } = member;
        let explicit: &mut Explicit = explicit;
        each(points, entries, |point, entry| {
            let h = &point.total;
            if entry.duplicate || !is_valid(h) {
                self.dropped += 1;
                return;
            }
            let mut count = 0;
            let mut lower = f64::NEG_INFINITY;
            for ((text, n), bound) in explicit.texts(&h.bounds).iter().zip(&h.counts).zip(&h.bounds) {
                count += n;
                self.bucket(entry, text, count, &point.exemplars, lower, *bound);
                lower = *bound;
            }
            let negative = h.bounds.first().is_some_and(|first| *first < 0.0);
            self.end(entry, h.count(), h.sum, negative, &point.exemplars, lower);
        })
    }

    #[inline]
    fn bucket(
        &mut self,
        entry: &Entry,
        le: &[u8],
        count: u64,
        exemplars: &[Exemplar],
        lower: f64,
        upper: f64,
    ) {
        self.out.extend_from_slice(entry.part(0));
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
        entry: &Entry,
        count: u64,
        sum: f64,
        negative: bool,
        exemplars: &[Exemplar],
        lower: f64,
    ) {
        self.bucket(entry, b"+Inf\"} ", count, exemplars, lower, f64::INFINITY);
        // OpenMetrics knows no sum that may go down, and no count without a sum.
        if !(self.open_metrics && (negative || sum < 0.0)) {
            self.out.extend_from_slice(entry.part(1));
            wire::push_f64(self.out, sum);
            self.out.push(b'\n');
            self.out.extend_from_slice(entry.part(2));
            self.integer(count);
            self.out.push(b'\n');
        }
        self.created(entry);
    }

    fn created(&mut self, entry: &Entry) {
        let prefix = entry.part(3);
        if self.open_metrics && !prefix.is_empty() && entry.series.start > UNIX_EPOCH {
            self.out.extend_from_slice(prefix);
            self.time(entry.series.start);
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

/// The newest exemplar in `(lower, upper]`.
pub(super) fn latest(exemplars: &[Exemplar], lower: f64, upper: f64) -> Option<&Exemplar> {
    let within = |e: &&Exemplar| e.value.is_finite() && e.value > lower && e.value <= upper;
    exemplars.iter().filter(within).max_by_key(|exemplar| exemplar.time)
}

pub(super) fn is_valid(h: &Histogram) -> bool {
    let bounds = h.bounds.is_sorted_by(|a, b| a < b) && h.bounds.iter().all(|bound| bound.is_finite());
    bounds && h.counts.len() == h.bounds.len() + 1 && h.sum.is_finite()
}

/// Calls `write` for every point with what is remembered of its series.
pub(super) fn each<T>(
    points: &[Point<T>],
    entries: &[Entry],
    mut write: impl FnMut(&Point<T>, &Entry),
) -> Result<(), Stale> {
    if points.len() != entries.len() {
        return Err(Stale);
    }
    for (point, entry) in points.iter().zip(entries) {
        if !std::sync::Arc::ptr_eq(&point.series, &entry.series) {
            return Err(Stale);
        }
        write(point, entry);
    }
    Ok(())
}

/// Adds up the buckets of an exponential histogram towards higher bounds.
pub(super) struct Cumulative<'a> {
    histogram: &'a ExponentialHistogram,
    /// Buckets added so far.
    position: usize,
    count: u64,
}

impl<'a> Cumulative<'a> {
    pub(super) fn new(histogram: &'a ExponentialHistogram) -> Self {
        Self { histogram, position: 0, count: 0 }
    }

    /// How many values are at most `bound`.
    #[inline]
    pub(super) fn up_to(&mut self, bound: &Bound) -> u64 {
        let h = self.histogram;
        let (exponent, scale) = (i64::from(bound.exponent), h.scale);
        // The last bucket that ends at or below the bound.
        let last = if scale >= 0 { exponent << scale } else { exponent >> -scale };
        let buckets =
            (last - i64::from(h.positive.offset) + 1).clamp(0, h.positive.counts.len() as i64) as usize;
        self.add(buckets);
        // The zero bucket may be wider than the first classic ones.
        self.count + if h.zero_threshold <= bound.value { h.zero_count } else { 0 }
    }

    pub(super) fn total(mut self) -> u64 {
        self.add(self.histogram.positive.counts.len());
        self.count + self.histogram.zero_count
    }

    #[inline]
    fn add(&mut self, end: usize) {
        if let Some(next) = self.histogram.positive.counts.get(self.position..end) {
            self.count += next.iter().sum::<u64>();
            self.position = end;
        }
    }
}
