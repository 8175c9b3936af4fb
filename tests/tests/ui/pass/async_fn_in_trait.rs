//! `async fn` in traits: default bodies, implementations, and mixtures with `impl Future`.
#![deny(refining_impl_trait)]

#[path = "../support.rs"]
mod support;

use std::future::Future;

use exporters::profiled;
use support::{block_on, mixed, ok, record};

#[allow(async_fn_in_trait)]
pub trait Fetch {
    async fn fetch(&self, key: &str) -> Result<String, String>;
    fn count(&mut self) -> impl Future<Output = usize> + Send;
    #[profiled]
    async fn twice(&self, key: &str) -> Result<String, String> {
        let first = self.fetch(key).await?;
        Ok(first + &self.fetch(key).await?)
    }
}

pub struct Memory(Vec<String>);
impl Fetch for Memory {
    #[profiled]
    async fn fetch(&self, key: &str) -> Result<String, String> {
        tokio::task::yield_now().await;
        self.0.iter().find(|k| *k == key).cloned().ok_or_else(|| key.to_owned())
    }
    #[profiled]
    async fn count(&mut self) -> usize {
        self.0.len()
    }
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            let mut memory = Memory(vec!["a".into()]);
            assert_eq!(memory.twice("a").await.unwrap(), "aa");
            assert!(memory.twice("b").await.is_err());
            assert_eq!(memory.count().await, 1);
        })
    });
    assert_eq!(recorded.of("Memory::fetch"), mixed(2, 1));
    assert_eq!(recorded.of("Memory::twice"), mixed(1, 1));
    assert_eq!(recorded.of("Memory::count"), ok(1));
}
