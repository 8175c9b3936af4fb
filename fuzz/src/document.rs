//! Documents that are almost right, with a canary in their values, made of arbitrary bytes.

use arbitrary::{Result, Unstructured};
use std::fmt::Write;

/// What no error may say.
pub(crate) const CANARY: &str = "hunter2canary";

/// Keys that there are, and beside them what a value may be.
pub(crate) type Keys = &'static [(&'static str, &'static [&'static str])];

const DURATIONS: &[&str] = &["10s", "1h30m", "0.5", "5", "1e3", "99999999999999h"];
const NUMBERS: &[&str] =
    &["1", "0", "-1", "0x10", "0x-5", "1_000", "1e3", ".5", "+5", ".inf", "70000", "1e400"];
const FLAGS: &[&str] = &["true", "false", "1", "yes", "TRUE"];
const TEXTS: &[&str] = &["a", "~", "null", "", "${V}", "${NONE:-x}", "$${V}", "1.10", "a=b, c=d"];
const FILES: &[&str] = &["${FOLDER}/token", "${FOLDER}/none", "/etc/passwd", "${FOLDER}/../x"];
const SECRETS: &[&str] = &["token", "none", "v", ".", "a/b"];
const URLS: &[&str] = &[
    "http://h/",
    "https://hunter2canary@h:1/a?b=hunter2canary",
    "http://u:hunter2canary@[::1]/",
    "ftp://hunter2canary",
    "http://h:hunter2canary/",
    "http://%zz@h",
];
const SOURCES: &[&str] =
    &["p95_latency_ms", "function.calls", "function.calls.duration:p95", "error_rate:p1"];
const NONE: &[&str] = &[];

pub(crate) const CONFIGURATION: Keys = &[
    ("exporters", NONE),
    ("service", NONE),
    ("name", &["a", "b"]),
    ("version", TEXTS),
    ("attributes", TEXTS),
    ("interval", DURATIONS),
    ("series_idle_for", DURATIONS),
    ("type", &["http", "prometheus", "memory", "basic", "bearer", "gauge", "none", "promtheus"]),
    ("enabled", FLAGS),
    ("config", NONE),
    ("batch_size", NUMBERS),
    ("flush_interval", DURATIONS),
    ("flush_interval_seconds", DURATIONS),
    ("metrics_mapping", NONE),
    ("custom_metrics", NONE),
    ("error_rate", NONE),
    ("function.calls.duration", NONE),
    ("metric_name", &["a", "b"]),
    ("source", SOURCES),
    ("unit", &["ms", "s"]),
    ("stat", &["p95", "rate", "p1"]),
    ("filter", NONE),
    ("include", &["*", "function.*"]),
    ("exclude", &["*"]),
    ("labels", TEXTS),
    ("capacity", NUMBERS),
    ("listen", &["127.0.0.1:0", "0.0.0.0:0", "localhost:1"]),
    ("path", &["/metrics", "metrics", "/a b"]),
    ("allow_remote", FLAGS),
    ("max_connections", NUMBERS),
    ("classic_buckets", NUMBERS),
    ("namespace", TEXTS),
    ("endpoint", URLS),
    ("method", &["PUT", "post", "G T"]),
    ("headers", TEXTS),
    ("X-Team", TEXTS),
    ("auth", NONE),
    ("token", TEXTS),
    ("token_secret", SECRETS),
    ("api_key", TEXTS),
    ("file", FILES),
    ("header", &["X-Key", "Content-Length", "a b"]),
    ("username", &["me", "a:b"]),
    ("password", TEXTS),
    ("format", &["json", "csv", "messagepack", "prometheus", "xml"]),
    ("compression", &["none", "gzip", "zstd", "br"]),
    ("max_body", &["1MB", "5", "1e3kB", "9999999999GB"]),
    ("timeout", DURATIONS),
    ("timeout_seconds", DURATIONS),
    ("tls", NONE),
    ("ca_file", FILES),
    ("client_key_file", FILES),
    ("proxy", URLS),
    ("local_address", &["127.0.0.1", "::1", "h"]),
    ("retry", NONE),
    ("max_retries", NUMBERS),
    ("multiplier", NUMBERS),
    ("retry_on_status_codes", NUMBERS),
];

pub(crate) const ZOO: Keys = &[
    ("pair", TEXTS),
    ("meters", NUMBERS),
    ("nothing", &["~", "null", ""]),
    ("letter", &["a", "~", "ab", "ü"]),
    ("wide", &["340282366920938463463374607431768211455", "-1", "0xff"]),
    ("signed", &["-170141183460469231731687303715884105728", "0o7"]),
    ("narrow", NUMBERS),
    ("ratio", NUMBERS),
    ("on", FLAGS),
    ("bytes", NUMBERS),
    ("external", &["unit", "wrapped", "none"]),
    ("unit", NONE),
    ("wrapped", NUMBERS),
    ("tuple", NUMBERS),
    ("fields", NONE),
    ("internal", NONE),
    ("type", &["a", "b", "c"]),
    ("adjacent", NONE),
    ("content", NUMBERS),
    ("untagged", NUMBERS),
    ("list", NONE),
    ("map", NONE),
    ("by_number", NONE),
    ("5", NONE),
    ("inner", NONE),
    ("count", NUMBERS),
    ("word", TEXTS),
    ("flat", NONE),
    ("token", TEXTS),
    ("token_secret", SECRETS),
    ("file", FILES),
    ("wait", DURATIONS),
    ("wait_ms", DURATIONS),
    ("size_mb", NUMBERS),
    ("address", &["127.0.0.1", "::1"]),
    ("picky", TEXTS),
    ("whole", NONE),
];

pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) variables: Vec<(String, String)>,
    /// Whether the canary stands only where a value is.
    pub(crate) with_canary: bool,
}

impl Document {
    pub(crate) fn raw(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.to_owned();
        Some(Self { with_canary: !text.contains(CANARY), text, variables: Vec::new() })
    }

    pub(crate) fn of(bytes: &[u8], keys: Keys) -> Option<Self> {
        let mut make = Make { from: Unstructured::new(bytes), keys, text: String::new() };
        make.map(0, keys.first().is_some_and(|(key, _)| *key == "exporters")).ok()?;
        let variables = make.variables().unwrap_or_default();
        Some(Self { text: make.text, variables, with_canary: true })
    }
}

struct Make<'a> {
    from: Unstructured<'a>,
    keys: Keys,
    text: String,
}

impl Make<'_> {
    fn map(&mut self, depth: usize, configuration: bool) -> Result<()> {
        self.text.push('{');
        if configuration {
            self.text.push_str("exporters: [");
            while self.more(2, 3)? {
                let kind = *self.from.choose(&["http", "prometheus", "memory"])?;
                let _ = write!(self.text, "{{type: {kind}, config: ");
                self.map(2, false)?;
                for (key, is_map) in [("metrics_mapping", true), ("filter", true), ("enabled", false)] {
                    if self.from.ratio(1, 4)? {
                        let _ = write!(self.text, ", {key}: ");
                        if is_map { self.map(2, false)? } else { self.value(key, &[], 2)? }
                    }
                }
                self.text.push_str("}, ");
            }
            self.text.push_str("], ");
        }
        while self.more(3, 4)? {
            let (key, values) = *self.from.choose(self.keys)?;
            match self.from.int_in_range(0..=30)? {
                0 => {
                    let key: &str = self.from.arbitrary()?;
                    self.quoted(&key.replace(CANARY, ""));
                }
                1 => self.quoted(&"k".repeat(3000)),
                _ => self.text.push_str(key),
            }
            self.text.push_str(": ");
            self.value(key, values, depth)?;
            self.text.push_str(", ");
        }
        self.text.push('}');
        Ok(())
    }

    /// Whether another one comes; none does when the bytes are used up.
    fn more(&mut self, numerator: u8, denominator: u8) -> Result<bool> {
        Ok(!self.from.is_empty() && self.from.ratio(numerator, denominator)?)
    }

    fn value(&mut self, key: &str, values: &[&str], depth: usize) -> Result<()> {
        // What is no secret may be repeated: names, and files.
        let name = key.ends_with("file") || key.ends_with("name") || key == "type";
        let kinds = if values.is_empty() { 6..=11 } else { 0..=11 };
        match self.from.int_in_range(kinds)? {
            0..=5 => {
                let value = *self.from.choose(values)?;
                if self.from.ratio(1, 4)? { self.quoted(value) } else { self.text.push_str(plain(value)) }
            }
            6 | 7 if depth < 6 => self.map(depth + 1, false)?,
            8 if depth < 6 => {
                self.text.push('[');
                while self.more(1, 2)? {
                    self.value(key, values, depth + 1)?;
                    self.text.push_str(", ");
                }
                self.text.push(']');
            }
            9 if !name => self.text.push_str(CANARY),
            10 if !name => {
                let (before, after): (&str, &str) = self.from.arbitrary()?;
                self.quoted(&format!("{before}{CANARY}{after}"));
            }
            _ => {
                let text: &str = self.from.arbitrary()?;
                self.quoted(&text.replace(CANARY, ""));
            }
        }
        Ok(())
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                c if c.is_control() => _ = write!(self.text, "\\u{:04x}", u32::from(c)),
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    fn variables(&mut self) -> Result<Vec<(String, String)>> {
        let mut variables = Vec::new();
        while self.more(1, 2)? {
            let mut name = self
                .from
                .choose(&["PROFILING_HTTP", "PROFILING_PROMETHEUS", "PROFILING", "PROFILING_FUZZ"])?
                .to_string();
            let (key, values) = *self.from.choose(self.keys)?;
            let mut last = (key, values);
            let _ = write!(name, "_{}", key.to_uppercase());
            if self.from.ratio(1, 3)? {
                last = *self.from.choose(self.keys)?;
                let _ = write!(name, "_{}", last.0.to_uppercase());
            }
            let is_name = last.0.ends_with("file") || last.0.ends_with("name") || last.0 == "type";
            let text = if is_name || !last.1.is_empty() && self.from.ratio(1, 2)? {
                self.from.choose(if last.1.is_empty() { TEXTS } else { last.1 })?.to_string()
            } else {
                let (before, after): (&str, &str) = self.from.arbitrary()?;
                format!("{before}{CANARY}{after}")
            };
            variables.push((name, text));
        }
        Ok(variables)
    }
}

/// What would end a value in a flow is none in it.
fn plain(text: &str) -> &str {
    if text.contains([',', '{', '}', '[', ']', '%', ':']) && !text.starts_with('$') { "x" } else { text }
}
