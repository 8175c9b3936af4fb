//! Every receiver on an async method.

#[path = "../support.rs"]
mod support;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use exporters::profiled;
use support::{block_on, ok, record};

#[derive(Default)]
struct Store {
    items: Vec<u32>,
}

impl Store {
    #[profiled]
    async fn by_ref(&self, index: usize) -> Option<&u32> {
        tokio::task::yield_now().await;
        self.items.get(index)
    }
    #[profiled]
    async fn by_mut(&mut self) -> &mut u32 {
        self.items.push(1);
        tokio::task::yield_now().await;
        self.items.last_mut().unwrap()
    }
    #[profiled]
    async fn by_value(self) -> Vec<u32> {
        self.items
    }
    #[profiled]
    async fn by_mut_value(mut self) -> Self {
        self.items.clear();
        self
    }
    #[profiled]
    async fn boxed(self: Box<Self>) -> usize {
        self.items.len()
    }
    #[profiled]
    async fn counted(self: Rc<Self>) -> Rc<Self> {
        self
    }
    #[profiled]
    async fn shared(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self)
    }
    #[profiled]
    async fn pinned(self: Pin<&mut Self>) -> &mut Vec<u32> {
        &mut self.get_mut().items
    }
    #[profiled]
    async fn new() -> Self {
        Self::default()
    }
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            let mut store = Store::new().await;
            assert_eq!(store.by_ref(0).await, None);
            *store.by_mut().await += 1;
            Pin::new(&mut store).pinned().await.push(6);
            assert_eq!(store.by_value().await, [2, 6]);
            assert_eq!(Box::new(Store::default().by_mut_value().await).boxed().await, 0);
            assert_eq!(Rc::new(Store::default()).counted().await.items.len(), 0);
            assert_eq!(Arc::new(Store::default()).shared().await.items.len(), 0);
        })
    });
    for name in ["by_ref", "by_mut", "by_value", "by_mut_value", "boxed", "counted", "shared", "pinned", "new"] {
        assert_eq!(recorded.of(&format!("Store::{name}")), ok(1), "{name}");
    }
}
