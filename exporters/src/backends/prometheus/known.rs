//! What every series' lines begin with, remembered from page to page by the series' address.

use crate::{Point, Series};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

/// What is remembered of a metric's series, in the snapshot's order.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: Vec<Entry>,
    /// What their lines begin with: in one piece, because it is read from front to end.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    /// Holding it keeps its address from being used for another.
    series: Arc<Series>,
    /// Where its bytes begin.
    start: usize,
    ends: Ends,
    /// Another series of the family has the same labels.
    duplicate: bool,
}

/// How far the parts that an [`Encoder`](super::families::Encoder) wrote go from the first one's start; one that there is not ends where the one
/// before does.
pub(super) type Ends = [u32; 4];

/// What is remembered of one series.
#[derive(Clone, Copy)]
pub(super) struct Remembered<'a> {
    series: &'a Series,
    pub(super) duplicate: bool,
    ends: Ends,
    bytes: &'a [u8],
}

impl<'a> Remembered<'a> {
    /// When its total was zero.
    pub(super) fn start(&self) -> SystemTime {
        self.series.start
    }

    /// One part of what its lines begin with.
    #[inline]
    pub(super) fn part(&self, number: usize) -> &'a [u8] {
        let from = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[from as usize..self.ends[number] as usize]
    }
}

impl Known {
    /// Calls `write` for every point with what is remembered of its series.
    pub(super) fn each<T>(
        &self,
        points: &[Point<T>],
        mut write: impl FnMut(&Point<T>, Remembered<'_>),
    ) -> Result<(), Stale> {
        if points.len() != self.entries.len() {
            return Err(Stale);
        }
        for (point, entry) in points.iter().zip(&self.entries) {
            if !Arc::ptr_eq(&point.series, &entry.series) {
                return Err(Stale);
            }
            write(point, self.of(entry));
        }
        Ok(())
    }

    fn of<'a>(&'a self, entry: &'a Entry) -> Remembered<'a> {
        let Entry { series, start, ends, duplicate } = entry;
        Remembered {
            series,
            duplicate: *duplicate,
            ends: *ends,
            bytes: &self.bytes[*start..*start + ends[3] as usize],
        }
    }

    /// Remembers `all` instead; `encode` is asked about those only that are new.
    pub(super) fn refresh(&mut self, all: Vec<&Arc<Series>>, encode: impl Fn(&mut Vec<u8>, &Series) -> Ends) {
        let old = std::mem::take(self);
        let by_address: HashMap<_, _> = old.entries.iter().map(|e| (Arc::as_ptr(&e.series), e)).collect();
        for series in all {
            let start = self.bytes.len();
            let ends = match by_address.get(&Arc::as_ptr(series)) {
                Some(entry) => {
                    self.bytes.extend_from_slice(old.of(entry).bytes);
                    entry.ends
                }
                None => encode(&mut self.bytes, series),
            };
            self.entries.push(Entry { series: Arc::clone(series), start, ends, duplicate: false });
        }
    }

    /// Leaves out what is in `seen` already; how many that are.
    pub(super) fn mark_duplicates<'a>(&'a mut self, seen: &mut HashSet<&'a [u8]>) -> u64 {
        let mut duplicates = 0;
        for entry in &mut self.entries {
            entry.duplicate = !seen.insert(&self.bytes[entry.start..entry.start + entry.ends[3] as usize]);
            duplicates += u64::from(entry.duplicate);
        }
        duplicates
    }
}

/// The snapshot is not the one that was remembered.
#[derive(Debug)]
pub(super) struct Stale;
