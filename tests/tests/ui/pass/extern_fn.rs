//! `extern` functions, also as callbacks and exported.

#[path = "../support.rs"]
mod support;

use exporters::profiled;
use support::{ok, record};

#[profiled]
extern "C" fn add(a: i32, b: i32) -> i32 {
    a + b
}

#[profiled]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exporters_ui_exported(text: *const std::ffi::c_char) -> usize {
    unsafe { std::ffi::CStr::from_ptr(text) }.count_bytes()
}

#[profiled]
extern "C-unwind" fn unwinding() {
    panic!("on purpose");
}

fn call(f: extern "C" fn(i32, i32) -> i32) -> i32 {
    f(1, 2)
}

fn main() {
    let recorded = record(|| {
        assert_eq!(call(add), 3);
        assert_eq!(unsafe { exporters_ui_exported(c"abc".as_ptr()) }, 3);
        support::panics(|| unwinding());
    });
    assert_eq!(recorded.of("add"), ok(1));
    assert_eq!(recorded.of("exporters_ui_exported"), ok(1));
    assert_eq!(recorded.of("unwinding").panic, 1);
}
