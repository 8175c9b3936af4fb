//! Every format is read back by a parser that is not ours, and says what the batch says.

use super::*;
use crate::{
    Attributes, Buckets, Data, Descriptor, ExponentialHistogram, Histogram, KeyValue, Metric, Number, Point,
    ProfileMetrics, Resource, Scope, Series, Signal, Sum,
};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

fn id() -> crate::BatchId {
    crate::BatchId { instance: 1, leg: "leg".into(), sequence: 1, part: 0 }
}

fn point<T: Clone>(attributes: Vec<KeyValue>, value: T) -> Point<T> {
    let attributes: Attributes = attributes.into_iter().collect();
    let series =
        Arc::new(Series { scope: Arc::<Scope>::default(), attributes, start: SystemTime::UNIX_EPOCH });
    Point { series, total: value.clone(), change: value, exemplars: Vec::new() }
}

fn metric(name: String, unit: String, data: Data) -> Metric {
    let descriptor = Descriptor { name: name.into(), unit: unit.into(), ..Descriptor::default() };
    Metric { descriptor: Arc::new(descriptor), data }
}

fn batch(metrics: Vec<Metric>) -> Batch {
    let attributes = [KeyValue::new("service.name", "shop")].into_iter().collect();
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_125);
    let interval = end - Duration::from_secs(10)..end;
    let metrics = ProfileMetrics { resource: Arc::new(Resource { attributes }), interval, metrics };
    Batch::new(id(), Signal::Metrics(Arc::new(metrics)))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        any::<String>(),
        Just("=1+1".to_owned()),
        Just("a\"b\\c\n\u{1}é,".to_owned()),
        "[a;=,\"]{1,6}"
    ]
}

fn any_value() -> impl Strategy<Value = crate::Value> {
    prop_oneof![
        any::<bool>().prop_map(crate::Value::Bool),
        any::<i64>().prop_map(crate::Value::I64),
        any_text().prop_map(|text| crate::Value::String(text.into())),
    ]
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::U64),
        any::<i64>().prop_map(Number::I64),
        any::<f64>().prop_map(Number::F64),
    ]
}

fn any_data() -> impl Strategy<Value = Data> {
    let attributes = || {
        prop::collection::vec((any_text(), any_value()), 0..4).prop_map(|list| {
            list.into_iter().map(|(key, value)| KeyValue { key: key.into(), value }).collect()
        })
    };
    let numbers = || {
        let point = (attributes(), any_number()).prop_map(|(attributes, number)| point(attributes, number));
        prop::collection::vec(point, 0..4)
    };
    let exponential = (attributes(), prop::collection::vec(any::<u32>(), 0..5), any::<f64>()).prop_map(
        |(attributes, counts, sum)| {
            let positive = Buckets { offset: -3, counts: counts.into_iter().map(u64::from).collect() };
            let histogram =
                ExponentialHistogram { scale: 3, positive, sum, max: Some(1.5), ..Default::default() };
            Data::ExponentialHistogram(vec![point(attributes, histogram)])
        },
    );
    let explicit = attributes().prop_map(|attributes| {
        let histogram = Histogram { bounds: vec![0.5, 1.0], counts: vec![1, 2, 3], sum: 4.5 };
        Data::Histogram(vec![point(attributes, histogram)])
    });
    prop_oneof![
        (any::<bool>(), numbers()).prop_map(|(monotonic, points)| Data::Sum(Sum { monotonic, points })),
        numbers().prop_map(Data::Gauge),
        exponential,
        explicit,
    ]
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let one = (any_text(), any_text(), any_data()).prop_map(|(name, unit, data)| metric(name, unit, data));
    prop::collection::vec(one, 0..5).prop_map(batch)
}

fn encoded(format: PayloadFormat, batch: &Batch) -> Encoded {
    format.encode(batch, &[("deployment", "=cmd()")], None).unwrap()
}

/// What JSON has, `null` for what it cannot have.
fn json(batch: &Batch) -> (Json, usize) {
    let Encoded { payload, skipped } = encoded(PayloadFormat::Json, batch);
    assert_eq!((payload.items, payload.content_type), (batch.len(), "application/json"));
    (serde_json::from_slice(&payload.body).unwrap(), skipped)
}

#[test]
fn a_header_that_does_not_fit_is_too_large_as_well() {
    let batch =
        batch(vec![metric("n".into(), String::new(), Data::Gauge(vec![point(vec![], Number::U64(1))]))]);
    let attributes = [("deployment.environment.name.of.the.service", "x")];
    let rows = PayloadFormat::Csv.encode(&batch, &attributes, None).unwrap().payload.body;
    let header = 2 + rows.iter().position(|byte| *byte == b'\r').unwrap();
    assert!(rows.len() - header < header, "a limit lets the row through, and not the header");
    for limit in 0..rows.len() {
        let error = PayloadFormat::Csv.encode(&batch, &attributes, Some(limit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    }
}

#[test]
fn one_of_each_kind_as_json() {
    let calls = point(vec![KeyValue::new("function", "charge")], Number::U64(3));
    let calls = Data::Sum(Sum { monotonic: true, points: vec![Point { total: Number::U64(17), ..calls }] });
    let positive = Buckets { offset: -8, counts: vec![4, 0, 1] };
    let latency = ExponentialHistogram {
        scale: 3,
        positive,
        sum: 2.5,
        max: Some(0.5),
        zero_count: 2,
        ..Default::default()
    };
    let batch = batch(vec![
        metric("function.calls".into(), "{call}".into(), calls),
        metric("latency".into(), "s".into(), Data::ExponentialHistogram(vec![point(Vec::new(), latency)])),
        metric("load".into(), String::new(), Data::Gauge(vec![point(Vec::new(), Number::F64(0.25))])),
    ]);
    let expected = serde_json::json!({
        "resource": {"service.name": "shop"},
        "attributes": {"deployment": "=cmd()"},
        "start": "2023-11-14T22:13:10.125Z",
        "end": "2023-11-14T22:13:20.125Z",
        "metrics": [
            {"name": "function.calls", "kind": "counter", "unit": "{call}", "attributes": {"function": "charge"}, "value": 3, "total": 17},
            {"name": "latency", "kind": "histogram", "unit": "s", "count": 7, "sum": 2.5, "max": 0.5, "scale": 3, "zero_count": 2, "offset": -8, "counts": [4, 0, 1]},
            {"name": "load", "kind": "gauge", "value": 0.25},
        ],
    });
    assert_eq!(json(&batch), (expected, 0));
}

proptest! {
    #[test]
    fn json_says_what_the_batch_says(batch in any_batch()) {
        let (document, skipped) = json(&batch);
        let written = document["metrics"].as_array().unwrap();
        prop_assert_eq!(written.len() + skipped, batch.len());
        let mut at = 0;
        walk::items(batch.metrics().unwrap(), batch.range(), |item| {
            if item.is_finite() {
                let entry = &written[at];
                at += 1;
                assert_eq!(entry["name"], Json::from(&*item.metric.descriptor.name));
                assert_eq!(entry["kind"], item.kind());
                let attributes = item.series.attributes.len();
                assert_eq!(entry["attributes"].as_object().map_or(0, |map| map.len()), attributes);
                if let walk::Values::Gauge(Number::F64(value)) = item.values {
                    assert_eq!(entry["value"].as_f64(), Some(value));
                }
                if let walk::Values::Sum { change: Number::U64(value), .. } = item.values {
                    assert_eq!(entry["value"].as_u64(), Some(value));
                }
            }
            true
        });
        prop_assert_eq!(at, written.len());
    }

    #[cfg(feature = "messagepack")]
    #[test]
    fn messagepack_says_what_json_says(batch in any_batch()) {
        let Encoded { payload, skipped } = encoded(PayloadFormat::MessagePack, &batch);
        let document: Json = rmp_serde::from_slice(&payload.body).unwrap();
        prop_assert_eq!((document, skipped), json(&batch));
    }

    #[test]
    fn csv_has_a_line_an_item_and_no_formula(batch in any_batch()) {
        let Encoded { payload, skipped } = encoded(PayloadFormat::Csv, &batch);
        let mut reader = ::csv::ReaderBuilder::new().from_reader(&*payload.body);
        prop_assert_eq!(reader.headers().unwrap().len(), 12);
        let rows: Vec<::csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(rows.len() + skipped, batch.len());
        for row in &rows {
            // The start, the name, the unit and the attributes are text; numbers may begin with a minus.
            for text in [0, 2, 4, 5, 11].map(|column| &row[column]) {
                prop_assert!(!text.starts_with(['=', '+', '-', '@', '\t', '\r']), "{}", text);
            }
            prop_assert_eq!(&row[11], "'=cmd()");
        }
    }

    #[test]
    fn attributes_come_back_from_csv_as_they_were(batch in any_batch()) {
        let Encoded { payload, .. } = encoded(PayloadFormat::Csv, &batch);
        let mut rows = ::csv::ReaderBuilder::new().from_reader(&*payload.body).into_records();
        walk::items(batch.metrics().unwrap(), batch.range(), |item| {
            if item.is_finite() {
                let row = rows.next().unwrap().unwrap();
                let read: BTreeMap<String, Json> = serde_json::from_str(&row[5]).unwrap();
                let expected = item.series.attributes.iter().map(|attribute| {
                    let value = match &attribute.value {
                        crate::Value::Bool(value) => Json::from(*value),
                        crate::Value::I64(value) => Json::from(*value),
                        value => Json::from(value.to_string()),
                    };
                    (attribute.key.clone().into_owned(), value)
                });
                assert_eq!(read, expected.collect());
            }
            true
        });
        prop_assert!(rows.next().is_none());
    }

    #[test]
    fn a_limit_is_kept_and_the_error_says_what_fits(batch in any_batch(), limit in 0usize..2000) {
        for format in [PayloadFormat::Json, PayloadFormat::Csv] {
            match format.encode(&batch, &[], Some(limit)) {
                Ok(encoded) => prop_assert!(encoded.payload.body.len() <= limit || batch.is_empty()),
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
                    let fitting = error.fitting().unwrap();
                    prop_assert!(fitting < batch.len());
                    if let Some((first, _)) = batch.split(fitting) {
                        prop_assert!(format.encode(&first, &[], Some(limit)).is_ok());
                    }
                }
            }
        }
    }
}
