//! A default body in an `#[async_trait]` trait.

#[path = "../support.rs"]
mod support;

use async_trait::async_trait;
use exporters::profiled;
use support::{block_on, mixed, ok, record};

#[async_trait]
trait Greeter: Sync {
    fn name(&self) -> String;
    #[profiled]
    async fn greet(&self, loud: bool) -> Result<String, String> {
        if loud {
            return Err(self.name());
        }
        tokio::task::yield_now().await;
        Ok(self.name())
    }
}

#[async_trait(?Send)]
trait Local {
    #[profiled]
    async fn run(&self) -> std::rc::Rc<u8> {
        let value = std::rc::Rc::new(1);
        tokio::task::yield_now().await;
        value
    }
}

struct World;
impl Greeter for World {
    fn name(&self) -> String {
        "world".into()
    }
}
impl Local for World {}

fn main() {
    let recorded = record(|| {
        block_on(async {
            assert!(World.greet(false).await.is_ok());
            assert!(World.greet(true).await.is_err());
            assert_eq!(*World.run().await, 1);
        })
    });
    assert_eq!(recorded.of("World::greet"), mixed(1, 1));
    assert_eq!(recorded.of("World::run"), ok(1));
}
