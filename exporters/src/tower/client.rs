//! The layer of clients.

use super::{
    future::{ResponseFuture, Side},
    message::{self, ClientRequest, HttpResponse},
};
use crate::{
    __private as private,
    record::{current_span, is_recording, set_span_attribute, update_span_name},
};
use std::task::{self, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Has a client record its requests, and tell servers which trace they are part of: each gets `traceparent` and `tracestate` of
/// its own span, also in a trace that is not recorded, and then it says so.
///
/// The span has the attributes `http.request.method`, `server.address`, `server.port`, `url.full` (without query, user and password),
/// `network.protocol.version` and `http.response.status_code`, as far as they are known. Its name is the method. See
/// [the module](super) for the rest.
///
/// ```
/// # #[cfg(feature = "http")] {
/// use exporters::tower::HttpClientLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// async fn prices(url: reqwest::Url) -> Result<String, reqwest::Error> {
///     let mut client = ServiceBuilder::new().layer(HttpClientLayer::new()).service(reqwest::Client::new());
///     let response = client.ready().await?.call(reqwest::Request::new(reqwest::Method::GET, url)).await?;
///     response.text().await
/// }
/// # }
/// ```
///
/// Where nothing has spans, what a server of this process was told is passed on as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpClientLayer {
    with_query: bool,
}

impl HttpClientLayer {
    /// Records requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has spans tell the query, too, in `url.full`. It may hold secrets.
    #[must_use]
    pub fn with_query(self) -> Self {
        Self { with_query: true }
    }
}

impl<S> Layer<S> for HttpClientLayer {
    type Service = HttpClient<S>;

    fn layer(&self, inner: S) -> HttpClient<S> {
        HttpClient { inner, layer: *self }
    }
}

/// A client whose requests are recorded: see [`HttpClientLayer`].
#[derive(Clone, Debug)]
pub struct HttpClient<S> {
    inner: S,
    layer: HttpClientLayer,
}

impl<S, Q> Service<Q> for HttpClient<S>
where
    S: Service<Q, Response: HttpResponse>,
    Q: ClientRequest,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Q) -> Self::Future {
        let (site, Self { inner, layer }) = (super::client_site(), self);
        if site.is_off() {
            return ResponseFuture::new(Side::Client, site, None, None, || inner.call(request));
        }
        let key = site.series(None, |with| {
            let (target, method) = (request.target(), message::method(request.method()));
            with(&[
                private::value(method),
                private::value(&target.address()),
                private::value(&target.port()),
            ]);
        });
        ResponseFuture::new(Side::Client, site, key, None, || {
            if is_recording() {
                tell(&request, *layer);
            }
            if let Some(span) = current_span() {
                span.inject(request.headers_mut());
            }
            inner.call(request)
        })
    }
}

/// Says of the span that is running what is asked for.
fn tell(request: &impl ClientRequest, layer: HttpClientLayer) {
    update_span_name(message::tell_method(request.method()));
    let target = request.target();
    target.tell_server();
    if let Some(url) = target.url(layer.with_query) {
        set_span_attribute("url.full", url);
    }
}
