//! What the exporter without a method sends.

#[expect(dead_code, reason = "nothing here serves a page")]
mod common;

use common::example;

#[test]
fn prints_what_arrives() {
    let output = example("custom_exporter_http", &[]).output().expect("the example");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.starts_with("sold for 230\nPOST /v1/metrics HTTP/1.1\n{"), "{out}");
    for part in ["\"throughput\"", "\"latency_p95\"", "\"deployment.environment.name\": \"example\""] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
}
