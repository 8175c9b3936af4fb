//! What the routes do.

#[expect(dead_code, reason = "nothing here serves a page")]
mod common;

use common::example;

#[test]
fn each_route_does_its_part() {
    let output = example("multi", &[]).output().expect("the example");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let lines = |start: &str, part: &str| {
        out.lines().filter(|line| line.starts_with(start) && line.contains(part)).count()
    };
    for (start, part, count) in [
        ("somebody is called when", "error_rate > 0.2 and function == \"charge\"", 1),
        ("parallel: not yet", "the remote backend is down, exporter: remote", 1),
        ("parallel: near took", ", 0 were lost", 3),
        ("parallel: remote took", ", 0 were lost", 3),
        ("failover: remote took 0 points", " were lost there", 1),
        ("failover: standby took", ", 0 were lost", 1),
        ("failover: remote took", ", 0 were lost", 2),
        ("conditional: on call took", ", 0 were lost", 1),
        ("conditional: archive took", ", 0 were lost", 2),
        ("near has 2 batches, 2 of them different", "", 1),
        ("failover: Ledger", "buffered: 0", 1),
        ("conditional: Ledger", "dropped: {}", 1),
    ] {
        assert_eq!(lines(start, part), count, "{start} … {part}: {out}");
    }
}
