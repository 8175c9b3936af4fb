//! `#[target_feature]`: the body keeps it.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[cfg(target_arch = "x86_64")]
#[profiled]
#[target_feature(enable = "sse4.2")]
fn crc(value: u32) -> u32 {
    std::arch::x86_64::_mm_crc32_u32(0, value)
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(is_x86_feature_detected!("sse4.2"));
        let recorded = record(|| assert_ne!(unsafe { crc(1) }, 0));
        assert_eq!(recorded.of("crc"), ok(1));
    }
    let _ = (ok(0), record(|| ()));
}
