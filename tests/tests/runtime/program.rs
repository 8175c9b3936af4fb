//! Runs the child program, and fails where it hangs.

use super::LONG;
use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// A program's end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// What its exporter was sent: the process, and the new calls of `work`.
    pub(crate) sent: Vec<(u32, u64)>,
}

impl Ended {
    /// What one of the processes sent, in sum.
    pub(crate) fn calls_sent(&self) -> u64 {
        self.sent.iter().map(|(_, calls)| calls).sum()
    }
}

/// A name nobody else uses, and nothing at it when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Runs a scenario of the child program to its end, in an environment of which only `variables` are about us.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("exporters-sent-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let sent = Temporary(env::temp_dir().join(name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime_child"));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PROFILING_") || name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
    }
    if arguments != ["init"] {
        command.env("PROFILING_PROMETHEUS_LISTEN", "127.0.0.1:0");
    }
    command.args(arguments).env("SENT", &sent.0).envs(variables.iter().copied());
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = wait.recv_timeout(LONG) else {
        // SAFETY: ends the process that was started here, and has not been waited for.
        unsafe { libc::kill(id.cast_signed(), libc::SIGKILL) };
        panic!("{arguments:?} hangs");
    };
    let took = began.elapsed();
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let lines = fs::read_to_string(&sent.0).unwrap_or_default();
    let line = |line: &str| {
        let (process, calls) = line.split_once(' ')?;
        Some((process.parse().ok()?, calls.parse().ok()?))
    };
    let sent = lines.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text}"))).collect();
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr), took, sent }
}
