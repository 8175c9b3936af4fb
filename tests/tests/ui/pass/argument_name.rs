//! `name`.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[profiled(name = "pay")]
fn charge() {}

struct Till;
impl Till {
    #[profiled(name = "till.open")]
    fn open(&self) {}
}

#[profiled]
fn r#match() {}

fn main() {
    let recorded = record(|| {
        charge();
        Till.open();
        r#match();
    });
    assert_eq!(recorded.names(), ["match", "pay", "till.open"]);
    assert_eq!(recorded.of("pay"), ok(1));
}
