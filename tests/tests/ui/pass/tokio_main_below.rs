//! `#[tokio::main]` above `#[profiled]`.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{mixed, record};

#[tokio::main(flavor = "current_thread")]
#[profiled]
async fn run(n: u32) -> Result<u32, String> {
    tokio::task::yield_now().await;
    if n == 0 {
        return Err("zero".into());
    }
    Ok(n)
}

fn main() {
    let recorded = record(|| {
        assert_eq!(run(1), Ok(1));
        assert!(run(0).is_err());
    });
    assert_eq!(recorded.of("run"), mixed(1, 1));
}
