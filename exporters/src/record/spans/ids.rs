//! Identities of traces and spans: random, fast, and never zero.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    process,
    sync::OnceLock,
};

/// One thread's generator, xoroshiro128++; seeded at its first use from what the operating system gave the process.
///
/// Two cells, since a pair would be read as a whole right after it was written by halves, for which the processor waits.
#[derive(Debug)]
pub(super) struct Ids(Cell<u64>, Cell<u64>);

impl Ids {
    pub(super) const fn new() -> Self {
        Self(Cell::new(0), Cell::new(0))
    }

    /// A random number that is not zero.
    #[inline(always)]
    pub(super) fn next(&self) -> u64 {
        if !self.is_seeded() {
            self.seed();
        }
        let (a, mut b) = (self.0.get(), self.1.get());
        let id = a.wrapping_add(b).rotate_left(17).wrapping_add(a);
        b ^= a;
        self.0.set(a.rotate_left(49) ^ b ^ (b << 21));
        self.1.set(b.rotate_left(28));
        id.max(1)
    }

    /// Whether it was used.
    #[inline(always)]
    pub(super) fn is_seeded(&self) -> bool {
        self.0.get() | self.1.get() != 0
    }

    #[cold]
    #[inline(never)]
    fn seed(&self) {
        let (a, b) = seed();
        self.0.set(a);
        self.1.set(b);
    }

    /// Has the next use seed it anew: after a fork, where the parent goes on with the same numbers.
    pub(super) fn forget(&self) {
        self.0.set(0);
        self.1.set(0);
    }
}

/// Never twice the same: the keys are the process's and the thread's own, and a child of a fork has another number.
fn seed() -> (u64, u64) {
    let what = (process::id(), crate::clock::counter(), std::time::Instant::now());
    let random = RandomState::new();
    (random.hash_one((0, what)), random.hash_one((1, what)).max(1))
}

/// The other half of a trace that nobody records, and its span: always the same ones for `low`, since mostly nobody asks.
pub(in super::super) fn derived(low: u64) -> (u64, u64) {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    let keys = KEYS.get_or_init(RandomState::new);
    (keys.hash_one((0, low)).max(1), keys.hash_one((1, low)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_over_threads_and_seeds() {
        let draw = || {
            let ids = Ids::new();
            let mut drawn: Vec<u64> = (0..10_000).map(|_| ids.next()).collect();
            ids.forget();
            drawn.extend((0..10_000).map(|_| ids.next()));
            drawn
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 80_000);
        assert!(!all.contains(&0));
        // Each bit is set in about half of them.
        for bit in 0..64 {
            let set = all.iter().filter(|id| *id >> bit & 1 == 1).count();
            assert!((38_000..42_000).contains(&set), "bit {bit} is set in {set} of 80000");
        }
    }

    #[test]
    fn what_is_derived_stays_the_same() {
        assert_eq!(derived(5), derived(5));
        assert_ne!(derived(5), derived(7));
    }
}
