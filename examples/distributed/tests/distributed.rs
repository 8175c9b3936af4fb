//! The trace through two processes.

#[expect(dead_code, reason = "nothing here serves a page")]
#[path = "../../tests/common/mod.rs"]
mod common;

use common::example;

#[test]
fn it_is_one_tree() {
    let output = example("distributed", &[]).output().expect("the example");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.starts_with("The shop says: order 17: 17.99 paid\n\n"), "{out}");
    let tree: Vec<&str> = out.lines().skip(2).collect();
    let expected = [
        ("GET /checkout/{order} ", "server shop"),
        ("└─ shop::checkout ", "internal shop"),
        ("   ├─ shop::price ", "internal shop"),
        ("   └─ shop::charge ", "internal shop"),
        ("      └─ POST ", "client shop"),
        ("         └─ POST /charge ", "server payments"),
        ("            └─ payments::charge ", "internal payments"),
        ("               └─ payments::book ", "internal payments"),
    ];
    assert_eq!(tree.len(), expected.len(), "{out}");
    for (line, (name, of)) in tree.iter().zip(expected) {
        let words: Vec<&str> = line.strip_prefix(name).expect(line).split_whitespace().collect();
        let [kind, service, took, "ms", "ok"] = words[..] else { panic!("{line}") };
        assert_eq!(format!("{kind} {service}"), of);
        assert!(took.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn without_a_trace_it_fails() {
    let output = example("distributed", &[]).env("PROFILING_DISABLED", "1").output().expect("the example");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("the records cannot be read"), "{err}");
}
