//! The protobuf format: length-delimited `MetricFamily` messages, with native histograms.

use super::{
    buckets::{self, cumulate, is_valid, latest},
    families::{Bound, Encoder, Families, Family, Member, Style},
    known::{Ends, Remembered, Stale},
    wire::{self, Kind, Labels, Name},
};
use crate::{Data, Exemplar, ExponentialHistogram, Histogram, Metric, Number, Point, Resource};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const ENCODER: Encoder = Encoder { head, prefix };

/// Empty buckets that cost less than starting a new span.
const GAP: usize = 2;

/// Name, help and type; and the unit, which comes last.
fn head(name: &Name, help: &str) -> [Box<[u8]>; 2] {
    let (total, kind) = match name.kind {
        Kind::Counter { suffix } => (if suffix { "_total" } else { "" }, 0),
        Kind::Gauge => ("", 1),
        Kind::Histogram => ("", 4),
    };
    let (mut head, mut unit) = (Vec::new(), Vec::new());
    string(&mut head, 1, &format!("{}{total}", name.family));
    string(&mut head, 2, help);
    integer(&mut head, 3, kind);
    if !name.unit.is_empty() {
        string(&mut unit, 5, &name.unit);
    }
    [head.into(), unit.into()]
}

/// The labels' fields of a `Metric`.
fn prefix(out: &mut Vec<u8>, _: &Name, labels: &Labels, _: bool) -> Ends {
    let start = out.len();
    for (key, value) in labels {
        message(out, 1, |pair| {
            string(pair, 1, key);
            string(pair, 2, value);
        });
    }
    [(out.len() - start) as u32; 4]
}

/// The messages of one page.
pub(super) struct Page<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// Points that could not be written.
    pub(super) dropped: u64,
}

pub(super) fn target_info(out: &mut Vec<u8>, resource: &Resource) {
    let labels = wire::labels(None, None, &resource.attributes, Kind::Gauge);
    if labels.is_empty() {
        return;
    }
    let name = Name { family: "target_info".into(), unit: String::new(), kind: Kind::Gauge };
    delimited(out, |out| {
        out.extend_from_slice(&head(&name, "Target metadata")[0]);
        message(out, 4, |out| {
            prefix(out, &name, &labels, false);
            message(out, 2, |gauge| double(gauge, 1, 1.0));
        });
    });
}

impl Page<'_> {
    pub(super) fn families(&mut self, families: &mut Families, style: &Style, metrics: &[Metric]) {
        families.each(style, metrics, |family| self.family(family, style, metrics));
    }

    fn family(&mut self, family: &mut Family, style: &Style, metrics: &[Metric]) -> Result<(), Stale> {
        let start = self.out.len();
        let mut written = 0;
        let mut result = Ok(());
        delimited(self.out, |out| {
            let bounds = style.bounds(family);
            out.extend_from_slice(&family.head[0]);
            let mut writer = Writer { out, style, bounds, kind: family.name.kind, written: 0, dropped: 0 };
            result = family.members.iter_mut().try_for_each(|member| {
                let Member { metric, known, counts, .. } = member;
                match &metrics[*metric].data {
                    Data::Sum(sum) => known.each(&sum.points, |p, e| writer.number(p, e)),
                    Data::Gauge(points) => known.each(points, |p, e| writer.number(p, e)),
                    Data::ExponentialHistogram(points) => {
                        let mut soon = points.iter().skip(buckets::AHEAD);
                        known.each(points, |p, e| {
                            buckets::prefetch(soon.next());
                            writer.exponential(p, e, counts);
                        })
                    }
                    Data::Histogram(points) => known.each(points, |p, e| writer.explicit(p, e)),
                }
            });
            written = writer.written;
            self.dropped += if result.is_ok() { writer.dropped } else { 0 };
            out.extend_from_slice(&family.head[1]);
        });
        if result.is_err() || written == 0 {
            self.out.truncate(start);
        }
        result
    }
}

/// The metrics of one family.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    style: &'a Style,
    bounds: &'a [Bound],
    kind: Kind,
    written: u64,
    dropped: u64,
}

impl Writer<'_> {
    fn metric(&mut self, series: Remembered<'_>, valid: bool, value: impl FnOnce(&mut Vec<u8>)) {
        if series.duplicate || !valid {
            self.dropped += 1;
            return;
        }
        self.written += 1;
        message(self.out, 4, |out| {
            out.extend_from_slice(series.part(0));
            value(out);
        });
    }

    fn number(&mut self, point: &Point<Number>, series: Remembered<'_>) {
        let value = point.total.as_f64();
        match self.kind {
            Kind::Counter { .. } => self.metric(series, value.is_finite() && value >= 0.0, |out| {
                message(out, 3, |counter| {
                    double(counter, 1, value);
                    exemplar(counter, 2, &point.exemplars, f64::NEG_INFINITY, f64::INFINITY);
                    time(counter, 3, series.start());
                });
            }),
            _ => self.metric(series, true, |out| message(out, 2, |gauge| double(gauge, 1, value))),
        }
    }

    fn exponential(
        &mut self,
        point: &Point<ExponentialHistogram>,
        series: Remembered<'_>,
        counts: &mut Vec<u64>,
    ) {
        let (h, bounds, native_too) = (&point.total, self.bounds, self.style.config.native_histograms);
        self.metric(series, h.sum.is_finite() && (-10..=20).contains(&h.scale), |out| {
            message(out, 7, |out| {
                let count = cumulate(h, bounds, counts);
                integer(out, 1, count);
                double(out, 2, h.sum);
                let mut lower = f64::NEG_INFINITY;
                for (bound, count) in bounds.iter().zip(&*counts) {
                    bucket(out, *count, lower, bound.value, &point.exemplars);
                    lower = bound.value;
                }
                bucket(out, count, lower, f64::INFINITY, &point.exemplars);
                if native_too && (-4..=8).contains(&h.scale) {
                    native(out, h);
                }
                time(out, 15, series.start());
            });
        });
    }

    fn explicit(&mut self, point: &Point<Histogram>, series: Remembered<'_>) {
        let h = &point.total;
        self.metric(series, is_valid(h), |out| {
            message(out, 7, |out| {
                integer(out, 1, h.count());
                double(out, 2, h.sum);
                let (mut count, mut lower) = (0, f64::NEG_INFINITY);
                for (upper, n) in h.bounds.iter().copied().chain([f64::INFINITY]).zip(&h.counts) {
                    count += n;
                    bucket(out, count, lower, upper, &point.exemplars);
                    lower = upper;
                }
                time(out, 15, series.start());
            });
        });
    }
}

fn bucket(out: &mut Vec<u8>, count: u64, lower: f64, upper: f64, exemplars: &[Exemplar]) {
    message(out, 3, |out| {
        integer(out, 1, count);
        double(out, 2, upper);
        exemplar(out, 3, exemplars, lower, upper);
    });
}

/// The exponential buckets: a span for every run of buckets, and each count as the difference from the one before.
fn native(out: &mut Vec<u8>, h: &ExponentialHistogram) {
    integer(out, 5, zigzag(h.scale.into()));
    double(out, 6, h.zero_threshold);
    integer(out, 7, h.zero_count);
    let counts = &h.positive.counts;
    let run = |from: usize| next_run(counts, from);
    let (mut end, mut before) = (0, i64::from(h.positive.offset));
    let mut none = true;
    while let Some((start, stop)) = run(end) {
        // The first span starts at an index, the others so many buckets after the one before.
        let offset = before + (start - end) as i64;
        message(out, 12, |span| {
            integer(span, 1, zigzag(offset));
            integer(span, 2, (stop - start) as u64);
        });
        (end, before, none) = (stop, 0, false);
    }
    if none && h.zero_threshold == 0.0 {
        // Tells an empty native histogram from a classic one.
        message(out, 12, |span| {
            integer(span, 1, 0);
            integer(span, 2, 0);
        });
    }
    let (mut end, mut last) = (0, 0i64);
    while let Some((start, stop)) = run(end) {
        for count in &counts[start..stop] {
            integer(out, 13, zigzag((*count as i64).wrapping_sub(last)));
            last = *count as i64;
        }
        end = stop;
    }
}

/// The next buckets that are worth a span: from one that is not empty to the last before a gap.
fn next_run(counts: &[u64], from: usize) -> Option<(usize, usize)> {
    let start = from + counts.get(from..)?.iter().position(|count| *count > 0)?;
    let mut stop = start + 1;
    for (position, count) in counts.iter().enumerate().skip(stop) {
        if *count > 0 {
            if position - stop > GAP {
                break;
            }
            stop = position + 1;
        }
    }
    Some((start, stop))
}

fn exemplar(out: &mut Vec<u8>, field: u8, exemplars: &[Exemplar], lower: f64, upper: f64) {
    let Some(exemplar) = latest(exemplars, lower, upper) else { return };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    message(out, field, |out| {
        for (key, id) in [("trace_id", hex(&exemplar.trace_id)), ("span_id", hex(&exemplar.span_id))] {
            message(out, 1, |pair| {
                string(pair, 1, key);
                string(pair, 2, &id);
            });
        }
        double(out, 2, exemplar.value);
        time(out, 3, exemplar.time);
    });
}

fn time(out: &mut Vec<u8>, field: u8, time: SystemTime) {
    if let Ok(since) = time.duration_since(UNIX_EPOCH) {
        message(out, field, |out| {
            integer(out, 1, since.as_secs());
            integer(out, 2, since.subsec_nanos().into());
        });
    }
}

/// A nested message.
fn message(out: &mut Vec<u8>, field: u8, content: impl FnOnce(&mut Vec<u8>)) {
    out.push(field << 3 | 2);
    delimited(out, content);
}

/// `content` with its length before it.
fn delimited(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    // Room for the length, which is mostly short.
    out.push(0);
    content(out);
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let bytes = (length.ilog2() / 7 + 1) as usize;
    out.resize(out.len() + bytes - 1, 0);
    out.copy_within(start + 1..start + 1 + length, start + bytes);
    for (position, byte) in out[start..start + bytes].iter_mut().enumerate() {
        let more = if position + 1 < bytes { 0x80 } else { 0 };
        *byte = (length >> (7 * position)) as u8 & 0x7f | more;
    }
}

fn string(out: &mut Vec<u8>, field: u8, text: &str) {
    message(out, field, |out| out.extend_from_slice(text.as_bytes()));
}

fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    // One of the many forms of NaN tells Prometheus that the series has ended.
    let value = if value.is_nan() { f64::NAN } else { value };
    out.extend_from_slice(&value.to_le_bytes());
}

fn integer(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Signed numbers so that small ones stay short.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}
