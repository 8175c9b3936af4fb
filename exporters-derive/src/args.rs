//! The arguments of `#[profiled(..)]`.

mod objective;
mod parse;

use proc_macro2::Span;
use syn::{Expr, LitStr, Path};

use crate::errors::Errors;
pub(crate) use objective::Objective;
pub(crate) use parse::{exclusive as check_exclusive, one as parse_one};

/// What `#[profiled(..)]` was given; nothing is set by default.
#[derive(Clone, Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) attributes: Vec<(LitStr, Expr)>,
    pub(crate) error_type: Option<Expr>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) objective: Option<Objective>,
    pub(crate) one_in: Option<u32>,
    pub(crate) span: Option<bool>,
    pub(crate) kind: Option<LitStr>,
    pub(crate) skip: Option<Span>,
    pub(crate) krate: Option<Path>,
}

/// An expression that decides, from the returned value, how the call ended.
#[derive(Clone)]
pub(crate) enum Verdict {
    OkIf(Expr),
    ErrorIf(Expr),
}

impl Args {
    /// Reads all arguments; what is wrong goes to `errors`, what is right is kept.
    pub(crate) fn parse(tokens: proc_macro2::TokenStream, errors: &mut Errors) -> Self {
        parse::all(tokens, errors)
    }

    /// The arguments of a function within an annotated block: its own, then the block's.
    pub(crate) fn over(self, block: &Self) -> Self {
        // One excludes the other, and the inner wish counts.
        let (objective, one_in) = match (self.objective, self.one_in) {
            (None, None) => (block.objective.clone(), block.one_in),
            own => own,
        };
        Self {
            name: self.name.or_else(|| block.name.clone()),
            attributes: if self.attributes.is_empty() { block.attributes.clone() } else { self.attributes },
            error_type: self.error_type.or_else(|| block.error_type.clone()),
            verdict: self.verdict.or_else(|| block.verdict.clone()),
            objective,
            one_in,
            span: self.span.or(block.span),
            kind: self.kind.or_else(|| block.kind.clone()),
            skip: self.skip.or(block.skip),
            krate: self.krate.or_else(|| block.krate.clone()),
        }
    }

    /// The path of `exporters::__private`.
    pub(crate) fn private(&self) -> proc_macro2::TokenStream {
        match &self.krate {
            Some(path) => quote::quote!(#path::__private),
            None => quote::quote!(::exporters::__private),
        }
    }
}
