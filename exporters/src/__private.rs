//! Not public API: all that the output of the macros may name.

pub use crate::exporter::{
    Capability, Exporter, Health, Info, Payload, Receipt, Transmit,
    derived::{Derived, Field, Fixed, Refreshable, text},
    factory::Registration,
};
pub use crate::mapping::{Mapping, MetricKind, MetricMapping, Source, Statistic, names};
pub use crate::record::{
    Call, Custom, Fallible, Guard, How, Infallible, Judge, Keyed, Method, More, Never, Objective, Owner,
    Plain, Profiled, Returned, Site, Typed, Untyped, ValueRef, error_if, failure, failure_with, ok_if,
    profiled, returned, returned_by, value,
};
pub use crate::{__body as body, __http as http, __site as site, Batch, PayloadFormat, Result};
pub use core::{
    future::Future,
    option::Option::{None, Some},
};
pub use {core, inventory, std};

use std::borrow::Cow;

#[cfg(feature = "yaml")]
pub use crate::config::fuzz;

/// For fuzzing: a record, read and written again.
#[cfg(feature = "opentelemetry")]
pub use crate::backends::opentelemetry::encoded as otlp;
#[cfg(feature = "file")]
pub use crate::encode::record_again;

/// What `#[exporter(http(..))]` needs.
#[cfg(feature = "http")]
pub mod http {
    #[cfg(feature = "opentelemetry")]
    pub use crate::backends::opentelemetry::send as send_otlp;
    pub use crate::transport::{
        retry_after,
        transmit::{AuthRef, HttpTransmit},
    };
}

/// Around what needs the module of the same name, so that only one error is told where it is not there.
#[cfg(feature = "http")]
#[doc(hidden)]
#[macro_export]
macro_rules! __http {
    ($($items:tt)*) => { $($items)* };
}

/// Around what needs the module of the same name, so that only one error is told where it is not there.
#[cfg(not(feature = "http"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __http {
    ($($items:tt)*) => {
        $crate::__private::core::compile_error! {
            "`#[exporter(http(..))]` sends over HTTP: enable the feature `http` of `exporters`, or leave it out and implement `Transmit`"
        }
    };
}

/// Declares a site and registers it: inventory's list of sites is told before `main`, or when a library is loaded. That
/// is `inventory::submit!`, less what the compiler would check for every function anew.
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($new:ident($($argument:expr),*)) => {
        static __EXPORTERS_SITE: $crate::__private::Site =
            $crate::__private::Site::$new($crate::__private::core::module_path!(), $($argument),*);
        unsafe extern "C" fn __exporters_register() {
            // SAFETY: only what runs before `main` calls it, once.
            unsafe { __EXPORTERS_SITE.register() }
        }
        #[used]
        #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func,mod_init_funcs"))]
        #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
        #[cfg_attr(not(any(target_vendor = "apple", windows)), unsafe(link_section = ".init_array"))]
        static __EXPORTERS_REGISTER: unsafe extern "C" fn() = __exporters_register;
    };
}

/// The body of an `async fn` that resolves to `$ret`, as a future that records its call. The compiler copies tokens faster than
/// a macro without optimisation writes them.
#[doc(hidden)]
#[macro_export]
macro_rules! __body {
    (infallible $facts:literal $ret:ty => $($body:tt)*) => {
        $crate::__private::site! { new($facts) }
        $crate::__private::profiled(&__EXPORTERS_SITE, async move {
            // A block has no place for its type; a `return` that is never reached tells it.
            if false {
                return $crate::__private::never::<$ret>();
            }
            $($body)*
        })
    };
    (fallible $facts:literal $ret:ty => $($body:tt)*) => {
        $crate::__private::site! { new($facts) }
        use $crate::__private::{Fallible as _, Infallible as _};
        $crate::__private::returned::<$ret>().__exporters_profiled(&__EXPORTERS_SITE, async move {
            if false {
                return $crate::__private::never::<$ret>();
            }
            $($body)*
        })
    };
}

/// For tests: spans, without an exporter that takes them.
pub mod spans {
    use crate::{
        Resource, Sampler, Span,
        record::{
            self,
            snapshot::{Collector, Whose},
        },
    };
    use std::sync::{Arc, Mutex, PoisonError};

    /// Has sampled calls have spans while calls are recorded.
    pub fn sample(sampler: &Sampler) {
        record::trace(Some(sampler), false);
    }

    /// Has calls have none from now on.
    pub fn stop() {
        record::trace(None, false);
    }

    /// As [`drain`], but throws them away, and tells only how many there were.
    pub fn discard() -> (u64, u64) {
        record::spans::discard()
    }

    /// Spans that ended since the last time, of all threads, and how many more found no room.
    pub fn drain() -> (Vec<Span>, u64) {
        static COLLECTOR: Mutex<Option<Collector>> = Mutex::new(None);
        let mut collector = COLLECTOR.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Collector::new(Arc::new(Resource::default()), Whose::Own, true);
        let mut all = Vec::new();
        let missed = collector.get_or_insert_with(new).drain_spans(|spans, _| all.extend(spans));
        (all, missed)
    }
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
