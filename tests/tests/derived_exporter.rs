//! Derived exporters send what was recorded, in every format, and try once more with a secret that has changed.

use exporters::{
    Batch, BatchId, Endpoint, Error, ErrorKind, Exporter, Payload, ProfileMetrics, Profiler, Receipt, Result,
    Secret, Signal, SignalKind, Transmit, profiled,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tests::otlp::{self, Data, Number, Request};

/// What exporters have sent, and what they are answered.
#[derive(Clone, Debug, Default)]
struct Backend(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    payloads: Vec<Payload>,
    /// What a token must be.
    token: Option<&'static str>,
    /// Whether every item of a payload is refused.
    refuses: bool,
}

impl Backend {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn take(&self, payload: Payload, token: Option<&Secret>) -> Result<Receipt> {
        let mut state = self.state();
        let refused = if state.refuses { payload.items } else { 0 };
        let good =
            state.token.is_none_or(|good| token.is_some_and(|token| token.expose(|text| text == good)));
        let taken = payload.items - refused;
        state.payloads.push(payload);
        match good {
            true => Ok(Receipt::accepted(taken).with_rejected(refused)),
            false => Err(Error::new(ErrorKind::Unauthorized, "this is not the token")),
        }
    }

    /// The only payload.
    #[track_caller]
    fn one(&self) -> Payload {
        let payloads = &self.state().payloads;
        assert_eq!(payloads.len(), 1);
        payloads[0].clone()
    }
}

macro_rules! exporter {
    ($(#[$meta:meta])* $name:ident) => {
        #[derive(Debug, Exporter)]
        #[exporter(register = false)]
        $(#[$meta])*
        struct $name {
            backend: Backend,
            #[exporter(attribute = "deployment.environment.name")]
            environment: &'static str,
            token: Secret,
            other: Option<Secret>,
        }

        impl $name {
            fn new() -> (Self, Backend) {
                let backend = Backend::default();
                let (environment, token) = ("production", Secret::new("a token"));
                (Self { backend: backend.clone(), environment, token, other: None }, backend)
            }
        }

        impl Transmit for $name {
            async fn transmit(&self, payload: Payload) -> Result<Receipt> {
                self.backend.take(payload, Some(self.other.as_ref().unwrap_or(&self.token)))
            }
        }
    };
}

macro_rules! mapped {
    ($($name:ident $encode:ident,)*) => {
        $(exporter! {
            #[exporter(encode = $encode)]
            #[metric(calls = "function.calls", help = "Calls")]
            #[metric(all = "total_calls", kind = gauge)]
            #[metric(timed = "function.calls.duration", stat = count)]
            #[metric(longest = "function.calls.duration", stat = max, unit = "ms")]
            #[metric("error.rate" = "error_rate")]
            #[metric(failed = |metrics| metrics.error_rate().map(|rate| rate * metrics.total_calls() as f64))]
            #[metric(logged = "messages_per_second")]
            $name
        })*
    };
}
mapped! {
    Json json,
    Csv csv,
    Packed messagepack,
    Collected otlp,
    Prometheus prometheus,
}

#[profiled]
fn charge(good: bool) -> std::result::Result<(), ()> {
    if good { Ok(()) } else { Err(()) }
}

/// Four calls of `charge`, one of which failed.
fn recorded() -> ProfileMetrics {
    let profiler = exporters::test();
    for good in [true, true, false, true] {
        let _ = charge(good);
    }
    profiler.snapshot()
}

fn batch(metrics: ProfileMetrics) -> Batch {
    let id = BatchId { instance: 7, leg: "leg".into(), sequence: 3, part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}

fn export(exporter: &impl Exporter, batch: Batch) -> Result<Receipt> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(exporter.export(batch))
}

/// The points of a document that are of `charge`, or of everything, by metric, and by `result` where they have one.
fn points(document: &Value) -> BTreeMap<String, &Value> {
    let key = |metric: &Value| {
        let result = metric["attributes"]["result"].as_str().map(|result| format!("/{result}"));
        format!("{}{}", metric["name"].as_str().unwrap(), result.unwrap_or_default())
    };
    let all = document["metrics"].as_array().unwrap().iter();
    let mine = all.filter(|metric| metric["attributes"]["function"].as_str().is_none_or(|of| of == "charge"));
    mine.map(|metric| (key(metric), metric)).collect()
}

#[test]
fn json_says_what_was_recorded() {
    let (exporter, backend) = Json::new();
    let metrics = batch(recorded());
    let receipt = export(&exporter, metrics.clone()).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (metrics.len(), 0));
    let payload = backend.one();
    assert_eq!((payload.content_type, &payload.id), ("application/json", metrics.id()));
    let document: Value = serde_json::from_slice(&payload.body).unwrap();
    assert_eq!(document["attributes"], json!({ "deployment.environment.name": "production" }));
    assert_eq!(document["metrics"].as_array().unwrap().len(), payload.items);
    let points = points(&document);
    let all = ["all", "calls/error", "calls/ok", "error.rate", "failed", "longest", "timed"];
    assert_eq!(points.keys().collect::<Vec<_>>(), all);
    let value = |name: &str, kind: &str| {
        assert_eq!(points[name]["kind"], kind, "{name}");
        points[name]["value"].as_f64().unwrap()
    };
    assert_eq!((value("calls/ok", "counter"), value("calls/error", "counter")), (3.0, 1.0));
    assert_eq!((value("all", "gauge"), value("timed", "counter")), (4.0, 4.0));
    assert_eq!((value("error.rate", "gauge"), value("failed", "gauge")), (0.25, 1.0));
    assert!(value("longest", "gauge") > 0.0);
    assert_eq!(points["longest"]["unit"], "ms");
    assert_eq!(points["calls/ok"]["attributes"]["function"], "charge");
}

#[test]
fn messagepack_says_the_same() {
    let ((json, as_json), (packed, as_packed)) = (Json::new(), Packed::new());
    let batch = batch(recorded());
    export(&json, batch.clone()).unwrap();
    export(&packed, batch).unwrap();
    let packed = as_packed.one();
    assert_eq!(packed.content_type, "application/vnd.msgpack");
    let packed: Value = rmp_serde::from_slice(&packed.body).unwrap();
    assert_eq!(packed, serde_json::from_slice::<Value>(&as_json.one().body).unwrap());
}

#[test]
fn otlp_says_the_same() {
    let ((json, as_json), (collected, as_otlp)) = (Json::new(), Collected::new());
    let batch = batch(recorded());
    export(&json, batch.clone()).unwrap();
    let receipt = export(&collected, batch.clone()).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (batch.len(), 0));
    let payload = as_otlp.one();
    assert_eq!((payload.content_type, payload.signal), ("application/x-protobuf", SignalKind::Metrics));
    let request = Request::read("/v1/metrics", &payload.body);
    request.check();
    let text = |attributes: &[otlp::KeyValue], key: &str| {
        let own = attributes.iter().find(|own| own.key == key)?.value.clone()?;
        match own.value? {
            otlp::Value::StringValue(text) => Some(text),
            _ => None,
        }
    };
    let environment = text(&request.resource().attributes, "deployment.environment.name");
    assert_eq!(environment.as_deref(), Some("production"));

    // Of each point of `charge`, or of everything: its kind, its unit and its value.
    let mut found = BTreeMap::new();
    let mut items = 0;
    for (_, metric) in request.metrics() {
        let (kind, points) = match metric.data.unwrap() {
            Data::Sum(sum) if sum.is_monotonic => ("counter", sum.data_points),
            Data::Gauge(gauge) => ("gauge", gauge.data_points),
            other => panic!("{other:?}"),
        };
        items += points.len();
        for point in points {
            if text(&point.attributes, "function").is_some_and(|of| of != "charge") {
                continue;
            }
            let value = match point.value.unwrap() {
                Number::AsInt(value) => value as f64,
                Number::AsDouble(value) => value,
            };
            let result = text(&point.attributes, "result").map(|result| format!("/{result}"));
            let name = format!("{}{}", metric.name, result.unwrap_or_default());
            found.insert(name, (kind.to_owned(), metric.unit.clone(), value));
        }
    }
    assert_eq!(items, payload.items);
    let document: Value = serde_json::from_slice(&as_json.one().body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |point: &Value| (text(&point["kind"]), text(&point["unit"]), point["value"].as_f64().unwrap());
    let expected = points(&document).into_iter().map(|(name, point)| (name, of(point))).collect();
    assert_eq!(found, expected);
}

#[test]
fn csv_says_the_same() {
    let (exporter, backend) = Csv::new();
    export(&exporter, batch(recorded())).unwrap();
    let payload = backend.one();
    let text = String::from_utf8(payload.body.to_vec()).unwrap();
    let rows = csv::Reader::from_reader(&*payload.body).into_deserialize::<BTreeMap<String, String>>();
    let rows: Vec<_> = rows.map(|row| row.unwrap()).collect();
    let find = |name: &str, result: Value| {
        let attributes =
            |row: &BTreeMap<String, String>| serde_json::from_str::<Value>(&row["attributes"]).unwrap();
        let is = |row: &&BTreeMap<String, String>| row["name"] == name && attributes(row)["result"] == result;
        rows.iter().find(is).unwrap_or_else(|| panic!("{name} is not in {text}"))
    };
    assert_eq!(rows.len(), payload.items, "{text}");
    assert_eq!(find("calls", "ok".into())["value"], "3");
    assert_eq!(find("calls", "error".into())["value"], "1");
    assert_eq!(find("error.rate", Value::Null)["value"], "0.25");
    assert!(rows.iter().all(|row| row["deployment.environment.name"] == "production"));
}

#[test]
fn prometheus_says_the_same() {
    let (exporter, backend) = Prometheus::new();
    export(&exporter, batch(recorded())).unwrap();
    let text = String::from_utf8(backend.one().body.to_vec()).unwrap();
    let value = |name: &str, label: &str| {
        let is = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(label);
        let line = text.lines().find(is).unwrap_or_else(|| panic!("{name} is not in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!((value("calls", "result=\"ok\""), value("calls", "result=\"error\"")), (3.0, 1.0), "{text}");
    assert_eq!((value("all", ""), value("timed", ""), value("error_rate", "")), (4.0, 4.0, 0.25), "{text}");
    assert!(text.contains("# HELP calls Calls"), "{text}");
}

#[test]
fn a_profiler_sends_what_it_records() {
    #[profiled]
    fn in_the_pipeline() {}

    let (exporter, backend) = Json::new();
    let profiler =
        Profiler::builder().interval(Duration::from_secs(3600)).exporter(exporter).start().unwrap();
    (0..5).for_each(|_| in_the_pipeline());
    profiler.flush(Duration::from_secs(30)).unwrap();
    (0..2).for_each(|_| in_the_pipeline());
    profiler.shutdown(Duration::from_secs(30)).into_result().unwrap();
    let calls = |payload: &Payload| {
        let document: Value = serde_json::from_slice(&payload.body).unwrap();
        let points = document["metrics"].as_array().unwrap().clone();
        let mine = points
            .iter()
            .find(|point| point["name"] == "calls" && point["attributes"]["function"] == "in_the_pipeline");
        mine.map_or(0, |point| point["value"].as_u64().unwrap())
    };
    let sent: u64 = backend.state().payloads.iter().map(calls).sum();
    assert_eq!(sent, 7);
}

#[test]
fn a_refused_secret_is_read_again_once() {
    let file = std::env::temp_dir().join(format!("exporters-derived-{}", std::process::id()));
    fs::write(&file, "old").unwrap();
    let with_file = || {
        let (exporter, backend) = Json::new();
        backend.state().token = Some("new");
        (Json { other: Some(Secret::from_file(&file).unwrap()), ..exporter }, backend)
    };
    let refused =
        |result: Result<Receipt>| result.is_err_and(|error| error.kind() == ErrorKind::Unauthorized);
    let (exporter, backend) = with_file();

    // The file is as it was.
    assert!(refused(export(&exporter, batch(recorded()))));
    assert_eq!(backend.state().payloads.len(), 1);

    // The file has the right one now: the same payload, once more.
    fs::write(&file, "new").unwrap();
    export(&exporter, batch(recorded())).unwrap();
    let payloads = std::mem::take(&mut backend.state().payloads);
    assert_eq!((payloads.len(), &payloads[1].body), (3, &payloads[2].body));

    // And from now on at once.
    export(&exporter, batch(recorded())).unwrap();
    assert_eq!(backend.state().payloads.len(), 1);

    // Another one that is wrong, too.
    fs::write(&file, "newer").unwrap();
    backend.state().token = Some("newest");
    assert!(refused(export(&exporter, batch(recorded()))));
    assert_eq!(backend.state().payloads.len(), 3);
    fs::remove_file(&file).unwrap();
}

#[test]
fn secrets_that_are_no_files_are_not_tried_again() {
    let (exporter, backend) = Json::new();
    backend.state().token = Some("new");
    assert_eq!(export(&exporter, batch(recorded())).unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(backend.state().payloads.len(), 1);
}

exporter! {
    #[exporter(max_bytes = 600)]
    Small
}

#[test]
fn what_does_not_fit_is_told() {
    let (exporter, backend) = Small::new();
    let error = export(&exporter, batch(recorded())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    let fitting = error.fitting().unwrap();
    assert!(fitting > 0 && backend.state().payloads.is_empty(), "{error}");
    let (first, _) = batch(recorded()).split(fitting).unwrap();
    assert_eq!(export(&exporter, first).unwrap().accepted, fitting);
    assert!(backend.one().body.len() <= 600);
}

#[test]
fn spans_are_nothing_for_prometheus() {
    let (exporter, backend) = Prometheus::new();
    let id = batch(recorded()).id().clone();
    assert!(!exporter.capability().spans);
    assert!(export(&exporter, Batch::new(id.clone(), Signal::Spans(Arc::default()))).is_ok());
    assert!(backend.state().payloads.is_empty());
}

exporter! {
    #[metric(logged = "messages_per_second")]
    Quiet
}

#[test]
fn nothing_is_sent_of_nothing() {
    let (exporter, backend) = Quiet::new();
    let given = batch(recorded());
    assert_eq!(export(&exporter, given.clone()).unwrap().accepted, given.len());
    assert!(backend.state().payloads.is_empty());
}

#[test]
fn what_a_backend_refuses_is_counted_in_what_was_given() {
    let (exporter, backend) = Json::new();
    let given = batch(recorded());
    backend.state().refuses = true;
    let receipt = export(&exporter, given.clone()).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (0, given.len()));
}

/// Is registered, and made from settings.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "from-settings", health = Self::look)]
struct FromSettings {
    endpoint: Endpoint,
}

impl FromSettings {
    async fn look(&self) -> exporters::Health {
        match self.endpoint.is_https() {
            true => exporters::Health::Healthy,
            false => exporters::Health::Degraded(Error::new(ErrorKind::Unavailable, "not encrypted")),
        }
    }
}

impl Transmit for FromSettings {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

#[test]
fn kinds_are_registered() {
    let kinds = exporters::kinds().unwrap();
    assert!(["from-settings", "memory"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let healthy = |endpoint: &str| {
        let exporter = FromSettings { endpoint: endpoint.parse().unwrap() };
        runtime.block_on(async {
            exporter.flush().await.unwrap();
            exporter.shutdown().await.unwrap();
            exporter.health().await.is_healthy()
        })
    };
    assert!(healthy("https://acme.example") && !healthy("http://acme.example"));
}
