//! The pieces that every expansion is made of: the site, the way in, the outcome.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Ident, Type};

use crate::args::{Args, Verdict};
use crate::ty;

/// A local of ours, which no name of the user's can meet.
pub(super) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// Where to complain of an expression of the user's that does not fit.
fn at(expression: &Expr) -> Span {
    Span::mixed_site().located_at(expression.span())
}

/// What is known of a function before it runs.
pub(super) struct Site<'a> {
    pub(super) args: &'a Args,
    pub(super) private: TokenStream,
    pub(super) name: String,
    pub(super) line: u32,
    /// `Some(type_name::<Self>)`, where that says whose method it is.
    pub(super) method: bool,
}

impl Site<'_> {
    /// The static and what belongs to it.
    pub(super) fn declare(&self) -> TokenStream {
        let Self { args, private, name, line, .. } = self;
        let keys = args.attributes.iter().map(|(key, _)| key);
        let objective = match &args.objective {
            None => quote!(#private::core::option::Option::None),
            Some(objective) => {
                let label = objective.name.as_ref().map_or_else(|| name.clone(), |name| name.value());
                let (target, latency) = (objective.target, objective.latency);
                quote!(#private::core::option::Option::Some((#label, #target, #latency)))
            }
        };
        quote_spanned! {Span::mixed_site()=>
            #private::site! { name: #name, line: #line, objective: #objective, attributes: [#(#keys),*] }
        }
    }

    fn owner(&self) -> TokenStream {
        let private = &self.private;
        if self.method {
            quote_spanned!(Span::mixed_site()=> #private::core::option::Option::Some(#private::core::any::type_name::<Self>))
        } else {
            quote_spanned!(Span::mixed_site()=> #private::core::option::Option::None)
        }
    }

    /// `ONE_IN, OBJECTIVE`
    fn constants(&self) -> TokenStream {
        let one_in = self.args.one_in.unwrap_or(1);
        let objective = self.args.objective.is_some();
        quote!(#one_in, #objective)
    }

    /// The closure that hands out the attributes' values. They are borrowed, so they are passed on rather than
    /// returned: what an expression makes lives until the call is over.
    fn values(&self) -> TokenStream {
        let private = &self.private;
        let values = self
            .args
            .attributes
            .iter()
            .map(|(_, value)| quote_spanned!(at(value)=> #private::value(&(#value))));
        let with = local("with");
        quote_spanned!(Span::mixed_site()=> |#with| #with(&[#(#values),*]))
    }

    /// Enters a call of a synchronous function.
    pub(super) fn enter(&self) -> TokenStream {
        let (constants, owner) = (self.constants(), self.owner());
        if self.args.attributes.is_empty() {
            return quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.enter::<#constants>(&__EXPORTERS_LOCAL, #owner));
        }
        let values = self.values();
        quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.enter_keyed::<#constants>(#owner, #values))
    }

    /// Wraps a future; `ret` is the annotation of what it resolves to.
    pub(super) fn wrap(&self, future: &TokenStream, ret: Option<&Type>) -> TokenStream {
        let private = &self.private;
        let (constants, owner) = (self.constants(), self.owner());
        let series = if self.args.attributes.is_empty() {
            quote_spanned!(Span::mixed_site()=> #private::core::option::Option::None)
        } else {
            let values = self.values();
            quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.series(#owner, #values))
        };
        let value = local("value");
        let outcome = match ret {
            Some(ret) if !self.judges() && ty::is_infallible(ret) => {
                quote_spanned!(Span::mixed_site()=> #private::no_failure)
            }
            ret => {
                let annotation = ret.map(|ret| quote!(: &#ret));
                let failure = self.failure(ret, &quote!(#value));
                quote_spanned!(Span::mixed_site()=> |#value #annotation| #failure)
            }
        };
        quote_spanned! {Span::mixed_site()=>
            #private::Profiled::<#constants, _, _, _>::new(
                || (&__EXPORTERS_SITE, &__EXPORTERS_LOCAL, #owner), #series, #future, #outcome
            )
        }
    }

    /// Whether the user decides what a failure is.
    fn judges(&self) -> bool {
        self.args.verdict.is_some() || self.args.error_type.is_some()
    }

    /// How the call failed, from `value`, a reference to what it returned.
    pub(super) fn failure(&self, ret: Option<&Type>, value: &TokenStream) -> TokenStream {
        let private = &self.private;
        let by_type = match &self.args.error_type {
            Some(with) => quote_spanned!(at(with)=> #private::failure_with(#value, #with)),
            None if ret.is_some_and(ty::is_infallible) => {
                quote_spanned!(Span::mixed_site()=> #private::core::option::Option::None)
            }
            None => quote_spanned! {Span::mixed_site()=> {
                use #private::{Fallible as _, Infallible as _, Typed as _};
                (&&&#private::Returned(#value)).__exporters_failure()
            }},
        };
        match &self.args.verdict {
            None => by_type,
            Some(Verdict::OkIf(good)) => {
                quote_spanned!(at(good)=> #private::ok_if(#value, #good, #by_type))
            }
            Some(Verdict::ErrorIf(bad)) => {
                quote_spanned!(at(bad)=> #private::error_if(#value, #bad, #by_type))
            }
        }
    }
}
