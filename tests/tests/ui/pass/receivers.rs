//! Every receiver, with results that borrow from it.

#[path = "../support.rs"]
mod support;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use exporters::profiled;
use support::{ok, record};

#[derive(Default)]
struct Store {
    items: Vec<u32>,
}

impl Store {
    #[profiled]
    fn by_ref(&self) -> Option<&u32> {
        self.items.first()
    }
    #[profiled]
    fn by_mut(&mut self) -> &mut u32 {
        self.items.push(1);
        self.items.last_mut().unwrap()
    }
    #[profiled]
    fn by_mut_with<'a>(&'a mut self, other: &mut u32) -> Result<&'a mut Vec<u32>, ()> {
        *other += 1;
        Ok(&mut self.items)
    }
    #[profiled]
    fn by_value(self) -> Vec<u32> {
        self.items
    }
    #[profiled]
    fn by_mut_value(mut self) -> Self {
        self.items.clear();
        self
    }
    #[profiled]
    fn boxed(self: Box<Self>) -> usize {
        self.items.len()
    }
    #[profiled]
    fn counted(self: Rc<Self>) -> Rc<Self> {
        self
    }
    #[profiled]
    fn shared(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self)
    }
    #[profiled]
    fn arc(self: Arc<Self>) -> usize {
        self.items.len()
    }
    #[profiled]
    fn pinned(self: Pin<&mut Self>) -> &mut Vec<u32> {
        &mut self.get_mut().items
    }
    #[profiled]
    fn typed(self: &mut Self) -> &mut Vec<u32> {
        &mut self.items
    }
    #[profiled]
    fn none(n: u32) -> u32 {
        n
    }
    #[profiled]
    fn new() -> Self {
        Self::default()
    }
}

fn main() {
    let recorded = record(|| {
        let mut store = Store::new();
        assert_eq!(store.by_ref(), None);
        *store.by_mut() += 1;
        store.by_mut_with(&mut 1).unwrap().push(4);
        store.typed().push(5);
        Pin::new(&mut store).pinned().push(6);
        assert_eq!(store.by_value(), [2, 4, 5, 6]);
        assert_eq!(Box::new(Store::default().by_mut_value()).boxed(), 0);
        assert_eq!(Rc::new(Store::default()).counted().items.len(), 0);
        assert_eq!(Arc::new(Store::default()).shared().arc(), 0);
        assert_eq!(Store::none(1), 1);
    });
    for name in ["by_ref", "by_mut", "by_mut_with", "by_value", "by_mut_value", "boxed", "counted", "shared", "arc", "pinned", "typed", "new"] {
        assert_eq!(recorded.of(&format!("Store::{name}")), ok(1), "{name}");
    }
    assert_eq!(recorded.of("none"), ok(1));
}
