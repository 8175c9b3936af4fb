//! What the custom exporter sends, and to whom.

#[expect(dead_code, reason = "nothing here serves a page")]
mod common;

use std::process::Output;

use common::example;

fn run(variables: &[(&str, &str)]) -> Output {
    example("custom_exporter", &[]).envs(variables.iter().copied()).output().expect("the example")
}

#[test]
fn prints_what_arrives() {
    let output = run(&[("PROFILING_ACME_ENVIRONMENT", "test")]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.starts_with("sold for 150\nPOST /v1/metrics HTTP/1.1\n{"), "{out}");
    let document = out.split_once("HTTP/1.1\n").and_then(|(_, document)| document.split("POST").next());
    let document: serde_json::Value = serde_json::from_str(document.expect("a document")).expect("JSON");
    assert_eq!(document["resource"]["service.name"], "custom_exporter");
    assert_eq!(document["attributes"]["deployment.environment.name"], "test");
    let value = |name: &str, attributes: &[(&str, &str)]| {
        let points = document["metrics"].as_array().expect("metrics").iter();
        let mut points = points.filter(|point| point["name"] == name);
        let point =
            points.find(|point| attributes.iter().all(|(key, text)| point["attributes"][key] == *text));
        point.and_then(|point| point["value"].as_f64()).unwrap_or_else(|| panic!("{name} is not in {out}"))
    };
    assert_eq!(value("calls", &[("function", "charge"), ("result", "ok")]), 15.0);
    assert_eq!(value("calls", &[("function", "charge"), ("result", "error")]), 5.0);
    assert_eq!(value("acme.error.rate", &[]), 5.0 / 21.0);
    assert!((value("availability", &[]) - 16.0 / 21.0).abs() < 1e-9);
    assert!(value("latency_p95", &[("function", "checkout")]) > 0.0);
}

#[test]
fn the_environment_says_where_and_as_whom() {
    let output = run(&[("PROFILING_ACME_TOKEN", "a wrong one")]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("unauthorized: Acme did not take it"), "{err}");
    assert!(!err.contains("a wrong one"), "{err}");

    let output = run(&[("PROFILING_ACME_ENDPOINT", "acme")]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("variable PROFILING_ACME_ENDPOINT"), "{err}");
}
