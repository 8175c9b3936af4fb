//! Real receivers take what the exporter sends, and say that they were sent exactly that.

use super::{batch, config, export, metrics, random, rows};
use base64::{Engine, prelude::BASE64_STANDARD};
use exporters::{
    Batch, Compression, ErrorKind, KeyValue, Number, OpenTelemetryConfig, OpenTelemetryExporter,
    OtlpProtocol, Signal, Span, SpanContext, SpanKind, Status, Temporality,
};
use proptest::{strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};
use rows::Sent;
use serde_json::Value as Json;
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};
use tests::{Process, data, free_port, http, otlp::Request, program, until};

/// A receiver that is asked over HTTP what it was sent: Datadog's agent for tests, whose decoder is Google's.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) grpc: SocketAddr,
    _process: Process,
}

impl Agent {
    pub(crate) fn start() -> Option<Self> {
        let agent = program("BACKEND_DDAPM")?;
        let [own, address, grpc] = [(); 3].map(|()| free_port());
        let mut process = Process::start("ddapm", |directory| {
            let mut command = Command::new(agent);
            let port = |address: SocketAddr| address.port().to_string();
            command.args(["--host", "127.0.0.1", "--port", &port(own), "--otlp-http-port", &port(address)]);
            command.args(["--otlp-grpc-port", &port(grpc), "--disable-llmobs-data-forwarding"]);
            command.arg("--snapshot-dir").arg(directory).stdout(Stdio::null());
            command
        });
        until("the agent takes gRPC", || match std::net::TcpStream::connect(grpc) {
            Ok(_) => Ok(()),
            Err(_) if !process.is_running() => panic!("it does not start: {}", process.stderr()),
            Err(error) => Err(error.to_string()),
        });
        until("the agent listens", || match http::get(address, "/test/session/clear", &[]) {
            Ok(answer) if answer.status == 200 => Ok(()),
            _ if !process.is_running() => panic!("it does not start: {}", process.stderr()),
            other => Err(format!("{other:?}")),
        });
        Some(Self { address, grpc, _process: process })
    }

    /// What it was sent since it was asked last.
    pub(crate) fn taken(&self, batch: &Batch) -> Option<Request> {
        let (what, path) = match batch.spans() {
            Some(_) => ("traces", "/v1/traces"),
            None => ("metrics", "/v1/metrics"),
        };
        let ask = |path: &str| http::get(self.address, path, &[]).unwrap();
        let answer = ask(&format!("/test/session/{what}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let all: Vec<Json> = serde_json::from_slice(&answer.body).unwrap();
        ask("/test/session/clear");
        assert!(all.len() <= 1, "{all:?}");
        all.first().map(|one| Request::read(path, as_otlp(one).to_string().as_bytes()))
    }
}

/// The agent shows what it decoded as Google's library has it: keys and enumerations as they are called, bytes in base64.
fn as_otlp(shown: &Json) -> Json {
    match shown {
        Json::Object(map) => map.iter().map(|(key, value)| member(key, value)).collect(),
        Json::Array(list) => list.iter().map(as_otlp).collect(),
        other => other.clone(),
    }
}

fn member(key: &str, value: &Json) -> (String, Json) {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    let key = words.fold(first, |key, word| key + &word[..1].to_uppercase() + &word[1..]);
    let number = |names: &[&str]| {
        let text = value.as_str()?;
        names.iter().position(|name| *name == text).map(Json::from)
    };
    let value = match &*key {
        "kind" => number(&[
            "SPAN_KIND_UNSPECIFIED",
            "SPAN_KIND_INTERNAL",
            "SPAN_KIND_SERVER",
            "SPAN_KIND_CLIENT",
            "SPAN_KIND_PRODUCER",
            "SPAN_KIND_CONSUMER",
        ]),
        "code" => number(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]),
        "aggregationTemporality" => number(&[
            "AGGREGATION_TEMPORALITY_UNSPECIFIED",
            "AGGREGATION_TEMPORALITY_DELTA",
            "AGGREGATION_TEMPORALITY_CUMULATIVE",
        ]),
        "arrayValue" if value.get("values").is_none() => Some(serde_json::json!({ "values": [] })),
        "traceId" | "spanId" | "parentSpanId" => hex(value),
        _ => None,
    }
    .unwrap_or_else(|| as_otlp(value));
    (key, value)
}

/// Of an identity in base64, which has other lengths than hexadecimal digits.
fn hex(value: &Json) -> Option<Json> {
    let bytes = BASE64_STANDARD.decode(value.as_str().filter(|text| [12, 24].contains(&text.len()))?).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

/// Values of a strategy, always the same.
pub(crate) fn some<S: Strategy>(strategy: S, many: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..many).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn another_decoder_finds_every_span_and_every_bucket() {
    let Some(agent) = Agent::start() else { return };
    let snapshots = some(random::snapshot(), 25).into_iter().map(metrics);
    let spans = some(random::spans(), 25)
        .into_iter()
        .map(|spans| batch(Signal::Spans(std::sync::Arc::new(spans.into_iter().collect()))));
    let mut compared = 0;
    for (at, batch) in snapshots.chain(spans).enumerate() {
        let delta = at % 2 > 0;
        let protocol = match at % 5 {
            0 => OtlpProtocol::HttpJson,
            1 | 2 => OtlpProtocol::Grpc,
            _ => OtlpProtocol::HttpProtobuf,
        };
        let exporter = OpenTelemetryExporter::new(OpenTelemetryConfig {
            compression: Some(Compression::Gzip),
            protocol: Some(protocol),
            temporality: delta.then_some(Temporality::Delta),
            ..config(if protocol == OtlpProtocol::Grpc { agent.grpc } else { agent.address })
        });
        export(&exporter.unwrap(), batch.clone()).unwrap();
        let expected = rows::expected(&batch, Sent { delta });
        let found = agent.taken(&batch).map(|request| rows::decoded(&request)).unwrap_or_default();
        let difference = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(difference, None, "batch {at}");
        assert_eq!(found.len(), expected.len(), "batch {at}");
        compared += found.len();
    }
    assert!(compared > 200, "only {compared} items");
}

/// A collector that prints what it was sent.
struct Rotel {
    address: SocketAddr,
    grpc: SocketAddr,
    process: Process,
}

impl Rotel {
    fn start() -> Option<Self> {
        let rotel = program("BACKEND_ROTEL")?;
        let [address, grpc] = [(); 2].map(|()| free_port());
        let mut process = Process::start("rotel", |directory| {
            let mut command = Command::new(rotel);
            command.args(["start", "--exporter", "blackhole", "--debug-log-verbosity", "detailed"]);
            command.args(["--debug-log", "traces", "--debug-log", "metrics"]);
            command.args(["--otlp-grpc-endpoint", &grpc.to_string()]);
            command.args(["--otlp-http-endpoint", &address.to_string()]);
            command.arg("--pid-file").arg(directory.join("pid"));
            command.arg("--log-file").arg(directory.join("log"));
            command.stdout(std::fs::File::create(directory.join("stdout")).unwrap());
            command
        });
        until("rotel listens", || match std::net::TcpStream::connect(address) {
            Ok(_) => Ok(()),
            Err(_) if !process.is_running() => panic!("it does not start: {}", process.stderr()),
            Err(error) => Err(error.to_string()),
        });
        Some(Self { address, grpc, process })
    }

    /// What it printed, once this is in it.
    fn printed(&self, last: &str) -> String {
        until("rotel prints", || {
            let text = self.process.stdout();
            if text.contains(last) { Ok(text) } else { Err(text) }
        })
    }

    fn exporter(&self, protocol: OtlpProtocol) -> OpenTelemetryExporter {
        let grpc = protocol == OtlpProtocol::Grpc;
        let mut config = config(if grpc { self.grpc } else { self.address });
        config.protocol = Some(protocol);
        config.compression = Some(Compression::Gzip);
        config.service_name = Some("checkout".into());
        OpenTelemetryExporter::new(config).unwrap()
    }
}

#[test]
fn a_collector_prints_the_spans_it_is_sent() {
    prints_the_spans(OtlpProtocol::HttpProtobuf);
}

#[test]
fn a_collector_prints_the_spans_it_is_sent_over_grpc() {
    prints_the_spans(OtlpProtocol::Grpc);
}

fn prints_the_spans(protocol: OtlpProtocol) {
    let Some(rotel) = Rotel::start() else { return };
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let span = |at: u8| Span {
        context: SpanContext { trace_id: [at; 16], span_id: [at; 8], flags: 1, trace_state: "".into() },
        parent_id: if at > 1 { [1; 8] } else { [0; 8] },
        parent_is_remote: false,
        name: format!("step {at}").into(),
        kind: SpanKind::Server,
        start,
        end: start + Duration::from_millis(at.into()),
        attributes: [KeyValue::new("at", i64::from(at))].into_iter().collect(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: if at.is_multiple_of(2) { Status::Error("no".into()) } else { Status::Unset },
        scope: std::sync::Arc::new(exporters::Scope { name: "shop".into(), version: "1.0".into() }),
    };
    let spans: Vec<_> = (1..=100).map(span).collect();
    let spans = Signal::Spans(std::sync::Arc::new(spans.into_iter().collect()));
    let receipt = export(&rotel.exporter(protocol), batch(spans)).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (100, 0));
    let printed = rotel.printed("Span #99\n");
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    let said = |label: &str| -> Vec<&str> {
        let values = lines.iter().filter_map(|line| line.strip_prefix(label));
        values.map(|value| value.trim_start().trim_start_matches(':').trim()).collect()
    };
    assert_eq!(said("-> service.name:"), ["Str(checkout)"]);
    let each = |show: &dyn Fn(u8) -> String| (1..=100).map(show).collect::<Vec<_>>();
    assert_eq!(said("Trace ID"), each(&|at| format!("{at:02x}").repeat(16)));
    assert_eq!(said("ID "), each(&|at| format!("{at:02x}").repeat(8)));
    assert_eq!(said("Name "), each(&|at| format!("step {at}")));
    assert_eq!(said("End time:"), each(&|at| format!("1700000000{at:03}000000")));
    assert_eq!(said("-> at:"), each(&|at| format!("Int({at})")));
    assert_eq!(said("Status message").iter().filter(|text| **text == "no").count(), 50);
}

#[test]
fn a_collector_prints_the_buckets_it_is_sent() {
    let Some(rotel) = Rotel::start() else { return };
    let values = [0.0, 0.001, 0.001, 0.004, 1.0, 1.05, 2.0, 64.0];
    let histogram = data::histogram(&values);
    let of = |histogram| exporters::Data::ExponentialHistogram(vec![data::point([], histogram)]);
    let all = vec![
        data::metric("calls", "{call}", data::counter(vec![data::point([], Number::U64(8))])),
        data::metric("duration", "s", of(histogram.clone())),
    ];
    let receipt = export(&rotel.exporter(OtlpProtocol::HttpProtobuf), metrics(data::snapshot(all))).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (2, 0));
    let printed = rotel.printed("Bucket (");
    // Our bounds, from our own arithmetic, beside those that the collector made of scale and index.
    let bounds = |line: &str| -> Option<(f64, f64, u64)> {
        let (bucket, count) = line.trim().strip_prefix("Bucket (")?.split_once("], Count: ")?;
        let (lower, upper) = bucket.split_once(", ")?;
        Some((lower.parse().ok()?, upper.parse().ok()?, count.parse().ok()?))
    };
    let found: Vec<_> = printed.lines().filter_map(bounds).filter(|(.., count)| *count > 0).collect();
    let near = |a: f64, b: f64| (a - b).abs() <= b.abs() * 1e-5 + 1e-6;
    let expected: Vec<_> = histogram.positive.iter().collect();
    assert_eq!(found.len(), expected.len(), "{printed}");
    for ((lower, upper, count), (index, ours)) in found.into_iter().zip(expected) {
        assert_eq!(count, ours, "{printed}");
        assert!(near(lower, histogram.upper_bound(index - 1)) && near(upper, histogram.upper_bound(index)));
    }
}

/// A database, which shows what it stored as series of Prometheus's sort.
struct VictoriaMetrics {
    address: SocketAddr,
    _process: Process,
}

impl VictoriaMetrics {
    fn start() -> Option<Self> {
        let program = program("BACKEND_VICTORIA_METRICS")?;
        let address = free_port();
        let mut process = Process::start("victoria-metrics", |directory| {
            let mut command = Command::new(program);
            command.arg(format!("-httpListenAddr={address}"));
            command.arg(format!("-storageDataPath={}", directory.join("data").display()));
            command.stdout(Stdio::null());
            command
        });
        until("VictoriaMetrics is ready", || match http::get(address, "/health", &[]) {
            Ok(answer) if answer.status == 200 => Ok(()),
            _ if !process.is_running() => panic!("it does not start: {}", process.stderr()),
            other => Err(format!("{other:?}")),
        });
        Some(Self { address, _process: process })
    }

    fn exporter(&self, set: impl FnOnce(&mut OpenTelemetryConfig)) -> OpenTelemetryExporter {
        let mut config = OpenTelemetryConfig {
            endpoint: Some(format!("http://{}/opentelemetry", self.address).parse().unwrap()),
            compression: Some(Compression::Gzip),
            ..OpenTelemetryConfig::default()
        };
        set(&mut config);
        OpenTelemetryExporter::new(config).unwrap()
    }

    /// The series of this name, once there are so many: the value of one label of each, and the only value that is stored.
    fn stored(&self, name: &str, label: &str, many: usize) -> Vec<(String, f64)> {
        let ask = |path: &str| {
            let answer = http::get(self.address, path, &[]).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.body
        };
        let all: Vec<Json> = until(name, || {
            ask("/internal/force_flush");
            let answer = ask(&format!("/api/v1/export?match[]=%7B__name__=%22{name}%22%7D"));
            let all = serde_json::Deserializer::from_slice(&answer).into_iter();
            let all = all.collect::<Result<Vec<_>, _>>().unwrap();
            if all.len() >= many { Ok(all) } else { Err(format!("{all:?}")) }
        });
        let one = |series: &Json| {
            let [value] = &**series["values"].as_array().unwrap() else { panic!("{series}") };
            assert_eq!(series["metric"]["service.name"], "tests", "{series}");
            (series["metric"][label].as_str().unwrap_or_default().to_owned(), value.as_f64().unwrap())
        };
        let mut stored: Vec<_> = all.iter().map(one).collect();
        stored.sort_by(|a, b| a.0.cmp(&b.0));
        stored
    }
}

/// The bounds of a `vmrange`, and how many are between them.
fn bucket((range, count): &(String, f64)) -> (f64, f64, u64) {
    let (lower, upper) = range.split_once("...").unwrap();
    (lower.parse().unwrap(), upper.parse().unwrap(), *count as u64)
}

#[test]
fn a_database_stores_the_values_it_is_sent() {
    let Some(database) = VictoriaMetrics::start() else { return };
    let numbers =
        [("a", Number::U64(8)), ("b", Number::U64(1 << 52)), ("c", Number::F64(0.1)), ("d", Number::I64(0))];
    let points = || numbers.map(|(kind, number)| data::point([KeyValue::new("kind", kind)], number)).to_vec();
    let all = vec![
        data::metric("calls", "{call}", data::counter(points())),
        data::metric("level", "By", exporters::Data::Gauge(points())),
    ];
    let receipt = export(&database.exporter(|_| {}), metrics(data::snapshot(all))).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected), (8, 0));
    let expected = numbers.map(|(kind, number)| (kind.to_owned(), number.as_f64()));
    for name in ["calls", "level"] {
        assert_eq!(database.stored(name, "kind", expected.len()), expected);
    }
    // It speaks protobuf over HTTP, and nothing else.
    let json = database.exporter(|config| config.protocol = Some(OtlpProtocol::HttpJson));
    let all = vec![data::metric("calls", "{call}", data::counter(points()))];
    assert_eq!(export(&json, metrics(data::snapshot(all))).unwrap_err().kind(), ErrorKind::Rejected);
}

#[test]
fn a_database_stores_the_buckets_it_is_sent() {
    let Some(database) = VictoriaMetrics::start() else { return };
    let values = [0.0, 0.0, 1e-9, 0.001, 0.001, 0.004, 1.0, 1.05, 2.0, 64.0, 1e6];
    let histogram = data::histogram(&values);
    let near = |a: f64, b: f64, parts: f64| (a - b).abs() <= b.abs() * parts;
    let send = |name: &str, exporter: &OpenTelemetryExporter| {
        let data = exporters::Data::ExponentialHistogram(vec![data::point([], histogram.clone())]);
        let receipt = export(exporter, metrics(data::snapshot(vec![data::metric(name, "s", data)]))).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected), (1, 0));
        // Numbers are stored as decimals.
        for (what, value) in [("count", values.len() as f64), ("sum", histogram.sum)] {
            let stored = database.stored(&format!("{name}_{what}"), "", 1);
            assert!(stored.len() == 1 && near(stored[0].1, value, 1e-12), "{stored:?} {value}");
        }
    };
    send("exponential", &database.exporter(|_| {}));
    // Their bounds, which they made of scale and index and write with four digits, beside those of our own arithmetic.
    let of_index = |(index, count)| (histogram.upper_bound(index - 1), histogram.upper_bound(index), count);
    let zeros = (0.0, histogram.zero_threshold, histogram.zero_count);
    let expected: Vec<_> = [zeros].into_iter().chain(histogram.positive.iter().map(of_index)).collect();
    let stored = database.stored("exponential_bucket", "vmrange", expected.len());
    let mut found: Vec<_> = stored.iter().map(bucket).collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    let same = |(found, ours): (&(f64, f64, u64), &(f64, f64, u64))| {
        near(found.0, ours.0, 1e-3) && near(found.1, ours.1, 1e-3) && found.2 == ours.2
    };
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    assert!(found.iter().zip(&expected).all(same), "{found:?} {expected:?}");

    send("explicit", &database.exporter(|config| config.explicit_bounds = vec![0.001, 1.0, 64.0]));
    let expected = [("+Inf", 11.0), ("0.001", 3.0), ("1", 7.0), ("64", 10.0)];
    let stored = database.stored("explicit_bucket", "le", expected.len());
    assert_eq!(stored, expected.map(|(le, count)| (le.to_owned(), count)));
}
