//! Every page is valid: generated names, units, help, labels and values, judged by `promtool` and the strict parser.

// A test fails by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

use exporters::{
    Buckets, Data, Descriptor, Exemplar, ExponentialHistogram, Histogram, KeyValue, Metric, Number, Point,
    ProfileMetrics, Sum,
    prometheus::{Format, PrometheusConfig, PrometheusExporter, Renderer},
};
use proptest::{collection::vec, prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, UNIX_EPOCH},
};
use tests::{
    Served,
    checker::{OpenMetrics, Parsed, Promtool},
    data::{point, snapshot},
    prometheus::Prometheus,
};

/// What no generated key becomes, so that a sample can be found again.
const ID: &str = "zzz_id";
const VALUE: &str = "zzz_value";

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        select(vec!["\\", "\"", "\n", "a\\nb", "\r\n", "\0", "{}", "# EOF", "a b", " ", "\u{85}\u{2028}"])
            .prop_map(str::to_owned),
        "[é\"\\\\\n]{200,300}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    let clashing = vec![
        "a",
        "a_total",
        "a.total",
        "a_bucket",
        "a_sum",
        "a_count",
        "a_created",
        "a_info",
        "a.seconds",
        "a_2",
        "",
        "target",
        "target_info",
        "total",
        "_",
        "__",
        "9",
        "a:b",
        "le",
        "quantile",
        "__name__",
        "a__b",
        "a_b",
        "a.b",
    ];
    prop_oneof![select(clashing).prop_map(str::to_owned), "[a-z_.:é 0-9]{1,8}", any::<String>()]
}

fn number() -> impl Strategy<Value = Number> {
    let special =
        select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX]);
    prop_oneof![
        any::<u64>().prop_map(Number::U64),
        any::<i64>().prop_map(Number::I64),
        any::<f64>().prop_map(Number::F64),
        special.prop_map(Number::F64),
    ]
}

fn sum() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..1e9, 1 => any::<f64>(), 1 => Just(f64::NAN)]
}

fn exponential() -> impl Strategy<Value = ExponentialHistogram> {
    let scale = prop_oneof![4 => Just(3), 2 => -4i8..=8, 1 => any::<i8>()];
    let threshold = select(vec![0.0, 0.0, 1e-9, 0.3, 100.0]);
    let counts = vec(prop_oneof![Just(0), 0..1u64 << 40], 0..60);
    (scale, -400i32..100, counts, 0u64..1000, threshold, sum()).prop_map(
        |(scale, offset, counts, zero_count, zero_threshold, sum)| {
            let positive = Buckets { offset, counts };
            ExponentialHistogram { scale, zero_count, zero_threshold, positive, sum, max: None }
        },
    )
}

fn explicit() -> impl Strategy<Value = Histogram> {
    let bounds = prop_oneof![
        3 => vec(-10.0..1e7, 0..6).prop_map(|mut bounds| { bounds.sort_by(f64::total_cmp); bounds }),
        1 => vec(any::<f64>(), 0..4),
    ];
    (bounds, vec(0..1u64 << 40, 7), any::<bool>(), sum()).prop_map(|(bounds, mut counts, right, sum)| {
        counts.truncate(bounds.len() + usize::from(right));
        Histogram { bounds, counts, sum }
    })
}

fn points<T: Clone + std::fmt::Debug>(
    total: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<Point<T>>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let attribute = prop_oneof![
        (name(), text()).prop_map(|(key, value)| KeyValue::new(key, value)),
        (name(), any::<f64>()).prop_map(|(key, value)| KeyValue::new(key, value)),
    ];
    let exemplars = vec(prop_oneof![any::<f64>(), 0.0..10.0], 0..3);
    let one = (vec(attribute, 0..4), text(), total, exemplars).prop_map(
        |(mut attributes, value, total, exemplars)| {
            attributes.push(KeyValue::new(ID, NEXT.fetch_add(1, Relaxed).to_string()));
            attributes.push(KeyValue::new(VALUE, value));
            let mut point = point(attributes, total);
            let exemplar = |value| {
                let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
                Exemplar { value, time, trace_id: [0xa; 16], span_id: [0xb; 8] }
            };
            point.exemplars = exemplars.into_iter().map(exemplar).collect();
            point
        },
    );
    vec(one, 0..4)
}

fn metrics() -> impl Strategy<Value = ProfileMetrics> {
    let data = prop_oneof![
        (any::<bool>(), points(number()))
            .prop_map(|(monotonic, points)| Data::Sum(Sum { monotonic, points })),
        points(number()).prop_map(Data::Gauge),
        points(exponential()).prop_map(Data::ExponentialHistogram),
        points(explicit()).prop_map(Data::Histogram),
    ];
    let units =
        vec!["", "s", "By", "1", "{x}", "ms", "By/s", "{x}/min", "µs", "%", "1/1", "/", "[a b]", "total"];
    let one =
        (name(), select(units), text(), any::<bool>(), data).prop_map(|(name, unit, help, exact, data)| {
            let descriptor = Descriptor {
                name: name.into(),
                unit: unit.into(),
                description: help.into(),
                exact_name: exact,
            };
            Metric { descriptor: Arc::new(descriptor), data }
        });
    vec(one, 0..10).prop_map(snapshot)
}

/// The numbers that a page must show, by [`ID`], and how many points cannot be shown.
fn expected(metrics: &ProfileMetrics) -> (BTreeMap<&str, (f64, &str)>, u64) {
    let (mut shown, mut impossible) = (BTreeMap::new(), 0);
    let histograms = |valid: Vec<bool>| valid.iter().filter(|valid| !**valid).count() as u64;
    for metric in &metrics.metrics {
        let (points, counter) = match &metric.data {
            Data::Sum(sum) => (&sum.points, sum.monotonic),
            Data::Gauge(points) => (points, false),
            Data::Histogram(points) => {
                impossible += histograms(
                    points
                        .iter()
                        .map(|point| {
                            let h = &point.total;
                            let ascending = h.bounds.windows(2).all(|two| two[0] < two[1]);
                            let finite = h.sum.is_finite() && h.bounds.iter().all(|bound| bound.is_finite());
                            ascending && finite && h.counts.len() == h.bounds.len() + 1
                        })
                        .collect(),
                );
                continue;
            }
            Data::ExponentialHistogram(points) => {
                let valid = |point: &Point<ExponentialHistogram>| {
                    point.total.sum.is_finite() && (-10..=20).contains(&point.total.scale)
                };
                impossible += histograms(points.iter().map(valid).collect());
                continue;
            }
            _ => unreachable!("not generated"),
        };
        for point in points {
            let value = point.total.as_f64();
            if counter && !(value.is_finite() && value >= 0.0) {
                impossible += 1;
                continue;
            }
            let attributes = &point.series.attributes;
            shown.insert(attributes.get_str(ID).unwrap(), (value, attributes.get_str(VALUE).unwrap()));
        }
    }
    (shown, impossible)
}

fn check_samples(samples: &[Parsed], metrics: &ProfileMetrics, dropped: u64) {
    let (shown, impossible) = expected(metrics);
    assert_eq!(dropped, impossible);
    let mut found = 0;
    for sample in samples {
        let label = |name: &str| sample.labels.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        let Some((value, text)) = label(ID).and_then(|id| shown.get(id)) else { continue };
        if sample.name.ends_with("_created") && sample.kind == "counter" {
            continue;
        }
        found += 1;
        assert!(*value == sample.value || value.is_nan() && sample.value.is_nan(), "{value} {sample:?}");
        assert_eq!(label(VALUE).unwrap_or(""), &text[..text.floor_char_boundary(256)], "{sample:?}");
    }
    assert_eq!(found, shown.len(), "some points are not on the page");
}

/// Every field of every message lies within its message.
fn check_protobuf(page: &[u8]) -> Result<(), String> {
    fn varint(bytes: &mut &[u8]) -> Option<u64> {
        let mut value = 0;
        for position in 0..10 {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
    /// Which fields of a message are messages, by the path to it.
    fn is_message(path: &[u64]) -> bool {
        matches!(path, [4] | [4, 1 | 2 | 3 | 7] | [4, 3, 2 | 3] | [4, 7, 3 | 12 | 15] | [4, 7, 3, 3])
    }
    fn message(mut bytes: &[u8], path: &mut Vec<u64>) -> Option<()> {
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            path.push(tag >> 3);
            match tag & 7 {
                0 => drop(varint(&mut bytes)?),
                1 => bytes = bytes.get(8..)?,
                2 => {
                    let length = varint(&mut bytes)? as usize;
                    let inner = bytes.get(..length)?;
                    if is_message(path) {
                        message(inner, path)?;
                    }
                    bytes = &bytes[length..];
                }
                _ => return None,
            }
            path.pop();
        }
        Some(())
    }
    let mut rest = page;
    while !rest.is_empty() {
        let length = varint(&mut rest).ok_or("a length")? as usize;
        let family = rest.get(..length).ok_or("a family")?;
        message(family, &mut Vec::new()).ok_or_else(|| format!("{family:02x?}"))?;
        rest = &rest[length..];
    }
    Ok(())
}

fn page(renderer: &mut Renderer, metrics: &ProfileMetrics, format: Format) -> Vec<u8> {
    let mut page = Vec::new();
    renderer.render(metrics, format, &mut page);
    page
}

#[test]
fn generated_pages_are_valid() {
    let (Some(promtool), Some(strict)) = (Promtool::find(), OpenMetrics::start()) else { return };
    let strict = RefCell::new(strict);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(metrics in metrics(), created: bool, scope_labels: bool)| {
        let config = PrometheusConfig { created, scope_labels, ..Default::default() };
        let mut renderer = Renderer::new(&config).unwrap();
        let text = page(&mut renderer, &metrics, Format::Text);
        let verdict = promtool.check(&text);
        prop_assert!(verdict.is_ok(), "{verdict:?}\n{}", String::from_utf8_lossy(&text));

        let before = renderer.dropped();
        let mut open = page(&mut renderer, &metrics, Format::OpenMetrics);
        open.extend_from_slice(b"# EOF\n");
        match strict.borrow_mut().parse(&open) {
            Ok(samples) => check_samples(&samples, &metrics, renderer.dropped() - before),
            Err(error) => prop_assert!(false, "{error}\n{}", String::from_utf8_lossy(&open)),
        }

        let before = renderer.dropped();
        let protobuf = page(&mut renderer, &metrics, Format::Protobuf);
        prop_assert_eq!(check_protobuf(&protobuf), Ok(()));
        prop_assert_eq!(renderer.dropped() - before, expected(&metrics).1);
    });
}

/// One large page of everything, in OpenMetrics and in protobuf, as the server itself understands it.
#[test]
fn a_generated_page_is_scraped() {
    let mut runner = TestRunner::deterministic();
    let mut all = snapshot(vec![]);
    for _ in 0..40 {
        let some = metrics().new_tree(&mut runner).unwrap().current();
        all.metrics.extend(some.metrics);
    }
    let all = Arc::new(all);
    let (shown, impossible) = expected(&all);
    assert!(shown.len() > 50 && impossible > 10, "{} {impossible}", shown.len());
    for native_histograms in [false, true] {
        let config = PrometheusConfig { listen: "127.0.0.1:0".parse().unwrap(), ..Default::default() };
        let exporter = PrometheusExporter::new(config).unwrap();
        let metrics = all.clone();
        exporter.connect(Arc::new(move || metrics.clone()));
        let served = Served::start(&exporter);
        let Some(prometheus) = Prometheus::start(served.address, native_histograms) else { return };
        prometheus.expect("up", 1.0);
        assert_eq!(prometheus.last_error(), Ok(String::new()));
        let mut found = BTreeMap::new();
        for (labels, value) in prometheus.query(&format!("{{{ID}!=\"\"}}")).unwrap() {
            let Some((expected, text)) = shown.get(&*labels[ID]) else { continue };
            assert!(
                *expected == value || expected.is_nan() && value.is_nan(),
                "{expected} {value} {labels:?}"
            );
            assert_eq!(labels.get(VALUE).map_or("", |v| v), &text[..text.floor_char_boundary(256)]);
            *found.entry(labels[ID].clone()).or_insert(0) += 1;
        }
        assert!(found.len() == shown.len() && found.values().all(|times| *times == 1), "{found:?}");
    }
}

#[test]
fn the_judges_find_faults() {
    let (Some(promtool), Some(mut strict)) = (Promtool::find(), OpenMetrics::start()) else { return };
    assert!(promtool.check(b"a{b=\"c} 1\n").is_err());
    assert!(promtool.check(b"# TYPE a counter\na 1\n# TYPE a counter\n").is_err());
    assert!(strict.parse(b"a 1\n").is_err());
    assert!(strict.parse(b"# TYPE a counter\na 1\n# EOF\n").is_err());
    assert_eq!(strict.parse(b"a 1\n# EOF\n").unwrap().len(), 1);
    assert!(check_protobuf(b"\x04\x0a\x03a").is_err());
}
