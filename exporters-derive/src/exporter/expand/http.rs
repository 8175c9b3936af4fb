//! Expands `http(..)` to `transmit`: the one place that knows what the library's HTTP sender is called.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{Ident, Member};

use crate::exporter::args::Format;
use crate::exporter::http::{Auth, Http};

/// What a header with an API key is called, unless somebody says otherwise.
const API_KEY: &str = "X-API-Key";

/// The implementation of `Transmit`.
pub(super) fn transmit(http: &Http, format: Format, ident: &Ident, private: &TokenStream) -> TokenStream {
    let ours = Span::mixed_site();
    let default = Member::from(Ident::new("endpoint", Span::call_site()));
    let endpoint = http.endpoint.as_ref().unwrap_or(&default);
    let path = http.path.as_ref().map_or_else(String::new, syn::LitStr::value);
    let auth = match &http.auth {
        Auth::None => quote_spanned!(ours=> None),
        Auth::Bearer(token) => quote_spanned!(ours=> Bearer(&self.#token)),
        Auth::Basic(user, password) => quote_spanned!(ours=> Basic(&self.#user, &self.#password)),
        Auth::ApiKey(key, header) => {
            let header = header.as_ref().map_or_else(|| API_KEY.to_owned(), syn::LitStr::value);
            quote_spanned!(ours=> ApiKey(#header, &self.#key))
        }
    };
    let send = match format {
        // It has a path for each signal, and an answer that says what was refused.
        Format::Otlp => quote_spanned!(ours=> #private::http::send_otlp),
        _ => quote_spanned!(ours=> #private::http::HttpTransmit::send),
    };
    quote_spanned! {ours=>
        static __EXPORTERS_HTTP: #private::http::HttpTransmit = #private::http::HttpTransmit::new();
        #[automatically_derived]
        impl #private::Transmit for #ident {
            async fn transmit(
                &self,
                __exporters_payload: #private::Payload,
            ) -> #private::Result<#private::Receipt> {
                let __exporters_auth = #private::http::AuthRef::#auth;
                #send(&__EXPORTERS_HTTP, &self.#endpoint, #path, __exporters_auth, __exporters_payload).await
            }
        }
    }
}

/// What needs the feature, which only the library knows whether it has.
pub(super) fn guard(http: &Http, items: &TokenStream, private: &TokenStream) -> TokenStream {
    let at = Span::mixed_site().located_at(http.span);
    quote_spanned!(at=> #private::http! { #items })
}
