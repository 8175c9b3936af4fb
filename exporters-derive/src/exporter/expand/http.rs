//! Expands `http(..)` to `transmit`: the one place that knows what the library's HTTP sender is called.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{Ident, Member};

use crate::exporter::http::{Auth, Http};

/// What a header with an API key is called, unless somebody says otherwise.
const API_KEY: &str = "X-API-Key";

pub(super) fn transmit(http: &Http, ident: &Ident, private: &TokenStream) -> TokenStream {
    let default = Member::from(Ident::new("endpoint", Span::call_site()));
    let endpoint = http.endpoint.as_ref().unwrap_or(&default);
    let path = http.path.as_ref().map_or_else(String::new, syn::LitStr::value);
    let ours = Span::mixed_site();
    let auth = match &http.auth {
        Auth::None => quote_spanned!(ours=> None),
        Auth::Bearer(token) => quote_spanned!(ours=> Bearer(&self.#token)),
        Auth::Basic(user, password) => quote_spanned!(ours=> Basic(&self.#user, &self.#password)),
        Auth::ApiKey(key, header) => {
            let header = header.as_ref().map_or_else(|| API_KEY.to_owned(), syn::LitStr::value);
            quote_spanned!(ours=> Header(#header, &self.#key))
        }
    };
    quote_spanned! {ours=>
        static __EXPORTERS_CLIENT: #private::http::Cell = #private::http::Cell::new();
        #[automatically_derived]
        impl #private::Transmit for #ident {
            async fn transmit(
                &self,
                __exporters_payload: #private::Payload,
            ) -> #private::Result<#private::Receipt> {
                #private::http::send(
                    &__EXPORTERS_CLIENT,
                    &self.#endpoint,
                    #path,
                    #private::http::Auth::#auth,
                    __exporters_payload,
                )
                .await
            }
        }
    }
}
