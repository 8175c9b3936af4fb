//! Reads arguments one by one, going on after a mistake.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, Ident, LitBool, LitInt, LitStr, Path, Result, Token, parenthesized};

use super::{Args, Verdict, objective};
use crate::errors::Errors;
use crate::nearest;

/// Every argument, with how it is written.
const KNOWN: &[(&str, &str)] = &[
    ("name", "name = \"checkout\""),
    ("attributes", "attributes(queue = job.queue())"),
    ("error_type", "error_type = |e| e.code()"),
    ("ok_if", "ok_if = |r| r.is_some()"),
    ("error_if", "error_if = |r| r.is_none()"),
    ("slo", "slo(latency = \"250ms\", target = 99.9)"),
    ("time_one_in", "time_one_in = 16"),
    ("span", "span = false"),
    ("kind", "kind = \"server\""),
    ("skip", "skip"),
    ("crate", "crate = my::exporters"),
];

const KINDS: &[&str] = &["internal", "server", "client", "producer", "consumer"];

/// Keys that every series has anyway.
const RESERVED: &[&str] = &["function", "module", "result", "error.type", "otel.metric.overflow"];

pub(super) fn all(tokens: TokenStream, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    let mut seen = Vec::new();
    let parsed = (|input: ParseStream<'_>| {
        while !input.is_empty() {
            one(input, &mut args, &mut seen, errors);
        }
        Ok(())
    })
    .parse2(tokens);
    errors.keep(parsed);
    exclusive(&args, &seen, errors);
    args
}

/// Reads one argument and the comma behind it.
pub(crate) fn one(input: ParseStream<'_>, args: &mut Args, seen: &mut Vec<Ident>, errors: &mut Errors) {
    let read = argument(input, args, seen, errors);
    let wrong = read.is_err();
    errors.keep(read);
    if !wrong && !input.is_empty() && !input.peek(Token![,]) {
        errors.push(input.error("expected `,` between two arguments"));
    }
    // After a mistake, go on behind the next comma.
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
    let _ = input.parse::<Option<Token![,]>>();
}

fn argument(
    input: ParseStream<'_>,
    args: &mut Args,
    seen: &mut Vec<Ident>,
    errors: &mut Errors,
) -> Result<()> {
    let key = input
        .call(Ident::parse_any)
        .map_err(|error| Error::new(error.span(), "expected an argument, such as `name = \"checkout\"`"))?;
    let word = key.to_string();
    let Some((_, usage)) = KNOWN.iter().find(|(known, _)| *known == word) else {
        let words: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
        let hint = nearest::hint(&word, &words);
        return Err(Error::new(
            key.span(),
            format!("`profiled` has no argument `{word}`{hint}\nthe arguments are {}", words.join(", ")),
        ));
    };
    let written = || format!("`{word}` is written `{usage}`");
    let value = |input: ParseStream<'_>| match input.parse::<Option<Token![=]>>() {
        Ok(Some(_)) => Ok(()),
        _ => Err(Error::new(key.span(), written())),
    };
    let again = seen.contains(&key);
    match word.as_str() {
        "name" => {
            value(input)?;
            let name: LitStr = literal(input, &written)?;
            if name.value().trim().is_empty() {
                errors.push(Error::new(
                    name.span(),
                    "the name is empty; leave `name` out to use the function's",
                ));
            }
            args.name = Some(name);
        }
        "attributes" => {
            let content = group(input, key.span(), &written)?;
            attributes(&content, args, errors);
        }
        "error_type" => {
            value(input)?;
            args.error_type = Some(input.parse::<Expr>()?);
        }
        "ok_if" => {
            value(input)?;
            args.verdict = Some(Verdict::OkIf(input.parse()?));
        }
        "error_if" => {
            value(input)?;
            args.verdict = Some(Verdict::ErrorIf(input.parse()?));
        }
        "slo" => {
            let content = group(input, key.span(), &written)?;
            args.objective = objective::parse(key.span(), &content, errors);
        }
        "time_one_in" => {
            value(input)?;
            let number: LitInt = literal(input, &written)?;
            let one_in = number.base10_parse::<u32>().ok().filter(|n| *n > 0);
            args.one_in = Some(one_in.ok_or_else(|| {
                Error::new(
                    number.span(),
                    "`time_one_in` is at least 1 and below 2^32: 16 times one call in 16, 1 times all",
                )
            })?);
        }
        "span" => {
            value(input)?;
            args.span = Some(literal::<LitBool>(input, &written)?.value);
        }
        "kind" => {
            value(input)?;
            let kind: LitStr = literal(input, &written)?;
            if !KINDS.contains(&kind.value().as_str()) {
                let hint = nearest::hint(&kind.value(), KINDS);
                return Err(Error::new(
                    kind.span(),
                    format!("the kind is one of {}{hint}", KINDS.join(", ")),
                ));
            }
            args.kind = Some(kind);
        }
        "skip" => args.skip = Some(key.span()),
        _ => {
            value(input)?;
            args.krate = Some(input.call(Path::parse_mod_style)?);
        }
    }
    if again {
        return Err(Error::new(key.span(), format!("`{word}` is given twice; remove one")));
    }
    seen.push(key);
    Ok(())
}

/// A literal, or how the argument is written.
fn literal<T: syn::parse::Parse>(input: ParseStream<'_>, written: &dyn Fn() -> String) -> Result<T> {
    input.parse::<T>().map_err(|error| Error::new(error.span(), written()))
}

/// What is between the parentheses.
fn group<'a>(
    input: ParseStream<'a>,
    key: Span,
    written: &dyn Fn() -> String,
) -> Result<syn::parse::ParseBuffer<'a>> {
    if !input.peek(syn::token::Paren) {
        return Err(Error::new(key, written()));
    }
    let content;
    parenthesized!(content in input);
    Ok(content)
}

fn attributes(input: ParseStream<'_>, args: &mut Args, errors: &mut Errors) {
    while !input.is_empty() {
        let read = attribute(input, args);
        if errors.keep(read).is_none() {
            // The rest of the list cannot be told apart any more.
            let _ = input.parse::<TokenStream>();
        }
    }
}

fn attribute(input: ParseStream<'_>, args: &mut Args) -> Result<()> {
    let key = if input.peek(syn::Lit) {
        literal::<LitStr>(input, &|| "a key is a name or a string".to_owned())?
    } else {
        let ident = input.call(Ident::parse_any)?;
        if input.peek(Token![.]) {
            return Err(Error::new(
                ident.span(),
                format!("write a key with dots as a string: `\"{ident}.…\" = …`"),
            ));
        }
        LitStr::new(&ident.unraw().to_string(), ident.span())
    };
    if !input.peek(Token![=]) {
        return Err(Error::new(
            key.span(),
            format!("an attribute is a key and a value: `{} = …`", key.value()),
        ));
    }
    input.parse::<Token![=]>()?;
    let value: Expr = input.parse()?;
    let text = key.value();
    let problem = if text.is_empty() {
        Some("the key is empty; give the attribute a name".to_owned())
    } else if RESERVED.contains(&text.as_str()) {
        Some(format!("every series has `{text}` already; choose another key"))
    } else if args.attributes.iter().any(|(other, _)| other.value() == text) {
        Some(format!("`{text}` is given twice; remove one"))
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(Error::new(key.span(), problem));
    }
    args.attributes.push((key, value));
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// Refuses arguments that exclude each other, at the later one.
pub(crate) fn exclusive(args: &Args, seen: &[Ident], errors: &mut Errors) {
    let mut refuse = |a: &str, b: &str, why: &str| {
        if seen.iter().any(|key| key == a)
            && let Some(later) = seen.iter().rev().find(|key| *key == a || *key == b)
            && seen.iter().any(|key| key == b)
        {
            errors.push(Error::new(later.span(), why));
        }
    };
    refuse("ok_if", "error_if", "`ok_if` and `error_if` both decide how the call ended; keep one");
    refuse(
        "slo",
        "time_one_in",
        "an objective needs the latency of every call; remove `time_one_in` or `slo`",
    );
    if let (Some(skip), true) = (args.skip, seen.len() > 1) {
        errors.push(Error::new(
            skip,
            "`skip` leaves the function out, so nothing else applies; remove one or the other",
        ));
    }
}
