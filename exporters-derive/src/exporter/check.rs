//! Refuses what cannot be exported, with the cure: each mistake at its own token.

use proc_macro2::Span;
use syn::{Data, DeriveInput, Error, GenericParam, LitStr, Member, Result};

use super::args::{Format, bad_kind, is_kind, name};
use super::http::Http;
use super::metric::{Metric, Source};
use super::model::{Field, Model};
use super::names;
use super::sources::{KINDS, Kind, NAMED, RECORDED, STATISTICS, can_be, kind_of_statistic};
use crate::errors::Errors;
use crate::nearest;

/// Refuses what is no struct, or not one struct.
pub(super) fn item(input: &DeriveInput, errors: &mut Errors) {
    let (span, what) = match &input.data {
        Data::Struct(_) => {
            for parameter in &input.generics.params {
                errors.push(generic(parameter));
            }
            return;
        }
        Data::Enum(data) => (data.enum_token.span, "enum"),
        Data::Union(data) => (data.union_token.span, "union"),
    };
    errors.push(Error::new(
        span,
        format!("an exporter is a struct, whose fields are its settings; put the {what} in a field of one"),
    ));
}

/// The mapping and the place in the registry are one static each, which no type parameter can tell apart.
fn generic(parameter: &GenericParam) -> Error {
    let message = match parameter {
        GenericParam::Lifetime(_) => {
            "an exporter lives as long as the program; have it own its fields, `String` instead of `&str`"
        }
        GenericParam::Type(_) => {
            "an exporter is one kind, made from settings; name a type, or use `Box<dyn ..>`, instead of the parameter"
        }
        GenericParam::Const(_) => {
            "an exporter is one kind, made from settings; make a field of the parameter"
        }
    };
    Error::new_spanned(parameter, message)
}

/// Refuses what does not fit together.
pub(super) fn model(model: &Model, errors: &mut Errors) {
    // One that was given was looked at when it was read.
    if model.args.kind.is_none() && !is_kind(&model.kind().value()) {
        errors.push(bad_kind(model.ident.span()));
    }
    unique(model.metrics.iter().map(|metric| &metric.name), "a metric", errors);
    unique(model.fields.iter().filter_map(|field| field.attribute.as_ref()), "an attribute", errors);
    for metric in &model.metrics {
        errors.keep(self::metric(metric));
    }
    if let Some(http) = &model.args.http {
        self::http(http, &model.fields, errors);
        if let (Format::Otlp, Some(path)) = (model.args.format, &http.path) {
            errors.keep(otlp_path(path));
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a LitStr>, what: &str, errors: &mut Errors) {
    let names: Vec<&LitStr> = names.collect();
    let texts: Vec<String> = names.iter().map(|name| name.value()).collect();
    for (name, text) in names::repeated(&texts).into_iter().filter_map(|at| names.get(at).zip(texts.get(at)))
    {
        let message = format!("there is {what} `{text}` already; give this one another name, or remove it");
        errors.push(Error::new(name.span(), message));
    }
}

/// The same rules as the library's own, for mappings in a file.
fn metric(metric: &Metric) -> Result<()> {
    let (subject, natural) = match &metric.source {
        Source::Named(source) => natural(metric, source)?,
        Source::Computed(_) => match metric.stat {
            Some((_, span)) => {
                return Err(Error::new(span, "what is computed has no statistics; remove `stat`"));
            }
            None => ("what is computed".to_owned(), Kind::Gauge),
        },
    };
    match metric.kind {
        Some((wanted, span)) if !can_be(natural, wanted) => {
            Err(contradiction(&subject, natural, wanted, span))
        }
        _ => Ok(()),
    }
}

/// What a metric is before a wish is heeded, and how to speak of it.
fn natural(metric: &Metric, source: &LitStr) -> Result<(String, Kind)> {
    let name = source.value();
    let find = |table: &[(&str, Kind)]| table.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    let Some((statistic, at)) = metric.stat else {
        let kind = find(NAMED).or_else(|| find(RECORDED)).ok_or_else(|| unknown(source))?;
        return Ok((format!("`{name}`"), kind));
    };
    let Some(of) = find(RECORDED) else {
        if find(NAMED).is_none() {
            return Err(unknown(source));
        }
        let message = format!(
            "`{name}` is a statistic already; remove `stat`, or take one of a recorded metric, such as `function.calls.duration`"
        );
        return Err(Error::new(at, message));
    };
    let word = STATISTICS.get(statistic).map_or("", |(word, ..)| word);
    match kind_of_statistic(statistic, of) {
        Some(kind) => Ok((format!("`{word}` of `{name}`"), kind)),
        None => {
            let possible: Vec<String> = (0..STATISTICS.len())
                .filter(|at| kind_of_statistic(*at, of).is_some())
                .filter_map(|at| STATISTICS.get(at).map(|(word, ..)| format!("`{word}`")))
                .collect();
            let cure = match possible.as_slice() {
                [] => "remove `stat`".to_owned(),
                possible => format!("it has {}", possible.join(", ")),
            };
            let message = format!("`{name}` is a {}, which has no `{word}`; {cure}", described(of));
            Err(Error::new(at, message))
        }
    }
}

fn unknown(source: &LitStr) -> Error {
    let name = source.value();
    if let Some((of, statistic)) = name.split_once(':') {
        let message = format!("write the statistic beside the source: `\"{of}\", stat = {statistic}`");
        return Error::new(source.span(), message);
    }
    let names = |table: &[(&'static str, Kind)]| table.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let (named, recorded) = (names(NAMED), names(RECORDED));
    let hint = nearest::hint(&name, &[&*named, &*recorded].concat());
    let message = format!(
        "there is no source `{name}`{hint}\nthe statistics are {}\nthe recorded metrics are {}",
        named.join(", "),
        recorded.join(", "),
    );
    Error::new(source.span(), message)
}

fn contradiction(subject: &str, natural: Kind, wanted: Kind, span: Span) -> Error {
    let cure = match (natural, wanted) {
        (Kind::Histogram, Kind::Rate) => "take a statistic of it: `stat = rate`".to_owned(),
        (Kind::Histogram, Kind::Counter) => "take a statistic of it: `stat = count`".to_owned(),
        (Kind::Histogram, _) => "take a statistic of it, such as `stat = p95`".to_owned(),
        (Kind::Counter, _) => "it can be a counter, rate or gauge".to_owned(),
        _ => "remove `kind`".to_owned(),
    };
    let (is, as_what) = (described(natural), described(wanted));
    Error::new(span, format!("{subject} is a {is}, and cannot be sent as a {as_what}; {cure}"))
}

fn described(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word)
}

/// Refuses the path of a signal where each signal's is added.
fn otlp_path(path: &LitStr) -> Result<()> {
    let text = path.value();
    let text = text.trim_end_matches('/');
    let Some(root) = text.strip_suffix("/v1/metrics").or_else(|| text.strip_suffix("/v1/traces")) else {
        return Ok(());
    };
    let cure = if root.is_empty() { "leave it out".to_owned() } else { format!("write `path = \"{root}\"`") };
    let message = format!("`encode = otlp` adds `/v1/metrics` or `/v1/traces` itself; {cure}");
    Err(Error::new(path.span(), message))
}

/// Refuses fields that are not there.
fn http(http: &Http, fields: &[Field], errors: &mut Errors) {
    let known: Vec<String> = fields.iter().map(|field| name(&field.member)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if http.endpoint.is_none() && !known.contains(&"endpoint") {
        let message = "there is no field `endpoint`; add `endpoint: exporters::Endpoint`, or name the one with the URL: \
                       `http(endpoint = url)`";
        errors.push(Error::new(http.span, message));
    }
    for member in http.endpoint.iter().chain(http.auth.fields()) {
        let wanted = name(member);
        if !known.contains(&wanted.as_str()) {
            let span = match member {
                Member::Named(ident) => ident.span(),
                Member::Unnamed(index) => index.span,
            };
            let hint = nearest::hint(&wanted, &known);
            errors.push(Error::new(span, format!("there is no field `{wanted}`{hint}")));
        }
    }
}
