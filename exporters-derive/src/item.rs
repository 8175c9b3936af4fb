//! What stands below the attribute: a function, or something that contains functions.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    AttrStyle, Attribute, Block, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, Result, Signature, Token,
    TraitItemFn, Visibility, braced, token,
};

/// What stands below the attribute.
pub(crate) enum Item {
    Function(Box<Function>),
    Impl(Box<ItemImpl>),
    Trait(Box<ItemTrait>),
    Mod(Box<ItemMod>),
    Other(Box<syn::Item>),
}

/// A function of any kind. Its body is not parsed unless its shape asks for that.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) default: Option<Token![default]>,
    pub(crate) sig: Signature,
    /// `None` where a `;` stands instead.
    pub(crate) body: Option<Body>,
}

/// What is between a function's braces.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) brace: token::Brace,
    pub(crate) inner: TokenStream,
}

impl Item {
    /// Reads what stands below the attribute. Of most functions the body is never looked into: it can be long.
    pub(crate) fn read(tokens: TokenStream) -> Result<Self> {
        let mut head: Vec<TokenTree> = tokens.clone().into_iter().collect();
        if let Some(TokenTree::Group(body)) = head.pop()
            && body.delimiter() == Delimiter::Brace
            && !begins_with_attribute(body.stream())
            && let Ok(head) = syn::parse2::<Head>(head.into_iter().collect())
        {
            let Head { attrs, vis, default, sig } = head;
            let body = Body { brace: token::Brace(body.span()), inner: body.stream() };
            return Ok(Self::Function(Box::new(Function { attrs, vis, default, sig, body: Some(body) })));
        }
        syn::parse2(tokens)
    }
}

/// Whether an inner attribute comes first.
fn begins_with_attribute(tokens: TokenStream) -> bool {
    matches!(tokens.into_iter().next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#')
}

/// A function without its body.
struct Head {
    attrs: Vec<Attribute>,
    vis: Visibility,
    default: Option<Token![default]>,
    sig: Signature,
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Self {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            default: input.parse()?,
            sig: input.parse()?,
        })
    }
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let ahead = input.fork();
        ahead.call(Attribute::parse_outer)?;
        ahead.parse::<Visibility>()?;
        if is_function(&ahead) {
            return input.parse().map(Box::new).map(Self::Function);
        }
        if ahead.peek(Token![let])
            || ahead.peek(Token![|])
            || ahead.peek(Token![move])
            || ahead.peek(token::Brace)
        {
            return Err(ahead.error(
                "`profiled` goes on a function, an `impl` block, a trait or an inline module; \
                 for a piece of code there is `exporters::profile!`",
            ));
        }
        Ok(match input.parse()? {
            syn::Item::Impl(item) => Self::Impl(Box::new(item)),
            syn::Item::Trait(item) => Self::Trait(Box::new(item)),
            syn::Item::Mod(item) => Self::Mod(Box::new(item)),
            other => Self::Other(Box::new(other)),
        })
    }
}

/// Whether `fn` comes, behind the words that may stand before it.
fn is_function(ahead: ParseStream<'_>) -> bool {
    loop {
        let word = if ahead.peek(Token![fn]) {
            return true;
        } else if ahead.peek(Token![extern]) {
            ahead.parse::<syn::Abi>().map(drop)
        } else if ahead.peek(Token![const])
            || ahead.peek(Token![async])
            || ahead.peek(Token![unsafe])
            || ahead.peek(Token![default])
        {
            ahead.call(<syn::Ident as syn::ext::IdentExt>::parse_any).map(drop)
        } else {
            return false;
        };
        if word.is_err() {
            return false;
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let Head { mut attrs, vis, default, sig } = input.parse()?;
        let body = if input.parse::<Option<Token![;]>>()?.is_some() {
            None
        } else {
            let content;
            let brace = braced!(content in input);
            attrs.extend(outer(content.call(Attribute::parse_inner)?));
            Some(Body { brace, inner: content.parse()? })
        };
        Ok(Self { attrs, vis, default, sig, body })
    }
}

/// Inner attributes, written outside: the body moves into a closure, where they may not stand.
fn outer(attrs: Vec<Attribute>) -> impl Iterator<Item = Attribute> {
    attrs.into_iter().map(|attr| Attribute { style: AttrStyle::Outer, ..attr })
}

impl From<Block> for Body {
    fn from(block: Block) -> Self {
        let stmts = block.stmts;
        Self { brace: block.brace_token, inner: quote!(#(#stmts)*) }
    }
}

impl From<ItemFn> for Function {
    fn from(item: ItemFn) -> Self {
        let ItemFn { attrs, vis, modifiers, sig, block } = item;
        Self {
            attrs: outer(attrs).collect(),
            vis,
            default: modifiers.defaultness,
            sig,
            body: Some((*block).into()),
        }
    }
}

impl From<ImplItemFn> for Function {
    fn from(item: ImplItemFn) -> Self {
        let ImplItemFn { attrs, vis, modifiers, sig, block } = item;
        Self {
            attrs: outer(attrs).collect(),
            vis,
            default: modifiers.defaultness,
            sig,
            body: Some(block.into()),
        }
    }
}

impl From<TraitItemFn> for Function {
    fn from(item: TraitItemFn) -> Self {
        let TraitItemFn { attrs, modifiers, sig, default, .. } = item;
        let body = default.map(Body::from);
        Self {
            attrs: outer(attrs).collect(),
            vis: Visibility::Inherited,
            default: modifiers.defaultness,
            sig,
            body,
        }
    }
}

impl Body {
    /// The body as a block within another one. The parentheses, which are dropped, keep the compiler from advising
    /// to remove the braces.
    pub(crate) fn within(&self) -> TokenStream {
        quote_spanned!(Span::mixed_site()=> (#self))
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.brace.surround(tokens, |tokens| self.inner.to_tokens(tokens));
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attrs, vis, default, sig, body } = self;
        tokens.extend(quote!(#(#attrs)* #vis #default #sig));
        match body {
            Some(body) => body.to_tokens(tokens),
            None => <Token![;]>::default().to_tokens(tokens),
        }
    }
}

/// What remains of our attributes on something within an annotated block: nothing but the use of their name,
/// without which the import of it would be reported as unused.
pub(crate) fn spent(attrs: &[Attribute]) -> impl Iterator<Item = Attribute> {
    attrs.iter().map(|attr| {
        let path = attr.path();
        syn::parse_quote!(#[#path(skip)])
    })
}

/// Takes `#[profiled]`, however it is qualified, off a list of attributes.
pub(crate) fn take_profiled(attrs: &mut Vec<Attribute>) -> Vec<Attribute> {
    attrs
        .extract_if(.., |attr| attr.path().segments.last().is_some_and(|last| last.ident == "profiled"))
        .collect()
}

fn is_profiled(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "profiled")
}

/// Whether another attribute macro may still want to see the item as the user wrote it.
pub(crate) fn has_foreign(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| !is_profiled(attr) && is_foreign(&attr.meta))
}

fn is_foreign(meta: &syn::Meta) -> bool {
    let path = meta.path();
    if path.is_ident("cfg_attr")
        && let syn::Meta::List(list) = meta
    {
        let nested = list.parse_args_with(Punctuated::<TokenTreeMeta, Token![,]>::parse_terminated);
        return nested
            .map_or(true, |nested| nested.iter().skip(1).any(|meta| meta.0.as_ref().is_none_or(is_foreign)));
    }
    // Tools' attributes, such as `rustfmt::skip`.
    if let (Some(first), true) = (path.segments.first(), path.segments.len() > 1) {
        return !["rustfmt", "clippy", "diagnostic", "rust_analyzer", "miri"]
            .iter()
            .any(|tool| first.ident == tool);
    }
    !BUILT_IN.iter().any(|name| path.is_ident(name))
}

/// A part of `cfg_attr(..)`; `None` for what is no attribute.
struct TokenTreeMeta(Option<syn::Meta>);

impl Parse for TokenTreeMeta {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if let Ok(meta) = input.fork().parse::<syn::Meta>() {
            input.parse::<syn::Meta>()?;
            return Ok(Self(Some(meta)));
        }
        while !input.is_empty() && !input.peek(Token![,]) {
            input.parse::<TokenTree>()?;
        }
        Ok(Self(None))
    }
}

/// The attributes that are not macros, as far as they may stand on a function, `impl`, trait or module.
const BUILT_IN: &[&str] = &[
    "allow",
    "automatically_derived",
    "cfg",
    "cold",
    "coverage",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "ignore",
    "inline",
    "instruction_set",
    "link_section",
    "macro_use",
    "must_use",
    "no_mangle",
    "non_exhaustive",
    "optimize",
    "path",
    "should_panic",
    "target_feature",
    "test",
    "track_caller",
    "unsafe",
    "warn",
];
