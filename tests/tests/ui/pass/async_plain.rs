//! `async fn`, ready at once and later.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, ok, record};

#[profiled]
async fn nothing() {}

#[profiled]
async fn early(n: u32) -> u32 {
    if n > 3 {
        return 3;
    }
    tokio::task::yield_now().await;
    n + 1
}

#[profiled]
async fn parse(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    tokio::task::yield_now().await;
    let number: u32 = text.parse()?;
    Ok(number)
}

#[profiled]
async fn inferred() -> Result<Vec<u8>, std::io::Error> {
    let bytes = "1,2".split(',').map(|n| n.parse().map_err(std::io::Error::other)).collect::<Result<_, _>>()?;
    Ok(bytes)
}

#[profiled]
async fn coerced() -> Box<dyn std::fmt::Display + Send> {
    if true {
        return Box::new(1);
    }
    Box::new("a")
}

fn main() {
    let recorded = record(|| {
        block_on(async {
            nothing().await;
            assert_eq!((early(9).await, early(1).await), (3, 2));
            assert_eq!(parse("7").await.unwrap(), 7);
            assert!(parse("x").await.is_err());
            assert_eq!(inferred().await.unwrap(), [1, 2]);
            assert_eq!(coerced().await.to_string(), "1");
        });
    });
    assert_eq!(recorded.of("nothing"), ok(1));
    assert_eq!(recorded.of("early"), ok(2));
    assert_eq!(recorded.of("parse"), mixed(1, 1));
    assert_eq!(recorded.of("inferred"), ok(1));
    assert_eq!(recorded.of("coerced"), ok(1));
}
