//! What is known of a spool's segments, and the work on them.

use super::{Record, SpoolConfig, SpoolStats, left::Left, lock, slots::Slot, unavailable};
use crate::{
    Batch, Error, ErrorKind, Result,
    encode::record::{self, BEGIN},
    foreign::tell,
    journal::{self, WhenFull},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

/// What names of segments end in. Not that of files for a replay, which would send what a leg has and will send too.
const EXTENSION: &str = "spool";
/// The first byte of a line that is done.
pub(super) const DONE: u8 = b' ';

#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    leg: String,
    max_size: u64,
    own: Slot,
    /// Of processes that have ended.
    others: Vec<Slot>,
    /// For the own slot.
    options: journal::Options,
    writer: journal::State,
    /// By a number that none has twice, whatever its name.
    pub(super) segments: BTreeMap<u64, Segment>,
    numbers: u64,
    /// The one that is written to.
    current: Option<u64>,
    pub(super) left: Left,
    stats: Arc<Mutex<SpoolStats>>,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    bytes: u64,
    /// Records that somebody has, or a later version may read.
    pub(super) live: u64,
    /// An earlier process wrote to it, and not all of that is read.
    pub(super) unread: bool,
    /// Where what an earlier process wrote ends, where that is known.
    pub(super) end: Option<u64>,
}

impl State {
    pub(super) fn open(config: &SpoolConfig, leg: &str, stats: Arc<Mutex<SpoolStats>>) -> io::Result<Self> {
        let own = Slot::claim(&config.directory, leg)?;
        let others = Slot::others(&config.directory, leg).unwrap_or_default();
        let options = journal::Options {
            directory: own.directory.clone(),
            prefix: "spool".to_owned(),
            extension: EXTENSION,
            durability: config.durability,
            period: None,
            // Segments go one by one.
            max_file: Some((config.max_size / 10).clamp(64 << 10, 10_000_000)),
            max_total: None,
            when_full: WhenFull::Refuse,
            retention: None,
        };
        let (directory, leg, max_size) = (config.directory.clone(), leg.to_owned(), config.max_size);
        let (writer, segments, left) = Default::default();
        let (numbers, current) = (0, None);
        let mut state = Self {
            directory,
            leg,
            max_size,
            own,
            others,
            options,
            writer,
            segments,
            numbers,
            current,
            left,
            stats,
        };
        state.adopt();
        Ok(state)
    }

    /// Has all segments of all slots that are not known yet read.
    fn adopt(&mut self) {
        let slots = self.others.iter().map(|slot| (&slot.directory, false));
        let slots = [(&self.own.directory, true)].into_iter().chain(slots);
        let mut found = Vec::new();
        for (directory, own) in slots {
            let options = journal::Options { directory: directory.clone(), ..self.options.clone() };
            match journal::files(&options) {
                Ok(files) => {
                    let last = files.len().saturating_sub(1);
                    let one = |(at, (path, bytes))| (path, bytes, own && at == last);
                    found.extend(files.into_iter().enumerate().map(one));
                }
                Err(error) => tell!(directory = %directory.display(), %error, "cannot read what is spooled"),
            }
        }
        found.retain(|(path, ..)| self.segments.values().all(|segment| segment.path != *path));
        found.sort_unstable_by(|(a, ..), (b, ..)| (a.file_name(), a).cmp(&(b.file_name(), b)));
        for (path, bytes, goes_on) in found {
            // It is the one that may be written to, and what is written then is not of an earlier process.
            let end = goes_on.then(|| self.cut(&path).unwrap_or(bytes));
            let number =
                self.insert(Segment { path, bytes: end.unwrap_or(bytes), live: 0, unread: true, end });
            self.left.add(number);
        }
        self.remove_empty_slots();
        self.publish();
    }

    fn insert(&mut self, segment: Segment) -> u64 {
        self.numbers += 1;
        self.segments.insert(self.numbers, segment);
        self.numbers
    }

    /// Cuts off what a killed process left at the end, or somebody else wrote there; gives what is left.
    pub(super) fn cut(&self, path: &Path) -> io::Result<u64> {
        // The slot's lock is enough.
        let file = journal::open_unlocked(path, |options| options.write(true))?;
        let before = file.metadata()?.len();
        // None is longer: a line that is too long for others has one of its own.
        if before > record::LONGEST as u64 {
            file.set_len(record::LONGEST as u64)?;
        }
        journal::repair(&file)?;
        let after = file.metadata()?.len();
        if after < before {
            tell!(file = %path.display(), bytes = before - after, "cut off what is no whole record");
            self.count(|stats| stats.torn += 1);
        }
        Ok(after)
    }

    pub(super) fn append(&mut self, batch: &Batch) -> Result<Record> {
        let appended = self.try_append(batch);
        let items = batch.len() as u64;
        self.count(|stats| match &appended {
            Ok(_) => {
                (stats.batches, stats.items) = (stats.batches + 1, stats.items + items);
                stats.last_error = None;
            }
            Err(error) => {
                (stats.refused, stats.last_error) = (stats.refused + items, Some(error.to_string()));
            }
        });
        self.publish();
        appended
    }

    fn try_append(&mut self, batch: &Batch) -> Result<Record> {
        let line = record::encode(batch, None)?;
        let len = line.len() as u64;
        self.make_room(len)?;
        self.own_slot()
            .and_then(|()| self.write(&line))
            .map(|(segment, at)| Record { segment, at, len, sum: sum(&line), items: batch.len() })
            .map_err(|error| {
                unavailable(
                    &self.directory,
                    "the spool cannot be written; see to its disk and its permissions",
                    error,
                )
            })
    }

    /// Has a slot that is there, and not somebody else's by now.
    fn own_slot(&mut self) -> io::Result<()> {
        if self.own.is_there()? {
            return Ok(());
        }
        self.own = Slot::claim(&self.directory, &self.leg)?;
        self.options.directory = self.own.directory.clone();
        self.writer = journal::State::default();
        let before = self.current.take();
        self.adopt();
        before.into_iter().for_each(|before| self.finish(before));
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> io::Result<(u64, u64)> {
        let appended = self.writer.append(&self.options, line, SystemTime::now())?;
        let bytes = appended.at + line.len() as u64;
        let known = self.segments.iter().find(|(_, segment)| segment.path == appended.path);
        let number = match known.map(|(number, _)| *number) {
            Some(number) => number,
            None => {
                let path = appended.path;
                self.insert(Segment { path, bytes, live: 0, unread: false, end: None })
            }
        };
        if let Some(segment) = self.segments.get_mut(&number) {
            (segment.bytes, segment.live) = (bytes, segment.live + 1);
        }
        let before = self.current.replace(number).filter(|before| *before != number);
        before.into_iter().for_each(|before| self.finish(before));
        Ok((number, appended.at))
    }

    /// Makes room for so many bytes more.
    fn make_room(&mut self, len: u64) -> Result<()> {
        let fits = |state: &Self| state.bytes().saturating_add(len) <= state.max_size;
        if fits(self) {
            return Ok(());
        }
        // Others may have taken some away, or it could not be deleted before.
        self.segments.retain(|_, segment| match fs::symlink_metadata(&segment.path) {
            Ok(metadata) => {
                segment.bytes = metadata.len();
                true
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
        self.current = None;
        let all: Vec<u64> = self.segments.keys().copied().collect();
        all.into_iter().for_each(|number| self.finish(number));
        match fits(self) {
            true => Ok(()),
            false => {
                let message =
                    "the spool is full; it needs a larger `max_size`, or a backend that takes what waits";
                Err(Error::new(ErrorKind::Unavailable, message)
                    .with_context("directory", self.directory.display())
                    .with_context("max_size", self.max_size))
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn read(&self, record: &Record) -> Result<Batch> {
        let read = || {
            let file = self.file(record, false)?;
            let mut line = vec![0; usize::try_from(record.len).map_err(io::Error::other)?];
            file.read_exact_at(&mut line, record.at)?;
            Ok(line)
        };
        let line: Vec<u8> = read().map_err(|error| {
            unavailable(&self.directory, "what was spooled cannot be read; somebody changed its files", error)
        })?;
        let changed = || {
            Error::new(
                ErrorKind::Rejected,
                "what was spooled is not as it was written; somebody changed its files",
            )
            .with_context("directory", self.directory.display())
        };
        match record::decode(&line) {
            Ok((batch, _)) if sum(&line) == record.sum => Ok(batch),
            _ => Err(changed()),
        }
    }

    /// The file with a record.
    fn file(&self, record: &Record, writes: bool) -> io::Result<File> {
        let segment = self.segments.get(&record.segment).ok_or(io::ErrorKind::NotFound)?;
        journal::open_unlocked(&segment.path, |options| options.write(writes))
    }

    pub(super) fn done(&mut self, record: &Record) {
        match self.mark(record) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tell!(directory = %self.directory.display(), %error, "cannot note that a batch is done");
            }
            _ => {}
        }
        if let Some(segment) = self.segments.get_mut(&record.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
        self.finish(record.segment);
        self.count(|stats| stats.done += 1);
        self.publish();
    }

    /// Overwrites one byte, in place, if the record is there.
    fn mark(&self, record: &Record) -> io::Result<()> {
        let file = self.file(record, true)?;
        let mut head = [0; BEGIN.len() + 8];
        file.read_exact_at(&mut head, record.at)?;
        match head.starts_with(BEGIN) && sum(&head) == record.sum {
            true => file.write_all_at(&[DONE], record.at),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "somebody changed the file")),
        }
    }

    /// Deletes a segment that nobody needs any more.
    pub(super) fn finish(&mut self, number: u64) {
        let Some(segment) = self.segments.get(&number) else { return };
        if segment.live > 0 || segment.unread || self.current == Some(number) {
            return;
        }
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tell!(file = %segment.path.display(), %error, "cannot delete a file");
            }
            _ => {
                self.segments.remove(&number);
                self.remove_empty_slots();
            }
        }
    }

    /// Removes the directories of others that have nothing left.
    fn remove_empty_slots(&mut self) {
        let Self { others, segments, .. } = self;
        others.retain(|slot| {
            let is_used = segments.values().any(|segment| segment.path.starts_with(&slot.directory));
            if !is_used {
                slot.remove();
            }
            is_used
        });
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut SpoolStats)) {
        count(&mut lock(&self.stats));
    }

    pub(super) fn publish(&self) {
        let (bytes, files) = (self.bytes(), self.segments.len() as u64);
        self.count(|stats| (stats.bytes, stats.files) = (bytes, files));
    }
}

impl Drop for State {
    /// A spool that was drained leaves nothing.
    fn drop(&mut self) {
        if !self.own.is_ours() {
            return;
        }
        if let Some(current) = self.current.take() {
            self.finish(current);
        }
        if self.segments.is_empty() {
            self.own.remove();
        }
    }
}

/// The checksum that a line has.
pub(super) fn sum(line: &[u8]) -> [u8; 8] {
    let sum = line.get(BEGIN.len()..).and_then(|rest| rest.first_chunk());
    sum.copied().unwrap_or_default()
}
