//! Not public API: all that the output of the macros may name.

pub use crate::__site as site;
pub use crate::record::{
    Call, Custom, Fallible, Guard, How, Infallible, Judge, Keyed, Method, More, Never, Objective, Owner,
    Plain, Profiled, Returned, Site, Typed, Untyped, ValueRef, error_if, failure, failure_with, ok_if,
    profiled, returned, returned_by, value,
};
pub use core::{
    future::Future,
    option::Option::{None, Some},
};
pub use {core, std};

use std::borrow::Cow;

/// Declares a site and registers it: inventory's list of sites is told before `main`, or when a library is loaded. That
/// is `inventory::submit!`, less what the compiler would check for every function anew.
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($new:ident($($argument:expr),*)) => {
        static __EXPORTERS_SITE: $crate::__private::Site =
            $crate::__private::Site::$new($crate::__private::core::module_path!(), $($argument),*);
        unsafe extern "C" fn __exporters_register() {
            unsafe { __EXPORTERS_SITE.register() }
        }
        $crate::__before_main! { __exporters_register }
    };
}

#[cfg(target_vendor = "apple")]
#[doc(hidden)]
#[macro_export]
macro_rules! __before_main {
    ($function:ident) => {
        #[used]
        #[unsafe(link_section = "__DATA,__mod_init_func,mod_init_funcs")]
        static __EXPORTERS_REGISTER: unsafe extern "C" fn() = $function;
    };
}
#[cfg(not(target_vendor = "apple"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __before_main {
    ($function:ident) => {
        #[used]
        #[unsafe(link_section = ".init_array")]
        static __EXPORTERS_REGISTER: unsafe extern "C" fn() = $function;
    };
}

/// What only a closure that is called by value can capture.
#[derive(Debug)]
pub struct Once;

/// Ends the call of a block with the block's value, and gives the value back.
#[inline(always)]
pub fn observe<const ONE_IN: u32, const OBJECTIVE: bool, T>(
    guard: Guard<ONE_IN, OBJECTIVE>,
    value: T,
    failure: impl FnOnce(&T) -> Option<Cow<'_, str>>,
) -> T {
    guard.finish(failure(&value));
    value
}

/// What is never called; says what an async block resolves to.
pub fn never<R>() -> R {
    std::process::abort()
}

/// A name, a target in percent, and a latency in nanoseconds.
pub const fn objective(name: &'static str, target: f64, latency_nanos: u64) -> Objective {
    Objective { name, target, latency_nanos }
}
