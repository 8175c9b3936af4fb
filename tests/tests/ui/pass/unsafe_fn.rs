//! `unsafe fn`, sync and async, whose bodies are unsafe where the edition says so.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{block_on, ok, record};

#[profiled]
unsafe fn read(pointer: *const u32) -> u32 {
    unsafe { *pointer }
}

#[profiled]
async unsafe fn read_later(pointer: *const u32) -> u32 {
    unsafe { read(pointer) }
}

#[profiled]
#[allow(unsafe_op_in_unsafe_fn)]
unsafe fn bare(pointer: *const u32) -> u32 {
    *pointer
}

fn main() {
    let n = 7;
    let recorded = record(|| unsafe {
        assert_eq!(read(&n), 7);
        assert_eq!(bare(&n), 7);
        assert_eq!(block_on(read_later(&n)), 7);
    });
    assert_eq!(recorded.of("read"), ok(2));
    assert_eq!(recorded.of("bare"), ok(1));
    assert_eq!(recorded.of("read_later"), ok(1));
}
