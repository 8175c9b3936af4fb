//! Settings of one exporter to OpenTelemetry, in a file and in variables: most of them right, so that what is wrong is not always the
//! first thing of all. Where there is a canary, it is a secret.

use super::document::CANARY;
use arbitrary::{Result, Unstructured};
use std::fmt::Write;

/// Settings and, as YAML has them, values.
type Settings = &'static [(&'static str, &'static [&'static str])];

const FLAGS: &[&str] = &["true", "false", "'yes'", "{}"];
const ENDPOINTS: &[&str] = &[
    "'http://h:4318'",
    "'https://hunter2canary:hunter2canary@h/otlp/?k=hunter2canary'",
    "'http://me:hunter2canary@h/v1/traces?k=hunter2canary'",
    "'http://me:hunter2canary@h:4317/x/v1/metrics/v1/metrics/'",
    "'http://hunter2canary@h:14268/api/traces'",
    "'http://z:9411?hunter2canary'",
    "'ftp://me:hunter2canary@h'",
    "'http://h:hunter2canary/'",
    "'http://me:hunter2canary/x@h'",
    "'http://${V}@h'",
    "''",
];
const PROTOCOLS: &[&str] = &["grpc", "http/protobuf", "http/json", "thrift"];
const COMPRESSIONS: &[&str] = &["none", "gzip", "zstd", "br"];
const HEADERS: &[&str] = &[
    "{X-Team: hunter2canary}",
    "{X-Team: '${V}', X-B: b}",
    "{'a b': hunter2canary}",
    "{Content-Length: hunter2canary}",
    "{x-team: hunter2canary, X-Team: hunter2canary}",
    "{X-Team: \"hunter2canary\\n\"}",
    "{X-Team: {a: hunter2canary}}",
    "{authorization: hunter2canary}",
    "[hunter2canary]",
];
const TIMES: &[&str] = &["10s", "5", "1h30m", "0", "-1", "99999999999999h"];
const TLS: &[&str] = &[
    "{ca_file: '${FOLDER}/token'}",
    "{client_cert_file: '${FOLDER}/token', client_key_file: '${FOLDER}/token'}",
    "{client_key_file: '${FOLDER}/none'}",
    "{ca: a}",
    "hunter2canary",
];
const BOUNDS: &[&str] = &["[0.1, 1, 10]", "[]", "[2, 1]", "[.nan]", "[hunter2canary]", "hunter2canary"];
const TEXTS: &[&str] = &["a", "'${V}'", "hunter2canary", "1.10", "''", "[hunter2canary]"];
const ATTRIBUTES: &[&str] =
    &["{region: '${V}'}", "{'': hunter2canary}", "{a: hunter2canary, a: b}", "hunter2canary"];
const NUMBERS: &[&str] = &["7", "0", "-1", "1e3", "hunter2canary"];

const SETTINGS: Settings = &[
    ("endpoint", ENDPOINTS),
    ("otlp_endpoint", ENDPOINTS),
    ("traces_endpoint", ENDPOINTS),
    ("metrics_endpoint", ENDPOINTS),
    ("traces", FLAGS),
    ("metrics", FLAGS),
    ("protocol", PROTOCOLS),
    ("traces_protocol", PROTOCOLS),
    ("metrics_protocol", PROTOCOLS),
    ("headers", HEADERS),
    ("traces_headers", HEADERS),
    ("metrics_headers", HEADERS),
    (
        "auth",
        &[
            "{type: bearer, token: hunter2canary}",
            "{type: basic, username: me, password: hunter2canary}",
            "{type: basic, username: 'a:b', password: hunter2canary}",
            "{type: api_key, api_key: '${V}', header: X-Key}",
            "{type: api_key, api_key: hunter2canary, header: 'a b'}",
            "{type: bearer, token_secret: token}",
            "{type: bearer, token_secret: none}",
            "{type: bearer, token: {file: '${FOLDER}/token'}}",
            "{token: hunter2canary, api_key: hunter2canary}",
            "{type: none, token: hunter2canary}",
            "{type: hunter2canary}",
        ],
    ),
    ("token", TEXTS),
    ("api_key", TEXTS),
    ("compression", COMPRESSIONS),
    ("traces_compression", COMPRESSIONS),
    ("metrics_compression", COMPRESSIONS),
    ("timeout", TIMES),
    ("timeout_seconds", TIMES),
    ("traces_timeout", TIMES),
    ("metrics_timeout", TIMES),
    ("connect_timeout", TIMES),
    ("tls", TLS),
    ("traces_tls", TLS),
    ("metrics_tls", TLS),
    ("proxy", ENDPOINTS),
    ("local_address", &["127.0.0.1", "'::1'", "hunter2canary"]),
    ("temporality", &["cumulative", "delta", "lowmemory", "hunter2canary"]),
    ("temporality_preference", &["delta", "DELTA"]),
    (
        "default_histogram_aggregation",
        &["base2_exponential_bucket_histogram", "explicit_bucket_histogram", "hunter2canary"],
    ),
    ("explicit_bounds", BOUNDS),
    ("service_name", TEXTS),
    ("resource_attributes", ATTRIBUTES),
    ("attributes", ATTRIBUTES),
    ("span_name_prefix", TEXTS),
    ("create_child_spans", FLAGS),
    ("batch_size", NUMBERS),
    ("max_body", &["1MB", "5", "0", "hunter2canary"]),
    ("retry", &["{max_retries: 3}", "{retry_on_status_codes: [429, 500]}", "{max_retries: hunter2canary}"]),
    ("retry_config", &["{max_retries: 3}", "{multiplier: -1}", "{jitter: hunter2canary}"]),
    ("no_such_setting", &["hunter2canary"]),
];

/// OpenTelemetry's own, less what they begin with.
const OWN: &[(&str, &[&str])] = &[
    (
        "ENDPOINT",
        &["http://h:4318", "http://me:hunter2canary@h/v1/traces", "me:hunter2canary@h:4317", "h:4317", "://"],
    ),
    ("PROTOCOL", &["grpc", "http/json", "hunter2canary"]),
    ("INSECURE", &["true", "hunter2canary"]),
    (
        "HEADERS",
        &[
            "a=hunter2canary",
            "a=hunter2canary%0a",
            "=hunter2canary",
            "hunter2canary",
            "a b=hunter2canary",
            "a=%zz",
        ],
    ),
    ("TIMEOUT", &["10000", "-1", "hunter2canary"]),
    ("COMPRESSION", &["gzip", "hunter2canary"]),
    ("CERTIFICATE", &["${FOLDER}/token", "${FOLDER}/none"]),
    ("CLIENT_CERTIFICATE", &["${FOLDER}/token", "${FOLDER}/none"]),
    ("CLIENT_KEY", &["${FOLDER}/token", "${FOLDER}/none"]),
    ("TEMPORALITY_PREFERENCE", &["delta", "hunter2canary"]),
    ("DEFAULT_HISTOGRAM_AGGREGATION", &["explicit_bucket_histogram", "hunter2canary"]),
];

/// A configuration, and variables.
pub(crate) fn document(bytes: &[u8]) -> Result<(String, Vec<(String, String)>)> {
    let mut from = Unstructured::new(bytes);
    let mut text = "exporters:\n- name: a\n  type: opentelemetry\n  config:\n    name: b\n".to_owned();
    for (key, values) in some(&mut from, SETTINGS)? {
        let value = value(&mut from, key, values, |text| format!("{text:?}"))?;
        let _ = writeln!(text, "    {key}: {value}");
    }
    let mut variables = Vec::new();
    for (key, values) in some(&mut from, SETTINGS)? {
        let plain = |value: &str| value.trim_matches(['\'', '{', '}', '[', ']']).replace(": ", "=");
        let value = plain(&value(&mut from, key, values, str::to_owned)?);
        let prefix = from.choose(&["PROFILING_A", "PROFILING_OPENTELEMETRY"])?;
        variables.push((format!("{prefix}_{}", key.to_uppercase()), value));
    }
    for (key, values) in some(&mut from, OWN)? {
        let value = value(&mut from, key, values, str::to_owned)?;
        let signal = from.choose(&["", "TRACES_", "METRICS_"])?;
        variables.push((format!("OTEL_EXPORTER_OTLP_{signal}{key}"), value));
    }
    Ok((text, variables))
}

/// A few, none twice.
fn some(from: &mut Unstructured<'_>, of: Settings) -> Result<Vec<(&'static str, &'static [&'static str])>> {
    let mut some: Vec<_> =
        (0..from.int_in_range(0..=4)?).map(|_| from.choose(of).copied()).collect::<Result<_>>()?;
    some.sort_unstable();
    some.dedup();
    Ok(some)
}

/// One that is known, the first ones of which are right; or, where it is not shown, anything with a canary in it.
fn value(
    from: &mut Unstructured<'_>,
    key: &str,
    values: &[&str],
    quote: impl Fn(&str) -> String,
) -> Result<String> {
    let is_shown = key.to_lowercase().ends_with("endpoint")
        || ["proxy", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"].contains(&key);
    if !is_shown && from.ratio(1, 6)? {
        let (before, after): (&str, &str) = from.arbitrary()?;
        let text: String = format!("{before}{CANARY}{after}").chars().filter(|c| !c.is_control()).collect();
        return Ok(quote(&text));
    }
    let known = if from.ratio(1, 2)? { values.get(..2).unwrap_or(values) } else { values };
    from.choose(known).map(|value| (*value).to_owned())
}
