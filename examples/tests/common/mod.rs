//! What the tests of the examples share: starting one, and reading a page of it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

/// An example; cargo builds it beside the tests of its package. It serves on a free port, unless it is told another.
pub(crate) fn example(name: &str, arguments: &[&str]) -> Command {
    let tests = std::env::current_exe().expect("the path of this test");
    let profile = tests.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    // Should it hang, the test fails instead of doing the same.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", "60"]).arg(profile.join("examples").join(name)).args(arguments);
    command.env("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The status and the body of the page at `url`.
pub(crate) fn get(url: &str) -> (u16, String) {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect(url);
    let mut stream = TcpStream::connect(host).expect(host);
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a response");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect(head), body.to_owned())
}

/// How often `function` ended with `result`, as a page in text says.
pub(crate) fn calls(page: &str, function: &str, result: &str) -> f64 {
    let labels = [format!("function=\"{function}\""), format!("result=\"{result}\"")];
    let lines = page.lines().filter(|line| line.starts_with("function_calls_total{"));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).expect(line)).sum()
}
