//! The static facts of one profiled function, registered at link time.

use super::{keyed::KeyedSeries, series::Series};
use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

/// How a method that is annotated alone learns its type.
pub type Owner = Option<fn() -> &'static str>;

/// What a call should reach: `slo(latency = "250ms", target = 99.9)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// What it is called.
    pub name: &'static str,
    /// The share of good calls, in percent.
    pub target: f64,
    /// The longest latency of a good call in nanoseconds; 0 for any.
    pub latency_nanos: u64,
}

/// What the macro knows of a function.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name, with its type where the macro could see one.
    pub name: &'static str,
    /// The module's path.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of its name.
    pub line: u32,
    /// The crate.
    pub package: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// Its objective.
    pub objective: Option<Objective>,
    /// The keys of its attributes.
    pub keys: &'static [&'static str],
}

/// One profiled function.
pub struct Site {
    pub(super) spec: Spec,
    owner: OnceLock<&'static str>,
    /// A copy of [`MODE`](super::MODE), beside the function's code; 0 until it is needed.
    mode: AtomicU8,
    /// One call in how many is timed.
    one_in: AtomicU32,
    asynchronous: AtomicBool,
    pub(super) series: Series,
    pub(super) keyed: KeyedSeries,
}

inventory::collect!(&'static Site);

impl Site {
    /// A site that nothing has called yet.
    pub const fn new(spec: Spec) -> Self {
        Self {
            spec,
            owner: OnceLock::new(),
            mode: AtomicU8::new(0),
            one_in: AtomicU32::new(1),
            asynchronous: AtomicBool::new(false),
            series: Series::new(),
            keyed: KeyedSeries::new(),
        }
    }

    /// `function` or `Type::method`.
    pub(crate) fn function(&self) -> String {
        match self.owner.get() {
            Some(owner) => format!("{}::{}", short(owner), self.spec.name),
            None => self.spec.name.to_owned(),
        }
    }

    /// How calls are recorded.
    #[inline(always)]
    pub(super) fn mode(&self) -> u8 {
        self.mode.load(Relaxed)
    }

    pub(super) fn set_mode(&self, mode: u8) {
        self.mode.store(mode, Relaxed);
    }

    /// How calls are recorded, also where nobody has set it: in a library that was loaded later.
    pub(super) fn decide_mode(&self) -> u8 {
        if self.mode() == super::UNDECIDED {
            // Not after `set_mode` of another thread: whoever changes the mode sets it in both places, this one last.
            let _ = self.mode.compare_exchange(super::UNDECIDED, super::MODE.load(Relaxed), Relaxed, Relaxed);
        }
        self.mode()
    }

    /// What the macro knew.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// One call in how many is timed.
    pub(crate) fn one_in(&self) -> u64 {
        self.one_in.load(Relaxed).into()
    }

    /// Whether calls of it were polled.
    pub(crate) fn is_async(&self) -> bool {
        self.asynchronous.load(Relaxed)
    }

    pub(super) fn set_async(&self) {
        self.asynchronous.store(true, Relaxed);
    }

    /// Learns at a thread's first call what the macro could not know.
    pub(super) fn meet(&self, owner: Owner, one_in: u32) {
        if let Some(owner) = owner {
            self.owner.get_or_init(owner);
        }
        // Who does not know it says one; and what calls of every thread read is not written without need.
        if one_in > 1 && self.one_in.load(Relaxed) != one_in {
            self.one_in.store(one_in, Relaxed);
        }
    }

    /// What a new shard's `limit` starts from: the objective's latency in ticks.
    pub(super) fn limit(&self) -> u64 {
        match self.spec.objective {
            Some(Objective { latency_nanos: 0, .. }) => u64::MAX,
            Some(objective) => crate::clock::ticks(Duration::from_nanos(objective.latency_nanos)),
            None => 0,
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// The last segment of a type's path, without its generic arguments: `a::Cart<b::Item>` is `Cart`.
fn short(path: &str) -> &str {
    let path = path
        .trim_start_matches(['&', '*', '[', '(', ' '])
        .trim_start_matches("mut ")
        .trim_start_matches("dyn ");
    let end = path.find(['<', '[', ' ', '+', ',', ')', ']']).unwrap_or(path.len());
    let path = &path[..end];
    path.rsplit("::").next().filter(|name| !name.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn types_lose_path_and_arguments() {
        assert_eq!(short("shop::Cart<shop::Item>"), "Cart");
        assert_eq!(short("&mut shop::Cart"), "Cart");
        assert_eq!(short("dyn shop::Store + core::marker::Send"), "Store");
        assert_eq!(short("u32"), "u32");
    }
}
