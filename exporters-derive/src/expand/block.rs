//! Expands `profile!("name", { .. })`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::visit::{self, Visit};
use syn::{Error, Expr, LitStr, Result, Token};

use super::site::{Site, local};
use crate::args::{Args, parse_one};
use crate::errors::Errors;

const USAGE: &str = "`profile!` takes a name and a block: `profile!(\"name\", { .. })`";

/// The block, measured if `record` is set.
pub(crate) fn expand(input: TokenStream, record: bool) -> TokenStream {
    let mut errors = Errors::default();
    let parsed = (|input: ParseStream<'_>| parse(input, &mut errors)).parse2(input);
    let Some((name, args, block)) = errors.keep(parsed) else { return errors.into_tokens() };
    if !errors.is_empty() {
        let errors = errors.into_tokens();
        return quote_spanned!(Span::mixed_site()=> { #errors (#block) });
    }
    if !record {
        return quote_spanned!(Span::mixed_site()=> (#block));
    }
    let site = Site {
        args: &args,
        private: args.private(),
        name: name.value(),
        at: name.span(),
        method: false,
        bound: true,
    };
    let declare = site.declare();
    if matches!(block, Expr::Async(_)) {
        let future = site.wrap(&quote!(#block), None);
        return quote_spanned!(Span::mixed_site()=> { #declare #future });
    }
    let (private, enter, value) = (&site.private, site.enter(), local("value"));
    let failure = site.failure(None, &quote!(#value));
    // In parentheses, lest the compiler advise to remove the braces; an argument, so that what is expected of the whole is expected of it.
    quote_spanned! {Span::mixed_site()=> {
        #declare
        #private::observe(#enter.guard(), (#block), |#value| #failure)
    }}
}

fn parse(input: ParseStream<'_>, errors: &mut Errors) -> Result<(LitStr, Args, Expr)> {
    let name: LitStr = input.parse().map_err(|error| Error::new(error.span(), USAGE))?;
    if name.value().trim().is_empty() {
        errors.push(Error::new(name.span(), "the name is empty"));
    }
    input.parse::<Token![,]>().map_err(|error| Error::new(error.span(), USAGE))?;
    let (mut args, mut seen) = (Args::default(), Vec::new());
    while !is_block(input) {
        if !input.peek(syn::Ident::peek_any) {
            return Err(Error::new(input.span(), USAGE));
        }
        parse_one(input, &mut args, &mut seen, errors);
    }
    crate::args::check_exclusive(&args, &seen, errors);
    for key in seen.iter().filter(|key| *key == "name" || *key == "skip") {
        errors.push(Error::new(key.span(), "`profile!` has its name first, and is left out by removing it"));
    }
    let block = input.parse()?;
    if !matches!(block, Expr::Async(_)) {
        Awaits(errors).visit_expr(&block);
    }
    input.parse::<Option<Token![,]>>()?;
    Ok((name, args, block))
}

fn is_block(input: ParseStream<'_>) -> bool {
    input.peek(syn::token::Brace)
        || input.peek(Token![async])
        || (input.peek(Token![unsafe]) && input.peek2(syn::token::Brace))
        || input.peek(syn::Lifetime)
}

/// Finds what a block that is timed on one thread must not do: wait, while others run there.
struct Awaits<'a>(&'a mut Errors);

impl Visit<'_> for Awaits<'_> {
    fn visit_expr_await(&mut self, expr: &syn::ExprAwait) {
        let cure = "a block with `.await` is measured as a future: `profile!(\"name\", async { .. }).await`";
        self.0.push(Error::new(expr.await_token.span, cure));
        visit::visit_expr_await(self, expr);
    }
    // What is awaited in these is not awaited by the block.
    fn visit_expr_async(&mut self, _: &syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &syn::ExprClosure) {}
    fn visit_item(&mut self, _: &syn::Item) {}
}
