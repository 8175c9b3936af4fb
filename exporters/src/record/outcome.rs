//! How a call ended, from the value it returned: a trait decides, not the spelling of the return type.

use std::{any::type_name, borrow::Cow};

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

/// What a function returned. Their method has a name that no trait of the user's has. Method look-up takes the first of [`Typed`], [`Fallible`] and [`Infallible`] that fits, since
/// each needs one borrow more than the one before.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);

/// `Result`s whose error has a name of its own.
pub trait Typed<'a> {
    /// The error's name.
    fn __exporters_failure(&self) -> Option<Cow<'a, str>>;
}
/// Other `Result`s.
pub trait Fallible<'a> {
    /// The error's type.
    fn __exporters_failure(&self) -> Option<Cow<'a, str>>;
}
/// Everything else.
pub trait Infallible<'a> {
    /// None.
    fn __exporters_failure(&self) -> Option<Cow<'a, str>>;
}

impl<'a, T, E: ErrorType> Typed<'a> for &&Returned<'a, Result<T, E>> {
    #[inline(always)]
    fn __exporters_failure(&self) -> Option<Cow<'a, str>> {
        let result: &'a Result<T, E> = self.0;
        result.as_ref().err().map(E::error_type)
    }
}
impl<'a, T, E> Fallible<'a> for &Returned<'a, Result<T, E>> {
    #[inline(always)]
    fn __exporters_failure(&self) -> Option<Cow<'a, str>> {
        self.0.is_err().then(|| type_name::<E>().into())
    }
}
impl<'a, T> Infallible<'a> for Returned<'a, T> {
    #[inline(always)]
    fn __exporters_failure(&self) -> Option<Cow<'a, str>> {
        None
    }
}

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
#[allow(clippy::needless_borrow)] // The borrows are the point.
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
        let named: Alias = Err(Named);
        let plain: Result<(), std::fmt::Error> = Err(std::fmt::Error);
        assert_eq!((&&&Returned(&named)).__exporters_failure().as_deref(), Some("named"));
        assert_eq!((&&&Returned(&plain)).__exporters_failure().as_deref(), Some("core::fmt::Error"));
        assert_eq!((&&&Returned(&Ok::<u8, Named>(1))).__exporters_failure(), None);
        assert_eq!((&&&Returned(&Some(1))).__exporters_failure(), None);
    }
}
