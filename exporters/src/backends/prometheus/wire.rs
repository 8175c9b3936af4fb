//! What Prometheus allows: names, units, escaping and numbers, by OpenTelemetry's rules of translation.

use crate::{Attributes, Descriptor, Scope};
use std::fmt::Write as _;

/// The longest label value in bytes; the rest is cut off.
const MAX_VALUE: usize = 256;

/// A metric's type in the exposition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A counter; `suffix` says whether its samples are called `<family>_total`.
    Counter { suffix: bool },
    /// A gauge, or a sum that may go down.
    Gauge,
    /// A histogram.
    Histogram,
}

/// What a family is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    /// The name without `_total`.
    pub(super) family: String,
    /// The unit that the name ends with; empty for none.
    pub(super) unit: String,
    pub(super) kind: Kind,
}

/// The name of a metric by the conventions: `function.calls.duration` in `s` is `function_calls_duration_seconds`.
pub(super) fn name(descriptor: &Descriptor, kind: Kind, namespace: Option<&str>) -> Name {
    let unit = unit(&descriptor.unit, kind);
    if descriptor.exact_name {
        return exact_name(descriptor, kind, unit);
    }
    let mut family = String::with_capacity(descriptor.name.len() + unit.len() + 8);
    if let Some(namespace) = namespace {
        push_sanitised(&mut family, namespace);
        push_separator(&mut family);
    }
    push_sanitised(&mut family, &descriptor.name);
    if matches!(kind, Kind::Counter { .. }) {
        strip_suffix(&mut family, "total");
    }
    if !unit.is_empty() && family != unit && !ends_with_word(&family, &unit) {
        push_separator(&mut family);
        family.push_str(&unit);
    }
    let unit = if ends_with_word(&family, &unit) { unit } else { String::new() };
    Name { family, unit, kind }
}

/// A name that a user chose: nothing is added, and only what is forbidden is changed.
fn exact_name(descriptor: &Descriptor, kind: Kind, unit: String) -> Name {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut family: String = descriptor.name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if family.is_empty() || family.starts_with(|c: char| c.is_ascii_digit()) {
        family.insert(0, '_');
    }
    let kind = match kind {
        Kind::Counter { .. } => Kind::Counter { suffix: strip_suffix(&mut family, "total") },
        other => other,
    };
    let unit = if ends_with_word(&family, &unit) { unit } else { String::new() };
    Name { family, unit, kind }
}

fn strip_suffix(name: &mut String, word: &str) -> bool {
    let found = ends_with_word(name, word);
    if found {
        name.truncate(name.len() - word.len() - 1);
    }
    found
}

fn ends_with_word(name: &str, word: &str) -> bool {
    let rest = name.strip_suffix(word).and_then(|rest| rest.strip_suffix('_'));
    !word.is_empty() && rest.is_some_and(|rest| !rest.is_empty())
}

fn push_separator(out: &mut String) {
    if !out.ends_with('_') {
        out.push('_');
    }
}

/// Appends `raw` with every run of forbidden characters and underscores as one `_`, and one before a leading digit.
fn push_sanitised(out: &mut String, raw: &str) {
    let start = out.len();
    if raw.is_empty() || (start == 0 && raw.starts_with(|c: char| c.is_ascii_digit())) {
        out.push('_');
    }
    for c in raw.chars() {
        match c.is_ascii_alphanumeric() {
            true => out.push(c),
            false => push_separator(out),
        }
    }
}

/// A UCUM unit as the words that Prometheus puts into names: `By/s` is `bytes_per_second`; `{call}` is nothing.
fn unit(ucum: &str, kind: Kind) -> String {
    if ucum == "1" {
        return if kind == Kind::Gauge { "ratio".into() } else { String::new() };
    }
    let (unit, per) = ucum.split_once('/').unwrap_or((ucum, ""));
    let mut words = String::new();
    let mut push = |word: &str| {
        if word.chars().any(|c| c.is_ascii_alphanumeric()) {
            if !words.is_empty() {
                push_separator(&mut words);
            }
            push_sanitised(&mut words, word);
        }
    };
    push(plural(without_annotation(unit)));
    let per = singular(without_annotation(per));
    if !per.is_empty() {
        push("per");
        push(per);
    }
    words.trim_matches('_').to_owned()
}

fn without_annotation(unit: &str) -> &str {
    unit.split('{').next().unwrap_or_default().trim()
}

fn plural(unit: &str) -> &str {
    match unit {
        "1" => "",
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" | "µs" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "kBy" | "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        other => other,
    }
}

fn singular(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "min" | "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" | "wk" => "week",
        "mo" => "month",
        "y" | "a" => "year",
        other => other,
    }
}

/// Labels ready to be written: names valid, sorted and unique; no value empty or too long.
pub(super) type Labels = Vec<(String, String)>;

/// The labels of one series. Where keys become the same name, their values are joined by `;`.
pub(super) fn labels<'a>(
    constant: impl IntoIterator<Item = (&'a String, &'a String)>,
    scope: Option<&Scope>,
    attributes: &Attributes,
    kind: Kind,
) -> Labels {
    let mut all: Labels = constant.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    if let Some(scope) = scope {
        all.push(("otel_scope_name".into(), scope.name.clone().into_owned()));
        all.push(("otel_scope_version".into(), scope.version.clone().into_owned()));
    }
    all.extend(attributes.iter().map(|a| (a.key.clone().into_owned(), a.value.to_string())));
    for (key, _) in &mut all {
        let mut name = String::with_capacity(key.len());
        push_sanitised(&mut name, key);
        // `le` is the histogram's own label.
        *key = if kind == Kind::Histogram && name == "le" { "exported_le".into() } else { name };
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1.push(';');
            first.1.push_str(&later.1);
        }
        same
    });
    all.iter_mut().for_each(|(_, value)| value.truncate(value.floor_char_boundary(MAX_VALUE)));
    // To Prometheus an empty value and no label are the same thing.
    all.retain(|(_, value)| !value.is_empty());
    all
}

/// Escapes a label's value, in all text formats, and help in OpenMetrics.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    escape_with(out, text, true);
}

/// Escapes help in text 0.0.4, where quotes stay.
pub(super) fn escape_help(out: &mut Vec<u8>, text: &str) {
    escape_with(out, text, false);
}

fn escape_with(out: &mut Vec<u8>, text: &str, quotes: bool) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            other => out.push(other),
        }
    }
}

/// A bucket's bound as Prometheus itself writes it: `1.0`, `9.5367431640625e-07`, `1.048576e+06`.
pub(super) fn le(bound: f64) -> String {
    let scientific = format!("{bound:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let mut text = format!("{bound}");
        if !text.contains('.') {
            text.push_str(".0");
        }
        return text;
    }
    let mut text = String::from(mantissa);
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a `String` does not fail.
    let _ = write!(text, "e{sign}{:02}", exponent.abs());
    text
}

/// A number of a sample.
pub(super) fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyValue;

    const COUNTER: Kind = Kind::Counter { suffix: true };

    fn named(
        metric: &'static str,
        unit: &'static str,
        kind: Kind,
        exact_name: bool,
    ) -> (String, String, Kind) {
        let descriptor =
            Descriptor { name: metric.into(), unit: unit.into(), description: "".into(), exact_name };
        let Name { family, unit, kind } = name(&descriptor, kind, None);
        (family, unit, kind)
    }

    #[test]
    fn names_follow_the_conventions() {
        let cases = [
            ("function.calls", "{call}", COUNTER, "function_calls", ""),
            ("function.calls.duration", "s", Kind::Histogram, "function_calls_duration_seconds", "seconds"),
            ("function.calls.allocated", "By", COUNTER, "function_calls_allocated_bytes", "bytes"),
            ("disk.io", "By/s", Kind::Gauge, "disk_io_bytes_per_second", "bytes_per_second"),
            ("packets", "{packet}/s", Kind::Gauge, "packets_per_second", "per_second"),
            ("queue.use", "1", Kind::Gauge, "queue_use_ratio", "ratio"),
            ("tries", "1", COUNTER, "tries", ""),
            ("jobs_total", "", COUNTER, "jobs", ""),
            ("jobs_seconds_total", "s", COUNTER, "jobs_seconds", "seconds"),
            ("jobs_seconds", "s", Kind::Gauge, "jobs_seconds", "seconds"),
            ("seconds", "s", Kind::Gauge, "seconds", ""),
            ("total", "", COUNTER, "total", ""),
            ("9 lives__and.ümlauts", "", Kind::Gauge, "_9_lives_and_mlauts", ""),
            ("a.", "µ/{x}", Kind::Gauge, "a_", ""),
            ("", "", Kind::Gauge, "_", ""),
        ];
        for (metric, ucum, kind, family, unit) in cases {
            assert_eq!(named(metric, ucum, kind, false), (family.into(), unit.into(), kind), "{metric}");
        }
        let descriptor = Descriptor { name: "calls".into(), ..Default::default() };
        assert_eq!(name(&descriptor, COUNTER, Some("my.app")).family, "my_app_calls");
    }

    #[test]
    fn an_exact_name_is_kept() {
        let plain = Kind::Counter { suffix: false };
        assert_eq!(named("a:b__c", "s", Kind::Gauge, true), ("a:b__c".into(), String::new(), Kind::Gauge));
        assert_eq!(named("x_seconds", "s", Kind::Gauge, true).1, "seconds");
        assert_eq!(named("x_total", "", COUNTER, true), ("x".into(), String::new(), COUNTER));
        assert_eq!(named("x", "s", COUNTER, true), ("x".into(), String::new(), plain));
        assert_eq!(named("1 x", "", Kind::Gauge, true).0, "_1_x");
    }

    #[test]
    fn labels_are_valid_sorted_unique_and_short() {
        let attributes: Attributes = [
            KeyValue::new("b.c", "2"),
            KeyValue::new("b_c", "3"),
            KeyValue::new("a", true),
            KeyValue::new("le", 0.5),
            KeyValue::new("__name__", "x"),
            KeyValue::new("empty", ""),
            KeyValue::new("long", "é".repeat(200)),
        ]
        .into_iter()
        .collect();
        let scope = Scope { name: "my-crate".into(), version: "".into() };
        let labels = labels(None, Some(&scope), &attributes, Kind::Histogram);
        let expected = [("_name_", "x"), ("a", "true"), ("b_c", "2;3"), ("exported_le", "0.5")];
        assert_eq!(labels[..4], expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(labels[4].1.len(), 256);
        assert_eq!(labels[5], ("otel_scope_name".to_owned(), "my-crate".to_owned()));
        assert_eq!(labels.len(), 6);
    }

    #[test]
    fn bounds_are_written_as_prometheus_writes_them() {
        for (bound, text) in [
            (1.0, "1.0"),
            (0.25, "0.25"),
            (2f64.powi(-20), "9.5367431640625e-07"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (0.0, "0.0"),
            (-2.5, "-2.5"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(le(bound), text);
        }
    }
}
