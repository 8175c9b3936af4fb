//! Expands one function.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;

use super::site::{Site, local};
use super::{Place, arguments, future};
use crate::args::Args;
use crate::item::{Body, Function};
use crate::shape::Shape;
use crate::ty;

/// The function with its body measured.
pub(super) fn expand(
    mut function: Function,
    body: Body,
    args: &Args,
    place: &Place,
    foreign: bool,
) -> TokenStream {
    let shape = Shape::of(&function, foreign);
    let ident = &function.sig.ident;
    let name = match (&args.name, &place.owner) {
        (Some(name), _) => name.value(),
        (None, Some(owner)) => format!("{owner}::{}", ident.unraw()),
        (None, None) => ident.unraw().to_string(),
    };
    let site = Site {
        args,
        private: args.private(),
        name,
        at: ident.span(),
        method: !place.inside && args.name.is_none() && arguments::knows_self(&function.sig),
        bound: function.sig.asyncness.is_some(),
    };
    let declare = if matches!(shape, Shape::Async) { TokenStream::new() } else { site.declare() };
    let measured = match shape {
        Shape::Call => call(&site, &mut function, &body),
        Shape::Guard { seen } => guard(&site, &function, &body, seen),
        Shape::Async => future::desugared(&site, &mut function, &body),
        Shape::AsyncWithin => future::within(&site, &mut function, &body),
        Shape::AsyncNever => future::never(&site, &mut function, &body),
        Shape::Future(kind, output) => {
            future::returned(&site, &mut function, &body, &kind, output.as_deref())
        }
    };
    let Function { attrs, vis, default, sig, .. } = function;
    let block = quote_spanned!(Span::mixed_site()=> { #declare #measured });
    quote!(#(#attrs)* #vis #default #sig #block)
}

/// The body as a closure, called at once.
pub(super) fn closure(
    site: &Site<'_>,
    function: &mut Function,
    body: &Body,
    ret: &impl ToTokens,
) -> TokenStream {
    let (outside, inside) = if arguments::has_exclusive_self(&function.sig) {
        let (private, once) = (&site.private, local("once"));
        (
            quote_spanned!(Span::mixed_site()=> let #once = #private::Once;),
            quote_spanned!(Span::mixed_site()=> let _once = #once;),
        )
    } else {
        Default::default()
    };
    let bind = arguments::rebind(&mut function.sig, !site.args.attributes.is_empty());
    let block = body.within();
    // The braces are ours, so of edition 2024: what the body's last expression borrows ends before the arguments do.
    quote_spanned!(Span::mixed_site()=> { #outside (move || -> #ret { #inside #bind #block })() })
}

fn call(site: &Site<'_>, function: &mut Function, body: &Body) -> TokenStream {
    let ret = ty::annotation(&function.sig.output);
    let (call, value) = (local("call"), local("value"));
    let enter = site.enter();
    let run = closure(site, function, body, &ret);
    let failure = site.failure(Some(&ret), &quote!(&#value));
    quote_spanned! {Span::mixed_site()=>
        let #call = #enter;
        let #value = #run;
        #call.finish(#failure);
        #value
    }
}

fn guard(site: &Site<'_>, function: &Function, body: &Body, seen: bool) -> TokenStream {
    let (enter, body) = (site.enter(), body.within());
    if !seen {
        return quote_spanned!(Span::mixed_site()=> let _guard = #enter.guard(); #body);
    }
    let ret = ty::annotation(&function.sig.output);
    let (guard, value) = (local("guard"), local("value"));
    let failure = site.failure(Some(&ret), &quote!(&#value));
    quote_spanned! {Span::mixed_site()=>
        let #guard = #enter.guard();
        let #value: #ret = #body;
        #[allow(unreachable_code)]
        #guard.finish(#failure);
        #value
    }
}
