//! Series told apart by attributes: a table per thread in front of one per site, capped.

use super::{
    series::{Series, ShardRef, lending},
    shard::Shard,
    site::Site,
    thread::{self, Attached},
};
use crate::model::Value;
use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// Attribute sets of one function; what comes later goes to the overflow series.
pub(crate) const MAX_SETS: usize = 2000;
/// Bytes of one value; what is longer is cut on a character boundary.
const MAX_VALUE: usize = 256;

/// A value that can tell series apart: numbers, booleans, text, and references to and options of them.
///
/// For another type, give its `to_string()`, or implement this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of an attribute",
    note = "numbers, booleans, characters and text can; give `value.to_string()`, or implement `exporters::AttributeValue`"
)]
pub trait AttributeValue {
    /// The value.
    fn to_value(&self) -> ValueRef<'_>;
}

/// An attribute's value, borrowed where it can be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// True or false.
    Bool(bool),
    /// An integer; those beyond 64 bits are text.
    I64(i64),
    /// A floating point number.
    F64(f64),
    /// Text.
    Str(Cow<'a, str>),
}

/// The value of an attribute.
pub fn value<T: AttributeValue + ?Sized>(value: &T) -> ValueRef<'_> {
    value.to_value()
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl AttributeValue for $type {
            fn to_value(&self) -> ValueRef<'_> {
                i64::try_from(*self).map_or_else(|_| ValueRef::Str(self.to_string().into()), ValueRef::I64)
            }
        })*
    };
}
integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl AttributeValue for bool {
    fn to_value(&self) -> ValueRef<'_> {
        ValueRef::Bool(*self)
    }
}
impl AttributeValue for f64 {
    fn to_value(&self) -> ValueRef<'_> {
        ValueRef::F64(*self)
    }
}
impl AttributeValue for f32 {
    fn to_value(&self) -> ValueRef<'_> {
        ValueRef::F64((*self).into())
    }
}
impl AttributeValue for char {
    fn to_value(&self) -> ValueRef<'_> {
        ValueRef::Str(self.to_string().into())
    }
}
impl AttributeValue for str {
    fn to_value(&self) -> ValueRef<'_> {
        ValueRef::Str(truncate(self).into())
    }
}
impl AttributeValue for String {
    fn to_value(&self) -> ValueRef<'_> {
        self.as_str().to_value()
    }
}
impl AttributeValue for Cow<'_, str> {
    fn to_value(&self) -> ValueRef<'_> {
        str::to_value(self)
    }
}
impl<T: AttributeValue + ?Sized> AttributeValue for &T {
    fn to_value(&self) -> ValueRef<'_> {
        T::to_value(self)
    }
}
impl<T: AttributeValue + ?Sized> AttributeValue for Box<T> {
    fn to_value(&self) -> ValueRef<'_> {
        T::to_value(self)
    }
}
impl<T: AttributeValue + ?Sized> AttributeValue for Arc<T> {
    fn to_value(&self) -> ValueRef<'_> {
        T::to_value(self)
    }
}
/// `None` is empty text, which stands for "no attribute".
impl<T: AttributeValue> AttributeValue for Option<T> {
    fn to_value(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Str("".into()), T::to_value)
    }
}

/// As much of `text` as an attribute takes.
pub(super) fn truncate(text: &str) -> &str {
    match text.len() {
        0..=MAX_VALUE => text,
        _ => &text[..text.floor_char_boundary(MAX_VALUE)],
    }
}

impl ValueRef<'_> {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::I64(a), Value::I64(b)) => a == b,
            (Self::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (Self::Str(a), Value::String(b)) => a == b,
            _ => false,
        }
    }

    fn of(value: &Value) -> ValueRef<'_> {
        match value {
            Value::Bool(v) => ValueRef::Bool(*v),
            Value::I64(v) => ValueRef::I64(*v),
            Value::F64(v) => ValueRef::F64(*v),
            Value::String(v) => ValueRef::Str((**v).into()),
            // No attribute of ours is one.
            Value::Array(_) => ValueRef::Str("".into()),
        }
    }

    fn to_owned(&self) -> Value {
        match self {
            Self::Bool(v) => Value::Bool(*v),
            Self::I64(v) => Value::I64(*v),
            Self::F64(v) => Value::F64(*v),
            Self::Str(v) => Value::String(v.clone().into_owned().into()),
        }
    }
}

impl Hash for ValueRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Bool(v) => v.hash(state),
            Self::I64(v) => v.hash(state),
            Self::F64(v) => v.to_bits().hash(state),
            Self::Str(v) => v.hash(state),
        }
    }
}

/// Things by a hash that is spread well already.
type ByHash<T> = HashMap<u64, Vec<T>, BuildHasherDefault<Spread>>;

/// The overflow series' place among the others.
const OVERFLOW_HASH: u64 = 0;

/// Hashes eight bytes with one multiplication; where it starts is not to be guessed from outside.
#[derive(Default)]
struct Spread(u64);

impl Spread {
    fn seeded() -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        Self(*SEED.get_or_init(|| RandomState::new().hash_one(())))
    }
}

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let last = rest.iter().fold(rest.len() as u64, |last, byte| last << 8 | u64::from(*byte));
        self.write_u64(last);
    }

    fn write_u64(&mut self, n: u64) {
        // Both halves of the product, or its low bits would depend on low bits alone.
        let product = u128::from(self.0 ^ n) * 0x9E37_79B9_7F4A_7C15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn hash(site: &'static Site, values: &[ValueRef<'_>]) -> u64 {
    let mut hasher = Spread::seeded();
    hasher.write_u64(ptr::from_ref(site).addr() as u64);
    values.hash(&mut hasher);
    hasher.finish()
}

/// One attribute set of a site.
pub struct Keyed {
    site: &'static Site,
    hash: u64,
    pub(super) series: Series,
    /// In the order of the site's keys; `None` in the overflow series.
    pub(crate) values: Option<Box<[Value]>>,
    pub(crate) start: SystemTime,
    /// Set when it was idle for so long that a thread must look it up again.
    retired: AtomicBool,
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed")
            .field("site", &self.site.state().spec.name)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl Keyed {
    fn new(site: &'static Site, hash: u64, values: Option<&[ValueRef<'_>]>) -> Arc<Self> {
        let values = values.map(|values| values.iter().map(ValueRef::to_owned).collect());
        let start = SystemTime::now();
        Arc::new(Self { site, hash, series: Series::new(), values, start, retired: AtomicBool::new(false) })
    }

    pub(crate) fn site(&self) -> &'static Site {
        self.site
    }

    /// Whether it is about to end, or has ended.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    fn is(&self, site: &'static Site, wanted: &[ValueRef<'_>]) -> bool {
        let equal = |values: &[Value]| {
            values.len() == wanted.len() && wanted.iter().zip(values).all(|(a, b)| a.is(b))
        };
        ptr::eq(self.site, site) && self.values.as_deref().is_some_and(equal)
    }
}

/// The attribute sets of one site.
pub(super) struct KeyedSeries(Mutex<Sets>);

struct Sets {
    by_hash: Option<ByHash<Arc<Keyed>>>,
    len: usize,
    overflow: Option<Arc<Keyed>>,
}

impl std::fmt::Debug for KeyedSeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedSeries").field("len", &self.sets().len).finish_non_exhaustive()
    }
}

impl KeyedSeries {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Sets { by_hash: None, len: 0, overflow: None }))
    }

    fn sets(&self) -> MutexGuard<'_, Sets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, site: &'static Site, hash: u64, wanted: &[ValueRef<'_>]) -> Arc<Keyed> {
        let _lending = lending();
        let mut sets = self.sets();
        let Sets { by_hash, len, overflow } = &mut *sets;
        let by_hash = by_hash.get_or_insert_default();
        let found = by_hash.get(&hash).and_then(|sets| sets.iter().find(|set| set.is(site, wanted)));
        if let Some(set) = found {
            set.retired.store(false, Relaxed);
            return set.clone();
        }
        if *len >= MAX_SETS {
            return overflow.get_or_insert_with(|| Keyed::new(site, OVERFLOW_HASH, None)).clone();
        }
        *len += 1;
        let set = Keyed::new(site, hash, Some(wanted));
        by_hash.entry(hash).or_default().push(set.clone());
        set
    }

    /// The set, or the one that took its place since it ended.
    fn renew(&self, set: &Arc<Keyed>) -> Arc<Keyed> {
        match set.values.as_deref() {
            Some(values) if set.is_retired() => {
                let values: Vec<_> = values.iter().map(ValueRef::of).collect();
                self.find(set.site, set.hash, &values)
            }
            _ => set.clone(),
        }
    }

    /// All attribute sets there are.
    pub(crate) fn all(&self) -> Vec<Arc<Keyed>> {
        let sets = self.sets();
        sets.by_hash.iter().flat_map(|map| map.values()).flatten().chain(&sets.overflow).cloned().collect()
    }

    /// Has threads look `set` up again before they use it.
    pub(crate) fn retire(&self, set: &Keyed) {
        let _lending = lending();
        let _sets = self.sets();
        set.retired.store(true, Relaxed);
    }

    /// Drops what was retired and that nobody looked up since; tells whether `set` went.
    pub(crate) fn drop_retired(&self, set: &Arc<Keyed>) -> bool {
        let _lending = lending();
        let mut sets = self.sets();
        if !set.is_retired() {
            return false;
        }
        if let Some(by_hash) = &mut sets.by_hash {
            by_hash.retain(|_, sets| {
                sets.retain(|other| !Arc::ptr_eq(other, set));
                !sets.is_empty()
            });
            sets.len = sets.by_hash.iter().flat_map(|map| map.values()).map(Vec::len).sum();
        }
        true
    }
}

/// What one thread has been lent of keyed series.
pub(super) struct Table {
    by_hash: Option<ByHash<Lent>>,
    len: usize,
}

struct Lent {
    set: Arc<Keyed>,
    shard: ShardRef,
}

impl Lent {
    /// Whether nobody will use it any more. A future may end on another thread than it began on, but looks its shard up
    /// again; only a sync call keeps it.
    fn is_over(&self) -> bool {
        let site = self.set.site.state();
        // SAFETY: `set` keeps the series alive.
        self.set.is_retired() && (site.is_async() || unsafe { self.shard.get() }.is_idle(site.one_in() > 1))
    }
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { by_hash: None, len: 0 }
    }

    fn all(&self) -> impl Iterator<Item = &Lent> {
        self.by_hash.iter().flat_map(|map| map.values()).flatten()
    }

    fn find(&self, site: &'static Site, hash: u64, wanted: &[ValueRef<'_>]) -> Option<&Lent> {
        let lent = self.by_hash.as_ref()?.get(&hash)?;
        lent.iter().find(|lent| lent.set.is(site, wanted) && !lent.set.is_retired())
    }

    fn shard(&mut self, set: &Arc<Keyed>, fresh: bool) -> ShardRef {
        let by_hash = self.by_hash.get_or_insert_default();
        let lent =
            by_hash.get(&set.hash).and_then(|lent| lent.iter().find(|lent| Arc::ptr_eq(&lent.set, set)));
        if let Some(lent) = lent {
            return lent.shard;
        }
        if self.len >= 2 * MAX_SETS {
            by_hash.retain(|_, lent| {
                lent.extract_if(.., |lent| lent.is_over())
                    .for_each(|lent| lent.set.series.give_back(lent.shard));
                !lent.is_empty()
            });
            self.len = by_hash.values().map(Vec::len).sum();
        }
        let shard = set.series.lend(set.site.state().limit(), fresh);
        by_hash.entry(set.hash).or_default().push(Lent { set: set.clone(), shard });
        self.len += 1;
        shard
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardRef> + '_ {
        self.all().map(|lent| lent.shard)
    }

    pub(super) fn visit(&self, mut visit: impl FnMut(&Arc<Keyed>, &Shard)) {
        // SAFETY: the set keeps the series alive.
        self.all().for_each(|lent| visit(&lent.set, unsafe { lent.shard.get() }));
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.all().for_each(|lent| lent.set.series.give_back(lent.shard));
    }
}

/// This thread's shard of an attribute set.
pub(super) fn enter(site: &'static Site, values: &[ValueRef<'_>]) -> Attached {
    let hash = hash(site, values);
    match thread::with_table(|table, _| table.find(site, hash, values).map(|lent| lent.shard)).flatten() {
        Some(shard) => Attached { shard, late: false },
        None => attach(&site.state().keyed.find(site, hash, values)),
    }
}

/// The series of an attribute set.
pub(super) fn series(site: &'static Site, values: &[ValueRef<'_>]) -> Arc<Keyed> {
    let hash = hash(site, values);
    let known = thread::with_table(|table, _| table.find(site, hash, values).map(|lent| lent.set.clone()));
    known.flatten().unwrap_or_else(|| site.state().keyed.find(site, hash, values))
}

/// The set, which may have ended since `set` was looked up.
pub(super) fn renewed(set: &Arc<Keyed>) -> Arc<Keyed> {
    set.site.state().keyed.renew(set)
}

/// This thread's shard of it. It lives as long as the thread, or the series.
pub(super) fn attach(set: &Arc<Keyed>) -> Attached {
    match thread::with_table(|table, fresh| table.shard(set, fresh)) {
        Some(shard) => Attached { shard, late: false },
        None => {
            // Nothing else says how long the call may take; such calls are few.
            std::mem::forget(set.clone());
            Attached { shard: set.series.lend_late(set.site.state().limit()), late: true }
        }
    }
}
