//! The arguments of `#[exporter(..)]`, on the struct and on its fields.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::{Attribute, Error, Expr, ExprLit, ExprPath, Lit, LitBool, LitStr, Member, Meta, Path, Result};

use super::http::{self, Http};
use super::names;
use crate::errors::Errors;
use crate::list::{Key, List};

const KNOWN: &[(&str, &str)] = &[
    ("kind", "kind = \"acme\""),
    ("encode", "encode = json"),
    ("max_items", "max_items = 1000"),
    ("max_bytes", "max_bytes = 1024 * 1024"),
    ("http", "http(path = \"/v1/metrics\", auth = bearer(token))"),
    ("health", "health = Self::check"),
    ("register", "register = false"),
    ("crate", "crate = my::exporters"),
];

const KNOWN_OF_FIELD: &[(&str, &str)] = &[("attribute", "attribute = \"deployment.environment.name\"")];

/// What `#[exporter(..)]` was given on the struct; nothing is set by default.
#[derive(Default)]
pub(super) struct Args {
    pub(super) kind: Option<LitStr>,
    pub(super) format: Format,
    pub(super) max_items: Option<Expr>,
    pub(super) max_bytes: Option<Expr>,
    pub(super) http: Option<Http>,
    pub(super) health: Option<ExprPath>,
    pub(super) unregistered: bool,
    pub(super) krate: Option<Path>,
}

/// How a payload is written.
#[derive(Clone, Copy, Default)]
pub(super) enum Format {
    #[default]
    Json,
    Csv,
    Prometheus,
    MessagePack,
    Otlp,
}

impl Format {
    const ALL: [Self; 5] = [Self::Json, Self::Csv, Self::Prometheus, Self::MessagePack, Self::Otlp];
    const WORDS: [&str; 5] = ["json", "csv", "prometheus", "messagepack", "otlp"];

    fn feature(self) -> Option<&'static str> {
        match self {
            Self::Prometheus if cfg!(not(feature = "prometheus")) => Some("prometheus"),
            Self::MessagePack if cfg!(not(feature = "messagepack")) => Some("messagepack"),
            Self::Otlp if cfg!(not(feature = "opentelemetry")) => Some("opentelemetry"),
            _ => None,
        }
    }
}

impl Args {
    /// Reads every `#[exporter(..)]` among `attrs`.
    pub(super) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let mut list = List::new("exporter", KNOWN).elsewhere("a field", KNOWN_OF_FIELD);
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("exporter")) {
            within(attr, "#[exporter(kind = \"acme\")]", errors, |input, errors| {
                list.read(input, errors, |key, input, errors| args.one(key, input, errors));
            });
        }
        args
    }

    fn one(&mut self, key: &Key, input: ParseStream<'_>, errors: &mut Errors) -> Result<()> {
        match key.word {
            "kind" => self.kind = Some(kind(key.value(input)?)?),
            "encode" => {
                let (at, span) = key.choice(input, "encoding", &Format::WORDS)?;
                self.format = Format::ALL.get(at).copied().unwrap_or_default();
                if let Some(feature) = self.format.feature() {
                    return Err(needs_feature(span, feature));
                }
            }
            "max_items" => self.max_items = Some(limit(key, input)?),
            "max_bytes" => self.max_bytes = Some(limit(key, input)?),
            "http" => self.http = http::read(key, &key.group(input)?, errors),
            "health" => self.health = Some(key.value(input)?),
            "register" => self.unregistered = !key.value::<LitBool>(input)?.value,
            _ => self.krate = Some(key.value(input)?),
        }
        Ok(())
    }
}

/// The key of the attribute that a field is, as its `#[exporter(attribute = "..")]` says.
pub(super) fn attribute(attrs: &[Attribute], errors: &mut Errors) -> Option<LitStr> {
    let mut attribute = None;
    let mut list = List::new("exporter", KNOWN_OF_FIELD).elsewhere("the struct", KNOWN);
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("exporter")) {
        within(attr, "#[exporter(attribute = \"..\")]", errors, |input, errors| {
            list.read(input, errors, |key, input, _| {
                let text: LitStr = key.value(input)?;
                if names::is_empty(&text.value()) {
                    return Err(Error::new(text.span(), "the key is empty; give the attribute a name"));
                }
                attribute = Some(text);
                Ok(())
            });
        });
    }
    attribute
}

/// Reads what is between the parentheses of an attribute, or says how that is written.
pub(super) fn within(
    attr: &Attribute,
    written: &str,
    errors: &mut Errors,
    read: impl FnOnce(ParseStream<'_>, &mut Errors),
) {
    let Meta::List(list) = &attr.meta else {
        let span = attr.path().segments.first().map_or_else(Span::call_site, |first| first.ident.span());
        errors.push(Error::new(span, format!("it is written `{written}`")));
        return;
    };
    let parsed = list.parse_args_with(|input: ParseStream<'_>| {
        read(input, errors);
        Ok(())
    });
    errors.keep(parsed);
}

fn kind(text: LitStr) -> Result<LitStr> {
    match is_kind(&text.value()) {
        true => Ok(text),
        false => Err(bad_kind(text.span())),
    }
}

/// Whether `type:` in a configuration file can name it, and a variable contain it.
pub(super) fn is_kind(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase());
    rest.is_some_and(|rest| {
        rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
    })
}

pub(super) fn bad_kind(span: Span) -> Error {
    Error::new(
        span,
        "a kind is a lower-case letter, then lower-case letters, digits, `_` or `-`, such as `kind = \"acme\"`",
    )
}

fn needs_feature(span: Span, feature: &str) -> Error {
    Error::new(
        span,
        format!("this needs the feature `{feature}` of `exporters`: turn it on in your Cargo.toml"),
    )
}

fn limit(key: &Key, input: ParseStream<'_>) -> Result<Expr> {
    let limit: Expr = key.value(input)?;
    match &limit {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.base10_digits() == "0" => {
            let message = format!("nothing fits into 0; leave `{}` out for no limit", key.word);
            Err(Error::new(number.span(), message))
        }
        Expr::Lit(ExprLit { lit: Lit::Int(_), .. }) => Ok(limit),
        Expr::Lit(lit) => Err(key.wrong(lit.lit.span())),
        _ => Ok(limit),
    }
}

/// How a field is called in messages.
pub(super) fn name(member: &Member) -> String {
    match member {
        Member::Named(ident) => syn::ext::IdentExt::unraw(ident).to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}
