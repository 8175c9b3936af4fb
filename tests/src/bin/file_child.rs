//! A program that writes files until a test ends it, or until its disk does not let it: `file_child SCENARIO DIRECTORY`.

use exporters::{
    AnyExporter, Batch, BatchId, BufferConfig, Capability, DeadLetterConfig, DeadLetterLayer, Error,
    ErrorKind, Exporter, FileConfig, FileExporter, FileFormat, Health, Info, KeyValue, LegOptions, Number,
    Profiler, Receipt, Result, Signal, SpoolConfig, profiled,
};
use std::{
    env, fmt, fs,
    future::Future,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tests::{calls, data};

const LONG: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [scenario, directory] = &arguments[..] else { panic!("file_child SCENARIO DIRECTORY") };
    let directory = Path::new(directory);
    match &**scenario {
        "json" => write_on(file(directory, FileFormat::Json)),
        "records" => write_on(file(directory, FileFormat::Records)),
        "dead_letters" => {
            let layer = DeadLetterLayer::new(DeadLetterConfig::file(directory)).expect("right");
            write_on(AnyExporter::new(Refuses).layer(layer));
        }
        "replay" => {
            let report = exporters::replay(directory, AnyExporter::new(Tells)).expect("a directory");
            assert!(report.error.is_none() && report.corrupt == 0, "{report:?}");
        }
        "spool" => spool(directory),
        "drain" => drain(directory),
        "full" => full(directory),
        "limit" => limit(directory),
        "permissions" => permissions(directory),
        _ => panic!("no scenario {scenario}"),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn file(directory: &Path, format: FileFormat) -> AnyExporter {
    let mut config = FileConfig::new(directory);
    config.format = format;
    config.max_file_size = 500_000;
    AnyExporter::new(FileExporter::new(config).expect("right"))
}

/// A batch of so many items, each time another one, also after this program has ended.
fn batch(sequence: u64, items: usize) -> Batch {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let id = BatchId {
        instance: now << 32 | u128::from(std::process::id()),
        leg: "leg".into(),
        sequence,
        part: 0,
    };
    let points = (0..items).map(|at| {
        let attributes = [KeyValue::new("at", at as i64), KeyValue::new("text", "x".repeat(at % 300))];
        data::point(attributes, Number::U64(sequence))
    });
    let metrics = vec![data::metric("m", "1", data::counter(points.collect()))];
    Batch::new(id, Signal::Metrics(Arc::new(data::snapshot(metrics))))
}

/// Writes batches of all sizes, and says of each one that it was acknowledged.
fn write_on(exporter: AnyExporter) {
    for sequence in 1.. {
        let batch = batch(sequence, [1, 7, 50, 500][sequence as usize % 4]);
        let receipt = run(exporter.export(batch.clone())).expect("a disk with room");
        assert_eq!(receipt.accepted + receipt.dead_lettered, batch.len());
        tell(&batch);
    }
}

fn tell(batch: &Batch) {
    say(format_args!("{}", batch.id()));
}

fn say(what: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).expect("somebody listens");
}

/// Refuses everything.
#[derive(Debug)]
struct Refuses;

/// Takes everything, and says so.
#[derive(Debug)]
struct Tells;

macro_rules! exporter {
    ($type:ty, $self:ident, $batch:ident => $export:expr) => {
        impl Exporter for $type {
            fn info(&self) -> Info {
                Info::new("child")
            }
            fn capability(&self) -> Capability {
                Capability::ALL
            }
            async fn export(&$self, $batch: Batch) -> Result<Receipt> {
                $export
            }
            async fn health(&self) -> Health {
                Health::Healthy
            }
            async fn flush(&self) -> Result<()> {
                Ok(())
            }
            async fn shutdown(&self) -> Result<()> {
                Ok(())
            }
        }
    };
}
exporter!(Refuses, self, _batch => Err(Error::new(ErrorKind::Rejected, "as the test has it")));
exporter!(Tells, self, batch => {
    tell(&batch);
    Ok(Receipt::accepted(batch.len()))
});

/// Takes half of what it is given, or all, and says of each batch how many calls are new.
#[derive(Debug)]
struct TakesSome {
    all: bool,
}
exporter!(TakesSome, self, batch => {
    if !self.all && RandomState::new().hash_one(()).is_multiple_of(2) {
        return Err(Error::new(ErrorKind::Unavailable, "as the test has it"));
    }
    say(format_args!("took {} {}", batch.id(), calls::changes([&batch], "work").0));
    Ok(Receipt::accepted(batch.len()))
});

#[profiled]
fn work() {}

fn spooling(directory: &Path, all: bool) -> Profiler {
    let buffer = BufferConfig::default().with_spool(SpoolConfig::new(directory)).with_size(1);
    let options = LegOptions::default().with_name("leg").with_buffer(buffer);
    let builder = Profiler::builder().interval(LONG).exporter_with(TakesSome { all }, options);
    builder.start().expect("a directory to write to")
}

/// Records on, and says how many calls are on the disk, or were taken.
fn spool(directory: &Path) {
    let profiler = spooling(directory, false);
    let leg = profiler.leg("leg").expect("it is there");
    for times in 1.. {
        (0..3).for_each(|_| work());
        let _ = profiler.flush(LONG);
        let spool = leg.buffer_stats().spool.expect("it has one");
        assert!(spool.batches >= times && spool.refused == 0 && spool.corrupt == 0, "{spool:?}");
        say(format_args!("kept {}", 3 * times));
    }
}

/// Sends all that is on the disk.
fn drain(directory: &Path) {
    let profiler = spooling(directory, true);
    profiler.flush(LONG).expect("it takes all");
    let leg = profiler.leg("leg").expect("it is there");
    let spool = leg.buffer_stats().spool.expect("it has one");
    assert!(spool.corrupt == 0 && spool.done == spool.batches + spool.found, "{spool:?}");
    assert!(leg.ledger().is_balanced() && leg.ledger().buffered == 0);
}

/// Every line of every file is one; how many there are.
fn lines(directory: &Path) -> usize {
    let texts = fs::read_dir(directory).expect("a directory").map(|entry| {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
        text
    });
    let whole = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).expect("a line that is whole");
    };
    texts.map(|text| text.lines().map(whole).count()).sum()
}

/// Exports until it cannot; gives how many batches were taken.
fn until_unavailable(exporter: &AnyExporter) -> usize {
    for taken in 0.. {
        assert!(taken < 10_000, "it never fills");
        if let Err(error) = run(exporter.export(batch(1, 7))) {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(matches!(run(exporter.health()), Health::Unhealthy(_)));
            return taken;
        }
    }
    unreachable!()
}

fn works_again(exporter: &AnyExporter) {
    run(exporter.export(batch(1, 7))).expect("the cause is gone");
    assert!(run(exporter.health()).is_healthy());
}

/// On a disk of 64 KiB: fills it and makes room, a hundred times.
fn full(directory: &Path) {
    let mut config = FileConfig::new(directory.join("files"));
    // Not a divisor of the disk, so that it fills in the middle of a file, and of a line.
    config.max_file_size = 20_000;
    let exporter = AnyExporter::new(FileExporter::new(config).expect("right"));
    let mut there = 0;
    for _ in 0..100 {
        there += until_unavailable(&exporter);
        assert_eq!(lines(&directory.join("files")), there, "all that was taken, and nothing else");
        let mut files: Vec<_> = fs::read_dir(directory.join("files")).expect("a directory").collect();
        files.sort_by_key(|entry| entry.as_ref().expect("an entry").path());
        // All but one: what stays may be continued.
        for file in files.iter().skip(1) {
            fs::remove_file(file.as_ref().expect("an entry").path()).expect("a file");
        }
        there = lines(&directory.join("files"));
        works_again(&exporter);
        there += 1;
    }
    println!("full");
}

/// No file may become larger than 64 KiB, so that a write ends in the middle of a line.
fn limit(directory: &Path) {
    // SAFETY: the handler is none, and the limit is this process's own.
    let set = |soft| unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit);
        limit.rlim_cur = if soft == libc::RLIM_INFINITY { limit.rlim_max } else { soft };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    };
    set(65_536);
    let exporter = file(directory, FileFormat::Json);
    let taken = until_unavailable(&exporter);
    assert!(taken > 1, "a line fits");
    assert_eq!(lines(directory), taken);
    assert_eq!(until_unavailable(&exporter), 0);
    set(libc::RLIM_INFINITY);
    works_again(&exporter);
    assert_eq!(lines(directory), taken + 1);
    println!("limit");
}

/// A directory that may not be looked into, one that is gone, and one that cannot be made again.
fn permissions(directory: &Path) {
    let inner = directory.join("inner");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own directory");
    };
    let exporter = file(&inner, FileFormat::Records);
    works_again(&exporter);
    mode(&inner, 0o000);
    assert_eq!(until_unavailable(&exporter), 0);
    mode(&inner, 0o700);
    works_again(&exporter);
    assert_eq!(lines(&inner), 2);

    fs::remove_dir_all(&inner).expect("our own directory");
    mode(directory, 0o500);
    assert_eq!(until_unavailable(&exporter), 0);
    mode(directory, 0o700);
    works_again(&exporter);
    assert_eq!(lines(&inner), 1);

    fs::remove_dir_all(&inner).expect("our own directory");
    works_again(&exporter);
    println!("permissions");
}
