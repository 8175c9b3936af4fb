//! `#[async_trait]` above `#[profiled]` on the impl.

#[path = "../support.rs"]
mod support;

use async_trait::async_trait;
use exporters::profiled;
use support::{block_on, mixed, ok, record};

#[async_trait]
trait Store {
    async fn get(&self, key: &str) -> Result<String, String>;
    async fn put<T: Send + Into<String>>(&mut self, key: &str, value: T) -> usize
    where
        Self: Sized;
    async fn close(self: Box<Self>);
    async fn version() -> u32
    where
        Self: Sized;
}

#[derive(Default)]
struct Memory {
    items: Vec<(String, String)>,
}

#[async_trait]
#[profiled]
impl Store for Memory {
    async fn get(&self, key: &str) -> Result<String, String> {
        tokio::task::yield_now().await;
        let found = self.items.iter().find(|(k, _)| k == key).ok_or_else(|| format!("no {key}"))?;
        if found.1.is_empty() {
            return Ok("empty".into());
        }
        Ok(found.1.clone())
    }
    async fn put<T: Send + Into<String>>(&mut self, key: &str, value: T) -> usize {
        self.items.push((key.into(), value.into()));
        self.items.len()
    }
    async fn close(mut self: Box<Self>) {
        self.items.clear();
    }
    async fn version() -> u32 {
        1
    }
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            let mut memory = Memory::default();
            assert_eq!(memory.put("a", "1").await, 1);
            assert_eq!(memory.get("a").await.unwrap(), "1");
            assert!(memory.get("b").await.is_err());
            let erased: Box<dyn Store> = Box::new(memory);
            erased.close().await;
            assert_eq!(Memory::version().await, 1);
        })
    });
    assert_eq!(recorded.of("Memory::get"), mixed(1, 1));
    assert_eq!(recorded.of("Memory::put"), ok(1));
    assert_eq!(recorded.of("Memory::close"), ok(1));
    assert_eq!(recorded.of("Memory::version"), ok(1));
}
