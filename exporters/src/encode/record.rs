//! Records: a batch as one line of JSON that gives exactly the same batch again, with a checksum.
//!
//! ```json
//! {"crc32":"9ae0daaf","v":1,"id":{"instance":"…","leg":"checkout","sequence":7,"part":0},"letter":null,"metrics":{…},"spans":null}
//! ```
//!
//! The checksum is of everything behind it. Integers of any size, every float and every moment are exact; a batch's deadline is not
//! part of it, and of a snapshot only the batch's own [range](Batch::range).

use crate::{
    Batch, BatchId, Data, Error, ErrorKind, ExponentialHistogram, Histogram, Point, ProfileMetrics, Result,
    Signal, Spans,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of the longest line.
pub(crate) const LONGEST: usize = 64 << 20;
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// What a line begins with; the checksum follows.
pub(crate) const BEGIN: &[u8] = b"{\"crc32\":\"";
const MIDDLE: &[u8] = b"\",";
/// How deep lists and maps may be within each other; the parser would go down to 127.
const DEEPEST: usize = 100;

/// Why a batch became a dead letter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Letter {
    /// The exporter that it was for.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The kind of the error, and its message.
    pub(crate) error: String,
    pub(crate) message: String,
    /// How often it was tried, where somebody counted.
    pub(crate) attempts: Option<u32>,
    /// When it was given up, as RFC 3339 has it.
    pub(crate) time: String,
}

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    id: &'a BatchId,
    letter: Option<&'a Letter>,
    metrics: Option<&'a ProfileMetrics>,
    spans: Option<&'a Spans>,
}

#[derive(Deserialize)]
struct Read {
    v: u32,
    id: BatchId,
    letter: Option<Letter>,
    metrics: Option<ProfileMetrics>,
    spans: Option<Spans>,
}

/// The line of a batch, its line feed included.
///
/// # Errors
/// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) where it would be longer than [`LONGEST`]; [`Encode`](ErrorKind::Encode) for
/// attributes that are lists of lists of lists, a hundred deep.
pub(crate) fn encode(batch: &Batch, letter: Option<&Letter>) -> Result<Vec<u8>> {
    let (metrics, spans) = match batch.signal().slice(batch.range()) {
        Signal::Metrics(metrics) => (Some(metrics), None),
        Signal::Spans(spans) => (None, Some(spans)),
    };
    let record =
        Written { v: VERSION, id: batch.id(), letter, metrics: metrics.as_deref(), spans: spans.as_deref() };
    check(batch.metrics().map(|metrics| &**metrics))?;
    let json = serde_json::to_vec(&record)
        .map_err(|_| Error::new(ErrorKind::Encode, "the batch cannot be written as a record"))?;
    if json.len() >= LONGEST - 32 {
        return Err(Error::new(ErrorKind::PayloadTooLarge, "the batch is larger than a record may be"));
    }
    if depth(&json) > DEEPEST {
        return Err(Error::new(ErrorKind::Encode, "a record does not hold lists within lists so deep"));
    }
    let summed = json.get(1..).unwrap_or_default();
    let sum = format!("{:08x}", crc32fast::hash(summed));
    Ok([BEGIN, sum.as_bytes(), MIDDLE, summed, b"\n"].concat())
}

/// The batch of a line, with or without its line feed, and why it became a dead letter, if it did.
///
/// # Errors
/// [`Rejected`](ErrorKind::Rejected) where the line is no record, or not the one that was written.
pub(crate) fn decode(line: &[u8]) -> Result<(Batch, Option<Letter>)> {
    let wrong = |message| Error::new(ErrorKind::Rejected, message);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if !line.starts_with(BEGIN) || line.len() >= LONGEST {
        return Err(wrong("it is no record"));
    }
    if !is_sound(line) {
        return Err(wrong("the record is not as it was written"));
    }
    if depth(line) > DEEPEST {
        return Err(wrong("the record is lists within lists"));
    }
    // Without the parser's reason, which may hold a value.
    let read: Read = serde_json::from_slice(line).map_err(|_| wrong("the record cannot be read"))?;
    if read.v != VERSION {
        return Err(wrong("the record is of another version").with_context("version", read.v));
    }
    let signal = match (read.metrics, read.spans) {
        (Some(metrics), None) => Signal::Metrics(Arc::new(metrics)),
        (None, Some(spans)) => Signal::Spans(Arc::new(spans)),
        _ => return Err(wrong("the record holds neither metrics nor spans, or both")),
    };
    let batch = Batch::new(read.id, signal);
    check(batch.metrics().map(|metrics| &**metrics)).map_err(|_| wrong("a histogram contradicts itself"))?;
    Ok((batch, read.letter))
}

/// Whether the line is as it was written, but for its first byte.
pub(crate) fn is_sound(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let parts = || {
        let rest = line.get(1..)?.strip_prefix(BEGIN.get(1..)?)?;
        let (sum, rest) = rest.split_at_checked(8)?;
        Some((sum, rest.strip_prefix(MIDDLE)?))
    };
    parts().is_some_and(|(sum, summed)| sum == format!("{:08x}", crc32fast::hash(summed)).as_bytes())
}

/// For fuzzing: a record with `summed` behind its checksum, which is the right one, read and written again, also in the formats for
/// others; `None` where it is none.
pub fn again(summed: &[u8]) -> Option<Vec<u8>> {
    let sum = format!("{:08x}", crc32fast::hash(summed));
    let (batch, letter) = decode(&[BEGIN, sum.as_bytes(), MIDDLE, summed].concat()).ok()?;
    let _ = super::json_line(&batch, &[]);
    let _ = super::PayloadFormat::Csv.encode(&batch, &[], None);
    let line = encode(&batch, letter.as_ref()).ok()?;
    line.get(BEGIN.len() + sum.len() + MIDDLE.len()..line.len() - 1).map(<[u8]>::to_vec)
}

/// That nobody who works with the histograms can come to a number that does not exist.
fn check(metrics: Option<&ProfileMetrics>) -> Result<()> {
    fn both<T>(points: &[Point<T>], right: impl Fn(&T) -> bool) -> bool {
        points.iter().all(|point| right(&point.total) && right(&point.change))
    }
    let right = metrics.into_iter().flat_map(|metrics| &metrics.metrics).all(|metric| match &metric.data {
        Data::Histogram(points) => both(points, |Histogram { bounds, counts, .. }| {
            counts.len() == bounds.len() + 1 && sum(counts, 0).is_some()
        }),
        Data::ExponentialHistogram(points) => both(points, |histogram: &ExponentialHistogram| {
            let len = i32::try_from(histogram.positive.counts.len()).ok();
            (-10..=20).contains(&histogram.scale)
                && len.and_then(|len| histogram.positive.offset.checked_add(len)).is_some()
                && sum(&histogram.positive.counts, histogram.zero_count).is_some()
        }),
        _ => true,
    });
    right.then_some(()).ok_or_else(|| Error::new(ErrorKind::Encode, "a histogram contradicts itself"))
}

fn sum(counts: &[u64], zero: u64) -> Option<u64> {
    counts.iter().try_fold(zero, |sum, count| sum.checked_add(*count))
}

/// How deep lists and maps are within each other.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => text = !text,
            b'{' | b'[' if !text => depth += 1,
            b'}' | b']' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attributes, Buckets, Descriptor, Ended, Exemplar, KeyValue, Metric, Number, Resource, Scope, Series,
        Span, SpanContext, SpanEvent, SpanKind, SpanLink, Status, Sum, Value, layers::script,
    };
    use proptest::{collection::vec, prelude::*};
    use std::time::{Duration, SystemTime};

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z]{0,8}", any::<String>(), Just("a\"b\\c\n\u{1}é,\u{2028}".to_owned())]
    }

    /// Any bits at all.
    fn float() -> impl Strategy<Value = f64> {
        let special = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 5e-324, f64::MAX];
        prop_oneof![any::<u64>().prop_map(f64::from_bits), prop::sample::select(special.to_vec())]
    }

    fn time() -> impl Strategy<Value = SystemTime> {
        (any::<i32>(), any::<u32>(), any::<bool>()).prop_map(|(seconds, nanos, before)| {
            let span = Duration::new(seconds.unsigned_abs().into(), nanos % 1_000_000_000);
            if before { SystemTime::UNIX_EPOCH - span } else { SystemTime::UNIX_EPOCH + span }
        })
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::I64),
            float().prop_map(Value::F64),
            text().prop_map(|text| Value::String(text.into())),
        ];
        leaf.prop_recursive(3, 8, 4, |inner| vec(inner, 0..4).prop_map(|list| Value::Array(list.into())))
    }

    fn attributes() -> impl Strategy<Value = Attributes> {
        vec((text(), value()), 0..4).prop_map(|list| {
            list.into_iter().map(|(key, value)| KeyValue { key: key.into(), value }).collect()
        })
    }

    fn number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<u64>().prop_map(Number::U64),
            any::<i64>().prop_map(Number::I64),
            float().prop_map(Number::F64),
        ]
    }

    fn exemplar() -> impl Strategy<Value = Exemplar> {
        (float(), time(), any::<[u8; 16]>(), any::<[u8; 8]>())
            .prop_map(|(value, time, trace_id, span_id)| Exemplar { value, time, trace_id, span_id })
    }

    fn point<T: Clone + std::fmt::Debug>(
        values: impl Strategy<Value = T> + Clone,
    ) -> impl Strategy<Value = Point<T>> {
        (values.clone(), values, vec(exemplar(), 0..3), attributes(), time(), text(), text()).prop_map(
            |(total, change, exemplars, attributes, start, name, version)| {
                let scope = Arc::new(Scope { name: name.into(), version: version.into() });
                Point { series: Arc::new(Series { scope, attributes, start }), total, change, exemplars }
            },
        )
    }

    fn explicit() -> impl Strategy<Value = Histogram> + Clone {
        (vec(any::<f64>(), 0..4), any::<[u32; 4]>(), any::<f64>())
            .prop_map(|(bounds, counts, sum)| {
                let counts = counts.map(u64::from).into_iter().cycle().take(bounds.len() + 1).collect();
                Histogram { bounds, counts, sum }
            })
            .boxed()
    }

    fn exponential() -> impl Strategy<Value = ExponentialHistogram> + Clone {
        let buckets = (-10i8..=20, any::<i16>(), vec(any::<u32>(), 0..4), any::<u32>());
        (buckets, float(), float(), prop::option::of(float()))
            .prop_map(|((scale, offset, counts, zero_count), zero_threshold, sum, max)| {
                let counts = counts.into_iter().map(u64::from).collect();
                let positive = Buckets { offset: offset.into(), counts };
                let zero_count = zero_count.into();
                ExponentialHistogram { scale, zero_count, zero_threshold, positive, sum, max }
            })
            .boxed()
    }

    fn metric() -> impl Strategy<Value = Metric> {
        let data = prop_oneof![
            (any::<bool>(), vec(point(number().boxed()), 0..3))
                .prop_map(|(monotonic, points)| Data::Sum(Sum { monotonic, points })),
            vec(point(number().boxed()), 0..3).prop_map(Data::Gauge),
            vec(point(explicit()), 0..3).prop_map(Data::Histogram),
            vec(point(exponential()), 0..3).prop_map(Data::ExponentialHistogram),
        ];
        (text(), text(), text(), any::<bool>(), data).prop_map(
            |(name, unit, description, exact_name, data)| {
                let (name, unit, description) = (name.into(), unit.into(), description.into());
                Metric { descriptor: Arc::new(Descriptor { name, unit, description, exact_name }), data }
            },
        )
    }

    fn context() -> impl Strategy<Value = SpanContext> {
        (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>(), text()).prop_map(
            |(trace_id, span_id, flags, state)| SpanContext {
                trace_id,
                span_id,
                flags,
                trace_state: state.into(),
            },
        )
    }

    fn span() -> impl Strategy<Value = Span> {
        let kinds =
            [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer];
        let kind = prop::sample::select(kinds.to_vec());
        let status = prop_oneof![
            Just(Status::Unset),
            Just(Status::Ok),
            text().prop_map(|why| Status::Error(why.into()))
        ];
        let event = (time(), text(), attributes()).prop_map(|(time, name, attributes)| SpanEvent {
            time,
            name: name.into(),
            attributes,
        });
        let link =
            (context(), attributes()).prop_map(|(context, attributes)| SpanLink { context, attributes });
        let identity = (context(), any::<[u8; 8]>(), any::<bool>(), text(), kind, status);
        let rest =
            (time(), time(), attributes(), vec(event, 0..3), vec(link, 0..3), any::<[u32; 3]>(), text());
        (identity, rest).prop_map(
            |(
                (context, parent_id, parent_is_remote, name, kind, status),
                (start, end, attributes, events, links, dropped, scope),
            )| Span {
                context,
                parent_id,
                parent_is_remote,
                name: name.into(),
                kind,
                start,
                end,
                attributes,
                dropped_attributes: dropped[0],
                events,
                dropped_events: dropped[1],
                links,
                dropped_links: dropped[2],
                status,
                scope: Arc::new(Scope { name: scope.into(), version: "1".into() }),
            },
        )
    }

    fn batch() -> impl Strategy<Value = Batch> {
        let id = (any::<u128>(), text(), any::<u64>(), any::<u64>()).prop_map(
            |(instance, leg, sequence, part)| BatchId { instance, leg: leg.into(), sequence, part },
        );
        let ended = (attributes(), time(), any::<u64>()).prop_map(|(attributes, start, calls)| Ended {
            series: Arc::new(Series { scope: Arc::default(), attributes, start }),
            calls,
        });
        let metrics = (attributes(), time(), time(), vec(metric(), 0..4), vec(ended, 0..3)).prop_map(
            |(attributes, start, end, metrics, ended)| {
                let resource = Arc::new(Resource { attributes });
                Signal::Metrics(Arc::new(ProfileMetrics { resource, interval: start..end, metrics, ended }))
            },
        );
        let spans = (attributes(), vec(span(), 0..4)).prop_map(|(attributes, spans)| {
            Signal::Spans(Arc::new(Spans::new(Arc::new(Resource { attributes }), spans)))
        });
        (id, prop_oneof![metrics, spans]).prop_map(|(id, signal)| Batch::new(id, signal))
    }

    fn letter() -> Letter {
        let text = || "a\nb".to_owned();
        Letter { kind: text(), name: text(), error: text(), message: text(), attempts: Some(4), time: text() }
    }

    /// All that can be seen of a batch; the bits of what is not a number are seen in the record.
    fn shown(batch: &Batch) -> String {
        format!("{:?} {:?}", batch.id(), batch.signal())
    }

    proptest! {
        #[test]
        fn a_record_gives_the_same_batch(batch in batch(), dead in any::<bool>()) {
            let letter = dead.then(letter);
            let line = encode(&batch, letter.as_ref()).unwrap();
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            let (read, why) = decode(&line).unwrap();
            prop_assert_eq!(shown(&read), shown(&batch));
            prop_assert_eq!(&why, &letter);
            prop_assert_eq!(encode(&read, why.as_ref()).unwrap(), line);
        }

        #[test]
        fn a_part_is_a_batch_of_its_own(batch in batch(), at in 0usize..8) {
            let Some((first, rest)) = batch.split(at) else { return Ok(()) };
            for part in [first, rest] {
                let (read, _) = decode(&encode(&part, None).unwrap()).unwrap();
                prop_assert_eq!((read.id(), read.len(), read.range()), (part.id(), part.len(), 0..part.len()));
            }
        }

        #[test]
        fn a_record_that_was_changed_is_none(at in any::<prop::sample::Index>(), bit in 0u32..8) {
            let line = encode(&script::batch(3), Some(&letter())).unwrap();
            let mut changed = line.clone();
            changed[at.index(line.len())] ^= 1 << bit;
            let same = changed.strip_suffix(b"\n") == line.strip_suffix(b"\n");
            prop_assert_eq!(decode(&changed).is_ok(), same);
            prop_assert!(decode(&line[..at.index(line.len() - 1)]).is_err());
        }

        #[test]
        fn whatever_it_is_it_ends_in_an_answer(json in "[\\[\\]{}\",:a-z0-9.-]{0,200}") {
            prop_assert!(decode(&signed(json.as_bytes())).is_err());
        }
    }

    proptest! {
        /// Whatever is made of a record and signed: it is none, or one that stays as it is, and that every format can write.
        #[test]
        fn a_forged_record_does_no_harm(
            batch in batch(),
            edits in vec((any::<prop::sample::Index>(), 0usize..4, prop::sample::select(TOKENS.to_vec())), 1..4),
        ) {
            let line = encode(&batch, None).unwrap();
            let mut summed = line[BEGIN.len() + 8 + MIDDLE.len()..line.len() - 1].to_vec();
            for (at, gone, token) in edits {
                // Where a value begins, so that many of them are still JSON.
                let begins: Vec<_> = (1..summed.len()).filter(|at| b":[,".contains(&summed[at - 1])).collect();
                let Some(&at) = begins.get(at.index(begins.len().max(1))) else { continue };
                let end = match gone {
                    0 => at,
                    _ => summed[at..].iter().position(|byte| b",]}".contains(byte)).map_or(at, |len| at + len),
                };
                summed.splice(at..end, token.bytes());
            }
            if let Some(line) = again(&summed) {
                prop_assert_eq!(again(&line), Some(line));
            }
        }
    }

    const TOKENS: &[&str] = &[
        "-1",
        "0",
        "1",
        "255",
        "-128",
        "2147483647",
        "-2147483648",
        "18446744073709551615",
        "1e308",
        "1e400",
        "-0.0",
        "9999999999999999999999999999",
        "null",
        "true",
        "[",
        "]",
        "{}",
        "[]",
        "\"\"",
        "\"7ff8000000000000\"",
        "170141183460469231731687303715884105727",
    ];

    /// A line with the right checksum.
    fn signed(rest: &[u8]) -> Vec<u8> {
        [BEGIN, format!("{:08x}", crc32fast::hash(rest)).as_bytes(), MIDDLE, rest].concat()
    }

    /// The record of a batch after `change`, signed anew.
    fn forged(change: impl Fn(&str) -> String) -> Result<(Batch, Option<Letter>)> {
        let histogram = ExponentialHistogram { scale: 3, ..Default::default() };
        let series = Arc::new(Series {
            scope: Arc::default(),
            attributes: Attributes::default(),
            start: SystemTime::UNIX_EPOCH,
        });
        let point = Point { series, total: histogram.clone(), change: histogram, exemplars: Vec::new() };
        let data = Data::ExponentialHistogram(vec![point]);
        let metric = Metric { descriptor: Arc::default(), data };
        let metrics = ProfileMetrics { metrics: vec![metric], ..ProfileMetrics::none() };
        let batch = Batch::new(script::batch(1).id().clone(), Signal::Metrics(Arc::new(metrics)));
        let line = String::from_utf8(encode(&batch, None).unwrap()).unwrap();
        let (_, rest) = line.trim_end().split_once(',').unwrap();
        decode(&signed(change(rest).as_bytes()))
    }

    #[test]
    fn what_is_signed_and_wrong_is_refused() {
        forged(str::to_owned).unwrap();
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"scale\":3", "\"scale\":-128"),
            ("\"offset\":0,\"counts\":[]", "\"offset\":2147483647,\"counts\":[1]"),
            ("\"counts\":[]", "\"counts\":[18446744073709551615,1]"),
            ("\"start\":0", "\"start\":170141183460469231731687303715884105727"),
            ("\"sum\":0.0", "\"sum\":\"inf\""),
            ("\"sequence\":", "\"sequence\":-"),
            ("\"spans\":null", "\"spans\":[]"),
        ] {
            let changed = |rest: &str| {
                assert!(rest.contains(from), "{from} is not in {rest}");
                rest.replacen(from, to, 1)
            };
            let error = forged(changed).expect_err(to);
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(!error.to_string().contains("inf"), "{error}");
        }
        let deep = |rest: &str| {
            rest.replacen("\"attributes\":{}", &format!("\"attributes\":{}", "[".repeat(100_000)), 1)
        };
        assert!(forged(deep).is_err());
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let nested = (0..200).fold(Value::I64(1), |inner, _| Value::Array([inner].into()));
        let attributes = [KeyValue { key: "k".into(), value: nested }].into_iter().collect();
        let metrics =
            ProfileMetrics { resource: Arc::new(Resource { attributes }), ..ProfileMetrics::none() };
        let batch = Batch::new(script::batch(1).id().clone(), Signal::Metrics(Arc::new(metrics)));
        assert_eq!(encode(&batch, None).unwrap_err().kind(), ErrorKind::Encode);
    }
}
