//! Decides how a function is measured.

use syn::Type;

use crate::item::Function;
use crate::ty::{self, Future};

/// How a function is measured.
pub(crate) enum Shape {
    /// Its body becomes a closure that is called at once, so that `return` and `?` end there.
    Call,
    /// Its body stays where it is, beside a guard; `seen` is whether the value of its last expression is looked at.
    Guard { seen: bool },
    /// `async fn`: becomes a function that returns the measured future.
    Async,
    /// `async fn` that must stay one: awaits the measured future of its body.
    AsyncWithin,
    /// `async fn` that never returns.
    AsyncNever,
    /// Returns a future of this kind, with this output if the type tells it.
    Future(Future, Option<Box<Type>>),
}

impl Shape {
    /// The shape of a function; `foreign` if another macro will still see it.
    pub(crate) fn of(function: &Function, foreign: bool) -> Self {
        let sig = &function.sig;
        let output = match &sig.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, ty) => Some(&**ty),
        };
        let never = matches!(output, Some(Type::Never(_)));
        if sig.asyncness.is_some() {
            // Of an `async fn` it speaks of the output, of any other function of the future.
            let must_use = function.attrs.iter().any(|attr| attr.path().is_ident("must_use"));
            return match (never, foreign || must_use) {
                (true, _) => Self::AsyncNever,
                (false, true) => Self::AsyncWithin,
                (false, false) => Self::Async,
            };
        }
        if let Some((future, output)) = output.and_then(ty::future) {
            return Self::Future(future, output.map(Box::new));
        }
        let track_caller = function.attrs.iter().any(|attr| attr.path().is_ident("track_caller"));
        let closure = output.is_some_and(ty::is_closure);
        if never || closure || sig.variadic.is_some() {
            Self::Guard { seen: false }
        } else if track_caller {
            Self::Guard { seen: true }
        } else {
            Self::Call
        }
    }
}
