//! `#[metric(name = source, stat, kind, unit, help)]`.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Error, Expr, ExprLit, Ident, Lit, LitStr, Result, Token};

use super::args::within;
use super::names;
use super::sources::{KINDS, Kind, STATISTICS};
use crate::errors::Errors;
use crate::list::{self, List};

const KNOWN: &[(&str, &str)] =
    &[("stat", "stat = p95"), ("kind", "kind = gauge"), ("unit", "unit = \"ms\""), ("help", "help = \"..\"")];

const USAGE: &str = "a metric is written `#[metric(name = \"source\", stat = p95, kind = gauge, unit = \"ms\", help = \"..\")]`";

/// One metric, as it is written.
pub(super) struct Metric {
    pub(super) name: LitStr,
    pub(super) source: Source,
    /// Its place in [`STATISTICS`].
    pub(super) stat: Option<(usize, Span)>,
    pub(super) kind: Option<(Kind, Span)>,
    pub(super) unit: Option<LitStr>,
    pub(super) help: Option<LitStr>,
}

/// What a metric is made of.
pub(super) enum Source {
    /// A statistic or a recorded metric.
    Named(LitStr),
    /// A function of the user's.
    Computed(Box<Expr>),
}

/// Every `#[metric(..)]` among `attrs`.
pub(super) fn read(attrs: &[Attribute], errors: &mut Errors) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("metric")) {
        within(attr, "#[metric(name = \"source\")]", errors, |input, errors| {
            let begun = begin(input);
            match errors.keep(begun) {
                Some(mut metric) => {
                    list::next(input, true, errors);
                    metric.rest(input, errors);
                    metrics.push(metric);
                }
                // The rest cannot be told apart any more.
                None => drop(input.parse::<proc_macro2::TokenStream>()),
            }
        });
    }
    metrics
}

/// `name = source`
fn begin(input: ParseStream<'_>) -> Result<Metric> {
    let name = if input.peek(LitStr) {
        input.parse::<LitStr>()?
    } else {
        let ident = input.call(Ident::parse_any).map_err(|error| Error::new(error.span(), USAGE))?;
        if input.peek(Token![.]) || input.peek(Token![-]) {
            let message = format!("write a name that is no identifier in quotes: `\"{ident}…\" = ..`");
            return Err(Error::new(ident.span(), message));
        }
        LitStr::new(&ident.unraw().to_string(), ident.span())
    };
    if names::is_empty(&name.value()) {
        return Err(Error::new(name.span(), "the name is empty; say what the metric is called"));
    }
    if !input.peek(Token![=]) {
        return Err(Error::new(name.span(), USAGE));
    }
    input.parse::<Token![=]>()?;
    let source = match input.parse()? {
        Expr::Lit(ExprLit { lit: Lit::Str(source), .. }) => Source::Named(source),
        wrong @ (Expr::Lit(_) | Expr::Field(_)) => {
            return Err(Error::new_spanned(
                wrong,
                "a source is a name in quotes, such as \"function.calls\", or a function, such as `Self::apdex`",
            ));
        }
        function => Source::Computed(Box::new(function)),
    };
    Ok(Metric { name, source, stat: None, kind: None, unit: None, help: None })
}

impl Metric {
    fn rest(&mut self, input: ParseStream<'_>, errors: &mut Errors) {
        List::new("metric", KNOWN).read(input, errors, |key, input, _| {
            match key.word {
                "stat" => {
                    let known: Vec<&str> = STATISTICS.iter().map(|(word, ..)| *word).collect();
                    self.stat = Some(key.choice(input, "statistic", &known)?);
                }
                "kind" => {
                    let (at, span) = key.choice(input, "kind", &KINDS.map(|(word, _)| word))?;
                    self.kind = KINDS.get(at).map(|(_, kind)| (*kind, span));
                }
                "unit" => self.unit = Some(key.value(input)?),
                _ => self.help = Some(key.value(input)?),
            }
            Ok(())
        });
    }
}
