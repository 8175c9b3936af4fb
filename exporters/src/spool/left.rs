//! Reads what earlier processes left, as far as somebody asks.

use super::{
    Record,
    segments::{DONE, State, sum},
    unavailable,
};
use crate::{
    Batch, Result,
    encode::record::{self, BEGIN},
    foreign::tell,
    journal::{
        self,
        read::{Line, Lines},
    },
};
use std::{collections::VecDeque, io};

#[derive(Debug, Default)]
pub(super) struct Left {
    /// Segments, the oldest first.
    segments: VecDeque<u64>,
    reading: Option<Reading>,
    /// What nobody has asked for yet.
    found: VecDeque<Result<(Record, Batch)>>,
}

#[derive(Debug)]
struct Reading {
    segment: u64,
    lines: Lines,
    end: u64,
}

impl Left {
    pub(super) fn add(&mut self, segment: u64) {
        self.segments.push_back(segment);
    }
}

impl State {
    pub(super) fn has_found(&self) -> bool {
        !self.left.found.is_empty()
    }

    pub(super) fn take_found(&mut self) -> Option<Result<(Record, Batch)>> {
        self.left.found.pop_front()
    }

    /// Reads until something is found, or nothing is left.
    pub(super) fn find(&mut self) {
        while self.left.found.is_empty() {
            if let Some(mut reading) = self.left.reading.take() {
                match self.go_on(&mut reading) {
                    Ok(true) => self.left.reading = Some(reading),
                    Ok(false) => self.end(reading.segment),
                    Err(error) => self.unreadable(reading.segment, error),
                }
            } else if let Some(segment) = self.left.segments.pop_front() {
                match self.begin(segment) {
                    Ok(reading) => self.left.reading = reading,
                    Err(error) => self.unreadable(segment, error),
                }
            } else {
                break;
            }
        }
        self.publish();
    }

    fn begin(&self, segment: u64) -> io::Result<Option<Reading>> {
        let Some(known) = self.segments.get(&segment) else { return Ok(None) };
        let end = match known.end {
            Some(end) => end,
            None => self.cut(&known.path)?,
        };
        let file = journal::open_unlocked(&known.path, |options| options)?;
        Ok(Some(Reading { segment, lines: Lines::new(file, record::LONGEST), end }))
    }

    /// Reads a line; whether there may be more.
    fn go_on(&mut self, reading: &mut Reading) -> io::Result<bool> {
        match reading.lines.next()? {
            Some(line) if line.at < reading.end => {
                self.examine(reading.segment, line);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn end(&mut self, segment: u64) {
        if let Some(known) = self.segments.get_mut(&segment) {
            known.unread = false;
        }
        self.finish(segment);
    }

    /// It stays for a later process, if it is there.
    fn unreadable(&mut self, segment: u64, error: io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            return self.end(segment);
        }
        let Some(known) = self.segments.get(&segment) else { return };
        let message = "what was spooled cannot be read; it is tried again when the program starts again";
        self.left.found.push_back(Err(unavailable(&known.path, message, error)));
    }

    fn examine(&mut self, segment: u64, line: Line) {
        let text = line.text.unwrap_or_default();
        let pieces = match record::is_sound(&text) {
            true => vec![(0, &*text)],
            false => pieces(&text),
        };
        let mut wrong = None;
        for (offset, piece) in pieces {
            if piece.first() == Some(&DONE) {
                continue;
            }
            let at = line.at + offset as u64;
            let Some(known) = self.segments.get_mut(&segment) else { return };
            match record::decode(piece) {
                Ok((batch, _)) => {
                    known.live += 1;
                    let (len, items) = (piece.len() as u64, batch.len());
                    let found = Record { segment, at, len, sum: sum(piece), items };
                    self.left.found.push_back(Ok((found, batch)));
                    self.count(|stats| {
                        (stats.found, stats.found_items) =
                            (stats.found + 1, stats.found_items + items as u64);
                    });
                }
                Err(error) => {
                    // Whoever wrote it can read it.
                    known.live += u64::from(error.context("version").is_some());
                    wrong = Some((known.path.display().to_string(), error));
                }
            }
        }
        if let Some((file, error)) = wrong {
            tell!(file, at = line.at, %error, "a line is passed over");
            self.count(|stats| stats.corrupt += 1);
        }
    }
}

/// What may be records in a line that is none: the line feed between two may have become something else.
fn pieces(line: &[u8]) -> Vec<(usize, &[u8])> {
    let begin = BEGIN.get(1..).unwrap_or_default();
    let begins = line.windows(begin.len()).enumerate().skip(2).filter(|(_, window)| *window == begin);
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, _) in begins {
        pieces.extend(line.get(start..at - 2).map(|piece| (start, piece)));
        start = at - 1;
    }
    pieces.extend(line.get(start..).map(|piece| (start, piece)));
    pieces
}
