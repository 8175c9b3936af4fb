//! That nothing is lost on the way.

#[expect(dead_code, reason = "nothing here serves a page")]
mod common;

use common::example;

#[test]
fn the_books_balance_and_every_call_arrives() {
    let output = example("resilient", &[]).output().expect("the example");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for part in [
        "the backend has 100 calls; healthy",
        "not sent: unavailable",
        "not sent: circuit_open",
        "the circuit is Some(Open)",
        "the backend has 700 calls; healthy",
        "the circuit is Some(Closed)",
        "dropped: {}",
        "the backend has 800 of 800 calls",
    ] {
        assert!(out.contains(part), "{part:?} is not in {out}");
    }
    assert!(err.contains("exporters: calls: an export failed: unavailable"), "{err}");
    assert!(err.contains("exporters: calls: exports succeed again"), "{err}");
}
