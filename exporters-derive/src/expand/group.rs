//! Expands the functions within an annotated `impl` block, trait or module.

use syn::{ImplItem, Item, ItemImpl, ItemMod, ItemTrait, TraitItem};

use super::{Place, one};
use crate::args::Args;
use crate::errors::Errors;
use crate::{item, ty};

/// The block with all its functions expanded.
pub(super) fn implementation(
    mut block: ItemImpl,
    args: &Args,
    place: &Place,
    errors: &mut Errors,
) -> ItemImpl {
    let owner =
        args.name.as_ref().map_or_else(|| ty::name(&block.self_ty, &block.generics), |name| name.value());
    let place = within(place, Some(owner), &block.attrs);
    for entry in &mut block.items {
        if let ImplItem::Fn(function) = entry {
            *entry = ImplItem::Verbatim(one(function.clone().into(), args.clone(), &place, errors));
        }
    }
    block
}

/// The trait with all its default bodies expanded.
pub(super) fn definition(mut block: ItemTrait, args: &Args, place: &Place, errors: &mut Errors) -> ItemTrait {
    let owner = args.name.as_ref().map_or_else(|| block.ident.to_string(), |name| name.value());
    let place = within(place, Some(owner), &block.attrs);
    for entry in &mut block.items {
        if let TraitItem::Fn(function) = entry {
            *entry = TraitItem::Verbatim(one(function.clone().into(), args.clone(), &place, errors));
        }
    }
    block
}

/// The module with all functions in it expanded, however deep.
pub(super) fn module(mut module: ItemMod, args: &Args, place: &Place, errors: &mut Errors) -> ItemMod {
    let place = within(place, None, &module.attrs);
    for entry in module.content.iter_mut().flat_map(|(_, items)| items) {
        let old = std::mem::replace(entry, Item::Verbatim(proc_macro2::TokenStream::new()));
        *entry = match old {
            Item::Fn(function) => Item::Verbatim(one(function.into(), args.clone(), &place, errors)),
            Item::Impl(mut block) => match refine(&mut block.attrs, args, errors) {
                Some(args) => Item::Impl(implementation(block, &args, &place, errors)),
                None => Item::Impl(block),
            },
            Item::Trait(mut block) => match refine(&mut block.attrs, args, errors) {
                Some(args) => Item::Trait(definition(block, &args, &place, errors)),
                None => Item::Trait(block),
            },
            Item::Mod(mut inner) => match refine(&mut inner.attrs, args, errors) {
                Some(args) => Item::Mod(self::module(inner, &args, &place, errors)),
                None => Item::Mod(inner),
            },
            other => other,
        };
    }
    module
}

fn within(place: &Place, owner: Option<String>, attrs: &[syn::Attribute]) -> Place {
    Place { owner, inside: true, foreign: place.foreign || item::has_foreign(attrs) }
}

/// The arguments of a block within an annotated module; `None` if it is to be skipped.
fn refine(attrs: &mut Vec<syn::Attribute>, args: &Args, errors: &mut Errors) -> Option<Args> {
    let mut refined = args.clone();
    let own = item::take_profiled(attrs);
    for attr in &own {
        if let syn::Meta::List(list) = &attr.meta {
            refined = Args::parse(list.tokens.clone(), errors).over(&refined);
        }
    }
    attrs.extend(item::spent(&own));
    refined.skip.is_none().then_some(refined)
}
