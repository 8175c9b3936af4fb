//! Where does the time go? Real work on a directory tree, profiled: `cargo run --release --example quickstart`.

mod arguments;
mod index;
mod title;
mod work;

use std::{
    env,
    fmt::Display,
    future,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use exporters::{Builder, Profiler, ProfilingAllocator, prometheus::PrometheusConfig};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{select, signal, time};

use crate::{
    arguments::{Arguments, HELP},
    index::Index,
};

/// Counts the memory that each profiled function asks for.
#[global_allocator]
static ALLOCATOR: ProfilingAllocator = ProfilingAllocator::system();

/// Bad input, as most command line tools report it.
const BAD_INPUT: u8 = 2;
/// Pause between two rounds while serving.
const PAUSE: Duration = Duration::from_secs(1);
/// The most that leaving may take.
const GOODBYE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse(env::args_os().skip(1)) {
        Ok(arguments) if arguments.help => print(HELP),
        Ok(arguments) => run(arguments).await,
        Err(message) => Err(message),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("quickstart: {message}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// Works until done or interrupted, then prints what came of it and where the time went.
async fn run(arguments: Arguments) -> Result<(), String> {
    let profiler = start(arguments.listen).map_err(line)?;
    title::silence();
    if let (Some(_), Some(address)) = (arguments.listen, profiler.listening()) {
        print(format!(
            "serving     http://{address}/metrics\n\
             look        curl -H 'Accept: application/openmetrics-text' http://{address}/metrics\n\
             stop        ctrl-c, which prints where the time went\n\n"
        ))?;
    }
    let progress = progress_bar();
    let mut index = Index::default();
    let ended = select! {
        ended = work(&arguments, &mut index, &progress) => ended,
        () = interrupted() => Ok(()),
    };
    progress.finish_and_clear();
    ended?;
    print(format!("directory   {}\n{index}\n", arguments.directory.display()))?;
    print(exporters::report())?;
    profiler.shutdown(GOODBYE).into_result().map_err(line)
}

/// Starts to record, and to serve where the user said, or else as the environment says.
fn start(listen: Option<SocketAddr>) -> exporters::Result<Profiler> {
    match listen {
        None => exporters::init(),
        Some(listen) => {
            let config = PrometheusConfig { listen, ..PrometheusConfig::default() };
            Builder::from_env()?.prometheus(config).start()
        }
    }
}

/// Goes over the directory as often as asked for; when it serves, it never ends by itself.
async fn work(arguments: &Arguments, index: &mut Index, progress: &ProgressBar) -> Result<(), String> {
    let mut rounds = 0;
    while arguments.rounds.is_none_or(|limit| rounds < limit) {
        if rounds > 0 && arguments.listen.is_some() {
            time::sleep(PAUSE).await;
        }
        let done = work::round(&arguments.directory, index, progress).await;
        done.map_err(|error| format!("{}: {error}", arguments.directory.display()))?;
        rounds += 1;
    }
    if arguments.listen.is_some() {
        print(index)?;
        future::pending::<()>().await;
    }
    Ok(())
}

/// Returns on ctrl-c, and where there is such a thing on the signal to terminate.
async fn interrupted() {
    let ctrl_c = async {
        // Without a handler the signal ends the program by itself.
        if signal::ctrl_c().await.is_err() {
            future::pending().await
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => _ = signals.recv().await,
            Err(_) => future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = future::pending::<()>();
    select! { () = ctrl_c => {}, () = terminate => {} }
}

/// Shown on standard error, and only where that is a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} files");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Writes to standard output. It may be closed early, as by `| head`: that is no error.
fn print(text: impl Display) -> Result<(), String> {
    match write!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// An error as one line.
fn line(error: exporters::Error) -> String {
    error.to_string()
}
