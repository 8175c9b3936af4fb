//! Const parameters.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[profiled]
fn sum<const N: usize>(values: [u64; N]) -> u64 {
    values.iter().sum()
}

#[profiled]
async fn repeat<const N: usize, const UP: bool>(text: &str) -> [String; N] {
    std::array::from_fn(|_| if UP { text.to_uppercase() } else { text.to_owned() })
}

fn main() {
    let recorded = record(|| {
        assert_eq!(sum([1, 2, 3]), 6);
        assert_eq!(support::block_on(repeat::<2, true>("a")), ["A", "A"]);
    });
    assert_eq!(recorded.of("sum"), ok(1));
    assert_eq!(recorded.of("repeat"), ok(1));
}
