//! The work that is profiled: each file of a tree is read, hashed, decoded, counted and compressed.

use std::{
    borrow::Cow,
    fs,
    io::{self, Write},
    panic,
    path::{Path, PathBuf},
    str::Utf8Error,
    time::Duration,
};

use exporters::profiled;
use flate2::{Compression, write::GzEncoder};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, task::JoinSet, time};

use crate::{
    index::{Index, Words},
    title::title,
};

/// Files in hand at the same time.
const CONCURRENT: usize = 16;
/// Larger files are left out: each one is held in memory as a whole.
const LARGEST: u64 = 16 << 20;
/// From this size on (bytes) a file gets a task that warns when it takes too long.
const WATCHED: u64 = 4 << 10;
/// What is too long for a file.
const SLOW: Duration = Duration::from_secs(30);

/// What became of one file.
#[derive(Debug)]
pub(crate) struct Processed {
    pub(crate) bytes: u64,
    pub(crate) compressed: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) words: Words,
    /// The title could not be told: the function that reads it panicked.
    pub(crate) panicked: bool,
}

/// Why a file was not processed.
#[derive(Debug)]
pub(crate) enum Failure {
    Read(io::Error),
    /// Holds the length of the file in bytes.
    NotUtf8(u64),
}

/// The `error.type` of a failed call, where the type's name would tell nothing. Few values, always.
impl exporters::ErrorType for Failure {
    fn error_type(&self) -> Cow<'_, str> {
        match self {
            Self::Read(error) => error.kind().to_string().into(),
            Self::NotUtf8(_) => "not UTF-8".into(),
        }
    }
}

/// Goes over all files below `root` once and adds what it finds to `index`.
#[profiled]
pub(crate) async fn round(root: &Path, index: &mut Index, progress: &ProgressBar) -> io::Result<()> {
    let mut files = Vec::new();
    let unreadable = list(root, &mut files)?;
    index.leave_out(unreadable);
    progress.inc_length(files.len() as u64);

    let mut tasks = JoinSet::new();
    let mut files = files.into_iter();
    loop {
        for (path, length) in files.by_ref().take(CONCURRENT - tasks.len()) {
            tasks.spawn(watched(path, length));
        }
        let Some(done) = tasks.join_next().await else { return Ok(()) };
        let (outcome, aborted) = done?;
        index.add(outcome, aborted);
        progress.inc(1);
    }
}

/// Collects the regular files below `directory`; returns how many directories within could not be read.
#[profiled]
fn list(directory: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<u64> {
    let mut unreadable = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() && entry.file_name() != ".git" && entry.file_name() != "target" {
            unreadable += list(&entry.path(), files).unwrap_or(1);
        } else if metadata.is_file() && metadata.len() <= LARGEST {
            files.push((entry.path(), metadata.len()));
        }
    }
    Ok(unreadable)
}

/// Processes a file of `length` bytes under the eyes of a task, if it is a large one. Tells as well whether
/// that task was aborted, the file being done in time.
async fn watched(path: PathBuf, length: u64) -> (Result<Processed, Failure>, bool) {
    if length < WATCHED {
        return (process(&path).await, false);
    }
    let (running, runs) = oneshot::channel();
    let watch = tokio::spawn(watch(path.clone(), running));
    // Wait until it runs, so that it is a call. An error says that it has ended, as its handle does below.
    runs.await.unwrap_or_default();
    let outcome = process(&path).await;
    watch.abort();
    (outcome, watch.await.is_err_and(|error| error.is_cancelled()))
}

/// Does all there is to do with one file.
#[profiled]
async fn process(path: &Path) -> Result<Processed, Failure> {
    let bytes = read(path).await.map_err(Failure::Read)?;
    let length = bytes.len() as u64;
    let hash = hash(&bytes);
    let text = decode(&bytes).map_err(|_| Failure::NotUtf8(length))?;
    let words = count_words(text);
    let panicked = panic::catch_unwind(|| title(text)).is_err();
    let compressed = compress(&bytes).map_err(Failure::Read)?.len() as u64;
    Ok(Processed { bytes: length, compressed, hash, words, panicked })
}

#[profiled]
async fn read(path: &Path) -> io::Result<Vec<u8>> {
    tokio::fs::read(path).await
}

#[profiled]
fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[profiled]
fn decode(bytes: &[u8]) -> Result<&str, Utf8Error> {
    std::str::from_utf8(bytes)
}

#[profiled]
fn count_words(text: &str) -> Words {
    let mut words = Words::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match words.get_mut(word) {
            Some(count) => *count += 1,
            None => _ = words.insert(word.to_owned(), 1),
        }
    }
    words
}

#[profiled]
fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Warns when a file takes long. Says on `running` that it has begun.
#[profiled]
async fn watch(path: PathBuf, running: oneshot::Sender<()>) {
    running.send(()).unwrap_or_default();
    time::sleep(SLOW).await;
    eprintln!("quickstart: {} takes more than {} s", path.display(), SLOW.as_secs());
}
