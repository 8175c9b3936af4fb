//! The page of metrics on an axum server.

mod common;

use std::io::{BufRead, BufReader};

use common::{calls, example, get};

#[test]
fn shows_what_the_handlers_did() {
    let mut server = example("axum_metrics", &["127.0.0.1:0"]).spawn().expect("the example");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    let mut url = || {
        let line = lines.next().expect("a line").expect("UTF-8");
        line.rsplit(' ').next().expect("a URL").to_owned()
    };
    let (bad, metrics) = (url(), url());
    let good = bad.replace("/42", "/Ada");

    assert_eq!(get(&good), (200, "Good day, Ada\n".to_owned()));
    assert_eq!(get(&good).0, 200);
    assert_eq!(get(&bad).0, 400);
    let (status, page) = get(&metrics);
    assert_eq!(status, 200);
    assert_eq!(calls(&page, "greet", "ok"), 2.0, "{page}");
    assert_eq!(calls(&page, "greet", "error"), 1.0, "{page}");

    // What `Child::kill` sends would not reach the server behind `timeout`.
    let stopped = std::process::Command::new("kill").arg(server.id().to_string()).status().expect("kill");
    assert!(stopped.success());
    server.wait().expect("its status");
}
