//! From what is known of an exporter to what is compiled.

mod http;
mod mapping;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Ident;

use super::args::Format;
use super::model::Model;

/// The exporter and its registration.
pub(super) fn exporter(model: &Model) -> TokenStream {
    let private = private(model);
    let Model { ident, args, .. } = model;
    let kind = model.kind();
    let mapping = mapping::declare(model, &private);
    let format = format(args.format);
    let (capability, max_bytes) = (capability(model, &private), max_bytes(model, &private));
    let (attributes, refresh) = (attributes(model, &private), refresh(model, &private));
    let health = match &args.health {
        Some(check) => quote_spanned!(Span::mixed_site()=> #check(self).await),
        None => quote!(#private::Health::Healthy),
    };
    let transmit = args.http.as_ref().map(|http| http::transmit(http, args.format, ident, &private));
    let registration = (!args.unregistered).then(|| registration(ident, &kind, &private));
    // Where it has no `Transmit`, that is what is wrong.
    let at = Span::mixed_site().located_at(ident.span());
    let export = quote_spanned! {at=>
        __EXPORTERS_DERIVED.export(self, #max_bytes, &[#attributes], || #refresh, __exporters_batch).await
    };
    let items = quote_spanned! {Span::mixed_site()=>
        #[doc(hidden)]
        #[allow(deprecated)]
        const _: () = {
            #mapping
            static __EXPORTERS_DERIVED: #private::Derived =
                #private::Derived::new(#private::PayloadFormat::#format, &__EXPORTERS_MAPPING);
            #[automatically_derived]
            impl #private::Exporter for #ident {
                fn info(&self) -> #private::Info {
                    #private::Info::new(#kind)
                }
                fn capability(&self) -> #private::Capability {
                    __EXPORTERS_DERIVED.capability(#capability)
                }
                async fn export(
                    &self,
                    __exporters_batch: #private::Batch,
                ) -> #private::Result<#private::Receipt> {
                    #export
                }
                async fn health(&self) -> #private::Health {
                    #health
                }
                async fn flush(&self) -> #private::Result<()> {
                    #private::core::result::Result::Ok(())
                }
                async fn shutdown(&self) -> #private::Result<()> {
                    #private::core::result::Result::Ok(())
                }
            }
            #transmit
            #registration
        };
    };
    match &args.http {
        Some(http) => http::guard(http, &items, &private),
        None => items,
    }
}

/// What stands for an exporter that is wrong, so that its mistakes are all that is reported.
pub(super) fn stand_in(model: &Model) -> TokenStream {
    let (private, ident) = (private(model), &model.ident);
    let never = quote!(#private::core::panic!());
    quote_spanned! {Span::mixed_site()=>
        const _: () = {
            #[automatically_derived]
            impl #private::Exporter for #ident {
                fn info(&self) -> #private::Info { #never }
                fn capability(&self) -> #private::Capability { #never }
                async fn export(&self, _: #private::Batch) -> #private::Result<#private::Receipt> { #never }
                async fn health(&self) -> #private::Health { #never }
                async fn flush(&self) -> #private::Result<()> { #never }
                async fn shutdown(&self) -> #private::Result<()> { #never }
            }
        };
    }
}

/// The path of `exporters::__private`.
fn private(model: &Model) -> TokenStream {
    match &model.args.krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::exporters::__private),
    }
}

fn format(format: Format) -> Ident {
    let variant = match format {
        Format::Json => "Json",
        Format::Csv => "Csv",
        Format::Prometheus => "Prometheus",
        Format::MessagePack => "MessagePack",
        Format::Otlp => "Otlp",
    };
    Ident::new(variant, Span::mixed_site())
}

/// Spans go where all that is recorded goes, unless the format has no way to write them.
fn capability(model: &Model, private: &TokenStream) -> TokenStream {
    let metrics_only = !model.metrics.is_empty() || matches!(model.args.format, Format::Prometheus);
    let signals = Ident::new(if metrics_only { "METRICS" } else { "ALL" }, Span::mixed_site());
    let items = model.args.max_items.as_ref().map(|items| quote!(.with_max_items(#items)));
    let bytes = model.args.max_bytes.as_ref().map(|bytes| quote!(.with_max_bytes(#bytes)));
    quote!(#private::Capability::#signals #items #bytes)
}

fn max_bytes(model: &Model, private: &TokenStream) -> TokenStream {
    match &model.args.max_bytes {
        Some(bytes) => quote!(#private::core::option::Option::Some(#bytes)),
        None => quote!(#private::core::option::Option::None),
    }
}

/// `("key", "value"),` for each field that is an attribute.
fn attributes(model: &Model, private: &TokenStream) -> TokenStream {
    let attributes = model.fields.iter().filter_map(|field| Some((field.attribute.as_ref()?, field)));
    attributes
        .map(|(key, field)| {
            let member = &field.member;
            // Where the type has no text, that is what is wrong.
            let at = Span::mixed_site().located_at(syn::spanned::Spanned::span(&field.ty));
            quote_spanned!(at=> (#key, &*#private::text(&self.#member)),)
        })
        .collect()
}

/// Whether a field that can be read again is another one now.
fn refresh(model: &Model, private: &TokenStream) -> TokenStream {
    let members: Vec<_> = model.fields.iter().map(|field| &field.member).collect();
    if members.is_empty() {
        return quote!(false);
    }
    quote_spanned! {Span::mixed_site()=> {
        use #private::{Fixed as _, Refreshable as _};
        // Not `||`: each is to be read.
        false #(| (&#private::Field(&self.#members)).__exporters_refresh())*
    }}
}

fn registration(ident: &Ident, kind: &syn::LitStr, private: &TokenStream) -> TokenStream {
    let name = syn::ext::IdentExt::unraw(ident).to_string();
    let line = u32::try_from(ident.span().unwrap().line()).unwrap_or_default();
    let at = Span::mixed_site().located_at(ident.span());
    let of = quote_spanned!(at=> #private::Registration::of::<#ident>);
    quote_spanned! {Span::mixed_site()=>
        #private::inventory::submit! {
            #of(
                #kind,
                #private::core::concat!(#private::core::module_path!(), "::", #name),
                #private::core::file!(),
                #line,
            )
        }
    }
}
