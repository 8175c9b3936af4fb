//! Which variable is about which exporter, and what it is over.

#![cfg(feature = "yaml")]

use super::*;
use crate::settings::Environment;
use std::time::Duration;

fn configured(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let environment: Environment =
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    match text {
        "" => Config::from_env(&environment),
        text => Config::parse(text, "f.yaml", &environment),
    }
}

/// The batch size of each exporter.
fn sizes(text: &str, variables: &[(&str, &str)]) -> Vec<usize> {
    let legs = configured(text, variables).unwrap().legs;
    legs.iter().map(|(leg, ..)| leg.options().unwrap().batch_size.unwrap()).collect()
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    let error = configured(text, variables).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    error
}

const TWO: &str = "exporters:\n- { name: primary, type: memory }\n- { name: primary-copy, type: memory }\n";

/// The receiver says how much of it is too much.
#[cfg(feature = "opentelemetry")]
#[test]
fn otlp_has_no_batch_size_unless_somebody_says() {
    let of = |more: &str| {
        let text =
            format!("exporters: [{{ type: opentelemetry, config: {{ endpoint: 'http://h:4318'{more} }} }}]");
        configured(&text, &[]).unwrap().legs[0].0.options().unwrap().batch_size
    };
    assert_eq!([of(""), of(", batch_size: 512")], [None, Some(512)]);
}

#[test]
fn a_variable_is_about_the_exporter_that_it_names() {
    let one = "exporters: [{ name: primary, type: memory, batch_size: 1 }]";
    assert_eq!(sizes(one, &[("PROFILING_PRIMARY_BATCH_SIZE", "7")]), [7]);
    assert_eq!(sizes(one, &[("PROFILING_MEMORY_BATCH_SIZE", "7")]), [7]);
    assert_eq!(sizes(TWO, &[("PROFILING_PRIMARY_BATCH_SIZE", "7")]), [7, 100]);
    // The longer name, although the other one could have a setting called `copy`.
    assert_eq!(sizes(TWO, &[("PROFILING_PRIMARY_COPY_BATCH_SIZE", "7")]), [100, 7]);
    // What has no name is called like its type.
    let called = "exporters: [{ type: memory }, { name: other, type: memory }]";
    assert_eq!(sizes(called, &[("PROFILING_MEMORY_BATCH_SIZE", "7")]), [7, 100]);
    let off = "exporters: [{ name: on, type: memory }, { type: memory, enabled: false }]";
    assert_eq!(sizes(off, &[("PROFILING_MEMORY_BATCH_SIZE", "7")]), [7]);
    let off = "exporters: [{ name: off, type: memory, enabled: false }]";
    assert_eq!(sizes(off, &[("PROFILING_MEMORY_ENABLED", "1")]), [100]);
    assert_eq!(sizes("", &[("PROFILING_MEMORY_BATCH_SIZE", "7")]), [7]);
}

#[test]
fn a_variable_that_could_be_about_several_is_refused() {
    let error = refused(TWO, &[("PROFILING_MEMORY_BATCH_SIZE", "7")]);
    let cure = "PROFILING_PRIMARY_BATCH_SIZE or PROFILING_PRIMARY_COPY_BATCH_SIZE";
    assert!(error.contains(cure) && error.contains("variable: PROFILING_MEMORY_BATCH_SIZE"), "{error}");
    let alike = "exporters: [{ type: memory }, { type: memory }]";
    let error = refused(alike, &[("PROFILING_MEMORY_BATCH_SIZE", "7")]);
    assert!(error.contains("give each a `name`"), "{error}");
    let one = "exporters: [{ name: primary, type: memory }]";
    let both = [("PROFILING_MEMORY_BATCH_SIZE", "7"), ("PROFILING_PRIMARY_BATCH_SIZE", "8")];
    let error = refused(one, &both);
    assert!(
        error.contains("two variables are set") && both.iter().all(|(name, _)| error.contains(name)),
        "{error}"
    );
}

#[test]
fn a_variable_that_no_setting_has_is_refused() {
    let error = refused(TWO, &[("PROFILING_PRIMARY_COPY_BATCHSIZE", "hunter2")]);
    assert!(error.contains("did you mean `PROFILING_PRIMARY_COPY_BATCH_SIZE`?"), "{error}");
    // Of one that does not run, and of nobody.
    assert_eq!(sizes(TWO, &[("PROFILING_NOBODY_X", "7")]), [100, 100]);
}

#[test]
fn a_list_says_nothing_twice() {
    let error = refused("", &[("PROFILING_MEMORY_LABELS", "team=hunter2, other=x, team=hunter2")]);
    assert!(
        error.contains(
            "given twice, setting: exporters[0].labels[2], in: the variable PROFILING_MEMORY_LABELS"
        ),
        "{error}"
    );
}

#[test]
fn without_a_file_the_place_is_the_variables() {
    let error = refused("", &[("PROFILING_MEMORY_BATCH_SIZE", "0")]);
    assert!(error.contains("batch_size, in: the variables PROFILING_MEMORY_…"), "{error}");
}

#[test]
fn a_variable_is_over_the_file_by_whichever_name() {
    let waits = |text: &str, variable| {
        let config = configured(text, &[(variable, "7s")]).unwrap();
        config.legs.iter().filter_map(|(leg, ..)| leg.flush_interval).collect::<Vec<_>>()
    };
    let seven = [Duration::from_secs(7)];
    for file in [
        "flush_interval: 5s",
        "flush_interval_seconds: 5",
        "config: { flush_interval_seconds: 5 }",
        "buffer: { flush_interval: 5s }",
    ] {
        let text = format!("exporters: [{{ type: memory, {file} }}]");
        for variable in ["PROFILING_MEMORY_FLUSH_INTERVAL", "PROFILING_MEMORY_FLUSH_INTERVAL_SECONDS"] {
            assert_eq!(waits(&text, variable), seven, "{variable} over {file}");
        }
    }
    // Neither is over the other.
    let twice = "exporters: [{ type: memory, flush_interval_seconds: 5, flush_interval: 6s }]";
    assert!(refused(twice, &[]).contains("given twice"));
    assert!(refused(twice, &[("PROFILING_MEMORY_FLUSH_INTERVAL", "7s")]).contains("given twice"));
    let variables =
        [("PROFILING_MEMORY_FLUSH_INTERVAL", "7s"), ("PROFILING_MEMORY_FLUSH_INTERVAL_SECONDS", "8")];
    let error = refused("", &variables);
    assert!(
        error.contains("given twice") && error.contains("in: the variable PROFILING_MEMORY_FLUSH"),
        "{error}"
    );
}

#[cfg(feature = "http")]
#[test]
fn parts_and_credentials_are_over_the_file_by_whichever_name() {
    let shown = |config: &str, variables: &[(&str, &str)]| {
        let text = format!("exporters: [{{ type: http, config: {{ endpoint: 'http://h', {config} }} }}]");
        format!("{:?}", configured(&text, variables).unwrap().legs)
    };
    let retry = shown(
        "retry: { max_retries: 9, max_backoff_seconds: 90 }",
        &[("PROFILING_HTTP_RETRY_CONFIG_MAX_DELAY", "70s"), ("PROFILING_HTTP_TIMEOUT_SECONDS", "3")],
    );
    for part in ["max_retries: 9", "max_delay: 70s", " timeout: 3s"] {
        assert!(retry.contains(part), "{part} is not in {retry}");
    }
    let auth = shown("auth: { auth_type: basic, token: a }", &[("PROFILING_HTTP_AUTH_TYPE", "bearer")]);
    assert!(auth.contains("Some(Bearer)"), "{auth}");
    for (file, variable) in [
        ("auth: { token: file }", "PROFILING_HTTP_TOKEN"),
        ("auth: { token_secret: file }", "PROFILING_HTTP_TOKEN"),
        ("token: file", "PROFILING_HTTP_AUTH_TOKEN"),
        ("token_secret: file", "PROFILING_HTTP_AUTH_TOKEN"),
    ] {
        // A secret that is not one shows that it, and not that of the file, was taken.
        let text = format!("exporters: [{{ type: http, config: {{ endpoint: 'http://h', {file} }} }}]");
        let error = refused(&text, &[(variable, "hunter2\n")]);
        assert!(error.contains("what a header cannot"), "{file}: {error}");
        shown(file, &[(variable, "good")]);
    }
    let both = [("PROFILING_HTTP_TOKEN", "hunter2"), ("PROFILING_HTTP_AUTH_TOKEN", "hunter2")];
    assert!(
        refused("exporters: [{ type: http, config: { endpoint: 'http://h' } }]", &both)
            .contains("both given")
    );
}

#[test]
fn a_fallback_is_made_from_whatever_says_so() {
    let shown = |resilience: &str, variables: &[(&str, &str)]| {
        let text = format!("exporters: [{{ type: memory, name: a, {resilience} }}]");
        format!("{:?}", configured(&text, variables).unwrap().legs)
    };
    let only =
        shown("resilience: { fallback: { type: memory, name: spare, config: { capacity: 77 } } }", &[]);
    assert!(only.contains("capacity: 77"), "{only}");
    for nothing in ["resilience: { fallback: null }", "resilience: { fallback: }"] {
        let shown = shown(nothing, &[]);
        assert!(shown.contains("Retry") && !shown.contains("Fallback {"), "{shown}");
    }
    let nothing = shown("resilience: null, monitor: null, filter: null, labels: ~", &[]);
    assert!(!nothing.contains("Retry {") && nothing.contains("monitor: None"), "{nothing}");
    let less = shown("resilience: { circuit_breaker: null, timeout: null }", &[]);
    assert!(!less.contains("CircuitBreaker {") && !less.contains("Timeout {"), "{less}");
    let prometheus = "exporters: [{ type: memory, resilience: { fallback: { type: prometheus } } }]";
    assert!(refused(prometheus, &[]).contains("is scraped, not sent to"));
    let zero = "exporters: [{ type: memory, resilience: { timeout: 0s } }]";
    let zero = refused(zero, &[]);
    assert!(zero.contains("not a duration") && zero.contains("resilience.timeout"), "{zero}");
}

#[cfg(feature = "file")]
#[test]
fn a_fallback_of_files_writes_records_also_where_variables_say_the_rest() {
    for config in ["", ", config: null", ", config: {}"] {
        let text =
            format!("exporters: [{{ type: memory, resilience: {{ fallback: {{ type: file{config} }} }} }}]");
        let shown = format!("{:?}", configured(&text, &[("PROFILING_FILE_DIRECTORY", "/d")]).unwrap().legs);
        assert!(shown.contains("format: Records"), "{shown}");
    }
}
