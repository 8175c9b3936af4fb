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
    /// Where its name stands.
    pub(super) at: Span,
    /// Whether `type_name::<Self>` says whose method it is.
    pub(super) method: bool,
    /// Whether the future lives no longer than that type, as that of an `async fn`.
    pub(super) bound: bool,
}

impl Site<'_> {
    /// What the library is to know, in one literal, since the compiler takes its time for each.
    pub(super) fn facts(&self) -> String {
        let at = self.at.unwrap();
        // What cargo says of the crate, if it was cargo that started the compiler.
        let cargo = |key| std::env::var(key).unwrap_or_default();
        let (package, version) = (cargo("CARGO_PKG_NAME"), cargo("CARGO_PKG_VERSION"));
        format!("{package}\0{version}\0{}{}\0{}\0{}", at.line(), self.span(), at.file(), self.name)
    }

    /// How its spans are, as a letter; nothing if they are as usual.
    fn span(&self) -> &'static str {
        match (self.args.span, &self.args.kind) {
            (Some(false), _) => "-",
            (_, None) => "",
            (_, Some(kind)) => match kind.value().as_str() {
                "server" => "s",
                "client" => "c",
                "producer" => "p",
                "consumer" => "q",
                _ => "",
            },
        }
    }

    /// The static and what belongs to it.
    pub(super) fn declare(&self) -> TokenStream {
        let Self { args, private, name, .. } = self;
        let facts = self.facts();
        if args.attributes.is_empty() && args.objective.is_none() {
            return quote_spanned!(Span::mixed_site()=> #private::site! { new(#facts) });
        }
        let keys = args.attributes.iter().map(|(key, _)| key);
        let objective = match &args.objective {
            None => quote!(#private::None),
            Some(objective) => {
                let label = objective.name.as_ref().map_or_else(|| name.clone(), |name| name.value());
                let (target, latency) = (objective.target, objective.latency);
                quote!(#private::Some(#private::objective(#label, #target, #latency)))
            }
        };
        quote_spanned! {Span::mixed_site()=>
            #private::site! { with(#facts, &#private::More { objective: #objective, keys: &[#(#keys),*] }) }
        }
    }

    fn owner(&self) -> TokenStream {
        let private = &self.private;
        if self.method {
            quote_spanned!(Span::mixed_site()=> #private::Some(#private::core::any::type_name::<Self>))
        } else {
            quote_spanned!(Span::mixed_site()=> #private::None)
        }
    }

    /// `ONE_IN, OBJECTIVE`, unless they are as usual.
    fn constants(&self) -> Option<TokenStream> {
        let objective = self.args.objective.is_some();
        (objective || self.args.one_in.is_some()).then(|| {
            let one_in = self.args.one_in.unwrap_or(1);
            quote!(#one_in, #objective)
        })
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
        if !self.args.attributes.is_empty() {
            let (values, constants) = (self.values(), constants.unwrap_or_else(|| quote!(1, false)));
            return quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.enter_keyed::<#constants>(#owner, #values));
        }
        match constants {
            None => quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.enter(#owner)),
            Some(constants) => {
                quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.enter_as::<#constants>(#owner))
            }
        }
    }

    /// Whether the function is recorded as most are, and what it returns, `ret`, tells how its calls end.
    pub(super) fn is_plain(&self, ret: &Type) -> bool {
        let usual = self.constants().is_none() && self.args.attributes.is_empty();
        usual && !self.method && !self.judges() && ty::is_named(ret)
    }

    /// Wraps a future; `ret` is the annotation of what it resolves to.
    pub(super) fn wrap(&self, future: &TokenStream, ret: Option<&Type>) -> TokenStream {
        let private = &self.private;
        let never = !self.judges() && ret.is_some_and(ty::is_infallible);
        match ret.filter(|ret| self.is_plain(ret)) {
            Some(_) if never => {
                return quote_spanned!(Span::mixed_site()=> #private::profiled(&__EXPORTERS_SITE, #future));
            }
            Some(ret) => {
                return quote_spanned! {Span::mixed_site()=> {
                    use #private::{Fallible as _, Infallible as _};
                    #private::returned::<#ret>().__exporters_profiled(&__EXPORTERS_SITE, #future)
                }};
            }
            None => {}
        }
        let series = if self.args.attributes.is_empty() {
            quote_spanned!(Span::mixed_site()=> #private::None)
        } else {
            let (owner, values) = (self.owner(), self.values());
            quote_spanned!(Span::mixed_site()=> __EXPORTERS_SITE.series(#owner, #values))
        };
        let how = match (self.method, self.bound) {
            (false, _) => quote!(#private::Plain),
            (true, true) => {
                quote_spanned!(Span::mixed_site()=> #private::Method(#private::core::any::type_name::<Self>))
            }
            // The type of a closure holds even where `Self` does not.
            (true, false) => {
                quote_spanned!(Span::mixed_site()=> #private::Method(|| #private::core::any::type_name::<Self>()))
            }
        };
        let how = match self.constants() {
            None => how,
            Some(constants) => quote_spanned!(Span::mixed_site()=> #private::Custom::<#constants, _>(#how)),
        };
        // Each closure costs time to compile, so there is none if the type tells everything.
        let (new, judge) = match ret.filter(|ret| !self.judges() && ty::is_named(ret)) {
            Some(_) if never => (quote!(new), quote!(#private::Never)),
            Some(ret) => (
                quote!(new),
                quote_spanned! {Span::mixed_site()=> {
                    use #private::{Fallible as _, Infallible as _};
                    #private::returned::<#ret>().__exporters_judge()
                }},
            ),
            None => {
                let value = local("value");
                let annotation = ret.map(|ret| quote!(: &#ret));
                let failure = self.failure(ret, &quote!(#value));
                (quote!(judged_by), quote_spanned!(Span::mixed_site()=> |#value #annotation| #failure))
            }
        };
        quote_spanned! {Span::mixed_site()=>
            #private::Profiled::#new(
                &__EXPORTERS_SITE, #series, #how, #future, #judge
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
                quote_spanned!(Span::mixed_site()=> #private::None)
            }
            None => quote_spanned! {Span::mixed_site()=> {
                use #private::{Fallible as _, Infallible as _};
                #private::failure(#value, #private::returned_by(#value).__exporters_judge())
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
