//! What is known of an exporter: its struct, with all that its attributes say.

use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Ident, LitStr, Member, Type};

use super::args::{self, Args};
use super::metric::{self, Metric};
use crate::errors::Errors;

/// An exporter.
pub(super) struct Model {
    pub(super) ident: Ident,
    pub(super) args: Args,
    pub(super) metrics: Vec<Metric>,
    pub(super) fields: Vec<Field>,
}

/// A field of its struct.
pub(super) struct Field {
    pub(super) member: Member,
    pub(super) ty: Type,
    /// The key of the attribute that it is.
    pub(super) attribute: Option<LitStr>,
}

impl Model {
    pub(super) fn read(input: &DeriveInput, errors: &mut Errors) -> Self {
        let args = Args::read(&input.attrs, errors);
        let metrics = metric::read(&input.attrs, errors);
        let fields = match &input.data {
            Data::Struct(data) => data
                .fields
                .members()
                .zip(&data.fields)
                .map(|(member, field)| Field {
                    member,
                    ty: field.ty.clone(),
                    attribute: attribute(field, errors),
                })
                .collect(),
            _ => Vec::new(),
        };
        Self { ident: input.ident.clone(), args, metrics, fields }
    }

    /// What `type:` in a configuration file calls it.
    pub(super) fn kind(&self) -> LitStr {
        let named = |ident: &Ident| LitStr::new(&snake_case(&ident.unraw().to_string()), ident.span());
        self.args.kind.clone().unwrap_or_else(|| named(&self.ident))
    }
}

fn attribute(field: &syn::Field, errors: &mut Errors) -> Option<LitStr> {
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("metric")) {
        errors.push(Error::new_spanned(
            attr.path(),
            "a metric is of the whole exporter; put it above the struct",
        ));
    }
    args::attribute(&field.attrs, errors)
}

/// `AcmeCloud` and `ACMECloud` as `acme_cloud`.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let behind = chars.get(at + 1);
        let begins = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit())
            || (before.is_some_and(|before| before.is_uppercase())
                && behind.is_some_and(|behind| behind.is_lowercase()));
        if c.is_uppercase() && begins {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_called_like_their_structs() {
        for (name, kind) in [
            ("Acme", "acme"),
            ("AcmeCloud", "acme_cloud"),
            ("HTTPSink", "http_sink"),
            ("Acme2Cloud", "acme2_cloud"),
            ("Acme_Cloud", "acme_cloud"),
            ("A", "a"),
        ] {
            assert_eq!(snake_case(name), kind);
            assert!(args::is_kind(kind));
        }
        for wrong in ["", "Acme", "2acme", "_acme", "acme cloud", "größe", "acme.cloud"] {
            assert!(!args::is_kind(wrong), "{wrong}");
        }
    }
}
