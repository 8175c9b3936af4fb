//! The spool: the part of a leg's buffer that is on the disk, and outlives the process.
//!
//! ```text
//! DIRECTORY/LEG/.lock                                held as long as the spool lives
//! DIRECTORY/LEG/spool-20261125T090000Z-000001.spool  a segment: one record a line, as `encode::record` has it
//! DIRECTORY/LEG.1/…                                  of a second process, or a second leg of that name
//! ```
//!
//! A record that is done has a space where its line began, and a segment that has no others is deleted. So after `kill -9` nothing that
//! was done is sent again; after a power failure it may be, with the identity that it had.
//!
//! The journal's `State` appends: it names files, begins new ones, repairs, and takes back what it could not write. Its own limit of all
//! files is not used, since only the spool knows which files are in other slots, or needed no more; nor is `Journal`, since its turn is
//! too short: here an append, and what is known of the segments, change together.
//!
//! A forked child has the locks as well as its parent, and so is refused, and leaves the files alone where it drops the spool. Where the
//! parent is killed, nobody takes over what it left as long as the child lives.

mod left;
mod segments;
mod slots;

use crate::{Batch, Durability, Error, ErrorKind, Result, journal};
use segments::State;
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where what waits is kept on the disk.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SpoolConfig {
    /// Where the files are, each exporter's in a directory of its own. It is made for the process's own user alone. Several
    /// processes may share it: none takes what is another's while that runs.
    pub directory: PathBuf,
    /// The most bytes of one exporter's files, with those that earlier processes left. Then no more is written. Default: 1 GB.
    #[serde(default = "max_size", deserialize_with = "crate::size::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_size: u64,
    /// When a batch counts as written. Default: when it is on the disk.
    #[serde(default)]
    pub durability: Durability,
}

const fn max_size() -> u64 {
    1_000_000_000
}

impl SpoolConfig {
    /// The defaults, for files in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_size: max_size(), durability: Durability::default() }
    }
}

/// What became of an exporter's spool since it was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Bytes of all files, with those that earlier processes left.
    pub bytes: u64,
    /// Those files.
    pub files: u64,
    /// Batches that were written.
    pub batches: u64,
    /// Their items.
    pub items: u64,
    /// Batches of earlier processes that were found.
    pub found: u64,
    /// Their items.
    pub found_items: u64,
    /// Batches, of this process or earlier ones, that are needed no more.
    pub done: u64,
    /// Lines that are no records any more, and were passed over.
    pub corrupt: u64,
    /// Files whose end was cut off, since a process was killed while it wrote it.
    pub torn: u64,
    /// Items that could not be written.
    pub refused: u64,
    /// Why it could not be written, where that was so the last time.
    pub last_error: Option<String>,
}

/// Where a batch is. Whoever has it may have the batch again, until it is [done](Spool::done).
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Record {
    segment: u64,
    at: u64,
    len: u64,
    sum: [u8; 8],
    items: usize,
}

impl Record {
    /// Items of the batch.
    pub(crate) fn items(&self) -> usize {
        self.items
    }
}

/// The spool of a leg. Clones are one. All of its work waits its turn, and is done on a thread for blocking work, where there is tokio: a
/// call that is dropped before its turn does nothing, and later all of it, unless it says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    state: Arc<tokio::sync::Mutex<State>>,
    stats: Arc<Mutex<SpoolStats>>,
    directory: Arc<Path>,
    process: u32,
}

impl Spool {
    /// Takes the leg's directory, or the next one that nobody has, and what is in those that nobody has any more. Reads the names of the
    /// files, not their contents.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where there is no directory, [`Unavailable`](ErrorKind::Unavailable) where it cannot be
    /// used.
    pub(crate) fn open(config: &SpoolConfig, leg: &str) -> Result<Self> {
        if config.directory.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "`directory` must not be empty"));
        }
        let stats = Arc::<Mutex<SpoolStats>>::default();
        let state = State::open(config, leg, stats.clone()).map_err(|error| {
            let message = "the spool cannot be opened; it needs a directory that this process may write to";
            unavailable(&config.directory, message, error)
        })?;
        let state = Arc::new(tokio::sync::Mutex::new(state));
        Ok(Self { state, stats, directory: (&*config.directory).into(), process: process::id() })
    }

    /// The next of what an earlier process left, the oldest first, each once; where this is dropped, the next call has it.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) where a file cannot be read. It stays for a later process, and the next call goes on with
    /// the next file.
    pub(crate) async fn next_left(&self) -> Result<Option<(Record, Batch)>> {
        let mut state = self.state().await?;
        if !state.has_found() {
            let find = move || {
                state.find();
                Ok(state)
            };
            state = journal::blocking(find).await.map_err(|error| self.ended(error))?;
        }
        state.take_found().transpose()
    }

    /// Writes a batch. Where this is dropped and it is written all the same, it is only the next process that finds it.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) where the system or `max_size` forbids it,
    /// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge) and [`Encode`](ErrorKind::Encode) where the batch cannot be a record. Nothing of it is
    /// there then, and the next call starts afresh.
    pub(crate) async fn append(&self, batch: &Batch) -> Result<Record> {
        let batch = batch.clone();
        self.work(move |state| state.append(&batch)).await
    }

    /// The batch, as it was, under the identity that it had.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) where the file is gone or cannot be read, [`Rejected`](ErrorKind::Rejected) where it is not as
    /// it was.
    pub(crate) async fn read(&self, record: &Record) -> Result<Batch> {
        let Record { segment, at, len, sum, items } = *record;
        self.work(move |state| state.read(&Record { segment, at, len, sum, items })).await
    }

    /// Nobody needs the batch any more: no later process finds it. Where the system forbids that, it may.
    pub(crate) async fn done(&self, record: Record) {
        let done = move |state: &mut State| {
            state.done(&record);
            Ok(())
        };
        let _ = self.work(done).await;
    }

    /// What became of it so far.
    pub(crate) fn stats(&self) -> SpoolStats {
        lock(&self.stats).clone()
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut state = self.state().await?;
        let work = move || Ok(work(&mut state));
        journal::blocking(work).await.map_err(|error| self.ended(error)).flatten()
    }

    async fn state(&self) -> Result<tokio::sync::OwnedMutexGuard<State>> {
        match self.process == process::id() {
            true => Ok(self.state.clone().lock_owned().await),
            // Whoever had its turn when it was forked does not come to an end here.
            false => Err(Error::new(ErrorKind::Unsupported, "the spool is the parent's of this process")
                .with_context("directory", self.directory.display())),
        }
    }

    fn ended(&self, error: io::Error) -> Error {
        unavailable(&self.directory, "the spool cannot work", error)
    }
}

fn lock(stats: &Mutex<SpoolStats>) -> MutexGuard<'_, SpoolStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(directory: &Path, message: &'static str, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, message)
        .with_context("directory", directory.display())
        .with_source(error)
}

#[cfg(test)]
mod tests;
