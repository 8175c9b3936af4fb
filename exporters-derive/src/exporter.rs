//! `#[derive(Exporter)]`: the arguments are read (`args`, `metric`, `http`), joined with the struct (`model`), checked
//! against it and against what is recorded (`check`, `sources`), and expanded (`expand`).

mod args;
mod check;
mod expand;
mod http;
mod metric;
mod model;
mod names;
mod sources;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::errors::Errors;
use model::Model;

/// Expands `#[derive(Exporter)]`.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(input) = errors.keep(syn::parse2::<DeriveInput>(input)) else { return errors.into_tokens() };
    check::item(&input, &mut errors);
    let model = Model::read(&input, &mut errors);
    check::model(&model, &mut errors);
    if errors.is_empty() {
        return expand::exporter(&model);
    }
    let stand_in = input.generics.params.is_empty().then(|| expand::stand_in(&model));
    let errors = errors.into_tokens();
    quote!(#errors #stand_in)
}
