//! `http(path = "/v1/metrics", auth = bearer(token), endpoint = url)`.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitStr, Member, Result, Token, parenthesized, token};

use crate::errors::Errors;
use crate::list::{Key, List};
use crate::nearest;

const KNOWN: &[(&str, &str)] =
    &[("path", "path = \"/v1/metrics\""), ("auth", "auth = bearer(token)"), ("endpoint", "endpoint = url")];

const USAGE: &str = "`auth` is `bearer(token)`, `api_key(token, header = \"X-API-Key\")`, `basic(user, password)` or `none`, with names of fields";

/// How `transmit` is generated.
pub(super) struct Http {
    /// Where to complain of what is missing.
    pub(super) span: Span,
    pub(super) path: Option<LitStr>,
    pub(super) auth: Auth,
    pub(super) endpoint: Option<Member>,
}

/// How the backend knows who sends, with the fields that say it.
#[derive(Default)]
pub(super) enum Auth {
    #[default]
    None,
    Bearer(Member),
    ApiKey(Member, Option<LitStr>),
    Basic(Member, Member),
}

impl Auth {
    pub(super) fn fields(&self) -> Vec<&Member> {
        match self {
            Self::None => Vec::new(),
            Self::Bearer(field) | Self::ApiKey(field, _) => vec![field],
            Self::Basic(user, password) => vec![user, password],
        }
    }
}

pub(super) fn read(key: &Key, input: ParseStream<'_>, errors: &mut Errors) -> Option<Http> {
    let mut http = Http { span: key.span, path: None, auth: Auth::None, endpoint: None };
    let mut found = Errors::default();
    List::new("http", KNOWN).read(input, &mut found, |key, input, _| {
        match key.word {
            "path" => http.path = Some(path(key.value(input)?)?),
            "auth" => {
                key.equals(input)?;
                http.auth = input.parse()?;
            }
            _ => http.endpoint = Some(key.value(input)?),
        }
        Ok(())
    });
    let good = found.is_empty();
    errors.absorb(found);
    good.then_some(http)
}

fn path(text: LitStr) -> Result<LitStr> {
    match text.value().starts_with('/') {
        true => Ok(text),
        false => Err(Error::new(text.span(), "a path starts with `/`, such as `path = \"/v1/metrics\"`")),
    }
}

impl Parse for Auth {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let way = input.call(Ident::parse_any)?;
        let word = way.to_string();
        if word == "none" {
            return Ok(Self::None);
        }
        const WAYS: [&str; 4] = ["bearer", "api_key", "basic", "none"];
        if !WAYS.contains(&word.as_str()) {
            let hint = nearest::hint(&word, &WAYS);
            return Err(Error::new(way.span(), format!("there is no such way{hint}")));
        }
        if !input.peek(token::Paren) {
            return Err(Error::new(way.span(), USAGE));
        }
        let fields;
        parenthesized!(fields in input);
        let first = fields.parse()?;
        let auth = match word.as_str() {
            "bearer" => Self::Bearer(first),
            "basic" => {
                fields.parse::<Token![,]>()?;
                Self::Basic(first, fields.parse()?)
            }
            _ => Self::ApiKey(first, header(&fields)?),
        };
        fields.parse::<Option<Token![,]>>()?;
        if !fields.is_empty() {
            return Err(fields.error(USAGE));
        }
        Ok(auth)
    }
}

fn header(input: ParseStream<'_>) -> Result<Option<LitStr>> {
    if !(input.peek(Token![,]) && input.peek2(Ident::peek_any)) {
        return Ok(None);
    }
    input.parse::<Token![,]>()?;
    let word = input.call(Ident::parse_any)?;
    if word != "header" {
        return Err(Error::new(word.span(), USAGE));
    }
    input.parse::<Token![=]>()?;
    let text: LitStr = input.parse()?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match !text.value().is_empty() && text.value().chars().all(is_token) {
        true => Ok(Some(text)),
        false => {
            Err(Error::new(text.span(), "this is no name of a header, such as `header = \"X-API-Key\"`"))
        }
    }
}
