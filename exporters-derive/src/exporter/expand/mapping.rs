//! Expands the metrics to the table that the library maps by.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::LitStr;

use crate::exporter::metric::{Metric, Source};
use crate::exporter::model::Model;
use crate::exporter::sources::{Kind, RECORDED, STATISTICS};

/// The static `__EXPORTERS_MAPPING`.
pub(super) fn declare(model: &Model, private: &TokenStream) -> TokenStream {
    let metrics = model.metrics.iter().map(|metric| entry(metric, &model.ident, private));
    let len = model.metrics.len();
    quote_spanned! {Span::mixed_site()=>
        static __EXPORTERS_METRICS: [#private::MetricMapping; #len] = [#(#metrics),*];
        static __EXPORTERS_MAPPING: #private::Mapping = #private::Mapping::of(&__EXPORTERS_METRICS);
    }
}

fn entry(metric: &Metric, this: &Ident, private: &TokenStream) -> TokenStream {
    let name = &metric.name;
    let source = source(metric, this, private);
    let kind = metric.kind.map(|(kind, _)| {
        let kind = variant(match kind {
            Kind::Gauge => "Gauge",
            Kind::Counter => "Counter",
            Kind::Rate => "Rate",
            Kind::Histogram => "Histogram",
        });
        quote!(#private::MetricKind::#kind)
    });
    let text = |text: &Option<LitStr>| option(text.as_ref().map(ToTokens::to_token_stream), private);
    let (kind, unit, help) = (option(kind, private), text(&metric.unit), text(&metric.help));
    quote!(#private::MetricMapping::known(#name, #source, #kind, #unit, #help))
}

fn source(metric: &Metric, this: &Ident, private: &TokenStream) -> TokenStream {
    match &metric.source {
        Source::Computed(function) => {
            let function = name_self(function.to_token_stream(), this);
            quote!(#private::Source::Computed(#function))
        }
        Source::Named(name) if RECORDED.iter().any(|(recorded, _)| *recorded == name.value()) => {
            let statistic = metric.stat.and_then(|(at, _)| STATISTICS.get(at)).map(|(_, name, _)| {
                let name = variant(name);
                quote!(#private::Statistic::#name)
            });
            let statistic = option(statistic, private);
            quote!(#private::Source::Recorded(#name, #statistic))
        }
        Source::Named(name) => quote!(#private::Source::Named(#name)),
    }
}

fn variant(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn option(value: Option<TokenStream>, private: &TokenStream) -> TokenStream {
    match value {
        Some(value) => quote!(#private::core::option::Option::Some(#value)),
        None => quote!(#private::core::option::Option::None),
    }
}

/// The tokens with the struct's name for `Self`, which a static does not know.
fn name_self(tokens: TokenStream, this: &Ident) -> TokenStream {
    let one = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => {
            let mut named = this.clone();
            named.set_span(ident.span());
            TokenTree::Ident(named)
        }
        TokenTree::Group(group) => {
            let mut named = Group::new(group.delimiter(), name_self(group.stream(), this));
            named.set_span(group.span());
            TokenTree::Group(named)
        }
        other => other,
    };
    tokens.into_iter().map(one).collect()
}
