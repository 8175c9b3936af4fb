//! Not public API: all that the output of the macros may name.

pub use crate::__site as site;
pub use crate::exporter::{
    Capability, Exporter, Health, Info, Payload, Receipt, Transmit,
    derived::{Derived, Field, Fixed, Refreshable, text},
    factory::Registration,
};
pub use crate::mapping::{Mapping, MetricKind, MetricMapping, Source, Statistic, names};
pub use crate::record::{
    Call, Fallible, Guard, Infallible, Keyed, LocalShard, Objective, Owner, Profiled, Returned, Site, Spec,
    Typed, ValueRef, error_if, failure_with, ok_if, value,
};
pub use crate::{Batch, PayloadFormat, Result};
pub use {core, inventory, std};

use std::borrow::Cow;

pub use crate::__http as http;

#[cfg(feature = "yaml")]
pub use crate::config::fuzz;

/// What `#[exporter(http(..))]` needs.
#[cfg(feature = "http")]
pub mod http {
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

/// Declares a site and the thread-local by which calls find their shard.
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    (name: $name:expr, line: $line:expr, objective: $objective:expr, attributes: [$($key:expr),* $(,)?] $(,)?) => {
        static __EXPORTERS_SITE: $crate::__private::Site = $crate::__private::Site::new($crate::__private::Spec {
            name: $name,
            module: $crate::__private::core::module_path!(),
            file: $crate::__private::core::file!(),
            line: $line,
            package: $crate::__private::package($crate::__private::core::option_env!("CARGO_PKG_NAME")),
            version: $crate::__private::package($crate::__private::core::option_env!("CARGO_PKG_VERSION")),
            objective: $crate::__private::objective($objective),
            keys: &[$($key),*],
        });
        $crate::__private::std::thread_local! {
            static __EXPORTERS_LOCAL: $crate::__private::LocalShard = const { $crate::__private::LocalShard::new() };
        }
        $crate::__private::inventory::submit! { &__EXPORTERS_SITE }
    };
}

/// What only a closure that is called by value can capture.
#[derive(Debug)]
pub struct Once;

/// How a call failed that cannot.
#[inline(always)]
pub fn no_failure<R>(_: &R) -> Option<Cow<'_, str>> {
    None
}

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

/// What cargo says of the crate, if it was cargo that built it.
pub const fn package(name: Option<&'static str>) -> &'static str {
    match name {
        Some(name) => name,
        None => "",
    }
}

/// A name, a target in percent, and a latency in nanoseconds.
pub const fn objective(objective: Option<(&'static str, f64, u64)>) -> Option<Objective> {
    match objective {
        Some((name, target, latency_nanos)) => Some(Objective { name, target, latency_nanos }),
        None => None,
    }
}
