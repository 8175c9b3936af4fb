//! What the benchmarks share: how they are asked, a process per subject, how calls are timed, medians, and resident memory.

pub mod allocations;
pub mod calls;

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

/// Any failure of a benchmark; it ends the run.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the user asked for on the command line.
#[derive(Debug)]
pub struct Arguments(Vec<String>);

impl Arguments {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Whether `flag` was given.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|argument| argument == flag)
    }

    /// A short run, which only shows that everything works. `cargo test` asks for one by leaving out the `--bench` that
    /// `cargo bench` passes.
    #[must_use]
    pub fn quick(&self) -> bool {
        self.has("--quick") || !self.has("--bench")
    }

    /// Whether the user's filter, if there is one, lets `name` through.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        let mut filters = self.0.iter().filter(|argument| !argument.starts_with("--")).peekable();
        filters.peek().is_none() || filters.any(|filter| name.contains(filter.as_str()))
    }

    /// The words after `--child`, by which a benchmark starts itself once more for one subject.
    #[must_use]
    pub fn child(&self) -> Option<&[String]> {
        self.0.split_first().filter(|(first, _)| *first == "--child").map(|(_, rest)| rest)
    }
}

/// Runs this program once more as `--child words…`; returns the numbers it printed.
///
/// # Errors
///
/// The child could not be started, failed, or printed something else than numbers.
pub fn child(words: &[&str]) -> Result<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .arg("--child")
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let printed = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("{}: {}, after printing {printed:?}", words.join(" "), output.status).into());
    }
    // Only the last line is ours: some of the peers print too.
    let last = printed.lines().last().unwrap_or_default();
    Ok(last.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?)
}

/// Shows on a terminal, in one line that is overwritten, what is going on.
pub fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// How many processors there are and how busy they were just before, without which no figure can be judged.
#[must_use]
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
    format!(
        "{processors} processors, load average {load} before the run (rows of 2 threads need 2 idle processors)"
    )
}

/// The middle one of `values`; not a number when there are none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The least and the greatest of `values`.
#[must_use]
pub fn extremes(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
}

/// `met` or `NOT met`.
#[must_use]
pub const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT met" }
}

/// Starts our profiler as a program would that is scraped, on any free port.
///
/// # Errors
///
/// There is no free port, or no thread.
pub fn start() -> Result<()> {
    let mut config = exporters::prometheus::PrometheusConfig::default();
    config.listen.set_port(0);
    exporters::Profiler::builder().prometheus(config).start()?;
    Ok(())
}

/// Bytes of memory that this process has resident.
///
/// # Errors
///
/// The system does not say (it is read from `/proc`).
pub fn resident() -> Result<u64> {
    status("VmRSS:")
}

/// The most that it had resident so far.
///
/// # Errors
///
/// As for [`resident`].
pub fn peak_resident() -> Result<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value =
        status.lines().find_map(|line| line.strip_prefix(field)).ok_or_else(|| format!("no {field}"))?;
    Ok(value.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}
