//! What the environment says, and what is said of it.

use super::program::{Ended, run};
use std::net::TcpListener;
use tests::{hostile::Hostile, otlp::Request};

fn init(variables: &[(&str, &str)]) -> Ended {
    run(&["init"], variables)
}

/// The values of the answer `recording=… listening=… threads=… calls=…`.
fn answer(ended: &Ended) -> Vec<&str> {
    assert!(ended.status.success(), "{ended:?}");
    ended
        .stdout
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(_, value)| value)
        .take(4)
        .collect()
}

/// Where nobody listens: free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn init_twice_is_init_once() {
    let ended = init(&[("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:0")]);
    let answer = answer(&ended);
    assert_eq!((answer[0], answer[2], answer[3]), ("true", "3", "10"), "{ended:?}");
    assert!(answer[1].starts_with("127.0.0.1:"), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn disabled_is_off() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let all = [
        ("PROFILING_DISABLED", "1"),
        ("PROFILING_DISABLED", "true"),
        ("PROFILING_DISABLED", " TRUE "),
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SDK_DISABLED", "True"),
    ];
    for (name, value) in all {
        // Neither that port nor any other is tried.
        let ended = init(&[(name, value), ("PROFILING_PROMETHEUS_LISTEN", &listen)]);
        assert_eq!(answer(&ended), ["false", "none", "1", "0"], "{name}={value}: {ended:?}");
        assert_eq!(ended.stderr, "");
    }
    // Whoever starts it.
    let ended = run(&["build"], &[("PROFILING_DISABLED", "1")]);
    assert_eq!(answer(&ended), ["false", "none", "1", "0"], "{ended:?}");
    // Anything else is not.
    for (name, value) in [
        ("PROFILING_DISABLED", "0"),
        ("PROFILING_DISABLED", ""),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_SDK_DISABLED", "no"),
    ] {
        let ended = init(&[(name, value), ("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:0")]);
        assert_eq!(answer(&ended)[0], "true", "{name}={value}: {ended:?}");
    }
}

#[test]
fn a_bad_value_is_named_with_its_cure_and_never_shown() {
    let all = [
        ("PROFILING_DISABLED", "s3cret", "1, true, 0 or false"),
        ("PROFILING_INTERVAL", "s3cret", "a duration such as 500ms, 10s or 1m"),
        ("PROFILING_INTERVAL", "10s3cret", "a duration such as 500ms, 10s or 1m"),
        ("PROFILING_INTERVAL", "-77s", "a duration such as 500ms, 10s or 1m"),
        ("PROFILING_PROMETHEUS_LISTEN", "s3cret:77", "an address such as 127.0.0.1:9464"),
        ("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:77777", "an address such as 127.0.0.1:9464"),
        ("PROFILING_PROMETHEUS_ALLOW_REMOTE", "s3cret", "1, true, 0 or false"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "s3cret", "an IP address or localhost"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "77777", "a port, 0 to 65535"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "s3cret", "a port, 0 to 65535"),
    ];
    for (name, value, takes) in all {
        let ended = init(&[(name, value)]);
        assert_eq!(ended.status.code(), Some(1), "{name}={value}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert!(ended.stderr.contains("config_invalid") && ended.stderr.contains(name), "{ended:?}");
        assert!(ended.stderr.contains(takes), "{ended:?}");
        assert!(!ended.stderr.contains("s3cret") && !ended.stderr.contains("77"), "{ended:?}");
    }
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (listen, port) =
        (taken.local_addr().unwrap().to_string(), taken.local_addr().unwrap().port().to_string());
    for variable in [("PROFILING_PROMETHEUS_LISTEN", &*listen), ("OTEL_EXPORTER_PROMETHEUS_PORT", &*port)] {
        let ended = init(&[variable]);
        assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
        assert!(ended.stderr.contains("in use") && ended.stderr.contains(&listen), "{ended:?}");
    }
}

#[test]
fn the_embedded_default_goes_on_without_its_port() {
    // Whoever has the port already, it is taken.
    let _taken = TcpListener::bind("127.0.0.1:9464");
    let ended = init(&[]);
    let answer = answer(&ended);
    assert_eq!((answer[0], answer[1], answer[3]), ("true", "none", "10"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    let said = ["exporters: ", "127.0.0.1:9464", "going on without it"];
    assert!(said.iter().all(|part| ended.stderr.contains(part)), "{ended:?}");
}

#[test]
fn an_address_for_everybody_needs_consent() {
    let port = free_port().to_string();
    let host = [("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0"), ("OTEL_EXPORTER_PROMETHEUS_PORT", &*port)];
    for variables in [
        &host[..],
        &[("PROFILING_PROMETHEUS_LISTEN", "0.0.0.0:0")],
        &[("PROFILING_PROMETHEUS_LISTEN", "[::]:0")],
    ] {
        let ended = init(variables);
        assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
        assert!(ended.stderr.contains("127.0.0.1") && ended.stderr.contains("consent"), "{ended:?}");
    }
}

/// What calls of `work` a payload tells of as new.
fn calls(body: &[u8]) -> u64 {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap();
    let items = document["metrics"].as_array().unwrap().iter();
    let ours =
        items.filter(|item| item["name"] == "function.calls" && item["attributes"]["function"] == "work");
    ours.map(|item| item["value"].as_u64().unwrap()).sum()
}

fn backend() -> Hostile {
    Hostile::answer("HTTP/1.1 204 No Content\r\n\r\n")
}

#[test]
fn variables_alone_switch_an_exporter_on() {
    let backend = backend();
    let endpoint = format!("http://{}/v1", backend.address());
    let ended = init(&[
        ("PROFILING_HTTP_ENDPOINT", &endpoint),
        ("PROFILING_HTTP_AUTH_TOKEN", "canary"),
        ("PROFILING_HTTP_BATCH_SIZE", "5"),
    ]);
    // No scrape endpoint then: nobody asked for one.
    assert_eq!(answer(&ended)[..2], ["true", "none"], "{ended:?}");
    assert_eq!(ended.stderr, "");
    let requests = backend.requests();
    assert_eq!(requests.iter().map(|asked| calls(&asked.body)).sum::<u64>(), 10);
    assert!(
        requests.len() > 1
            && requests.iter().all(|asked| asked.header("Authorization") == Some("Bearer canary"))
    );
}

#[test]
fn opentelemetry_s_variables_alone_send_metrics_and_traces() {
    let backend = backend();
    let address = backend.address();
    let endpoint = format!("http://{address}");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_SERVICE_NAME", "checkout")];
    let all = [&variables[..], &[("OTEL_TRACES_SAMPLER", "always_on")]].concat();
    let ended = init(&all);
    assert_eq!(answer(&ended)[..2], ["true", "none"], "{ended:?}");
    let [traces, metrics] = ["traces", "metrics"].map(|signal| format!("{endpoint}/v1/{signal}"));
    let said = format!(
        "exporters: OTLP: spans to {traces} as http/protobuf, metrics to {metrics} as http/protobuf\n"
    );
    assert_eq!(ended.stderr, said);
    let requests: Vec<_> =
        backend.requests().iter().map(|asked| Request::read(asked.path(), &asked.body)).collect();
    requests.iter().for_each(Request::check);
    let spans: Vec<_> = requests.iter().flat_map(Request::spans).collect();
    assert!(spans.len() == 10 && spans.iter().all(|(_, span)| span.name.ends_with("::work")), "{spans:?}");
    assert!(requests.iter().flat_map(Request::metrics).any(|(_, metric)| metric.name == "function.calls"));

    // One of both, where another says so; none, where neither is wanted.
    let ended = init(&[&all[..], &[("OTEL_METRICS_EXPORTER", "none")]].concat());
    assert_eq!(ended.stderr, format!("exporters: OTLP: spans to {traces} as http/protobuf\n"));
    let ended = init(
        &[
            &all[..],
            &[
                ("OTEL_METRICS_EXPORTER", "none"),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:0"),
            ],
        ]
        .concat(),
    );
    assert!(ended.stderr.is_empty() && answer(&ended)[1].starts_with("127.0.0.1:"), "{ended:?}");
}

/// What the design has a Compose file set, a variable of each kind of exporter, and a secret that Compose mounts. Cut out, since these
/// are not here yet: `PROFILING_PROMETHEUS_PUSHGATEWAY_URL`, `PROFILING_DATADOG_API_KEY` and `PROFILING_OTEL_ENDPOINT`.
#[test]
fn a_compose_environment_starts_the_exporters_that_it_names() {
    let backend = backend();
    let secrets = std::env::temp_dir().join(format!("exporters-compose-{}", std::process::id()));
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("http-token"), "canary\n").unwrap();
    let endpoint = format!("http://{}/v1", backend.address());
    let compose = [
        ("OTEL_SERVICE_NAME", "checkout"),
        ("PROFILING_INTERVAL", "1h"),
        ("PROFILING_SECRETS_DIR", secrets.to_str().unwrap()),
        ("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:0"),
        ("PROFILING_PROMETHEUS_LABELS", "environment=production"),
        ("PROFILING_MEMORY_CAPACITY", "10"),
        ("PROFILING_HTTP_ENDPOINT", &endpoint),
        ("PROFILING_HTTP_TOKEN_SECRET", "http-token"),
        ("PROFILING_HTTP_FLUSH_INTERVAL_SECONDS", "30"),
    ];
    let ended = init(&compose);
    let [recording, listening, _, calls_seen] = answer(&ended)[..] else { panic!("{ended:?}") };
    assert!((recording, calls_seen) == ("true", "10") && listening.starts_with("127.0.0.1:"), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let requests = backend.requests();
    assert_eq!(requests.iter().map(|asked| calls(&asked.body)).sum::<u64>(), 10);
    assert!(requests.iter().all(|asked| asked.header("Authorization") == Some("Bearer canary")));
    let document: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(document["resource"]["service.name"], "checkout");
    // What is cut out of an exporter that is here is refused, not ignored.
    let push = [&compose[..], &[("PROFILING_PROMETHEUS_PUSHGATEWAY_URL", "http://push:9091")]].concat();
    let ended = init(&push);
    assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    let said = "no setting of the exporter has this variable, variable: PROFILING_PROMETHEUS_PUSHGATEWAY_URL";
    assert!(ended.stderr.contains(said), "{ended:?}");
    std::fs::remove_dir_all(secrets).unwrap();
}

#[test]
fn the_file_is_read_and_variables_come_before_it() {
    let backend = backend();
    let file = std::env::temp_dir().join(format!("exporters-environment-{}.yaml", std::process::id()));
    let text = "service: { name: from-the-file, version: '1.10' }
exporters:
- type: http
  name: theirs
  config: { endpoint: 'http://127.0.0.1:1/${SOMETHING:-x}', attributes: { from: file } }
- type: prometheus
  config: { listen: '127.0.0.1:0' }
- type: http
  enabled: false
";
    std::fs::write(&file, text).unwrap();
    let endpoint = format!("http://{}/v1", backend.address());
    let (path, name) =
        (("PROFILING_EXPORTERS_CONFIG", file.to_str().unwrap()), ("OTEL_SERVICE_NAME", "from-outside"));
    let ended = init(&[path, ("PROFILING_HTTP_ENDPOINT", &endpoint), name]);
    assert!(answer(&ended)[1].starts_with("127.0.0.1:"), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let [asked] = &backend.requests()[..] else { panic!("{:?}", backend.requests()) };
    assert_eq!(calls(&asked.body), 10);
    let document: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(document["resource"]["service.name"], "from-outside");
    assert_eq!(document["resource"]["service.version"], "1.10");
    assert_eq!(document["attributes"]["from"], "file");

    let ended = init(&[path, ("PROFILING_HTTP_ENDPONT", &endpoint)]);
    assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    let parts = ["PROFILING_HTTP_ENDPONT", "did you mean `PROFILING_HTTP_ENDPOINT`?"];
    assert!(parts.iter().all(|part| ended.stderr.contains(part)), "{ended:?}");
    std::fs::remove_file(&file).unwrap();
    let ended = init(&[path]);
    assert!(ended.status.code() == Some(1) && ended.stderr.contains("cannot be read"), "{ended:?}");
}
