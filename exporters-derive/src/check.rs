//! Refuses what cannot be measured, with the cure.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, Item, ItemMod, Result};

use crate::item::Function;

/// Refuses a function that was annotated itself.
pub(crate) fn function(function: &Function) -> Result<()> {
    if let Some(word) = &function.sig.constness {
        return Err(Error::new(
            word.span(),
            "a `const fn` may run in the compiler, where there is no clock; remove `const`, \
             or measure the call with `exporters::profile!`",
        ));
    }
    if function.body.is_none() {
        return Err(Error::new(
            function.sig.ident.span(),
            "there is no body to measure here; annotate the implementation or a caller, or give the method a default body",
        ));
    }
    Ok(())
}

/// Refuses a module in a file of its own.
pub(crate) fn module(module: &ItemMod) -> Result<()> {
    if module.content.is_some() {
        return Ok(());
    }
    Err(Error::new(
        module.ident.span(),
        "the functions of a module in another file cannot be seen from here; annotate them, or their `impl` blocks, there",
    ))
}

/// What to say of an item that contains no function.
pub(crate) fn other(item: &Item) -> Error {
    let (span, what) = describe(item);
    let cure = match item {
        Item::Struct(_) | Item::Enum(_) | Item::Union(_) | Item::Type(_) => {
            "; annotate its `impl` block, or single methods"
        }
        Item::ForeignMod(_) => "; annotate a function that calls the foreign one",
        Item::Macro(_) => "; put the attribute within the macro, on what it generates",
        Item::Static(_) | Item::Const(_) => "; measure its initialiser with `exporters::profile!`",
        _ => "",
    };
    Error::new(
        span,
        format!(
            "`profiled` goes on a function, an `impl` block, a trait or an inline module, not on {what}{cure}"
        ),
    )
}

fn describe(item: &Item) -> (Span, &'static str) {
    match item {
        Item::Const(item) => (item.ident.span(), "a constant"),
        Item::Enum(item) => (item.ident.span(), "an enum"),
        Item::ExternCrate(item) => (item.ident.span(), "an `extern crate`"),
        Item::ForeignMod(item) => (item.abi.extern_token.span(), "an `extern` block"),
        Item::Macro(item) => (item.mac.path.span(), "a macro"),
        Item::Static(item) => (item.ident.span(), "a static"),
        Item::Struct(item) => (item.ident.span(), "a struct"),
        Item::TraitAlias(item) => (item.ident.span(), "a trait alias"),
        Item::Type(item) => (item.ident.span(), "a type alias"),
        Item::Union(item) => (item.ident.span(), "a union"),
        Item::Use(item) => (item.use_token.span(), "an import"),
        other => (other.span(), "this"),
    }
}
