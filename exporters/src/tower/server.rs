//! The layer of servers.

use super::{
    future::{ResponseFuture, Side},
    message::{self, Target},
};
use crate::{
    __private as private, SpanContext,
    record::{Context, is_recording, set_span_attribute, update_span_name},
};
use http::{Request, Response, header, request::Parts};
use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    task::{self, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Has a server record its requests, each in the trace of whoever sent it.
///
/// The span has the attributes `http.request.method`, `http.route`, `url.path`, `url.scheme`, `server.address` and `server.port` (as
/// `Host` says), `user_agent.original`, `network.protocol.version` and `http.response.status_code`, as far as they are known. Its
/// name is the method, and the route if it is known. See [the module](super) for the rest.
///
/// With axum, where `Router::layer` comes after the routes:
///
/// ```ignore
/// use axum::extract::MatchedPath;
/// use exporters::tower::HttpServerLayer;
///
/// let layer = HttpServerLayer::new()
///     .route(|request| Some(request.extensions.get::<MatchedPath>()?.as_str().into()));
/// let app = axum::Router::new().route("/orders/{id}", get(order)).layer(layer);
/// ```
///
/// Any `tower` service will do:
///
/// ```
/// # use exporters::tower::HttpServerLayer;
/// # use std::convert::Infallible;
/// # use tower::{Layer, Service, service_fn};
/// let mut server = HttpServerLayer::new().layer(service_fn(|_: http::Request<()>| async {
///     Ok::<_, Infallible>(http::Response::new("Good day"))
/// }));
/// let response = server.call(http::Request::new(()));
/// ```
///
/// A request that comes with a valid `traceparent` is a child of what sent it, any other of the span that is current where the
/// service is called, which mostly is none.
#[derive(Clone, Default)]
pub struct HttpServerLayer {
    route: Option<Arc<Route>>,
    with_query: bool,
}

type Route = dyn for<'a> Fn(&'a Parts) -> Option<Cow<'a, str>> + Send + Sync;

impl HttpServerLayer {
    /// Records requests without their routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `route` for the route of each request that is recorded: the pattern that its path matched, such as `/orders/{id}`, if
    /// there is one. Never the path itself, of which there is no end.
    #[must_use]
    pub fn route(
        self,
        route: impl for<'a> Fn(&'a Parts) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    ) -> Self {
        Self { route: Some(Arc::new(route)), ..self }
    }

    /// Has spans tell the query, too, as `url.query`. It may hold secrets.
    #[must_use]
    pub fn with_query(self) -> Self {
        Self { with_query: true, ..self }
    }
}

impl fmt::Debug for HttpServerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, with_query } = self;
        f.debug_struct("HttpServerLayer")
            .field("route", &route.is_some())
            .field("with_query", with_query)
            .finish()
    }
}

impl<S> Layer<S> for HttpServerLayer {
    type Service = HttpServer<S>;

    fn layer(&self, inner: S) -> HttpServer<S> {
        HttpServer { inner, layer: self.clone() }
    }
}

/// A server whose requests are recorded: see [`HttpServerLayer`].
#[derive(Clone, Debug)]
pub struct HttpServer<S> {
    inner: S,
    layer: HttpServerLayer,
}

impl<S, B, R> Service<Request<B>> for HttpServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (site, Self { inner, layer }) = (super::server_site(), self);
        if site.is_off() {
            return ResponseFuture::new(Side::Server, site, None, None, || inner.call(request));
        }
        let (parts, body) = request.into_parts();
        let route = layer.route.as_ref().and_then(|route| route(&parts));
        let key = site.series(None, |with| {
            with(&[private::value(message::method(&parts.method)), private::value(&route)]);
        });
        let parent = SpanContext::extract(&parts.headers);
        let remote = parent.map(|parent| Context::remote(Some(parent)));
        // It borrows of what goes to the service.
        let route = route.map(Cow::into_owned);
        ResponseFuture::new(Side::Server, site, key, remote, || {
            if is_recording() {
                tell(&parts, route, layer.with_query);
            }
            inner.call(Request::from_parts(parts, body))
        })
    }
}

/// Says of the span that is running what is asked for.
fn tell(parts: &Parts, route: Option<String>, with_query: bool) {
    let Parts { method, uri, version, headers, .. } = parts;
    let method = message::tell_method(method);
    match route.filter(|route| !route.is_empty()) {
        None => update_span_name(method),
        Some(route) => {
            update_span_name(format!("{method} {route}"));
            set_span_attribute("http.route", route);
        }
    }
    let target = Target::of(uri, headers);
    target.tell_server();
    set_span_attribute("url.path", target.path.to_owned());
    if let Some(scheme) = target.scheme {
        set_span_attribute("url.scheme", scheme.to_owned());
    }
    if let Some(query) = target.query.filter(|_| with_query) {
        set_span_attribute("url.query", query.to_owned());
    }
    if let Some(agent) = headers.get(header::USER_AGENT) {
        set_span_attribute("user_agent.original", String::from_utf8_lossy(agent.as_bytes()).into_owned());
    }
    message::tell_version(*version);
}
