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

    /// A `/` in a password ends it, so that one part is taken for the port, and the other for the path.
    fn may_show_a_password(&self) -> bool {
        let port = self.0.host().and_then(|host| self.place().strip_prefix(host)).unwrap_or_default();
        let digits = port.strip_prefix(':').unwrap_or(port);
        !digits.bytes().all(|byte| byte.is_ascii_digit()) || self.0.path().contains('@')
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
        let endpoint = match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Self(uri),
            _ => return Err(invalid("a URL starts with http:// or https:// and a host")),
        };
        match endpoint.may_show_a_password() {
            false => Ok(endpoint),
            true => Err(invalid(
                "a port is a number; in a user, a password or a path, write `/` as %2F and `@` as %40",
            )),
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
    fn a_password_is_not_taken_for_port_and_path() {
        for text in [
            "http://me:hunter2/x@host/",
            "http://me:1/hunter2@host",
            "http://m/e:hunter2@host",
            "http://me:hun?ter2@h",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("%2F") && !error.contains("hun"), "{error}");
        }
        for text in [
            "http://me:hunter%2F2@host:80/a",
            "http://[::1]:80/",
            "http://[::1]/",
            "http://host:",
            "http://h/?q=a@b",
        ] {
            assert!(text.parse::<Endpoint>().is_ok(), "{text}");
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
