//! Why items are given up, and the count of them.

use std::fmt;

/// Why items were given up.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// The exporter's mapping or a filter leaves them out.
    Filtered,
    /// Their trace is not in the sample.
    Sampled,
    /// No condition of a route applied.
    Condition,
    /// There was no room to hold them any longer.
    Overflow,
    /// One of them alone is more than the backend takes at once.
    TooLarge,
    /// The export failed in a way that trying again would not cure.
    Refused,
    /// The exporter does not carry metrics.
    Unsupported,
    /// The exporter, or a route's condition, panicked.
    Panicked,
    /// The exporter could not take them, and enough others of its route did.
    Missed,
    /// They waited when the exporter was stopped, and were [not to be sent](crate::BufferConfig::flush_on_shutdown) then.
    Shutdown,
    /// They were held in a way from which they could not be had again.
    Lost,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Filtered,
        Self::Sampled,
        Self::Condition,
        Self::Overflow,
        Self::TooLarge,
        Self::Refused,
        Self::Unsupported,
        Self::Panicked,
        Self::Missed,
        Self::Shutdown,
        Self::Lost,
    ];

    /// The reason as a low-cardinality attribute, for example `too_large`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Sampled => "sampled",
            Self::Condition => "condition",
            Self::Overflow => "overflow",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Panicked => "panicked",
            Self::Missed => "missed",
            Self::Shutdown => "shutdown",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts of items given up, by reason.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// Items given up for `reason`.
    pub const fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Counts `items` more that were given up for `reason`.
    pub fn add(&mut self, reason: DropReason, items: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(items);
        }
    }

    /// Items given up, for whatever reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those of them that nobody had asked to leave out.
    pub(crate) fn failed(&self) -> u64 {
        let unwanted =
            [DropReason::Filtered, DropReason::Sampled, DropReason::Condition, DropReason::Shutdown];
        self.total() - unwanted.map(|reason| self.of(reason)).iter().sum::<u64>()
    }

    /// The reasons for which any were, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|(_, items)| *items > 0)
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(reason, items)| (reason.as_str(), items))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_place() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason}");
        }
    }
}
