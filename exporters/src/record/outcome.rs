//! How a call ended, from the value it returned: a trait decides, not the spelling of the return type.

use super::{
    future::{Plain, Profiled},
    site::Site,
};
use std::{any::type_name, borrow::Cow, marker::PhantomData};

/// Names an error for the attribute `error.type`: few distinct names, for example an enum's variants.
///
/// Without it, the name is the error's type. At most 64 names a function and thread are told apart, each of at most 256 bytes;
/// the others count as `_OTHER`.
///
/// ```
/// use std::borrow::Cow;
/// enum PaymentError { Declined, Network }
/// impl exporters::ErrorType for PaymentError {
///     fn error_type(&self) -> Cow<'_, str> {
///         match self { Self::Declined => "declined", Self::Network => "network" }.into()
///     }
/// }
/// ```
pub trait ErrorType {
    /// The name.
    fn error_type(&self) -> Cow<'_, str>;
}

/// Decides from what a function returned whether the call failed, and how.
pub trait Judge<R> {
    /// The kind of failure.
    fn failure<'a>(&self, returned: &'a R) -> Option<Cow<'a, str>>;
}

/// Of `Result`s whose error has a name of its own.
#[derive(Debug)]
pub struct Typed;
/// Of other `Result`s: the error's type.
#[derive(Debug)]
pub struct Untyped;
/// Of everything else: never.
#[derive(Debug)]
pub struct Never;

impl<T, E: ErrorType> Judge<Result<T, E>> for Typed {
    #[inline(always)]
    fn failure<'a>(&self, returned: &'a Result<T, E>) -> Option<Cow<'a, str>> {
        returned.as_ref().err().map(E::error_type)
    }
}
impl<T, E> Judge<Result<T, E>> for Untyped {
    #[inline(always)]
    fn failure<'a>(&self, returned: &'a Result<T, E>) -> Option<Cow<'a, str>> {
        returned.is_err().then(|| type_name::<E>().into())
    }
}
impl<R> Judge<R> for Never {
    #[inline(always)]
    fn failure<'a>(&self, _: &'a R) -> Option<Cow<'a, str>> {
        None
    }
}
impl<R, F: Fn(&R) -> Option<Cow<'_, str>>> Judge<R> for F {
    #[inline(always)]
    fn failure<'a>(&self, returned: &'a R) -> Option<Cow<'a, str>> {
        self(returned)
    }
}

/// How the call failed, if it did.
#[inline(always)]
pub fn failure<R>(returned: &R, judge: impl Judge<R>) -> Option<Cow<'_, str>> {
    judge.failure(returned)
}

/// The type that a function returns. Method look-up takes its own methods if they fit, else those of [`Fallible`],
/// else, since they need a borrow, those of [`Infallible`]. They have names that no trait of the user's has.
#[derive(Debug)]
pub struct Returned<R>(PhantomData<fn() -> R>);

impl<R> Clone for Returned<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Returned<R> {}

/// The type, named.
#[inline(always)]
pub const fn returned<R>() -> Returned<R> {
    Returned(PhantomData)
}

/// The type of a value.
#[inline(always)]
pub const fn returned_by<R>(_: &R) -> Returned<R> {
    Returned(PhantomData)
}

impl<T, E: ErrorType> Returned<Result<T, E>> {
    /// Judges it.
    #[inline(always)]
    pub fn __exporters_judge(self) -> Typed {
        Typed
    }
    /// Has a future record its call.
    #[inline(always)]
    pub fn __exporters_profiled<F>(self, site: &'static Site, future: F) -> Profiled<Plain, Typed, F> {
        Profiled::plain(site, future, Typed)
    }
}

/// Has the methods of [`Returned`] for `Result`s whose error has no name of its own.
pub trait Fallible: Sized {
    /// Judges it.
    #[inline(always)]
    fn __exporters_judge(self) -> Untyped {
        Untyped
    }
    /// Has a future record its call.
    #[inline(always)]
    fn __exporters_profiled<F>(self, site: &'static Site, future: F) -> Profiled<Plain, Untyped, F> {
        Profiled::plain(site, future, Untyped)
    }
}
impl<T, E> Fallible for Returned<Result<T, E>> {}

/// Has the methods of [`Returned`] for what is no `Result`.
pub trait Infallible: Sized {
    /// Judges it.
    #[inline(always)]
    fn __exporters_judge(self) -> Never {
        Never
    }
    /// Has a future record its call.
    #[inline(always)]
    fn __exporters_profiled<F>(self, site: &'static Site, future: F) -> Profiled<Plain, Never, F> {
        Profiled::plain(site, future, Never)
    }
}
impl<R> Infallible for &Returned<R> {}

/// `error_type = expr`: `expr` names the error.
#[inline(always)]
pub fn failure_with<'a, 'n, T, E, N: Into<Cow<'n, str>>>(
    returned: &'a Result<T, E>,
    name: impl FnOnce(&'a E) -> N,
) -> Option<Cow<'n, str>> {
    returned.as_ref().err().map(|error| name(error).into())
}

/// `ok_if = expr`: everything else is an error.
#[inline(always)]
pub fn ok_if<'a, R>(
    returned: &'a R,
    is_ok: impl FnOnce(&'a R) -> bool,
    otherwise: Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    (!is_ok(returned)).then(|| otherwise.unwrap_or("ok_if".into()))
}

/// `error_if = expr`: everything else is ok.
#[inline(always)]
pub fn error_if<'a, R>(
    returned: &'a R,
    is_error: impl FnOnce(&'a R) -> bool,
    otherwise: Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    is_error(returned).then(|| otherwise.unwrap_or("error_if".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;
    impl ErrorType for Named {
        fn error_type(&self) -> Cow<'_, str> {
            "named".into()
        }
    }

    #[test]
    fn the_value_decides() {
        type Alias = Result<u8, Named>;
        let (named, good): (Alias, Alias) = (Err(Named), Ok(1));
        let plain: Result<(), std::fmt::Error> = Err(std::fmt::Error);
        assert_eq!(failure(&named, returned_by(&named).__exporters_judge()).as_deref(), Some("named"));
        assert_eq!(failure(&good, returned::<Alias>().__exporters_judge()), None);
        assert_eq!(
            failure(&plain, returned_by(&plain).__exporters_judge()).as_deref(),
            Some("core::fmt::Error")
        );
        assert_eq!(failure(&Some(1), returned::<Option<u8>>().__exporters_judge()), None);
    }
}
