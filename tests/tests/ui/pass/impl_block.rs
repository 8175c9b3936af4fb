//! An annotated `impl`: every function, with exceptions and refinements.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, ok, record};

struct Store<T> {
    items: Vec<T>,
}

#[profiled(error_type = |_| "store")]
impl<T: Clone> Store<T> {
    const LIMIT: usize = 2;

    /// Left as it is: it may run in the compiler.
    const fn limit() -> usize {
        Self::LIMIT
    }
    fn new() -> Self {
        Self { items: Vec::new() }
    }
    fn put(&mut self, item: T) -> Result<&T, String> {
        if self.items.len() == Self::limit() {
            return Err("full".into());
        }
        self.items.push(item);
        self.items.last().ok_or_else(String::new)
    }
    #[profiled(skip)]
    fn len(&self) -> usize {
        self.items.len()
    }
    #[exporters::profiled(name = "fetch", error_type = |e: &String| e.clone())]
    async fn get(&self, index: usize) -> Result<T, String> {
        tokio::task::yield_now().await;
        self.items.get(index).cloned().ok_or_else(|| "missing".to_owned())
    }
}

#[profiled]
impl<T> Drop for Store<T> {
    fn drop(&mut self) {}
}

struct Fixed<T>(T);
#[profiled]
impl Fixed<u8> {
    fn value(&self) -> u8 {
        self.0
    }
}
#[profiled(name = "Wide")]
impl Fixed<u16> {
    fn value(&self) -> u16 {
        self.0
    }
}

fn main() {
    let recorded = record(|| {
        let mut store = Store::new();
        for n in 0..3 {
            let _ = store.put(n);
        }
        assert_eq!(store.len(), 2);
        assert_eq!(block_on(store.get(0)), Ok(0));
        assert!(block_on(store.get(9)).is_err());
        drop(store);
        assert_eq!(Fixed(1u8).value() as u16, Fixed(1u16).value());
    });
    assert_eq!(recorded.of("Store::new"), ok(1));
    assert_eq!(recorded.of("Store::put"), mixed(2, 1));
    assert_eq!(recorded.of("fetch"), mixed(1, 1));
    assert_eq!(recorded.of("Store::drop"), ok(1));
    assert_eq!(recorded.of("Fixed<u8>::value"), ok(1));
    assert_eq!(recorded.of("Wide::value"), ok(1));
    assert_eq!(recorded.errors("Store::put").into_keys().collect::<Vec<_>>(), ["store"]);
    assert_eq!(recorded.errors("fetch").into_keys().collect::<Vec<_>>(), ["missing"]);
    assert_eq!(recorded.names().len(), 6, "{:?}", recorded.names());
}
