//! Files: a batch a line, on the disk when it is acknowledged.

mod config;
#[cfg(test)]
mod tests;

pub use config::{FileConfig, FileFormat, RotationPolicy};

use crate::{
    Batch, Capability, Error, ErrorKind, Exporter, Health, Info, Receipt, Result, Settings,
    encode::{self, record},
    journal::Journal,
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Appends each batch to a file, as one line of JSON.
///
/// ```
/// use exporters::{FileConfig, FileExporter};
///
/// # fn main() -> Result<(), exporters::Error> {
/// let mut config = FileConfig::new("/var/log/profiling");
/// config.max_file_size = 10_000_000;
/// let exporter = FileExporter::new(config)?;
/// # Ok(()) }
/// ```
///
/// # What it promises
///
/// A batch that was taken is on the disk ([`Durability`](crate::Durability)), its directory's entry too, and survives `kill -9` and a
/// power failure. A line is there as a whole or not at all: one that failed is taken back, and what a killed process left of one is
/// cut off before the next is written. A disk that is full, a directory that is gone or that may not be written to is
/// [`Unavailable`](ErrorKind::Unavailable), until it is cured; a directory that is gone is made again.
///
/// Files are for the process's own user alone (0600, new directories 0700), and called
/// `exporters-20261125T090000Z-000001.jsonl`. Several processes may share a directory. Work with files is done by a
/// thread for blocking work of the runtime that exports.
#[derive(Debug)]
pub struct FileExporter {
    config: FileConfig,
    journal: Journal,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shut_down: bool,
    /// Why the last batch could not be written.
    failure: Option<String>,
}

impl FileExporter {
    /// Touches no file before the first export.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where a setting is wrong or contradicts another.
    pub fn new(config: FileConfig) -> Result<Self> {
        let journal = Journal::new(config.options()?);
        Ok(Self { config, journal, state: Mutex::default() })
    }

    /// One that the environment describes: `PROFILING_FILE_DIRECTORY`, and so on.
    ///
    /// # Errors
    /// As [`new`](Self::new), and where a variable is missing or wrong.
    pub fn from_env() -> Result<Self> {
        Self::new(Settings::from_env("PROFILING_FILE").read()?)
    }

    /// Its settings.
    pub fn config(&self) -> &FileConfig {
        &self.config
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of a batch, and how many items of it cannot be written.
    fn line(&self, batch: &Batch) -> Result<(Vec<u8>, usize)> {
        match self.config.format {
            FileFormat::Json => {
                let attributes = self.config.attributes.iter().map(|(key, value)| (&**key, &**value));
                Ok(encode::json_line(batch, &attributes.collect::<Vec<_>>()))
            }
            FileFormat::Records => Ok((record::encode(batch, None)?, 0)),
        }
    }
}

impl Exporter for FileExporter {
    fn info(&self) -> Info {
        match &self.config.name {
            Some(name) => Info::new("file").with_name(name.clone()),
            None => Info::new("file"),
        }
    }

    fn capability(&self) -> Capability {
        Capability::ALL
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        if self.state().shut_down {
            return Err(shut_down());
        }
        if batch.is_empty() {
            return Ok(Receipt::default());
        }
        let began = Instant::now();
        let (line, skipped) = self.line(&batch)?;
        let bytes = line.len();
        let written = self.journal.append(line).await;
        self.state().failure = written.as_ref().err().map(ToString::to_string);
        written?;
        let receipt = Receipt::accepted(batch.len().saturating_sub(skipped)).with_rejected(skipped);
        Ok(receipt.with_transfer(bytes, began.elapsed()))
    }

    /// What came of the last export.
    async fn health(&self) -> Health {
        let state = self.state();
        if state.shut_down {
            return Health::Unhealthy(shut_down());
        }
        match &state.failure {
            Some(failure) => Health::Unhealthy(Error::new(ErrorKind::Unavailable, failure.clone())),
            None => Health::Healthy,
        }
    }

    /// Has everything on the disk, whatever the durability is.
    async fn flush(&self) -> Result<()> {
        self.journal.sync().await
    }

    async fn shutdown(&self) -> Result<()> {
        let first = !std::mem::replace(&mut self.state().shut_down, true);
        if first { self.journal.sync().await } else { Ok(()) }
    }
}

fn shut_down() -> Error {
    Error::new(ErrorKind::Unavailable, "the exporter is shut down")
}
