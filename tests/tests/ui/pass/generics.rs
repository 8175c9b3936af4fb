//! Type parameters, bounds, where clauses, defaults by turbofish.

#[path = "../support.rs"]
mod support;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use exporters::profiled;
use support::{ok, record};

#[profiled]
fn show<T: Display + ?Sized>(value: &T) -> String {
    value.to_string()
}

#[profiled]
fn group<K, V, I>(items: I) -> HashMap<K, Vec<V>>
where
    K: Hash + Eq + Clone,
    I: IntoIterator<Item = (K, V)>,
    for<'a> &'a K: PartialEq,
{
    let mut groups = HashMap::new();
    for (key, value) in items {
        groups.entry(key).or_insert_with(Vec::new).push(value);
    }
    groups
}

#[profiled]
fn identity<T>(value: T) -> T {
    value
}

fn main() {
    let recorded = record(|| {
        assert_eq!(show("a") + &show(&1), "a1");
        assert_eq!(group([(1, 'a'), (1, 'b'), (2, 'c')]).len(), 2);
        assert_eq!(identity::<Box<str>>("x".into()).as_ref(), "x");
        // A bare type parameter is taken as it is, whatever it turns out to be.
        let _ = identity::<Result<(), ()>>(Err(()));
    });
    assert_eq!(recorded.of("show"), ok(2));
    assert_eq!(recorded.of("group"), ok(1));
    assert_eq!(recorded.of("identity"), ok(2));
}
