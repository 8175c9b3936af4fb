//! A sync call that unwinds.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{Calls, panics, record};

#[profiled]
fn fragile(n: u32) -> Result<u32, String> {
    assert!(n > 0, "zero");
    Ok(n)
}

struct Loud;
impl Drop for Loud {
    fn drop(&mut self) {
        // A call that ends well while another one unwinds.
        let _ = fragile(1);
    }
}

fn main() {
    let recorded = record(|| {
        let _ = fragile(1);
        panics(|| fragile(0));
        panics(|| {
            let _loud = Loud;
            let _ = fragile(0);
        });
    });
    assert_eq!(recorded.of("fragile"), Calls { ok: 2, panic: 2, ..Calls::default() });
}
