//! The static facts of one profiled function, registered at link time.

use super::{
    FAST, FAST_TRACED, MODE, OFF, SLOW, SLOW_TRACED, alloc::uncounted, keyed::KeyedSeries, series::Series,
};
use crate::model::SpanKind;
use std::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU32,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
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
pub(crate) struct Spec {
    /// Its name, with its type where the macro could see one.
    pub(crate) name: &'static str,
    /// The module's path.
    pub(crate) module: &'static str,
    /// The source file.
    pub(crate) file: &'static str,
    /// The line of its name.
    pub(crate) line: u32,
    /// The crate.
    pub(crate) package: &'static str,
    /// The crate's version.
    pub(crate) version: &'static str,
    /// The kind of its spans, if it is to have some.
    pub(crate) span: Option<SpanKind>,
    /// Whether its spans are named without the module.
    pub(crate) bare: bool,
    /// Its objective.
    pub(crate) objective: Option<Objective>,
    /// The keys of its attributes.
    pub(crate) keys: &'static [&'static str],
}

/// What few functions have.
#[derive(Debug)]
pub struct More {
    /// An objective.
    pub objective: Option<Objective>,
    /// The keys of attributes.
    pub keys: &'static [&'static str],
}

/// One profiled function, as it is compiled into a program. The compiler evaluates one for each, so there is little in it.
pub struct Site {
    /// Where threads have its shard while calls take the fast path, or why they do not.
    place: AtomicU32,
    state: AtomicPtr<State>,
    node: UnsafeCell<MaybeUninit<inventory::Node>>,
    module: &'static str,
    /// Package, version, line, file and name, with a null character between each two. Behind the line may be a letter that says
    /// how its spans are.
    facts: &'static str,
    more: Option<&'static More>,
}

// SAFETY: `node` is written by whoever registers the site, and only read by inventory, to which it is handed over.
unsafe impl Sync for Site {}

inventory::collect!(Site);

#[cfg(feature = "tracing-layer")]
use std::sync::atomic::{Ordering::SeqCst, fence};

/// Values of `place` that are beyond every table.
pub(super) mod nowhere {
    /// Nothing is recorded.
    pub(in super::super) const OFF: u32 = u32::MAX;
    /// Calls read another clock, or memory is counted.
    pub(super) const SLOW: u32 = u32::MAX - 1;
    /// Nobody has said yet, or there is no place yet.
    pub(super) const UNDECIDED: u32 = u32::MAX - 2;
    /// Sampled calls have spans.
    pub(in super::super) const FAST_TRACED: u32 = u32::MAX - 3;
    /// The same, and calls read another clock, or memory is counted.
    pub(super) const SLOW_TRACED: u32 = u32::MAX - 4;
}

impl Site {
    /// Evaluated once, where a call would be evaluated for each site.
    #[expect(clippy::declare_interior_mutable_const, reason = "it is there to be copied")]
    const EMPTY: Self = Self {
        place: AtomicU32::new(nowhere::UNDECIDED),
        state: AtomicPtr::new(ptr::null_mut()),
        node: UnsafeCell::new(MaybeUninit::uninit()),
        module: "",
        facts: "",
        more: None,
    };

    /// A site that nothing has called yet.
    pub const fn new(module: &'static str, facts: &'static str) -> Self {
        Self { module, facts, ..Self::EMPTY }
    }

    /// A site with what few functions have.
    pub const fn with(module: &'static str, facts: &'static str, more: &'static More) -> Self {
        Self { module, facts, more: Some(more), ..Self::EMPTY }
    }

    /// Has [`all`](Self::all) show it.
    ///
    /// # Safety
    /// Nobody has called this of the same site, nor does meanwhile.
    pub unsafe fn register(&'static self) {
        let node = inventory::Node { value: self, next: UnsafeCell::new(None) };
        // SAFETY: the caller's promise, and the node's value is this.
        unsafe { inventory::ErasedNode::submit(self, (*self.node.get()).write(node)) };
    }

    /// One that is made while the program runs, and that lasts as long as it does.
    #[cfg(feature = "tracing-layer")]
    pub(super) fn leaked(module: &'static str, facts: String) -> &'static Self {
        let site = Box::leak(Box::new(Self::new(module, facts.leak())));
        // SAFETY: nobody else knows it.
        unsafe { site.register() };
        // Whoever changes the mode now finds it, or has changed it for `decide` already.
        fence(SeqCst);
        site
    }

    /// Every function of the program.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        inventory::iter::<Self>.into_iter()
    }

    /// Whether it is the library's, and not of interest before it is called. Such a one has attributes.
    pub(super) fn is_own(&self) -> bool {
        let spec = &self.state().spec;
        spec.package == env!("CARGO_PKG_NAME") && !spec.keys.is_empty()
    }

    /// Where threads have its shard; beyond every table if calls do not take the fast path.
    #[inline(always)]
    pub(super) fn fast_place(&self) -> u32 {
        self.place.load(Relaxed)
    }

    /// Whether nothing is recorded.
    #[inline(always)]
    pub(crate) fn is_off(&self) -> bool {
        match self.fast_place() {
            nowhere::OFF => true,
            nowhere::UNDECIDED => self.mode() == OFF,
            _ => false,
        }
    }

    pub(super) fn set_mode(&self, mode: u8) {
        self.place.store(self.place_in(mode), Relaxed);
    }

    fn place_in(&self, mode: u8) -> u32 {
        match mode {
            OFF => nowhere::OFF,
            SLOW => nowhere::SLOW,
            FAST_TRACED => nowhere::FAST_TRACED,
            SLOW_TRACED => nowhere::SLOW_TRACED,
            // Who has no place yet gets one at its first call.
            _ => self.known().map_or(nowhere::UNDECIDED, |state| state.place.load(Relaxed)),
        }
    }

    /// How calls are recorded, also where nobody has set it: in a library that was loaded later.
    pub(super) fn mode(&self) -> u8 {
        match self.fast_place() {
            nowhere::OFF => OFF,
            nowhere::SLOW => SLOW,
            nowhere::FAST_TRACED => FAST_TRACED,
            nowhere::SLOW_TRACED => SLOW_TRACED,
            nowhere::UNDECIDED => self.decide(),
            _ => FAST,
        }
    }

    /// Says so to later calls, if there is something to say.
    pub(super) fn decide(&self) -> u8 {
        let mode = MODE.load(Relaxed);
        let place = self.place_in(mode);
        if place != nowhere::UNDECIDED {
            // Not after `set_mode` of another thread: whoever changes the mode sets it in both places, this one last.
            let _ = self.place.compare_exchange(nowhere::UNDECIDED, place, Relaxed, Relaxed);
        }
        mode
    }

    /// What has been recorded, if anything asked for it yet.
    #[inline(always)]
    pub(super) fn known(&self) -> Option<&State> {
        // SAFETY: what `state` points to is never freed.
        unsafe { self.state.load(Acquire).as_ref() }
    }

    /// What is known of it and has been recorded.
    pub(crate) fn state(&self) -> &State {
        self.known().unwrap_or_else(|| self.first_state())
    }

    /// Without a lock, which a fork could find taken.
    #[cold]
    fn first_state(&self) -> &State {
        let new = uncounted(|| Box::into_raw(Box::new(State::new(self.spec()))));
        match self.state.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
            // SAFETY: it is never freed.
            Ok(_) => unsafe { &*new },
            // SAFETY: nobody else has seen `new`; the other one is never freed.
            Err(other) => unsafe {
                drop(Box::from_raw(new));
                &*other
            },
        }
    }

    /// What the macro knew.
    fn spec(&self) -> Spec {
        let mut facts = self.facts.splitn(5, '\0');
        let mut next = || facts.next().unwrap_or_default();
        let (package, version, line, file, name) = (next(), next(), next(), next(), next());
        let (line, how) =
            line.split_at(line.len() - usize::from(line.ends_with(|c: char| !c.is_ascii_digit())));
        let (line, module, span) = (line.parse().unwrap_or_default(), self.module, span_kind(how));
        let bare = how == BARE;
        let (objective, keys) = self.more.map_or((None, &[][..]), |more| (more.objective, more.keys));
        Spec { name, module, file, line, package, version, span, bare, objective, keys }
    }
}

/// What is known of a function, and what has been recorded of it; made when something first asks for it.
pub(crate) struct State {
    pub(crate) spec: Spec,
    owner: OnceLock<&'static str>,
    /// One call in how many is timed.
    one_in: AtomicU32,
    asynchronous: AtomicBool,
    /// Where threads have its shard.
    place: AtomicU32,
    pub(super) series: Series,
    pub(super) keyed: KeyedSeries,
}

impl State {
    fn new(spec: Spec) -> Self {
        Self {
            spec,
            owner: OnceLock::new(),
            one_in: AtomicU32::new(1),
            asynchronous: AtomicBool::new(false),
            place: AtomicU32::new(nowhere::UNDECIDED),
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

    /// Whether sampled calls have spans.
    #[inline(always)]
    pub(super) fn has_spans(&self) -> bool {
        self.spec.span.is_some()
    }

    /// The kind of its spans.
    pub(super) fn kind(&self) -> SpanKind {
        self.spec.span.unwrap_or_default()
    }

    /// Where threads have its shard, which they may have only if somebody called [`place`](Self::place).
    #[inline(always)]
    pub(super) fn known_place(&self) -> u32 {
        self.place.load(Relaxed)
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
    pub(super) fn meet(&self, owner: Option<&'static str>, one_in: u32) {
        if let Some(owner) = owner {
            self.owner.get_or_init(|| owner);
        }
        // Who does not know it says one; and what calls of every thread read is not written without need.
        if one_in > 1 && self.one_in.load(Relaxed) != one_in {
            self.one_in.store(one_in, Relaxed);
        }
    }

    /// Where threads have its shard; from the first time on it is called, so that what is not takes no room.
    pub(super) fn place(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if self.place.load(Relaxed) == nowhere::UNDECIDED {
            // A place that two threads wanted to give it stays empty.
            let new = NEXT.fetch_add(1, Relaxed);
            let _ = self.place.compare_exchange(nowhere::UNDECIDED, new, Relaxed, Relaxed);
        }
        self.place.load(Relaxed)
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
        f.debug_struct("Site").field("spec", &self.spec()).finish_non_exhaustive()
    }
}

/// The letter behind the line of what names its spans itself.
pub(super) const BARE: &str = "b";

/// From the letter behind the line.
fn span_kind(how: &str) -> Option<SpanKind> {
    match how {
        "-" => None,
        "s" => Some(SpanKind::Server),
        "c" => Some(SpanKind::Client),
        "p" => Some(SpanKind::Producer),
        "q" => Some(SpanKind::Consumer),
        _ => Some(SpanKind::Internal),
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
