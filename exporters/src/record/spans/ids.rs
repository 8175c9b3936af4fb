//! Identities of traces and spans: random, fast, and never zero.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    process,
    sync::OnceLock,
};

/// One thread's generator, wyrand with a key of the thread's own; seeded at its first use from what the operating system gave the
/// process.
#[derive(Debug)]
pub(super) struct Ids {
    at: Cell<u64>,
    /// Zero until it is seeded.
    key: Cell<u64>,
}

impl Ids {
    pub(super) const fn new() -> Self {
        Self { at: Cell::new(0), key: Cell::new(0) }
    }

    /// A random number that is not zero.
    #[inline(always)]
    pub(super) fn next(&self) -> u64 {
        if !self.is_seeded() {
            self.seed();
        }
        let at = self.at.get().wrapping_add(STEP);
        self.at.set(at);
        let mixed = u128::from(at) * u128::from(at ^ self.key.get());
        ((mixed >> 64) as u64 ^ mixed as u64).max(1)
    }

    #[inline(always)]
    pub(super) fn is_seeded(&self) -> bool {
        self.key.get() != 0
    }

    #[cold]
    #[inline(never)]
    pub(super) fn seed(&self) {
        let (at, key) = seed();
        self.at.set(at);
        self.key.set(key);
    }

    /// Has the next use seed it anew: after a fork, where the parent goes on with the same numbers.
    pub(super) fn forget(&self) {
        self.key.set(0);
    }
}

/// Odd, and with as many bits set as not: wyrand's.
const STEP: u64 = 0x2d35_8dcc_aa6c_78a5;

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
