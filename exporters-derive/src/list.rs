//! A list of arguments, `key = value, key(..)`, read one by one, going on after a mistake.

use proc_macro2::{Span, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseBuffer, ParseStream};
use syn::{Error, Ident, Result, Token, parenthesized, token};

use crate::errors::Errors;
use crate::nearest;

/// The arguments of one thing, and which of them have been given.
pub(crate) struct List {
    /// Whose they are.
    of: &'static str,
    /// Every argument, with how it is written.
    known: Known,
    /// What has other arguments of the same name, and which.
    elsewhere: (&'static str, Known),
    seen: Vec<&'static str>,
}

type Known = &'static [(&'static str, &'static str)];

/// An argument's name, where it was given.
pub(crate) struct Key {
    pub(crate) word: &'static str,
    pub(crate) span: Span,
    usage: &'static str,
}

impl List {
    pub(crate) fn new(of: &'static str, known: Known) -> Self {
        Self { of, known, elsewhere: ("", &[]), seen: Vec::new() }
    }

    pub(crate) fn elsewhere(self, place: &'static str, known: Known) -> Self {
        Self { elsewhere: (place, known), ..self }
    }

    /// Has `read` take each argument's value.
    pub(crate) fn read(
        &mut self,
        input: ParseStream<'_>,
        errors: &mut Errors,
        mut read: impl FnMut(&Key, ParseStream<'_>, &mut Errors) -> Result<()>,
    ) {
        while !input.is_empty() {
            let key = self.key(input);
            let one = key.and_then(|key| read(&key, input, errors));
            let good = errors.keep(one).is_some();
            next(input, good, errors);
        }
    }

    fn key(&mut self, input: ParseStream<'_>) -> Result<Key> {
        let ident = input.call(Ident::parse_any).map_err(|error| {
            let example = self.known.first().map_or("", |(_, usage)| usage);
            Error::new(error.span(), format!("expected an argument, such as `{example}`"))
        })?;
        let span = ident.span();
        let given = ident.unraw().to_string();
        let Some((word, usage)) = self.known.iter().find(|(word, _)| *word == given) else {
            let (place, others) = self.elsewhere;
            if others.iter().any(|(other, _)| *other == given) {
                return Err(Error::new(span, format!("`{given}` goes on {place}")));
            }
            let words: Vec<&str> = self.known.iter().map(|(word, _)| *word).collect();
            let (of, hint) = (self.of, nearest::hint(&given, &words));
            let message =
                format!("`{of}` has no argument `{given}`{hint}\nthe arguments are {}", words.join(", "));
            return Err(Error::new(span, message));
        };
        if self.seen.contains(word) {
            return Err(Error::new(span, format!("`{word}` is given twice; remove one")));
        }
        self.seen.push(word);
        Ok(Key { word, span, usage })
    }
}

impl Key {
    /// What to say at `span` where the argument is written wrong.
    pub(crate) fn wrong(&self, span: Span) -> Error {
        Error::new(span, format!("`{}` is written `{}`", self.word, self.usage))
    }

    /// What comes behind `=`.
    pub(crate) fn value<T: Parse>(&self, input: ParseStream<'_>) -> Result<T> {
        self.equals(input)?;
        input.parse().map_err(|error: Error| self.wrong(error.span()))
    }

    /// The `=`, where what comes behind it knows better how that is written.
    pub(crate) fn equals(&self, input: ParseStream<'_>) -> Result<()> {
        let equals: Option<Token![=]> = input.parse()?;
        equals.map(drop).ok_or_else(|| self.wrong(self.span))
    }

    /// The word behind `=`, which is one of `known`: its index, and where it stands.
    pub(crate) fn choice(&self, input: ParseStream<'_>, what: &str, known: &[&str]) -> Result<(usize, Span)> {
        let ident = self.value::<AnyIdent>(input)?.0;
        let word = ident.unraw().to_string();
        known.iter().position(|known| *known == word).map(|at| (at, ident.span())).ok_or_else(|| {
            let hint = nearest::hint(&word, known);
            Error::new(
                ident.span(),
                format!("there is no {what} `{word}`{hint}\nthere are {}", known.join(", ")),
            )
        })
    }

    /// What is between the parentheses.
    pub(crate) fn group<'a>(&self, input: ParseStream<'a>) -> Result<ParseBuffer<'a>> {
        if !input.peek(token::Paren) {
            return Err(self.wrong(self.span));
        }
        let content;
        parenthesized!(content in input);
        Ok(content)
    }
}

/// An identifier, even if it is a keyword.
struct AnyIdent(Ident);

impl Parse for AnyIdent {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        input.call(Ident::parse_any).map(Self)
    }
}

/// Goes on behind the next comma. After something `good`, it must come at once.
pub(crate) fn next(input: ParseStream<'_>, good: bool, errors: &mut Errors) {
    if good && !input.is_empty() && !input.peek(Token![,]) {
        errors.push(input.error("expected `,` between two arguments"));
    }
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
    let _ = input.parse::<Option<Token![,]>>();
}
