//! HTTP servers and clients made of `tower` services: each request is a call, a span, and part of its trace.
//!
//! [`HttpServerLayer`] is for a server, such as one made with axum, and [`HttpClientLayer`] for a client, such as reqwest's (with
//! the feature `http`). Neither needs a runtime.
//!
//! A request is recorded as an async `#[profiled]` function is. There are the same metrics of all requests: calls with their
//! outcome, how long they took, how many are running. Their `module` is `exporters::tower`, their `function` and attributes are
//!
//! | | server | client |
//! |---|---|---|
//! | `function` | `http.server.request` | `http.client.request` |
//! | attributes | `http.request.method`, `http.route` | `http.request.method`, `server.address`, `server.port` |
//! | a failure, with its status code as `error.type` | 5xx | 4xx and 5xx |
//!
//! A service that fails instead of answering is a failure by the type of its error, a panic is one, and a future that is dropped
//! before it is ready is `cancelled`. There are at most 2,000 sets of attributes, as always.
//!
//! Requests in a trace that the [`Sampler`](crate::Sampler) takes have spans, named and described as OpenTelemetry's semantic
//! conventions have it. Neither query, user nor password are told, nor any header but `User-Agent`.
//!
//! A request begins when the service is called and is over when the head of the response is there. What happens while a body
//! is streamed is not part of it.
//!
//! While nothing is recorded the layers leave requests alone, and their headers, too.

mod client;
mod future;
mod message;
mod server;

pub use client::{HttpClient, HttpClientLayer};
pub use future::ResponseFuture;
pub use message::{ClientRequest, HttpResponse};
pub use server::{HttpServer, HttpServerLayer};

use crate::{__private as private, record::Site};

macro_rules! site {
    ($function:literal, $kind:literal, $($key:literal),*) => {
        private::site! {
            with(
                concat!(
                    env!("CARGO_PKG_NAME"), "\0", env!("CARGO_PKG_VERSION"), "\0",
                    line!(), $kind, "\0", file!(), "\0", $function
                ),
                &private::More { objective: None, keys: &[$($key),*] }
            )
        }
    };
}

fn server_site() -> &'static Site {
    site!("http.server.request", "s", "http.request.method", "http.route");
    &__EXPORTERS_SITE
}

fn client_site() -> &'static Site {
    site!("http.client.request", "c", "http.request.method", "server.address", "server.port");
    &__EXPORTERS_SITE
}
