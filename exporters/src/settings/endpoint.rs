//! `Endpoint`: a checked URL that prints without what may be secret in it.

use crate::{Error, ErrorKind, Result};
use http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// An `http` or `https` URL. Prints without user, password and query, since these may be secrets.
///
/// ```
/// let endpoint: exporters::Endpoint = "https://me:secret@acme.example/v1?key=secret".parse()?;
/// assert_eq!(endpoint.to_string(), "https://acme.example/v1");
/// # Ok::<(), exporters::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint(Uri);

impl Endpoint {
    /// All of it, with whatever may be secret.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether what is sent is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == Some(&http::uri::Scheme::HTTPS)
    }

    /// `path` below this one, with exactly one `/` in between; the query stays.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where `path` cannot be part of a URL.
    pub fn join(&self, path: &str) -> Result<Self> {
        let query = self.0.query().map(|query| format!("?{query}")).unwrap_or_default();
        let joined =
            format!("{}/{}{query}", self.0.path().trim_end_matches('/'), path.trim_start_matches('/'));
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(joined.parse().map_err(|_| invalid("a path is not part of a URL"))?);
        Uri::from_parts(parts).map(Self).map_err(|_| invalid("a path is not part of a URL"))
    }

    /// Host and port, without user and password.
    fn place(&self) -> &str {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        authority.rsplit_once('@').map_or(authority, |(_, place)| place)
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri =
            text.trim().parse().map_err(|_| invalid("this is not a URL such as https://host:port/path"))?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(Self(uri)),
            _ => Err(invalid("a URL starts with http:// or https:// and a host")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme_str().unwrap_or_default(), self.place(), self.0.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| de::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_printed() {
        let endpoint: Endpoint = "https://user:hunter2@host:8080/a/b?key=hunter2".parse().unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}"), "https://host:8080/a/b https://host:8080/a/b");
        assert!(endpoint.is_https());
        for wrong in ["", "host", "host:80", "ftp://host", "http://", "/path", "http:///x", "http://ho st/"] {
            let error = wrong.parse::<Endpoint>().unwrap_err().to_string();
            assert!(wrong.is_empty() || wrong.len() < 4 || !error.contains(&format!(": {wrong}")), "{error}");
        }
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        for (base, path, joined) in [
            ("http://h", "v1/metrics", "http://h/v1/metrics"),
            ("http://h/", "/v1", "http://h/v1"),
            ("http://h/a/", "b", "http://h/a/b"),
        ] {
            assert_eq!(base.parse::<Endpoint>().unwrap().join(path).unwrap().to_string(), joined);
        }
        let with_query = "http://h/a?k=v".parse::<Endpoint>().unwrap().join("b").unwrap();
        assert_eq!(with_query.uri().to_string(), "http://h/a/b?k=v");
    }
}
