//! Sends again what was put aside in files: dead letters, and what a fallback wrote.

use crate::{
    AnyExporter, Batch, Error, ErrorKind, Exporter, Result,
    encode::record,
    foreign::{caught, quietly, tell},
    journal::{self, read::Lines},
    pipeline::parts::Parts,
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

/// What became of the records of a directory.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Batches that were acknowledged this time.
    pub batches: u64,
    /// Their items that the backend took.
    pub accepted: u64,
    /// Their items that it refused, though it acknowledged the batch; or that a layer put aside again, or gave up.
    pub rejected: u64,
    /// Batches that had been acknowledged before, of files that are not at their end.
    pub before: u64,
    /// Batches whose export failed in a way that trying again would not cure. They stay where they are.
    pub refused: u64,
    /// Lines that are no records any more. They stay where they are.
    pub corrupt: u64,
    /// Files that were done and are deleted.
    pub files: u64,
    /// Files that somebody writes to at the moment; they were left alone.
    pub in_use: u64,
    /// Why it ended before the last record, if it did; everything from there on stays where it is. Else why batches were refused,
    /// if any were.
    pub error: Option<Error>,
    /// Whether it ended before the last record.
    pub stopped: bool,
}

/// Sends every batch of the files with records (`*.records`) in `directory`, dead letters and what a
/// [`FileExporter`](crate::FileExporter) of [`FileFormat::Records`](crate::FileFormat::Records) wrote, oldest first, each with the
/// [identity](crate::Batch::id) that it had; what is too large for the exporter in parts, as when it was new.
///
/// A file is deleted when all of its batches are acknowledged. Until then the ones that are stand in a file beside it
/// (`*.progress`), so that a replay that was stopped, by an error, a signal or a power failure, goes on where it was. A batch may arrive
/// twice, since the acknowledgement of the last one may be lost. An error that [may pass](Error::is_retryable), or an open circuit
/// breaker, ends the replay; with layers around `exporter` it is patient. Another one leaves out the batch alone.
///
/// It takes as long as it takes, on a thread and a tokio runtime of its own, and so works in any program; from asynchronous code call it by
/// `tokio::task::spawn_blocking`. A program that writes to the directory meanwhile does no harm, and takes none.
///
/// ```no_run
/// # use exporters::{AnyExporter, MemoryExporter, RetryConfig, RetryLayer};
/// # fn main() -> Result<(), exporters::Error> {
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(RetryLayer::new(RetryConfig::default())?);
/// let report = exporters::replay("/var/log/profiling/dlq", exporter)?;
/// println!("{} batches, {} files done", report.batches, report.files);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) where the directory cannot be read, or a thread not be had. What goes wrong later is told by the
/// [report](ReplayReport::error).
pub fn replay(directory: impl AsRef<Path>, exporter: AnyExporter) -> Result<ReplayReport> {
    let directory = directory.as_ref();
    let unavailable = |error: io::Error| {
        Error::new(ErrorKind::Unavailable, "the records cannot be read")
            .with_context("directory", directory.display())
            .with_source(error)
    };
    let files = files(directory).map_err(unavailable)?;
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    let tokio = tokio.enable_all().on_thread_start(crate::record::serve).build().map_err(unavailable)?;
    let work = move || {
        crate::record::serve();
        let mut report = ReplayReport::default();
        tokio.block_on(async {
            for file in &files {
                if let Err(error) = replay_file(file, &exporter, &mut report).await {
                    let error = match error {
                        Stop::Exporter(error) => error,
                        Stop::File(error) => {
                            Error::new(ErrorKind::Unavailable, "the records cannot be replayed")
                                .with_context("file", file.display())
                                .with_source(error)
                        }
                    };
                    (report.error, report.stopped) = (Some(error), true);
                    break;
                }
            }
            let ended = caught(|| exporter.flush()).await.map_err(Error::from).flatten();
            report.error = report.error.take().or(ended.err());
        });
        tokio.shutdown_background();
        report
    };
    let done =
        thread::Builder::new().name("exporters-replay".into()).spawn(work).map_err(unavailable)?.join();
    done.map_err(|_| Error::new(ErrorKind::Unexpected, "the replay panicked"))
}

/// The files with records, by name, which is by age.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let is_records = path.extension().is_some_and(|extension| extension == journal::RECORDS);
        if is_records && entry.file_type().is_ok_and(|of| of.is_file()) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Why a replay ends early.
enum Stop {
    Exporter(Error),
    File(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

async fn replay_file(path: &Path, exporter: &AnyExporter, report: &mut ReplayReport) -> Result<(), Stop> {
    let file = match journal::open(path, |options| options) {
        Ok(Some(file)) => file,
        Ok(None) => {
            report.in_use += 1;
            return Ok(());
        }
        // Somebody else replayed it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut progress = Progress::open(path)?;
    let mut lines = Lines::new(file.try_clone()?, record::LONGEST);
    let mut done = true;
    while let Some(line) = lines.next()? {
        let text = line.text.unwrap_or_default();
        let sum = crc32fast::hash(&text);
        if progress.has(line.at, sum) {
            report.before += 1;
            continue;
        }
        let Ok((batch, _)) = record::decode(&text) else {
            tell!(file = %path.display(), at = line.at, "a line is no record");
            report.corrupt += 1;
            done = false;
            continue;
        };
        let (id, items) = (batch.id().clone(), batch.len());
        match send(exporter, batch).await {
            Ok(accepted) => {
                report.batches += 1;
                report.accepted += accepted as u64;
                report.rejected += items.saturating_sub(accepted) as u64;
                progress.add(line.at, sum)?;
            }
            Err(error) if error.is_retryable() || error.kind() == ErrorKind::CircuitOpen => {
                return Err(Stop::Exporter(error));
            }
            Err(error) => {
                tell!(batch = %id, items, %error, "a batch was refused");
                report.refused += 1;
                report.error.get_or_insert(error);
                done = false;
            }
        }
    }
    if done {
        // Were it the other way round, a replay that ends between the two would send everything again.
        fs::remove_file(path)?;
        progress.remove()?;
        report.files += 1;
    }
    Ok(())
}

/// Sends a batch, in parts where the exporter takes less at once; gives how many items it took.
async fn send(exporter: &AnyExporter, batch: Batch) -> Result<usize> {
    let size = quietly(|| exporter.capability())?.max_items.unwrap_or(usize::MAX);
    let (mut parts, mut accepted) = (Parts::new(batch, true), 0);
    while let Some(part) = parts.next(size) {
        match caught(|| exporter.export(part.clone())).await? {
            Ok(receipt) => accepted += receipt.accepted,
            Err(error)
                if error.kind() == ErrorKind::PayloadTooLarge && parts.again(&part, error.fitting()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(accepted)
}

/// Which records of a file are acknowledged: a line `OFFSET CHECKSUM` each, so that nothing of another file of that name is
/// taken for done.
struct Progress {
    path: PathBuf,
    done: HashMap<u64, u32>,
    file: Option<File>,
}

impl Progress {
    fn open(records: &Path) -> io::Result<Self> {
        let path = records.with_extension("progress");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let read = |line: &str| {
            let (at, sum) = line.split_once(' ')?;
            Some((at.parse().ok()?, u32::from_str_radix(sum, 16).ok().filter(|_| sum.len() == 8)?))
        };
        Ok(Self { path, done: text.lines().filter_map(read).collect(), file: None })
    }

    fn has(&self, at: u64, sum: u32) -> bool {
        self.done.get(&at) == Some(&sum)
    }

    fn add(&mut self, at: u64, sum: u32) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let found = journal::open(&self.path, |options| options.create(true))?;
                let file = found.ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))?;
                journal::repair(&file)?;
                self.file.insert(file)
            }
        };
        writeln!(file, "{at} {sum:08x}")
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FileConfig, FileExporter, FileFormat,
        journal::tests::Temp,
        layers::script::{Answer, Script, batch},
    };

    /// A file with these batches.
    fn written(temp: &Temp, batches: &[Batch]) -> PathBuf {
        let mut config = FileConfig::new(&temp.0);
        config.format = FileFormat::Records;
        let exporter = FileExporter::new(config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for batch in batches {
            runtime.block_on(exporter.export(batch.clone())).unwrap();
        }
        files(&temp.0).unwrap().pop().unwrap()
    }

    fn batches<const N: usize>() -> [Batch; N] {
        std::array::from_fn(|at| batch(at + 1))
    }

    fn ids(batches: &[Batch]) -> Vec<crate::BatchId> {
        batches.iter().map(|batch| batch.id().clone()).collect()
    }

    #[test]
    fn every_batch_is_sent_as_it_was_and_the_file_goes() {
        let temp = Temp::new();
        let batches = batches::<3>();
        written(&temp, &batches);
        let script = Script::default();
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!(script.taken(), ids(&batches));
        assert_eq!((report.batches, report.accepted, report.files), (3, 6, 1));
        assert!(report.error.is_none() && !report.stopped, "{report:?}");
        assert_eq!(temp.files(), []);
        assert_eq!(replay(&temp.0, script.exporter()).unwrap().batches, 0);
        assert!(replay(temp.0.join("gone"), script.exporter()).is_err());
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let temp = Temp::new();
        let batches = batches::<4>();
        written(&temp, &batches);
        for stop in [Answer::Fail(ErrorKind::Unavailable), Answer::Fail(ErrorKind::CircuitOpen)] {
            let script = Script::new([Answer::Take, stop]);
            let report = replay(&temp.0, script.exporter()).unwrap();
            assert!(report.stopped && report.error.is_some(), "{report:?}");
            assert_eq!((report.batches, report.files, script.attempts().len()), (1, 0, 2));
        }
        let script = Script::default();
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!((report.before, report.batches, script.taken()), (2, 2, ids(&batches[2..])));
        assert_eq!(temp.files(), []);
    }

    #[test]
    fn what_is_refused_stays_and_holds_nobody_up() {
        let temp = Temp::new();
        let batches = batches::<3>();
        written(&temp, &batches);
        for answer in [Answer::Fail(ErrorKind::Rejected), Answer::Panic] {
            let script = Script::new([answer]);
            let report = replay(&temp.0, script.exporter()).unwrap();
            assert_eq!((report.refused, report.files, report.stopped), (1, 0, false));
            assert!(report.error.is_some());
        }
        let script = Script::default();
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!((report.before, script.taken(), report.files), (2, ids(&batches[..1]), 1));
    }

    #[test]
    fn what_is_too_large_goes_in_parts() {
        let temp = Temp::new();
        let batch = batch(3);
        written(&temp, std::slice::from_ref(&batch));
        let script = Script::new([Answer::Fail(ErrorKind::PayloadTooLarge)]);
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!((report.batches, report.accepted, report.files), (1, 3, 1));
        assert_eq!(script.taken().iter().map(|id| id.part).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn corrupt_lines_are_counted_and_kept() {
        let temp = Temp::new();
        let batches = batches::<2>();
        let path = written(&temp, &batches);
        let text = fs::read_to_string(&path).unwrap();
        let text = format!("{}no record\n{text}torn", text.replacen("\"part\":0", "\"part\":9", 1));
        fs::write(&path, &text).unwrap();
        let script = Script::default();
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!(
            (report.corrupt, report.batches, report.files),
            (2, 3, 0),
            "one line was changed, one is none"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!((report.corrupt, report.batches, report.before), (2, 0, 3));
    }

    #[test]
    fn progress_of_another_file_of_that_name_is_not_believed() {
        let temp = Temp::new();
        let (first, second) = (batches::<1>(), batches::<1>());
        let path = written(&temp, &first);
        let sum = crc32fast::hash(&fs::read(&path).unwrap());
        fs::write(&path, record::encode(&second[0], None).unwrap()).unwrap();
        fs::write(path.with_extension("progress"), format!("0 {sum:08x}\nnonsense\n0 {:08x}", sum ^ 1))
            .unwrap();
        let script = Script::default();
        assert_eq!(replay(&temp.0, script.exporter()).unwrap().batches, 1);
        assert_eq!(script.taken(), ids(&second));
        assert_eq!(temp.files(), []);
    }

    #[test]
    fn a_file_that_is_written_to_is_left_alone() {
        let temp = Temp::new();
        let path = written(&temp, &batches::<1>());
        let held = journal::open(&path, |options| options).unwrap().unwrap();
        let script = Script::default();
        let report = replay(&temp.0, script.exporter()).unwrap();
        assert_eq!((report.in_use, script.attempts().len()), (1, 0));
        drop(held);
        assert_eq!(replay(&temp.0, script.exporter()).unwrap().files, 1);
    }

    #[test]
    fn it_works_within_a_runtime() {
        let temp = Temp::new();
        written(&temp, &batches::<1>());
        let script = Script::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { replay(&temp.0, script.exporter()) }).unwrap().batches, 1);
    }

    #[test]
    fn what_is_no_file_or_is_gone_stops_nothing() {
        let temp = Temp::new();
        let record = written(&temp, &batches::<2>());
        fs::create_dir(temp.0.join("a.records")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", temp.0.join("b.records")).unwrap();
        assert_eq!(files(&temp.0).unwrap(), [record]);
        let report = replay(&temp.0, Script::default().exporter()).unwrap();
        assert_eq!((report.batches, report.files, report.stopped), (2, 1, false), "{report:?}");

        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut report = ReplayReport::default();
        let gone = temp.0.join("gone.records");
        let exporter = Script::default().exporter();
        assert!(tokio.block_on(replay_file(&gone, &exporter, &mut report)).is_ok());
    }
}
