//! The files of a journal: their names, which one is written next, and which ones go.

use super::{Options, WhenFull, open, repair, sync_directory};
use crate::{
    encode::Rfc3339,
    foreign::{quietly, tell},
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// `PREFIX-20261125T090000Z-000001.EXTENSION`, by the begin of the period, or, without one, by when it was made.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    options: &'a Options,
    now: SystemTime,
    stamp: String,
}

/// Files and their sizes, in the order of their names.
type Files = Vec<(PathBuf, u64)>;

impl<'a> Folder<'a> {
    pub(super) fn new(options: &'a Options, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let period = options.period.map_or(1, |period| period.as_secs().max(1));
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(since - since % period);
        let stamp = Rfc3339::new(begin);
        let stamp =
            stamp.as_str().chars().filter(|c| !matches!(c, '-' | ':')).take(15).chain(['Z']).collect();
        Self { options, now, stamp }
    }

    fn path(&self, number: u64) -> PathBuf {
        let Options { directory, prefix, extension, .. } = self.options;
        directory.join(format!("{prefix}-{}-{number:06}.{extension}", self.stamp))
    }

    /// The stamp and the number of a name, if it is one of these.
    fn parse<'n>(&self, name: &'n OsStr) -> Option<(&'n str, u64)> {
        let name = name.to_str()?.strip_prefix(&self.options.prefix)?.strip_prefix('-')?;
        let (stamp, number) =
            name.strip_suffix(self.options.extension)?.strip_suffix('.')?.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (day, second) = stamp.strip_suffix('Z')?.split_once('T')?;
        let right = digits(day) && digits(second) && day.len() == 8 && second.len() == 6 && digits(number);
        // Far from where there is no next one.
        right.then_some((stamp, number.parse::<u32>().ok()?.into()))
    }

    /// The file that was written last, locked and sound, if so many bytes more may go there.
    pub(super) fn resume(&self, path: &Path, more: u64) -> Option<(PathBuf, File)> {
        let (stamp, _) = self.parse(path.file_name()?)?;
        if self.options.period.is_some() && stamp != self.stamp {
            return None;
        }
        let file = open(path, |options| options).ok()??;
        repair(&file).ok()?;
        let len = file.metadata().ok()?.len();
        let fits = self.options.max_file.is_none_or(|most| len == 0 || len.saturating_add(more) <= most);
        fits.then(|| (path.to_owned(), file))
    }

    /// All files of the journal.
    pub(super) fn files(&self) -> io::Result<Files> {
        let mut files = Files::new();
        for entry in fs::read_dir(&self.options.directory)? {
            let entry = entry?;
            if self.parse(&entry.file_name()).is_some()
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                files.push((entry.path(), metadata.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Repairs files that a killed process left, and deletes those that are too old or too many for so many bytes more; gives those
    /// that stay.
    pub(super) fn tidy(&self, more: u64) -> io::Result<Files> {
        let mut files = self.files()?;
        // Not the one that is held already.
        let others = |path: &Path| open(path, |options| options).ok().flatten();
        let aged = |file: &File| {
            let age = |written| self.now.duration_since(written).ok();
            let age = file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(age);
            self.options.retention.zip(age).is_some_and(|(most, age)| age > most)
        };
        files.retain(|(path, _)| {
            let Some(file) = others(path) else { return true };
            let _ = repair(&file);
            let old = aged(&file);
            !(old && delete(path, "it is older than its retention"))
        });
        let mut total: u64 = files.iter().map(|(_, bytes)| bytes).sum::<u64>() + more;
        let most = self.options.max_total.unwrap_or(u64::MAX);
        if self.options.when_full == WhenFull::DeleteOldest {
            files.retain(|(path, bytes)| {
                let goes = total > most
                    && others(path).is_some()
                    && delete(path, "all files together are too large");
                total -= if goes { *bytes } else { 0 };
                !goes
            });
        }
        match total > most && self.options.when_full == WhenFull::Refuse {
            true => {
                Err(io::Error::new(io::ErrorKind::QuotaExceeded, "all files together would be too large"))
            }
            false => Ok(files),
        }
    }

    /// The file for so many bytes more: one of this period that has room, or a new one.
    pub(super) fn next(&self, files: &Files, more: u64) -> io::Result<(PathBuf, File)> {
        if let Some((path, _)) = files.last()
            && let Some(found) = self.resume(path, more)
        {
            return Ok(found);
        }
        let of_now = |(path, _): &(PathBuf, u64)| {
            let (stamp, number) = self.parse(path.file_name()?)?;
            (stamp == self.stamp).then_some(number)
        };
        let mut number = files.iter().filter_map(of_now).max().unwrap_or(0);
        loop {
            number += 1;
            let path = self.path(number);
            match open(&path, |options| options.create_new(true)) {
                Ok(Some(file)) => {
                    // Else a later line would go into a file whose name may be lost.
                    let forget = |_: &io::Error| drop(fs::remove_file(&path));
                    sync_directory(&self.options.directory).inspect_err(forget)?;
                    return Ok((path, file));
                }
                // Somebody else was faster, or there is something that is no file of ours.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn delete(path: &Path, why: &str) -> bool {
    let deleted = fs::remove_file(path);
    match &deleted {
        Ok(()) => {
            _ = quietly(|| tracing::info!(target: "exporters", file = %path.display(), why, "deleted a file"))
        }
        Err(error) => {
            tell!(file = %path.display(), %error, "cannot delete a file");
        }
    }
    deleted.is_ok()
}
