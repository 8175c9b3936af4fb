//! What the three exporters of the file do.

#[expect(dead_code, reason = "nothing here serves a page")]
mod common;

use common::example;

#[test]
fn each_exporter_of_the_file_does_its_part() {
    let output = example("exporters_yaml", &[]).output().expect("the example");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for part in [
        "POST /v1/metrics HTTP/1.1",
        "POST /v1/alerts HTTP/1.1",
        "\"checkout_error_ratio\"",
        "\"checkout_slowest_milliseconds\"",
        "\"team\": \"payments\"",
        "\"service.name\": \"checkout\"",
        "function_calls_total{",
        "acme: Ledger { accepted: ",
        "acme-alerts: Ledger { accepted: ",
    ] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
}
