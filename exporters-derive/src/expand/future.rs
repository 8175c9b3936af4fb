//! Expands functions that are `async` or return a future.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::visit::Visit;
use syn::{Expr, ReturnType, Stmt, Type};

use super::arguments;
use super::function::closure;
use super::site::{Site, local};
use crate::item::{Body, Function};
use crate::ty::{self, Future};

/// `async fn f(..) -> R` as `fn f(..) -> impl Future<Output = R>`: the arguments are held once, by the body's future.
/// Declares the site, too.
pub(super) fn desugared(site: &Site<'_>, function: &mut Function, body: &Body) -> TokenStream {
    let ret = ty::annotation(&function.sig.output);
    let private = &site.private;
    let measured = if site.is_plain(&ret) {
        plain(site, function, body, &ret)
    } else {
        let (declare, block) = (site.declare(), block(site, function, body, &ret));
        let future = site.wrap(&block, Some(&ret));
        quote_spanned!(Span::mixed_site()=> #declare #future)
    };
    let output = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    // `impl` is written by this crate, so of edition 2024: like an `async fn`'s, it captures every lifetime.
    let future = quote_spanned!(Span::mixed_site()=> impl #private::Future<Output = #output>);
    function.sig.asyncness = None;
    function.sig.output =
        ReturnType::Type(syn::Token![->](Span::mixed_site()), Box::new(Type::Verbatim(future)));
    measured
}

/// What most functions become, in few tokens: these cost time, too.
fn plain(site: &Site<'_>, function: &mut Function, body: &Body, ret: &Type) -> TokenStream {
    let keep = arguments::keep_self(&function.sig);
    let bind = arguments::rebind(&mut function.sig, false);
    let (private, facts, body) = (&site.private, site.facts(), body.within());
    let kind = local(if ty::is_infallible(ret) { "infallible" } else { "fallible" });
    quote_spanned!(Span::mixed_site()=> #private::body! { #kind #facts #ret => #keep #bind #body })
}

/// Stays `async`, and awaits the measured body.
pub(super) fn within(site: &Site<'_>, function: &mut Function, body: &Body) -> TokenStream {
    let ret = ty::annotation(&function.sig.output);
    let block = block(site, function, body, &ret);
    let future = site.wrap(&block, Some(&ret));
    quote_spanned!(Span::mixed_site()=> #future.await)
}

/// `async fn f() -> !`, as a future of a type without values; `!` may not be named there.
pub(super) fn never(site: &Site<'_>, function: &mut Function, body: &Body) -> TokenStream {
    let private = &site.private;
    let ret: Type = syn::parse_quote!(#private::core::convert::Infallible);
    let block = block(site, function, body, &ret);
    let future = site.wrap(&block, Some(&ret));
    quote_spanned!(Span::mixed_site()=> match #future.await {})
}

/// The body as an async block that resolves to `ret`.
fn block(site: &Site<'_>, function: &mut Function, body: &Body, ret: &Type) -> TokenStream {
    let keep = arguments::keep_self(&function.sig);
    let bind = arguments::rebind(&mut function.sig, !site.args.attributes.is_empty());
    let (private, body) = (&site.private, body.within());
    // A block has no place for its type; a `return` that is never reached tells it.
    quote_spanned! {Span::mixed_site()=> async move {
        if false {
            return #private::never::<#ret>();
        }
        #keep #bind #body
    }}
}

/// A function that makes the future itself.
pub(super) fn returned(
    site: &Site<'_>,
    function: &mut Function,
    body: &Body,
    kind: &Future,
    output: Option<&Type>,
) -> TokenStream {
    let private = &site.private;
    if let (Future::Pinned, Some(tail)) = (kind, BoxedTail::find(body)) {
        return tail.wrapped(site, output);
    }
    let annotation = ty::annotation(&function.sig.output);
    let run = closure(site, function, body, &annotation);
    let future = site.wrap(&run, output);
    match kind {
        Future::Bare => future,
        Future::Pinned => quote_spanned!(Span::mixed_site()=> #private::std::boxed::Box::pin(#future)),
        Future::Boxed => quote_spanned!(Span::mixed_site()=> #private::std::boxed::Box::new(#future)),
    }
}

/// A body whose only way out is `Box::pin(future)`, as `async_trait` writes it: what is in the box can be
/// measured where it is, without a second box.
struct BoxedTail {
    before: Vec<Stmt>,
    pin: syn::ExprCall,
}

impl BoxedTail {
    fn find(body: &Body) -> Option<Self> {
        let mut before = syn::parse::Parser::parse2(syn::Block::parse_within, body.inner.clone()).ok()?;
        let Some(Stmt::Expr(Expr::Call(pin), None)) = before.pop() else { return None };
        let Expr::Path(path) = &*pin.func else { return None };
        let mut names = path.path.segments.iter().rev();
        let is_pin = names.next().is_some_and(|name| name.ident == "pin")
            && names.next().is_some_and(|name| name.ident == "Box");
        let mut exits = Exits(false);
        before.iter().for_each(|stmt| exits.visit_stmt(stmt));
        pin.args.iter().for_each(|argument| exits.visit_expr(argument));
        (is_pin && pin.args.len() == 1 && !exits.0).then_some(Self { before, pin })
    }

    fn wrapped(self, site: &Site<'_>, output: Option<&Type>) -> TokenStream {
        let Self { before, pin } = self;
        let (func, future) = (&pin.func, &pin.args);
        let future = site.wrap(&future.to_token_stream(), output);
        quote_spanned!(Span::mixed_site()=> #(#before)* #func(#future))
    }
}

/// Whether a `return` leaves the function itself.
struct Exits(bool);

impl<'ast> Visit<'ast> for Exits {
    fn visit_expr_return(&mut self, _: &'ast syn::ExprReturn) {
        self.0 = true;
    }
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.0 |= ty::mentions(&call.tokens, "return");
    }
    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
