//! What the types in a signature tell.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit::Visit;
use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypeParamBound};

/// The returned type, for annotations: `()` where there is none, `_` for every `impl Trait` in it.
pub(crate) fn annotation(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => inferred(ty),
    }
}

/// The type with `_` for every `impl Trait`, which may not stand in a body.
pub(crate) fn inferred(ty: &Type) -> Type {
    struct Infer;
    impl VisitMut for Infer {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if matches!(ty, Type::ImplTrait(_)) {
                *ty = syn::parse_quote!(_);
            } else {
                visit_type_mut(self, ty);
            }
        }
    }
    let mut ty = ty.clone();
    if mentions(&ty, "impl") {
        Infer.visit_type_mut(&mut ty);
    }
    ty
}

/// Whether the type is written without a `_`, so that it can be named where nothing tells what is left out.
pub(crate) fn is_named(ty: &Type) -> bool {
    struct Named(bool);
    impl Visit<'_> for Named {
        fn visit_type_infer(&mut self, _: &syn::TypeInfer) {
            self.0 = false;
        }
    }
    let mut named = Named(true);
    named.visit_type(ty);
    named.0
}

/// Whether the tokens contain this word.
pub(crate) fn mentions(tokens: &impl ToTokens, word: &str) -> bool {
    fn within(tokens: TokenStream, word: &str) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == word,
            TokenTree::Group(group) => within(group.stream(), word),
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        })
    }
    within(tokens.to_token_stream(), word)
}

/// Whether this is written as a type that is no `Result`, so that no call can fail.
pub(crate) fn is_infallible(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(_) | Type::Reference(_) | Type::Array(_)) || is_plain(ty)
}

/// Whether the type is written as one that needs no drop and can be copied.
pub(crate) fn is_plain(ty: &Type) -> bool {
    const PLAIN: [&str; 16] = [
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64",
        "u128", "usize",
    ];
    match ty {
        Type::Reference(ty) => ty.mutability.is_none(),
        Type::Path(ty) => PLAIN.iter().any(|plain| ty.path.is_ident(plain)),
        _ => false,
    }
}

/// Whether the returned type, or the output of the returned future, goes by a name such as `Result` or `IoResult`.
pub(crate) fn is_called_result(output: &ReturnType) -> bool {
    let named = |ty: &Type| match ty {
        Type::Path(ty) => {
            ty.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result"))
        }
        _ => false,
    };
    match output {
        ReturnType::Default => false,
        ReturnType::Type(_, ty) => {
            future(ty).map_or_else(|| named(ty), |(_, output)| output.as_ref().is_some_and(named))
        }
    }
}

/// Whether this is `impl Fn…`: a closure takes the types of its arguments from there, so the body must stay
/// where it is.
pub(crate) fn is_closure(ty: &Type) -> bool {
    const TRAITS: [&str; 6] = ["Fn", "FnMut", "FnOnce", "AsyncFn", "AsyncFnMut", "AsyncFnOnce"];
    let Type::ImplTrait(ty) = ty else { return false };
    ty.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| TRAITS.iter().any(|name| last.ident == name))
        }
        _ => false,
    })
}

/// How a function that is not `async` returns a future.
pub(crate) enum Future {
    /// `impl Future`
    Bare,
    /// `Pin<Box<dyn Future>>`, `BoxFuture`
    Pinned,
    /// `Box<dyn Future + Unpin>`
    Boxed,
}

/// How the type is a future, if it is one as far as its tokens tell, and what it resolves to.
pub(crate) fn future(ty: &Type) -> Option<(Future, Option<Type>)> {
    match ty {
        Type::ImplTrait(ty) => Some((Future::Bare, output(&ty.bounds)?)),
        Type::Paren(ty) => future(&ty.elem),
        Type::Group(ty) => future(&ty.elem),
        Type::Path(ty) => {
            let last = ty.path.segments.last()?;
            let argument = || first_type(last);
            match last.ident.to_string().as_str() {
                "BoxFuture" | "LocalBoxFuture" => Some((Future::Pinned, Some(inferred(argument()?)))),
                "Pin" => match argument()? {
                    Type::Path(inner) => {
                        boxed(inner.path.segments.last()?).map(|output| (Future::Pinned, output))
                    }
                    _ => None,
                },
                "Box" => boxed(last).map(|output| (Future::Boxed, output)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The output, if this is `Box<dyn Future>` or `Box<impl Future>`.
fn boxed(segment: &PathSegment) -> Option<Option<Type>> {
    match first_type(segment).filter(|_| segment.ident == "Box")? {
        Type::TraitObject(ty) => output(&ty.bounds),
        Type::ImplTrait(ty) => output(&ty.bounds),
        _ => None,
    }
}

fn first_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// `Output` of the bound that is `Future`, if one is.
fn output<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<Option<Type>> {
    let last = bounds.into_iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().filter(|last| last.ident == "Future"),
        _ => None,
    })?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Some(None) };
    Some(arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(binding) if binding.ident == "Output" => Some(inferred(&binding.ty)),
        _ => None,
    }))
}

/// How the type of an `impl` block is called: its last segment, with those of its arguments that are not
/// parameters of the block, since these tell one block from another.
pub(crate) fn name(ty: &Type, parameters: &syn::Generics) -> String {
    let Type::Path(path) = ty else { return compact(ty) };
    let Some(last) = path.path.segments.last() else { return compact(ty) };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return last.ident.to_string() };
    let fixed = |argument: &&GenericArgument| {
        !matches!(argument, GenericArgument::Lifetime(_))
            && !parameters.type_params().any(|parameter| mentions(argument, &parameter.ident.to_string()))
            && !parameters.const_params().any(|parameter| mentions(argument, &parameter.ident.to_string()))
    };
    let fixed: Vec<String> = arguments.args.iter().filter(fixed).map(compact).collect();
    if fixed.is_empty() { last.ident.to_string() } else { format!("{}<{}>", last.ident, fixed.join(", ")) }
}

/// The tokens as a person writes them.
fn compact(tokens: &impl ToTokens) -> String {
    let text = quote!(#tokens).to_string();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || "_'&".contains(*c));
        let before = out.chars().next_back();
        let keep = c != ' '
            || (word(before.as_ref()) && before != Some('&') && word(rest.peek()))
            || matches!(before, Some(',' | ';' | '+'))
            || rest.peek() == Some(&'+');
        if keep {
            out.push(c);
        }
    }
    out
}
