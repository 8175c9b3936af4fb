//! What the macros write compiles in a crate that forbids and shadows what it can, and rouses no lint there.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    rust_2018_idioms,
    rust_2024_compatibility,
    unreachable_pub,
    unused_qualifications,
    unused_lifetimes,
    unused_results,
    unit_bindings,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    let_underscore_drop,
    variant_size_differences,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_untyped,
    clippy::let_underscore_must_use,
    clippy::shadow_same,
    clippy::as_conversions,
    clippy::as_underscore,
    clippy::semicolon_inside_block,
    clippy::unused_result_ok,
    clippy::used_underscore_items,
    clippy::str_to_string,
    clippy::missing_inline_in_public_items,
    clippy::pattern_type_mismatch,
    clippy::multiple_unsafe_ops_per_block,
    clippy::separated_literal_suffix,
    clippy::float_arithmetic,
    clippy::mod_module_files,
    clippy::items_after_statements,
    clippy::min_ident_chars,
    clippy::wildcard_enum_match_arm,
    clippy::iter_over_hash_type,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]
#![expect(clippy::redundant_pub_crate, reason = "`unreachable_pub` says the opposite")]

use ::exporters::{Exporter, profile, profiled};

/// Names that the macros could trip over.
#[expect(dead_code, reason = "they are only to be in the way")]
mod shadows {
    /// Not the library.
    pub(crate) mod exporters {}
    /// Not the core library.
    pub(crate) mod core {}
    /// Not the standard library.
    pub(crate) mod std {}
    /// Not a result.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Result;
    /// Not an option.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Option;
    /// Not what makes one.
    #[expect(non_snake_case, reason = "it is to be met by mistake")]
    pub(crate) const fn Some(value: u8) -> u8 {
        value
    }
    /// Not the lack of one.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct None;
    /// Not a failure.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Err;
    /// Not a box.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Box;
    /// Nobody's future.
    pub(crate) trait Future {
        /// Has the name of one of the macros' methods.
        fn failure(&self) -> u8 {
            1
        }
    }
    impl<T> Future for T {}
    /// Not an exporter.
    pub(crate) trait Transmit {}
    /// Not what the derive's `batch` is.
    #[expect(non_upper_case_globals, reason = "it is to be met by mistake")]
    pub(crate) const batch: u8 = 0;
    /// A type with the name of a primitive one.
    #[derive(Clone, Copy, Debug)]
    #[expect(non_camel_case_types, reason = "it is to be met by mistake")]
    pub(crate) struct bool;
}

/// Everything is shadowed.
mod shadowed {
    #[expect(unused_imports, reason = "they are here to be in the way")]
    use crate::shadows::{
        Box, Err, Future, None, Option, Result, Some, Transmit, batch, bool, core, exporters, std,
    };
    use crate::{profile, profiled};

    #[profiled]
    pub(crate) fn sync(call: u8, value: u8) -> Result {
        let guard = call.saturating_add(value);
        ::std::assert_eq!(guard, 3);
        Result
    }

    #[profiled(attributes(value = value, call = call))]
    pub(crate) fn keyed(call: u8, value: &str) -> Option {
        ::std::assert_eq!(
            value.len(),
            <::std::primitive::usize as ::std::convert::From<::std::primitive::u8>>::from(call)
        );
        Option
    }

    #[profiled(slo(latency = "1s", target = 99.9), error_if = |value| ::std::matches!(value, Result))]
    pub(crate) async fn later(value: u8, once: Held) -> Result {
        ::std::future::ready(()).await;
        ::std::assert_eq!(value.saturating_add(once.value), 3);
        Result
    }

    #[profiled]
    pub(crate) fn fallible(good: u8) -> ::std::result::Result<u8, ::std::string::String> {
        if good == 1 {
            ::std::result::Result::Ok(good)
        } else {
            ::std::result::Result::Err(::std::string::String::new())
        }
    }

    #[profiled]
    pub(crate) fn boxed(
        with: &u8,
    ) -> ::std::pin::Pin<::std::boxed::Box<dyn ::std::future::Future<Output = u8> + '_>> {
        let value = *with;
        ::std::boxed::Box::pin(async move { value })
    }

    #[profiled(crate = ::exporters)]
    pub(crate) fn block(value: u8) -> u8 {
        profile!("inner", time_one_in = 2, { value.saturating_add(1) })
    }

    /// A type.
    #[derive(Debug)]
    pub(crate) struct Held {
        /// What it holds.
        pub(crate) value: u8,
    }

    #[profiled]
    impl Held {
        /// Lends it.
        pub(crate) fn lend(&mut self, _by: ::std::string::String) -> &mut u8 {
            &mut self.value
        }
        /// Adds to it.
        pub(crate) async fn add(&mut self, (left, mut right): (u8, u8), _unused: &str, _held: Self) -> u8 {
            right = right.saturating_add(left);
            self.value = self.value.saturating_add(right);
            self.value
        }
        /// Gives it away.
        pub(crate) fn give(self) -> impl ::std::fmt::Display + ::std::marker::Copy {
            self.value
        }
    }
}

/// An exporter among the shadows.
mod exporting {
    #[expect(unused_imports, reason = "they are here to be in the way")]
    use crate::shadows::{
        Box, Err, Future, None, Option, Result, Some, Transmit, batch, bool, core, exporters, std,
    };

    /// Sends nothing.
    #[derive(::std::fmt::Debug, crate::Exporter)]
    #[exporter(kind = "shadowed", encode = prometheus, max_items = 10, max_bytes = 1_000, register = false)]
    #[exporter(health = Self::look, crate = ::exporters)]
    #[metric(calls = "function.calls.duration", stat = count, kind = rate, unit = "1", help = "Calls")]
    #[metric(computed = |metrics| metrics.function("public").error_rate())]
    #[metric(named = Self::named)]
    pub(crate) struct Silent {
        /// Where it runs.
        #[exporter(attribute = "environment")]
        pub(crate) environment: ::std::string::String,
        /// Who sends.
        pub(crate) token: ::exporters::Secret,
    }

    impl Silent {
        fn named(metrics: &::exporters::ProfileMetrics) -> ::std::option::Option<f64> {
            metrics.avg_latency_ms()
        }

        #[expect(clippy::unused_async, reason = "it is asked so")]
        async fn look(&self) -> ::exporters::Health {
            ::std::assert!(!self.token.is_empty());
            ::exporters::Health::Healthy
        }
    }

    impl ::exporters::Transmit for Silent {
        async fn transmit(&self, payload: ::exporters::Payload) -> ::exporters::Result<::exporters::Receipt> {
            ::std::result::Result::Ok(payload.receipt())
        }
    }
}

/// A public exporter, which registers itself.
#[derive(Clone, Debug, ::serde::Deserialize, Exporter)]
#[metric(calls = "total_calls")]
pub struct Public {
    #[exporter(attribute = "name")]
    name: ::std::string::String,
}

impl ::exporters::Transmit for Public {
    #[inline]
    async fn transmit(&self, payload: ::exporters::Payload) -> ::exporters::Result<::exporters::Receipt> {
        ::std::result::Result::Ok(payload.receipt())
    }
}

/// A public function, which must have documentation.
#[profiled]
#[must_use]
#[inline]
pub fn public(numbers: &[u8]) -> usize {
    numbers.len()
}

fn run<F: ::std::future::Future>(future: F) -> ::std::option::Option<F::Output> {
    let mut future = ::std::boxed::Box::pin(future);
    let mut context = ::std::task::Context::from_waker(::std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        ::std::task::Poll::Ready(value) => ::std::option::Option::Some(value),
        ::std::task::Poll::Pending => ::std::option::Option::None,
    }
}

#[::std::prelude::v1::test]
fn calls_are_recorded() {
    let profiler = ::exporters::test();
    ::std::assert_eq!(shadowed::sync(1, 2), shadows::Result);
    ::std::assert_eq!(shadowed::keyed(2, "ab"), shadows::Option);
    ::std::assert!(run(shadowed::later(1, shadowed::Held { value: 2 })).is_some());
    ::std::assert!(shadowed::fallible(0).is_err() && shadowed::fallible(1).is_ok());
    ::std::assert_eq!(run(shadowed::boxed(&1)), ::std::option::Option::Some(1));
    ::std::assert_eq!(shadowed::block(1), 2);
    let mut held = shadowed::Held { value: 1 };
    *held.lend(::std::string::String::new()) = 2;
    ::std::assert_eq!(run(held.add((1, 2), "", shadowed::Held { value: 1 })), ::std::option::Option::Some(5));
    ::std::assert_eq!(::std::string::ToString::to_string(&held.give()), "5");
    ::std::assert_eq!(public(&[1]), 1);

    let metrics = profiler.snapshot();
    for (name, calls) in [
        ("sync", 1),
        ("keyed", 1),
        ("later", 1),
        ("fallible", 2),
        ("boxed", 1),
        ("block", 1),
        ("inner", 1),
        ("Held::lend", 1),
        ("Held::add", 1),
        ("Held::give", 1),
        ("public", 1),
    ] {
        ::std::assert_eq!(metrics.function(name).total_calls(), calls, "{name}");
    }
    ::std::assert_eq!(metrics.function("later").error_rate(), ::std::option::Option::Some(1.0));
}

#[::std::prelude::v1::test]
fn exporters_export() {
    let silent = exporting::Silent {
        environment: ::std::string::String::new(),
        token: ::exporters::Secret::new("a token"),
    };
    let health = run(::exporters::Exporter::health(&silent));
    ::std::assert!(health.is_some_and(|health| health.is_healthy()));
    ::std::assert_eq!(::exporters::Exporter::info(&silent).kind, "shadowed");
    ::std::assert!(::exporters::kinds().is_ok_and(|kinds| kinds.contains(&"public")));
}
