//! What waits to be sent, oldest first, in bounded room: snapshots are merged where they are too many, spans given up.

mod config;
mod kept;
mod pace;
#[cfg(all(feature = "file", feature = "zstd"))]
mod packed;

#[cfg(all(feature = "file", feature = "zstd"))]
pub use config::BufferCompression;
pub use config::{AdaptiveConfig, BufferConfig, Overflow};
pub(super) use kept::Kept;
pub(super) use pace::Pace;

use crate::{BatchId, ProfileMetrics, Signal, model::Absorbed};
use std::{collections::VecDeque, sync::Arc};

/// Less is not worth being compressed.
#[cfg(all(feature = "file", feature = "zstd"))]
const WORTHWHILE: usize = 4 << 10;

/// A snapshot, a group of spans, or a part of one, that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    held: Held,
    items: usize,
    memory: usize,
    /// What it was called when it was tried before: as long as it is the same, so is its name.
    pub(super) id: Option<BatchId>,
    /// Whether the mapping was applied, so that it is what is sent and not what was recorded.
    pub(super) mapped: bool,
    /// Whether it is on the disk as well.
    pub(super) kept: Kept,
}

#[derive(Debug)]
enum Held {
    Here(Signal),
    /// In the spool alone; whether it is spans.
    OnDisk(bool),
    #[cfg(all(feature = "file", feature = "zstd"))]
    Packed(packed::Packed),
}

impl From<Signal> for Waiting {
    fn from(signal: Signal) -> Self {
        Self::new(signal)
    }
}

impl Waiting {
    pub(super) fn new(signal: Signal) -> Self {
        let memory = signal.memory();
        Self::of_memory(signal, memory)
    }

    /// One whose [memory](Signal::memory) is known.
    pub(super) fn of_memory(signal: Signal, memory: usize) -> Self {
        Self {
            items: signal.len(),
            memory,
            held: Held::Here(signal),
            id: None,
            mapped: false,
            kept: Kept::No,
        }
    }

    /// A part of it: of spans with as much of its memory, for what a part shares with a whole that is still there seems to hold nothing.
    pub(super) fn part(&self, signal: Signal) -> Self {
        match (&self.held, &signal) {
            (Held::Here(_), Signal::Spans(_)) => {
                let memory = self.memory.div_ceil(self.room().max(1)) * signal.len();
                Self::of_memory(signal, memory)
            }
            _ => Self::new(signal),
        }
    }

    /// The same, called so because it was tried, and perhaps mapped or kept.
    pub(super) fn again(self, id: Option<BatchId>, mapped: bool, kept: Kept) -> Self {
        Self { id, mapped, kept, ..self }
    }

    /// How many items it is.
    pub(super) fn len(&self) -> usize {
        self.items
    }

    /// The room that it takes in memory; what has no items takes some, too.
    fn room(&self) -> usize {
        match self.held {
            Held::OnDisk(_) => 0,
            _ => self.items.max(1),
        }
    }

    /// What waited, where it is in memory.
    pub(super) fn signal(&self) -> Option<Signal> {
        match &self.held {
            Held::Here(signal) => Some(signal.clone()),
            Held::OnDisk(_) => None,
            #[cfg(all(feature = "file", feature = "zstd"))]
            Held::Packed(packed) => packed.unpack().ok(),
        }
    }

    /// The snapshot, if it is one.
    fn metrics(self) -> Option<Arc<ProfileMetrics>> {
        match self.signal()? {
            Signal::Metrics(metrics) => Some(metrics),
            Signal::Spans(_) => None,
        }
    }

    /// Whether it is as it was recorded, and nobody knows it by a name.
    fn is_untouched(&self) -> bool {
        !self.mapped && self.id.is_none()
    }
}

/// Things of one kind that wait.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// The room that they take.
    room: usize,
    memory: usize,
}

impl Line {
    fn enter(&mut self, waiting: &Waiting) {
        self.room += waiting.room();
        self.memory += waiting.memory;
    }

    fn leave(&mut self, waiting: Option<Waiting>) -> Option<Waiting> {
        if let Some(waiting) = &waiting {
            self.room -= waiting.room();
            self.memory -= waiting.memory;
        }
        waiting
    }

    fn push(&mut self, waiting: Waiting) {
        self.enter(&waiting);
        self.waiting.push_back(waiting);
    }

    fn put_back(&mut self, waiting: Waiting) {
        self.enter(&waiting);
        self.waiting.push_front(waiting);
    }

    fn pop(&mut self, also_kept: bool) -> Option<Waiting> {
        let may = |waiting: &Waiting| also_kept || !matches!(waiting.kept, Kept::Yes(_));
        let at = self.waiting.iter().position(may)?;
        // Whoever writes it looks for it here.
        let is_written = |waiting: &Waiting| matches!(waiting.kept, Kept::Writing);
        if self.waiting.get(at).is_some_and(is_written) {
            return None;
        }
        self.take(at)
    }

    fn take(&mut self, at: usize) -> Option<Waiting> {
        let waiting = self.waiting.remove(at);
        self.leave(waiting)
    }

    fn insert(&mut self, at: usize, waiting: Waiting) {
        self.enter(&waiting);
        self.waiting.insert(at, waiting);
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    metrics: Line,
    spans: Line,
    /// Of the snapshots there were.
    largest: usize,
    packed: Compressed,
}

/// Bytes of what was compressed, before and after.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compressed {
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Buffer {
    /// How many snapshots wait, and how many groups of spans.
    pub(super) fn lens(&self) -> [usize; 2] {
        [&self.metrics, &self.spans].map(|line| line.waiting.len())
    }

    /// How many items wait; a snapshot without any counts as one.
    pub(super) fn items(&self) -> usize {
        self.metrics.room + self.spans.room
    }

    /// The bytes that they hold.
    pub(super) fn memory(&self) -> usize {
        self.metrics.memory + self.spans.memory
    }

    pub(super) fn compressed(&self) -> Compressed {
        self.packed
    }

    /// How much of the room is taken; 1 is all of it.
    pub(super) fn usage(&self, config: &BufferConfig) -> f64 {
        let items = self.metrics.room.max(self.spans.room) as f64 / config.size.max(1) as f64;
        items.max(self.memory() as f64 / config.max_memory.max(1) as f64)
    }

    /// Whether it is time to send it.
    pub(super) fn is_full(&self, config: &BufferConfig) -> bool {
        self.has_too_many(config) || self.spans.room > config.size
    }

    fn has_too_many(&self, config: &BufferConfig) -> bool {
        self.metrics.room > config.size || self.is_too_large(config)
    }

    fn is_too_large(&self, config: &BufferConfig) -> bool {
        self.memory() as u64 > config.max_memory
    }

    /// Something new comes.
    pub(super) fn push(&mut self, waiting: impl Into<Waiting>) {
        let waiting = waiting.into();
        match waiting.is_spans() {
            true => self.spans.push(waiting),
            false => {
                self.largest = self.largest.max(waiting.len());
                self.metrics.push(waiting);
            }
        }
    }

    /// Something that could not go comes back.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        match waiting.is_spans() {
            true => self.spans.put_back(waiting),
            false => self.metrics.put_back(waiting),
        }
    }

    /// The oldest goes, of metrics or of spans; of what is on the disk none, unless `also_kept`.
    pub(super) fn pop(&mut self, spans: bool, also_kept: bool) -> Option<Waiting> {
        let line = if spans { &mut self.spans } else { &mut self.metrics };
        line.pop(also_kept)
    }

    /// Makes so much room as `config` has it. What is on the disk leaves memory first.
    ///
    /// Of snapshots that are as they were recorded and were not tried, the two oldest neighbours are merged as long as that helps. What was
    /// tried may be there already, by its name, or be at some exporters of a route. Nothing is lost but resolution in time;
    /// except that series which have ended may not make a snapshot larger than both `size` and the largest one there was. Then
    /// spans are given up.
    pub(super) fn shrink(&mut self, config: &BufferConfig) -> Absorbed {
        let mut sum = Absorbed::default();
        let most = self.largest.max(config.size);
        while self.is_full(config) && self.evict() {}
        while self.has_too_many(config) && self.merge(most, &mut sum) {}
        while self.is_too_large(config) && self.overflow(config, &mut sum) {}
        sum
    }

    /// Merges all that can be, and leaves nothing out.
    pub(super) fn merge_all(&mut self) -> Absorbed {
        let mut sum = Absorbed::default();
        while self.merge(usize::MAX, &mut sum) {}
        sum
    }

    /// Merges two snapshots; series that have ended do not make it larger than `most`. Whether there were two.
    fn merge(&mut self, most: usize, sum: &mut Absorbed) -> bool {
        let waiting = self.metrics.waiting.iter().map(Waiting::is_untouched);
        let Some(at) = waiting.clone().zip(waiting.skip(1)).position(|both| both == (true, true)) else {
            return false;
        };
        let (earlier, later) = (self.metrics.take(at), self.metrics.take(at));
        let (Some(earlier), Some(later)) = (earlier, later) else { return false };
        let items = [earlier.len(), later.len()];
        let (earlier, mut later) = match (earlier.metrics(), later.metrics()) {
            (Some(earlier), Some(later)) => (earlier, later),
            (one, other) => {
                let left = one.or(other).map(|left| Waiting::new(Signal::Metrics(left)));
                sum.left_out += items.iter().sum::<usize>() - left.as_ref().map_or(0, Waiting::len);
                left.into_iter().for_each(|left| self.metrics.insert(at, left));
                return true;
            }
        };
        let room = most.saturating_sub(later.len());
        let absorbed = Arc::make_mut(&mut later).absorb(&earlier, room);
        sum.merged += absorbed.merged;
        sum.left_out += absorbed.left_out;
        // As below.
        drop(earlier);
        self.metrics.insert(at, Waiting::new(Signal::Metrics(later)));
        true
    }

    /// Gives up spans, as many of a group as it takes. Whether there were any.
    fn overflow(&mut self, config: &BufferConfig, sum: &mut Absorbed) -> bool {
        let oldest = config.overflow == Overflow::DropOldest;
        // What is on the disk would come again.
        let may = |group: &Waiting| matches!(group.kept, Kept::No);
        let mut groups = self.spans.waiting.iter();
        let at = if oldest { groups.position(may) } else { groups.rposition(may) };
        let Some(at) = at else { return false };
        let too_large = self.memory().saturating_sub(config.max_memory as usize);
        let Some(group) = self.spans.take(at) else { return false };
        let each = group.memory.div_ceil(group.room()).max(1);
        let goes = too_large.div_ceil(each).min(group.len());
        let stays = group.len() - goes;
        let left = match &group.held {
            Held::Here(signal) if stays > 0 => {
                Some(group.part(signal.slice(if oldest { goes..group.len() } else { 0..stays })))
            }
            // To unpack it would take more memory, not less.
            _ => None,
        };
        sum.left_out += group.len() - left.as_ref().map_or(0, Waiting::len);
        left.into_iter().for_each(|left| self.spans.insert(at, left));
        true
    }

    /// Compresses what waits, where that is wanted.
    pub(super) fn pack(&mut self, config: &BufferConfig) {
        #[cfg(all(feature = "file", feature = "zstd"))]
        if config.compression.is_some_and(|compression| self.items() > compression.threshold) {
            for line in [&mut self.metrics, &mut self.spans] {
                line.pack(&mut self.packed);
            }
        }
        #[cfg(not(all(feature = "file", feature = "zstd")))]
        let _ = config;
    }
}

impl Waiting {
    fn is_spans(&self) -> bool {
        match &self.held {
            Held::Here(signal) => matches!(signal, Signal::Spans(_)),
            Held::OnDisk(spans) => *spans,
            #[cfg(all(feature = "file", feature = "zstd"))]
            Held::Packed(packed) => packed.is_spans(),
        }
    }
}

#[cfg(all(feature = "file", feature = "zstd"))]
impl Line {
    fn pack(&mut self, sum: &mut Compressed) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.memory > WORTHWHILE) {
            let Held::Here(signal) = &waiting.held else { continue };
            let Some(packed) = packed::Packed::new(signal) else { continue };
            let (before, after) = (waiting.memory, packed.memory());
            if after < before {
                self.memory -= before - after;
                (waiting.held, waiting.memory) = (Held::Packed(packed), after);
                sum.before += before as u64;
                sum.after += after as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests;
