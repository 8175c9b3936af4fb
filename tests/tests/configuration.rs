//! The configuration file and its schema, as a user meets them.

use exporters::{Builder, ErrorKind, Settings};
use std::{fs, path::PathBuf};

fn deploy(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/deploy")).join(file)
}

/// A file that lives as long as the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("exporters-{}-{name}.yaml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn refused(name: &str, text: impl AsRef<[u8]>) -> String {
    let file = File::new(name, text);
    let error = Builder::from_file(&file.0).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let text = error.to_string();
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
    text
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_types() {
    let file = deploy("exporters.schema.json");
    let schema = exporters::schema();
    if std::env::var_os("EXPORTERS_WRITE_SCHEMA").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == schema,
        "write it anew: EXPORTERS_WRITE_SCHEMA=1 cargo test -p tests --test configuration"
    );
}

/// YAML as JSON, without variables.
fn json(text: &str) -> serde_json::Value {
    Settings::from_yaml(text).unwrap().read().unwrap()
}

#[test]
fn the_schema_takes_what_is_right_and_nothing_that_is_wrong() {
    let schema: serde_json::Value = serde_json::from_str(&exporters::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let example = fs::read_to_string(deploy("exporters.yaml")).unwrap().replace("0}\"", "9464}\"");
    for right in [
        "",
        "interval: 10s",
        "service: { name: a, environment: b }",
        "exporters: [{ type: prometheus, config: { listen: '127.0.0.1:0', labels: { a: b } } }]",
        "exporters: [{ type: http, config: { endpoint: 'https://h/', auth: { type: bearer, token_secret: t }, batch_size: 5 } }]",
        "exporters: [{ type: http, config: { endpoint: 'https://h/', auth: { api_key: { file: /f } }, method: PUT } }]",
        "exporters: [{ type: of_ours, config: { whatever: [1, 2] }, metrics_mapping: { error_rate: { type: gauge } } }]",
        "exporters: [{ type: multi, strategy: failover, exporters: [{ type: http, name: a, config: { endpoint: 'http://h' } }, { type: x }] }]",
        "exporters: [{ type: multi, config: { min_success_count: 2, exporters: [{ type: memory }, { type: multi, exporters: [{ type: x }] }] } }]",
        "exporters: [{ type: conditional, match: first, routes: [{ condition: error_rate > 0.05, exporter: { type: x } }], otherwise: { type: y } }]",
        &example,
    ] {
        let document = json(right);
        let document = if document.is_null() { serde_json::json!({}) } else { document };
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{right}: {errors:?}");
    }
    for wrong in [
        "intervall: 10s",
        "exporters: [{ config: {} }]",
        "exporters: [{ type: prometheus, config: { lisen: 'x' } }]",
        "exporters: [{ type: http, config: { auth: { type: bearer } } }]",
        "exporters: [{ type: http, config: { endpoint: 'ftp://h' } }]",
        "exporters: [{ type: http, config: { endpoint: 'http://h', format: xml } }]",
        "exporters: [{ type: x, batch_size: many }]",
        "exporters: [{ type: multi, strategy: all, exporters: [{ type: x }] }]",
        "exporters: [{ type: multi, config: { strategy: parallel } }]",
        "exporters: [{ type: multi, exporters: [{ type: http, config: { endpoint: 'ftp://h' } }] }]",
        "exporters: [{ type: multi, exporters: [{ name: x }] }]",
        "exporters: [{ type: conditional, routes: [{ exporter: { type: x } }] }]",
        "exporters: [{ type: conditional, routes: [{ condition: 1 < 2, exporter: { type: x, flush_interval: 1s } }] }]",
        "exporters: [{ type: x, metrics_mapping: { a: { type: gauges } } }]",
    ] {
        assert!(!validator.is_valid(&json(wrong)), "{wrong}");
    }
}

#[test]
fn what_is_wrong_names_file_line_setting_and_cure() {
    for (name, text, parts) in [
        (
            "kind",
            "exporters:\n- type: promtheus",
            &["did you mean `prometheus`?", "use that_crate as _", "setting: exporters[0].type", ".yaml:2"][..],
        ),
        ("no-kind", "exporters:\n- name: a", &["`type` is required: one of", "prometheus", ".yaml:2"]),
        ("no-map", "exporters:\n- hunter2", &["exporters[0]", ".yaml:2"]),
        ("no-list", "\nexporters: hunter2", &["expected a list of exporters, found text", ".yaml:2"]),
        (
            "setting",
            "exporters:\n- type: prometheus\n  config:\n    lisen: hunter2",
            &["did you mean `listen`?", "setting: exporters[0].config.lisen", ".yaml:4"],
        ),
        (
            "remote",
            "exporters: [{ type: prometheus, config: { listen: '0.0.0.0:0' } }]",
            &["allow_remote", "listen: 0.0.0.0:0", "setting: exporters[0].config, in: ", ".yaml:1"],
        ),
        (
            "buckets",
            "exporters:\n- type: memory\n- type: prometheus\n  config:\n    classic_buckets: [0.3]",
            &["powers of two", "setting: exporters[1].config, in: ", ".yaml:5"],
        ),
        (
            "auth",
            "exporters:\n- type: http\n  config:\n    endpoint: 'http://h'\n    auth: { type: bearer }",
            &["needs `auth.token`", "setting: exporters[0].config, in: ", ".yaml:4"],
        ),
        (
            "header",
            "exporters:\n- type: http\n  config: { endpoint: 'http://h', headers: { a b: hunter2 } }",
            &["not the name of a header", "setting: exporters[0].config.headers, in: ", ".yaml:3"],
        ),
        (
            "shorthand",
            "exporters:\n- type: http\n  config: { endpoint: 'http://h', token: hunter2, auth: { token: hunter2 } }",
            &["both given", "setting: exporters[0].config, in: ", ".yaml:3"],
        ),
        (
            "endpoint",
            "exporters: [{ type: http, config: { endpoint: hunter2 } }]",
            &["config.endpoint", "http://"],
        ),
        ("missing", "exporters: [{ type: http }]", &["this setting is required", "config.endpoint"]),
        (
            "source",
            "exporters: [{ type: http, metrics_mapping: { p95_latency: { unit: ms } }, config: { endpoint: 'http://h' } }]",
            &[
                "did you mean `p95_latency_ms`?",
                "metric: p95_latency",
                "exporters[0].metrics_mapping, in: ",
                ".yaml:1",
            ],
        ),
        (
            "twice",
            "exporters: [{ type: http, batch_size: 1, config: { batch_size: 2, endpoint: 'http://h' } }]",
            &["given twice", "batch_size"],
        ),
        (
            "zero",
            "exporters: [{ type: http, config: { batch_size: 0, endpoint: 'http://h' } }]",
            &["at least 1", "exporters[0].batch_size, in: ", ".yaml:1"],
        ),
        (
            "two-scrapes",
            "exporters: [{ type: prometheus }, { type: prometheus, name: b }]",
            &["one scrape endpoint", "setting: exporters[1], in: ", ".yaml:1"],
        ),
        (
            "secret",
            "exporters: [{ type: http, config: { endpoint: 'http://h', auth: { token_secret: hunter2 } } }]",
            &["there is no secret of the name that stands here (7 characters)", "auth.token_secret, in: "],
        ),
        (
            "no-name",
            "exporters:\n- { type: memory }\n- { type: memory, name: ' ' }",
            &["the name of this exporter is empty", "setting: exporters[1].name, in: ", ".yaml:3"],
        ),
        (
            "one-name",
            "exporters:\n- { type: prometheus, name: a }\n- { type: memory, name: a }",
            &["there is this exporter already", "exporter: a", "setting: exporters[1].name, in: ", ".yaml:3"],
        ),
        (
            "one-default-name",
            "exporters:\n- { type: memory }\n- { type: prometheus }\n- { type: http, config: { endpoint: 'http://h', name: memory } }",
            &["there is this exporter already", "setting: exporters[2].name, in: ", ".yaml:4"],
        ),
        (
            "no-metric-name",
            "exporters:\n- type: memory\n  metrics_mapping: { error_rate: { name: '' } }",
            &["the name of this metric is empty", "setting: exporters[0].metrics_mapping, in: ", ".yaml:3"],
        ),
        (
            "one-metric-name",
            "exporters:\n- type: prometheus\n  metrics_mapping: { error_rate: { name: a }, a: { source: total_calls } }",
            &[
                "there is this metric already",
                "metric: a",
                "setting: exporters[0].metrics_mapping, in: ",
                ".yaml:3",
            ],
        ),
        (
            "no-label",
            "exporters:\n- type: memory\n  labels: { '': hunter2 }",
            &["the name of this label is empty", "setting: exporters[0].labels, in: ", ".yaml:3"],
        ),
        (
            "no-label-of-prometheus",
            "exporters:\n- type: prometheus\n  config: { labels: { ' ': hunter2 } }",
            &["the name of this label is empty", "setting: exporters[0].config.labels, in: ", ".yaml:3"],
        ),
        (
            "no-attribute-of-http",
            "exporters:\n- type: http\n  config: { endpoint: 'http://h', attributes: { '': hunter2 } }",
            &[
                "the name of this attribute is empty",
                "setting: exporters[0].config.attributes, in: ",
                ".yaml:3",
            ],
        ),
        (
            "no-attribute",
            "interval: 5s\nattributes: { '': hunter2 }",
            &["the name of this attribute is empty", "setting: attributes, in: ", ".yaml:2"],
        ),
        (
            "condition",
            "exporters:\n- type: conditional\n  routes:\n  - condition: error_rate > hunter2\n    exporter: { type: memory }",
            &["column 14", "exporters[0].routes[0].condition", ".yaml:4"],
        ),
        ("interval", "interval: 5", &["a duration such as 500ms", "setting: interval"]),
    ] {
        let error = refused(name, text);
        for part in parts {
            assert!(error.contains(part), "{name}: {error} lacks {part:?}");
        }
        // Told once.
        assert!(error.matches("setting: ").count() == 1 && error.matches(".yaml:").count() == 1, "{error}");
    }
    let error = Builder::from_file("/nonexistent/exporters.yaml").unwrap_err().to_string();
    assert!(error.contains("/nonexistent/exporters.yaml") && error.contains("not found"), "{error}");
}

#[test]
fn a_file_is_text_of_at_most_a_mebibyte() {
    const LIMIT: usize = 1 << 20;
    let comment = |begin: &str, bytes: usize| format!("{begin}{}", "é".repeat(bytes / 2));
    // Cut between two characters, and in the middle of one.
    for begin in ["#", "##"] {
        let error = refused("large", comment(begin, 2 * LIMIT));
        assert!(error.contains("the file is larger than 1 MiB, in: "), "{error}");
    }
    let file = File::new("as-large", comment("##", LIMIT - 2));
    Builder::from_file(&file.0).map(drop).unwrap();
    let error = refused("latin-1", b"interval: 5s\n# caf\xe9 hunter2\n");
    assert!(error.contains("not UTF-8, in: ") && error.contains(".yaml:2"), "{error}");
}

/// Every environment has a `PATH`.
#[test]
fn settings_from_yaml_find_secrets_by_name() {
    #[derive(serde::Deserialize)]
    struct Example {
        token: exporters::Secret,
    }
    let example: Example = Settings::from_yaml("token_secret: path").unwrap().read().unwrap();
    assert_eq!(Some(example.token), std::env::var("PATH").ok().map(exporters::Secret::new));
}

/// What the specification of these exporters shows for Kubernetes, less its second exporter, whose type is not here yet.
const CONFIG_MAP: &str = "
exporters:
  - name: prometheus
    type: prometheus
    config:
      labels:
        environment: production
        cluster: k8s-prod
";

/// Its second exporter.
const DATADOG: &str = "
  - name: datadog
    type: datadog
    config:
      api_key_secret: datadog-api-key
      site: datadoghq.com
      tags:
        - \"environment:production\"
        - \"service:foundation\"
";

#[test]
fn a_config_map_is_read_up_to_the_kinds_that_are_missing() {
    let file = File::new("config-map", CONFIG_MAP);
    let shown = format!("{:?}", Builder::from_file(&file.0).unwrap());
    for part in ["\"environment\": \"production\"", "\"cluster\": \"k8s-prod\"", "embedded: false"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let error = refused("config-map-whole", CONFIG_MAP.to_owned() + DATADOG);
    for part in ["kind: datadog", "registered are", "setting: exporters[1].type, in: ", ".yaml:11"] {
        assert!(error.contains(part), "{error} lacks {part:?}");
    }
}

/// What the design shows; of its one exporter the type `datadog`, with its `config`, is `http` here.
#[test]
fn a_whole_file_is_read_up_to_the_keys_that_are_missing() {
    let text = "
service: { name: checkout, version: 1.2.3, environment: production }
interval: 10s
thread_attributes: false
sampler: { type: parentbased_traceidratio, ratio: 0.2, keep: { slower_than: 750ms, max_memory: 8MB } }
exporters:
  - name: primary            # a leg
    type: http
    config: { endpoint: 'https://datadoghq.com', trace_sample_rate: 0.05 }
    buffer: { size: 1001, flush_interval: 31s, max_memory: 51MB, overflow: drop_newest, adaptive: { min: 6s, max: 4m } }
    resilience:
      retry: { max_retries: 4, initial_delay: 1s, max_delay: 60s, multiplier: 2.0, jitter: true }
      circuit_breaker: { failure_threshold: 6, recovery_timeout: 60s, half_open_max_calls: 3 }
      fallback: { type: file, config: { directory: /var/log/profiling/fallback } }
      dead_letter: { type: file, config: { directory: /var/log/profiling/dlq } }
    monitor: { alerts: { export_latency_p95: 1s, success_rate_percent: 95, queue_depth: 1234 } }
";
    let file = File::new("whole", text);
    let shown = format!("{:?}", Builder::from_file(&file.0).unwrap());
    for part in [
        "interval: 10s",
        "thread_attributes: false",
        "ParentBased(TraceIdRatio(0.2))",
        "KeepConfig { errors: true, slower_than: Some(750ms), max_memory: 8000000, max_wait: 30s }",
        "Some(TraceIdRatio(0.05))",
        "\"checkout\"",
        "\"1.2.3\"",
        "\"production\"",
        "\"primary\"",
        "https://datadoghq.com/",
        "size: 1001, max_memory: 51000000, flush_interval: Some(31s)",
        "AdaptiveConfig { min: 6s, max: 240s }",
        "DropNewest",
        "max_retries: 4",
        "failure_threshold: 6",
        "/var/log/profiling/fallback",
        // So that it can be replayed.
        "Records",
        "/var/log/profiling/dlq",
        "queue_depth: Some(1234)",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn what_is_wrong_with_a_sampler_is_told_with_its_place() {
    for (name, sampler, parts) in [
        ("ratio", "{ type: traceidratio, ratio: 1.5 }", ["from 0 to 1", "setting: sampler.ratio, in: "]),
        ("no-ratio", "{ type: always_on, ratio: 0.5 }", ["takes no ratio", "setting: sampler.ratio, in: "]),
        ("kind", "{ type: traceid_ratio }", ["parentbased_traceidratio", "setting: sampler.type, in: "]),
        ("keep", "{ keep: { errors: false } }", ["nothing would be kept", "setting: sampler.keep, in: "]),
        ("keeps", "{ keep: { error: true } }", ["errors", "setting: sampler.keep.error, in: "]),
    ] {
        let error = refused(&format!("sampler-{name}"), format!("sampler: {sampler}"));
        parts.iter().for_each(|part| assert!(error.contains(part), "{error} lacks {part:?}"));
    }
}

#[test]
fn a_share_of_an_exporters_own_may_stand_among_its_settings() {
    let shown = |entry: &str| {
        let file = File::new("share", format!("exporters: [{entry}]"));
        format!("{:?}", Builder::from_file(&file.0).unwrap())
    };
    let entry =
        "{ type: memory, trace_sampler: parentbased_traceidratio, config: { trace_sample_rate: 0.3 } }";
    assert!(shown(entry).contains("trace_sampler: Some(ParentBased(TraceIdRatio(0.3)))"));
    assert!(shown("{ type: memory, trace_sampler: always_off }").contains("trace_sampler: Some(AlwaysOff)"));
    assert!(shown("{ type: memory }").contains("trace_sampler: None"));
    for (entry, says) in [
        ("trace_sample_rate: 2", "from 0 to 1"),
        ("trace_sampler: always_on, trace_sample_rate: 0.1", "takes no ratio"),
    ] {
        let error = refused("share-wrong", format!("exporters: [{{ type: memory, {entry} }}]"));
        assert!(error.contains(says) && error.contains("exporters[0].trace_sample_rate, in: "), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_buffer_is_told_with_its_place() {
    for (name, entry, parts) in [
        (
            "size",
            "{ type: memory, buffer: { size: 0 } }",
            ["at least 1", "setting: exporters[0].buffer.size, in: "],
        ),
        (
            "memory",
            "{ type: memory, buffer: { max_memory: 1kB } }",
            ["at least 64 KiB", "setting: exporters[0].buffer.max_memory, in: "],
        ),
        (
            "adaptive",
            "{ type: memory, buffer: { adaptive: { min: 2s, max: 1s } } }",
            ["not more than `max`", "setting: exporters[0].buffer.adaptive, in: "],
        ),
        (
            "overflow",
            "{ type: memory, buffer: { overflow: drop_all } }",
            ["drop_oldest", "setting: exporters[0].buffer.overflow, in: "],
        ),
        (
            "twice",
            "{ type: memory, flush_interval: 1s, buffer: { flush_interval: 2s } }",
            ["given twice", "setting: exporters[0].flush_interval, in: "],
        ),
        (
            "scraped",
            "{ type: prometheus, config: { listen: '127.0.0.1:0' }, buffer: {} }",
            ["scraped", "setting: exporters[0].buffer, in: "],
        ),
        (
            "misspelt",
            "{ type: memory, buffer: { max_memry: 1MB } }",
            ["did you mean `max_memory`", "setting: exporters[0].buffer.max_memry, in: "],
        ),
    ] {
        let error = refused(&format!("buffer-{name}"), format!("exporters: [{entry}]"));
        parts.iter().for_each(|part| assert!(error.contains(part), "{error} lacks {part:?}"));
    }
}

#[test]
fn what_is_wrong_with_resilience_and_monitor_is_told_with_its_place() {
    for (name, kind, wrong, parts) in [
        (
            "retry",
            "memory",
            "resilience: { retry: { multiplier: 0.1 } }",
            ["`retry.multiplier`", "setting: exporters[0].resilience"],
        ),
        (
            "unknown",
            "memory",
            "resilience: { circuit_braker: {} }",
            ["did you mean `circuit_breaker`", "setting: exporters[0].resilience.circuit_braker"],
        ),
        (
            "fallback",
            "memory",
            "resilience: { fallback: { type: flie } }",
            ["did you mean `file`", "exporters[0].resilience.fallback.type"],
        ),
        (
            "percent",
            "memory",
            "monitor: { alerts: { success_rate_percent: 950 } }",
            ["from 0 to 100", "setting: exporters[0].monitor"],
        ),
        (
            "scrape",
            "prometheus",
            "resilience: {}",
            ["scraped, not sent to", "setting: exporters[0].resilience"],
        ),
    ] {
        let error = refused(name, format!("exporters:\n  - type: {kind}\n    {wrong}\n"));
        for part in parts {
            assert!(error.contains(part) && error.contains(".yaml:3"), "{error} lacks {part:?}");
        }
    }
}
