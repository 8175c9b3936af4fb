//! `time_one_in`: every call is counted.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, mixed, record};

#[profiled(time_one_in = 16)]
fn hot(n: u32) -> Result<u32, ()> {
    if n % 10 == 0 { Err(()) } else { Ok(n) }
}

#[profiled(time_one_in = 1_000)]
async fn hot_later(n: u32) -> Result<u32, ()> {
    if n % 10 == 0 { Err(()) } else { Ok(n) }
}

fn main() {
    let recorded = record(|| {
        for n in 0..100 {
            let _ = (hot(n), block_on(hot_later(n)));
        }
    });
    assert_eq!(recorded.of("hot"), mixed(90, 10));
    assert_eq!(recorded.of("hot_later"), mixed(90, 10));
}
