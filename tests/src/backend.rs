//! Finds the programs that tests talk to, and ends those that a test started.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The program that `tests/backends.sh` installed as `key`, for example `BACKEND_PROMETHEUS`.
///
/// `None`, with a line on standard error, where it is not there: the test is left out. With
/// `EXPORTERS_REQUIRE_BACKENDS=1`, as `tests/run` sets it, that is a failure instead.
///
/// # Panics
/// See above.
pub fn program(key: &str) -> Option<PathBuf> {
    let found = env::var(key).ok().or_else(|| listed(key)).map(PathBuf::from).filter(|path| path.exists());
    if found.is_none() {
        let required = env::var("EXPORTERS_REQUIRE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(!required, "{key} is not installed: run tests/backends.sh");
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        eprintln!("LEFT OUT: {test}: {key} is not installed (tests/backends.sh installs it)");
    }
    found
}

fn listed(key: &str) -> Option<String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/backends/backends.env");
    let list = fs::read_to_string(list).ok()?;
    list.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
}

/// A program that runs until this is dropped, and an empty directory that goes with it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    directory: PathBuf,
}

impl Process {
    /// Starts what `command` makes of a fresh directory. Standard error goes to `stderr` there.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(name: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let unique = format!("exporters-{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = env::temp_dir().join(unique);
        fs::create_dir_all(&directory).expect("a directory");
        let log = fs::File::create(directory.join("stderr")).expect("a file");
        let child = command(&directory).stderr(log).stdin(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{name}: {error}")), directory }
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.directory.join("stderr")).unwrap_or_default()
    }

    /// What it said on standard output so far, where that goes to `stdout` in its directory.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.directory.join("stdout")).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and a test that fails already has something better to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
