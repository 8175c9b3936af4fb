//! Lines in files: appended so that what was acknowledged is there after a crash, and nothing half is.
//!
//! Whoever writes to a file, or reads it to delete it, holds its lock for that long. So several writers, of one process or many, may
//! share a directory; and since nobody holds a file open in between, it may be moved, deleted, or replayed at any time.

mod folder;
pub(crate) mod read;

use crate::{Error, ErrorKind, Result};
use folder::Folder;
use serde::Deserialize;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What names of files with records end in.
pub(crate) const RECORDS: &str = "records";

/// When what was exported counts as written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// When it is on the disk: it survives a power failure.
    #[default]
    Synced,
    /// When the system has it: it survives the end of the process, not that of the machine.
    Flushed,
}

/// What happens where all files together would become too large.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WhenFull {
    /// The oldest are deleted.
    DeleteOldest,
    /// Nothing more is written.
    Refuse,
}

/// How lines are kept.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) directory: PathBuf,
    /// What names of files begin with; see [`check_prefix`].
    pub(crate) prefix: String,
    /// What they end in.
    pub(crate) extension: &'static str,
    pub(crate) durability: Durability,
    /// The time that one file is for; `None` for no end.
    pub(crate) period: Option<Duration>,
    /// Bytes of one file, of which there may be more where one line is; `None` for no limit.
    pub(crate) max_file: Option<u64>,
    /// Bytes of all.
    pub(crate) max_total: Option<u64>,
    pub(crate) when_full: WhenFull,
    /// The age at which a file is deleted.
    pub(crate) retention: Option<Duration>,
}

/// Refuses what would lead out of the directory, or hide the files.
///
/// # Errors
/// [`ConfigInvalid`](ErrorKind::ConfigInvalid).
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    match plain && (1..=100).contains(&prefix.len()) && !prefix.starts_with(['.', '-']) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::ConfigInvalid,
            "`file_prefix` must be 1 to 100 letters, digits, hyphens, underscores and dots, the first one a letter, a \
             digit or an underscore",
        )),
    }
}

/// Appends lines to files. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    state: Arc<tokio::sync::Mutex<State>>,
}

/// What is known of the files, all of which may have become wrong.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Where the last line went.
    current: Option<PathBuf>,
    /// Bytes of all files, at least.
    total: u64,
}

impl Journal {
    /// Touches nothing yet.
    pub(crate) fn new(options: Options) -> Self {
        Self(Arc::new(Shared { options, state: Arc::default() }))
    }

    /// Appends `lines`, all of them or none, and gives how many bytes there are now in all files. Under tokio a thread for blocking
    /// work does it, at most one at a time; a call that is dropped writes nothing, or everything.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) where the system or the limit of all files forbids it. The next call starts afresh.
    pub(crate) async fn append(&self, lines: Vec<u8>) -> Result<u64> {
        // Waiting for its turn costs no thread, and ends with this future.
        let mut state = self.0.state.clone().lock_owned().await;
        let shared = self.0.clone();
        let append = move || Ok(state.append(&shared.options, &lines, SystemTime::now())?.total);
        blocking(append).await.map_err(|error| self.unavailable(error))
    }

    fn unavailable(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Unavailable, "the files cannot be written")
            .with_context("directory", self.0.options.directory.display())
            .with_source(error)
    }

    /// Has what was written last on the disk.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(crate) async fn sync(&self) -> Result<()> {
        let state = self.0.state.clone().lock_owned().await;
        let sync = move || match state.current.as_ref().map(File::open) {
            Some(Ok(file)) => file.sync_data(),
            // Somebody took it away.
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        blocking(sync).await.map_err(|error| self.unavailable(error))
    }
}

/// Where lines went.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) path: PathBuf,
    /// Where in the file they begin.
    pub(crate) at: u64,
    /// Bytes of all files.
    pub(crate) total: u64,
}

/// Does `work` where it may wait: on a thread for that, or, without tokio, here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(tokio) => {
            let done = tokio.spawn_blocking(work).await;
            done.unwrap_or_else(|_| Err(io::Error::other("the runtime ends")))
        }
        Err(_) => work(),
    }
}

impl State {
    /// As [`Journal::append`], on this thread.
    ///
    /// # Errors
    /// The system's, or that all files together would be too large.
    pub(crate) fn append(
        &mut self,
        options: &Options,
        lines: &[u8],
        now: SystemTime,
    ) -> io::Result<Appended> {
        let folder = Folder::new(options, now);
        let len = lines.len() as u64;
        let known = self.current.take().and_then(|path| folder.resume(&path, len));
        let full = options.max_total.is_some_and(|most| self.total.saturating_add(len) > most);
        let (path, file) = match known {
            Some(found) if !full => found,
            known => {
                make_directory(&options.directory)?;
                let files = folder.tidy(len)?;
                self.total = files.iter().map(|(_, bytes)| bytes).sum();
                match known {
                    Some(known) => known,
                    None => folder.next(&files, len)?,
                }
            }
        };
        let written = write(&file, lines, options.durability);
        // A process that is just being forked has the file too, and so would have its lock.
        let _ = file.unlock();
        let at = written?;
        self.total += len;
        self.current = Some(path.clone());
        Ok(Appended { path, at, total: self.total })
    }
}

/// All of `lines` at the end of the file, or nothing; gives where that was.
fn write(mut file: &File, lines: &[u8], durability: Durability) -> io::Result<u64> {
    let before = file.metadata()?.len();
    let written = file.write_all(lines).and_then(|()| match durability {
        Durability::Flushed => Ok(()),
        Durability::Synced => file.sync_data(),
    });
    written
        .and_then(|()| match file.metadata()?.nlink() {
            0 => Err(io::Error::new(io::ErrorKind::NotFound, "the file was deleted while it was written")),
            _ => Ok(before),
        })
        // Should that fail too, then the next one to open it repairs it.
        .inspect_err(|_| _ = file.set_len(before))
}

/// Takes the end off that no line feed ends: a writer was killed, or found no room. Only under the file's lock.
pub(crate) fn repair(file: &File) -> io::Result<()> {
    let len = file.metadata()?.len();
    let mut end = len;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let read = block.get_mut(..(end - start) as usize).unwrap_or_default();
        file.read_exact_at(read, start)?;
        if let Some(at) = read.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    match end < len {
        true => file.set_len(end),
        false => Ok(()),
    }
}

/// Opens a file for appending and locks it; `None` where somebody else works with it.
pub(crate) fn open(
    path: &Path,
    how: impl FnOnce(&mut OpenOptions) -> &mut OpenOptions,
) -> io::Result<Option<File>> {
    let file = open_unlocked(path, |options| how(options.append(true)))?;
    match file.try_lock() {
        // It may have been deleted before it was locked.
        Ok(()) => Ok(Some(file).filter(|file| file.metadata().is_ok_and(|metadata| metadata.nlink() > 0))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a file, and nothing else, for reading and for what `how` adds.
pub(crate) fn open_unlocked(
    path: &Path,
    how: impl FnOnce(&mut OpenOptions) -> &mut OpenOptions,
) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = how(&mut options).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
    }
}

/// All files of a journal and their sizes, in the order of their names.
///
/// # Errors
/// The system's.
pub(crate) fn files(options: &Options) -> io::Result<Vec<(PathBuf, u64)>> {
    Folder::new(options, SystemTime::now()).files()
}

/// The directory, and those above it, where they are not there; nobody else may look into a new one.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Those above may not let us in, which is no reason to give up.
    directory.ancestors().skip(1).for_each(|above| drop(sync_directory(above)));
    Ok(())
}

/// Has the names in it on the disk.
fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

#[cfg(test)]
pub(crate) mod tests;
