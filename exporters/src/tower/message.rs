//! What is told of requests and responses, by the names of OpenTelemetry's conventions.

use crate::record::set_span_attribute;
use http::{HeaderMap, Method, StatusCode, Uri, Version, header, uri::Authority};
use std::borrow::Cow;

/// Methods that are told as they are; there are no more, whatever a client sends.
const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// Stands for all others.
const OTHER: &str = "_OTHER";

/// A request that an [`HttpClientLayer`](super::HttpClientLayer) takes: [`http::Request`], and with the feature `http`
/// `reqwest::Request`.
pub trait ClientRequest {
    #[doc(hidden)]
    fn method(&self) -> &Method;
    #[doc(hidden)]
    fn target(&self) -> Target<'_>;
    #[doc(hidden)]
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

/// A response that the layers take: [`http::Response`], and with the feature `http` `reqwest::Response`.
pub trait HttpResponse {
    #[doc(hidden)]
    fn status(&self) -> StatusCode;
    #[doc(hidden)]
    fn version(&self) -> Version;
}

impl<B> ClientRequest for http::Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }
    fn target(&self) -> Target<'_> {
        Target::of(self.uri(), self.headers())
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl<B> HttpResponse for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }
    fn version(&self) -> Version {
        self.version()
    }
}

#[cfg(feature = "http")]
impl ClientRequest for reqwest::Request {
    fn method(&self) -> &Method {
        self.method()
    }
    fn target(&self) -> Target<'_> {
        let url = self.url();
        let host = url.host_str().map(Cow::Borrowed);
        Target { scheme: Some(url.scheme()), host, port: url.port(), path: url.path(), query: url.query() }
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

#[cfg(feature = "http")]
impl HttpResponse for reqwest::Response {
    fn status(&self) -> StatusCode {
        self.status()
    }
    fn version(&self) -> Version {
        self.version()
    }
}

/// What a request is sent to.
#[doc(hidden)]
#[derive(Debug)]
pub struct Target<'a> {
    pub(super) scheme: Option<&'a str>,
    /// Without a user; an IPv6 address in brackets.
    host: Option<Cow<'a, str>>,
    /// If it is said.
    port: Option<u16>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    pub(super) fn of(uri: &'a Uri, headers: &HeaderMap) -> Self {
        let said = || Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok();
        let (host, port) = match (uri.host(), uri.authority().is_none().then(said).flatten()) {
            (host, None) => (host.map(Cow::Borrowed), uri.port_u16()),
            (_, Some(said)) => (Some(said.host().to_owned().into()), said.port_u16()),
        };
        let host = host.filter(|host| !host.is_empty());
        Self { scheme: uri.scheme_str(), host, port, path: uri.path(), query: uri.query() }
    }

    /// `server.address`.
    pub(super) fn address(&self) -> Option<&str> {
        let host = self.host.as_deref()?;
        Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
    }

    /// `server.port`: that of the scheme, if no other is said.
    pub(super) fn port(&self) -> Option<u16> {
        self.host.as_ref()?;
        self.port.or(match self.scheme {
            Some("http" | "ws") => Some(80),
            Some("https" | "wss") => Some(443),
            _ => None,
        })
    }

    /// `url.full`.
    pub(super) fn url(&self, with_query: bool) -> Option<String> {
        let (scheme, host) = (self.scheme?, self.host.as_deref()?);
        let mut url = format!("{scheme}://{host}");
        if let Some(port) = self.port {
            url.push_str(&format!(":{port}"));
        }
        url.push_str(self.path);
        if let Some(query) = self.query.filter(|_| with_query) {
            url.extend(["?", query]);
        }
        Some(url)
    }

    /// Says of the span that is running which server is asked.
    pub(super) fn tell_server(&self) {
        if let Some(address) = self.address() {
            set_span_attribute("server.address", address.to_owned());
        }
        if let Some(port) = self.port() {
            set_span_attribute("server.port", u32::from(port));
        }
    }
}

/// `http.request.method`: one of few.
pub(super) fn method(method: &Method) -> &'static str {
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// Says of the span that is running what is asked for. Gives what its name begins with.
pub(super) fn tell_method(original: &Method) -> &'static str {
    let method = method(original);
    set_span_attribute("http.request.method", method);
    if method != OTHER {
        return method;
    }
    set_span_attribute("http.request.method_original", original.as_str().to_owned());
    "HTTP"
}

/// Says of the span that is running which version of HTTP is spoken.
pub(super) fn tell_version(version: Version) {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return,
    };
    set_span_attribute("network.protocol.version", version);
}
