//! Moves a function's arguments into its body, so that they drop there in the order they always did.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::visit::Visit;
use syn::{Attribute, FnArg, Pat, PatIdent, PatType, Receiver, ReceiverKind, Signature, Type};

use crate::ty;

/// Rewrites the parameters of `sig` to plain names, and returns the statements that bind them again within the
/// body: as the compiler does it for an `async fn`, so that an argument that is not used, or only in part, is moved whole.
///
/// Where `named` is set the patterns stay, since the attributes' expressions read what they bind.
pub(super) fn rebind(sig: &mut Signature, named: bool) -> TokenStream {
    let mut statements = TokenStream::new();
    for (index, input) in sig.inputs.iter_mut().enumerate() {
        let FnArg::Typed(argument) = input else { continue };
        let bound = match &*argument.pat {
            // Nothing is dropped, so it does not matter when, nor whether the whole is moved.
            Pat::Ident(PatIdent { by_ref: None, mutability: None, subpat: None, .. })
                if ty::is_plain(&argument.ty) =>
            {
                continue;
            }
            Pat::Ident(PatIdent { by_ref: None, subpat: None, .. }) => simple(argument),
            _ if named => destructured(argument),
            _ => pattern(argument, index),
        };
        statements.extend(bound);
    }
    statements
}

/// `mut x: T`: the parameter is `x: T`, the statement `let mut x = x;`.
fn simple(argument: &mut PatType) -> TokenStream {
    let (conditions, lints) = split(argument);
    let Pat::Ident(pat) = &mut *argument.pat else { return TokenStream::new() };
    let mutability = pat.mutability.take();
    let name = &pat.ident;
    let passed_on = passed_on(name);
    quote_spanned!(Span::mixed_site()=> #(#conditions)* #(#lints)* #passed_on let #mutability #name = #name;)
}

/// `(a, b): T`: the parameter is `arg0: T`, the statements `let mut arg0 = arg0; let (a, b) = arg0;`; `mut` for a `ref mut`.
fn pattern(argument: &mut PatType, index: usize) -> TokenStream {
    let (conditions, lints) = split(argument);
    let name = format_ident!("arg{index}", span = Span::mixed_site());
    let pat = std::mem::replace(&mut *argument.pat, syn::parse_quote!(#name));
    quote_spanned! {Span::mixed_site()=>
        #(#conditions)* #[allow(unused_mut)] let mut #name = #name;
        #(#conditions)* #(#lints)* let #pat = #name;
    }
}

/// `(a, b): T` stays; the statements are `let a = a; let b = b;`.
fn destructured(argument: &PatType) -> TokenStream {
    #[derive(Default)]
    struct Names(Vec<PatIdent>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
            self.0.push(pat.clone());
            syn::visit::visit_pat_ident(self, pat);
        }
    }
    let mut names = Names::default();
    names.visit_pat(&argument.pat);
    let conditions = argument.attrs.iter().filter(|attr| is_condition(attr));
    let conditions = quote!(#(#conditions)*);
    let statements = names.0.iter().map(|pat| {
        let (name, mutability) = (&pat.ident, pat.mutability.filter(|_| pat.by_ref.is_none()));
        let passed_on = passed_on(name);
        quote_spanned!(Span::mixed_site()=> #conditions #passed_on let #mutability #name = #name;)
    });
    quote!(#(#statements)*)
}

/// Silences the lints that a name is bound again, and that one with an underscore is used: it is only passed on.
fn passed_on(name: &syn::Ident) -> TokenStream {
    if name.to_string().starts_with('_') {
        quote!(#[allow(clippy::no_effect_underscore_binding, clippy::shadow_same, clippy::used_underscore_binding)])
    } else {
        quote!(#[allow(clippy::shadow_same)])
    }
}

/// The argument's `cfg`s, which must stand on every statement about it, and its lints, which move to the statement.
fn split(argument: &mut PatType) -> (Vec<Attribute>, Vec<Attribute>) {
    let conditions = argument.attrs.iter().filter(|attr| is_condition(attr)).cloned().collect();
    let lints = argument.attrs.extract_if(.., |attr| is_lint(attr)).collect();
    (conditions, lints)
}

fn is_condition(attr: &Attribute) -> bool {
    attr.path().is_ident("cfg")
}

fn is_lint(attr: &Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"].iter().any(|level| attr.path().is_ident(level))
}

/// A statement that makes an async block take the whole of `self`, used or not.
pub(super) fn keep_self(sig: &Signature) -> TokenStream {
    match sig.receiver() {
        Some(Receiver { self_token, .. }) => quote_spanned!(Span::mixed_site()=> let _ = &#self_token;),
        None => TokenStream::new(),
    }
}

/// Whether `self` is an exclusive reference. A closure that hands out what it refers to must be called by value,
/// and nothing in the closure's body says so, since `self` cannot be bound again.
pub(super) fn has_exclusive_self(sig: &Signature) -> bool {
    match sig.receiver().map(|receiver| &receiver.kind) {
        Some(ReceiverKind::Reference(_, _, mutability)) => mutability.is_some(),
        Some(ReceiverKind::Typed(_, ty)) => !matches!(&**ty, Type::Reference(ty) if ty.mutability.is_none()),
        _ => false,
    }
}

/// Whether the signature says that there is a `Self`.
pub(super) fn knows_self(sig: &Signature) -> bool {
    struct Known(bool);
    impl<'ast> Visit<'ast> for Known {
        fn visit_ident(&mut self, ident: &'ast syn::Ident) {
            self.0 |= ident == "Self";
        }
        fn visit_macro(&mut self, call: &'ast syn::Macro) {
            self.0 |= ty::mentions(&call.tokens, "Self");
        }
        fn visit_type(&mut self, ty: &'ast Type) {
            match ty {
                Type::Verbatim(tokens) => self.0 |= ty::mentions(tokens, "Self"),
                ty => syn::visit::visit_type(self, ty),
            }
        }
    }
    let mut known = Known(sig.receiver().is_some());
    if !known.0 {
        known.visit_signature(sig);
    }
    known.0
}
