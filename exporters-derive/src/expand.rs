//! From what was annotated to what is compiled.

mod arguments;
mod block;
mod function;
mod future;
mod group;
mod site;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::args::Args;
use crate::errors::Errors;
use crate::item::{Function, Item};
use crate::{check, item, ty};
pub(crate) use block::expand as block;

/// Where a function stands.
#[derive(Clone, Default)]
pub(crate) struct Place {
    /// What comes before `::method` in the name.
    pub(crate) owner: Option<String>,
    /// Whether the attribute is on an item around the function.
    pub(crate) inside: bool,
    /// Whether another macro will still see the item around it.
    pub(crate) foreign: bool,
}

/// Expands `#[profiled(arguments)] item`. Mistakes come with the item as it was, so that nothing else breaks.
pub(crate) fn item(arguments: TokenStream, tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::parse(arguments, &mut errors);
    let item = match Item::read(tokens.clone()) {
        Ok(item) => item,
        Err(error) => {
            errors.push(error);
            let errors = errors.into_tokens();
            return quote!(#errors #tokens);
        }
    };
    let expanded = match item {
        Item::Function(function) => one(*function, args, &Place::default(), &mut errors),
        Item::Impl(item) => {
            group::implementation(*item, &args, &Place::default(), &mut errors).into_token_stream()
        }
        Item::Trait(item) => {
            group::definition(*item, &args, &Place::default(), &mut errors).into_token_stream()
        }
        Item::Mod(item) => {
            errors.keep(check::module(&item));
            if let Some(name) = &args.name {
                errors.push(syn::Error::new(
                    name.span(),
                    "a module has no series of its own; name the functions in it",
                ));
            }
            group::module(*item, &args, &Place::default(), &mut errors).into_token_stream()
        }
        Item::Other(item) => {
            errors.push(check::other(&item));
            item.into_token_stream()
        }
    };
    let errors = errors.into_tokens();
    quote!(#errors #expanded)
}

/// Expands one function; where something is wrong with it or its arguments, it stays as it is.
pub(crate) fn one(mut function: Function, args: Args, place: &Place, errors: &mut Errors) -> TokenStream {
    let own = item::take_profiled(&mut function.attrs);
    let foreign = item::has_foreign(&function.attrs);
    let annotated = !place.inside || !own.is_empty();
    let mut found = Errors::default();
    let mut mine = Args::default();
    for attr in &own {
        mine = match &attr.meta {
            syn::Meta::List(list) => Args::parse(list.tokens.clone(), &mut found).over(&mine),
            _ => mine,
        };
    }
    let error_type = args.error_type.filter(|_| !place.inside || ty::is_called_result(&function.sig.output));
    let args = mine.over(&Args { name: args.name.filter(|_| !place.inside), error_type, ..args });
    if args.skip.is_none() && annotated {
        found.keep(check::function(&function));
    }
    let leave =
        args.skip.is_some() || !found.is_empty() || !errors.is_empty() || function.sig.constness.is_some();
    errors.absorb(found);
    if place.inside {
        function.attrs.extend(item::spent(&own));
    }
    match &function.body {
        Some(body) if !leave => {
            let foreign = place.foreign || foreign;
            let body = body.clone();
            function::expand(function, body, &args, place, foreign)
        }
        _ => function.into_token_stream(),
    }
}
