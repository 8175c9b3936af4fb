//! Credentials: who we say we are, as settings have it and as headers have it.

use crate::{Endpoint, Error, ErrorKind, Result, Secret, foreign::tell};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, AUTHORIZATION},
};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};
use zeroize::Zeroizing;

/// The header of an API key, unless another is set.
const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Credentials for a backend that is reached over HTTP; by default none.
///
/// The [`kind`](field@Self::kind) follows from what is given, so that one key is enough: `auth: { token: … }`.
///
/// ```
/// # use exporters::{AuthConfig, Secret};
/// let auth = AuthConfig { token: Some(Secret::new("hunter2")), ..AuthConfig::default() };
/// # let _ = auth;
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// What to send. Default: what the credentials below are for, or nothing. `type` in a file.
    #[serde(rename = "type", alias = "auth_type")]
    pub kind: Option<AuthKind>,
    /// For [`ApiKey`](AuthKind::ApiKey).
    pub api_key: Option<Secret>,
    /// The header that carries `api_key`. Default: `X-API-Key`.
    pub header: Option<String>,
    /// For [`Bearer`](AuthKind::Bearer).
    pub token: Option<Secret>,
    /// For [`Basic`](AuthKind::Basic).
    pub username: Option<String>,
    /// For [`Basic`](AuthKind::Basic); without one, the password is empty.
    pub password: Option<Secret>,
    /// More headers whose values are secret.
    pub headers: BTreeMap<String, Secret>,
}

/// A way to say who we are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthKind {
    /// Nothing is sent.
    None,
    /// A key in a header of its own.
    ApiKey,
    /// `Authorization: Bearer`, as RFC 6750 has it.
    Bearer,
    /// `Authorization: Basic`, as RFC 7617 has it.
    Basic,
}

impl AuthKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ApiKey => "api_key",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
        }
    }
}

impl AuthConfig {
    /// The kind, asked for or inferred; whatever contradicts it is an error.
    fn effective(&self) -> Result<AuthKind> {
        let given = [
            (AuthKind::ApiKey, self.api_key.is_some().then_some("api_key")),
            (AuthKind::Bearer, self.token.is_some().then_some("token")),
            (AuthKind::Basic, self.username.as_ref().map(|_| "username")),
            (AuthKind::Basic, self.password.as_ref().map(|_| "password")),
            (AuthKind::ApiKey, self.header.as_ref().map(|_| "header")),
        ];
        let mut given = given.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
        let Some(wanted) = self.kind else {
            let Some((kind, one)) = given.next() else { return Ok(AuthKind::None) };
            return match given.find(|(other, _)| *other != kind) {
                None => Ok(kind),
                Some((_, other)) => Err(wrong(format!(
                    "`auth.{one}` and `auth.{other}` are both given, and only one of them can be used: remove the other"
                ))),
            };
        };
        match given.find(|(kind, _)| *kind != wanted) {
            None => Ok(wanted),
            Some((kind, name)) => Err(wrong(format!(
                "`auth.type` is {}, which does not use `auth.{name}`: remove it, or set the type to {}",
                wanted.as_str(),
                kind.as_str(),
            ))),
        }
    }
}

/// Checked credentials.
#[derive(Debug)]
pub(crate) struct Auth {
    scheme: Scheme,
    headers: Vec<(HeaderName, Secret)>,
}

#[derive(Debug)]
enum Scheme {
    None,
    ApiKey(HeaderName, Secret),
    Bearer(Secret),
    Basic(String, Option<Secret>),
}

impl Auth {
    /// `more` are headers beside those of `config`. Every header is made once, so that what cannot be one is found now.
    pub(crate) fn new(
        config: &AuthConfig,
        more: &BTreeMap<String, Secret>,
        endpoint: &Endpoint,
    ) -> Result<Self> {
        let scheme = match config.effective()? {
            AuthKind::None => Scheme::None,
            AuthKind::ApiKey => {
                let name = config.header.as_deref().map(|name| header_name("auth.header", name));
                Scheme::ApiKey(name.unwrap_or(Ok(API_KEY_HEADER))?, needed("api_key", &config.api_key)?)
            }
            AuthKind::Bearer => Scheme::Bearer(needed("token", &config.token)?),
            AuthKind::Basic => {
                let username = config.username.clone();
                let missing = || wrong("basic authentication needs `auth.username`");
                Scheme::Basic(username.ok_or_else(missing)?, config.password.clone())
            }
        };
        let mut headers = Vec::new();
        for (setting, map) in [("headers", more), ("auth.headers", &config.headers)] {
            for (name, value) in map {
                headers.push((header_name(setting, name)?, value.clone()));
            }
        }
        let auth = Self { scheme, headers };
        auth.check(endpoint)?;
        Ok(auth)
    }

    fn check(&self, endpoint: &Endpoint) -> Result<()> {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        match &self.scheme {
            Scheme::None => {}
            Scheme::ApiKey(name, _) => names.push(name),
            Scheme::Bearer(_) | Scheme::Basic(..) => names.push(&AUTHORIZATION),
        }
        if endpoint.uri().authority().is_some_and(|authority| authority.as_str().contains('@')) {
            names.push(&AUTHORIZATION);
        }
        names.sort_by_key(|name| name.as_str());
        if let Some([twice, _]) = names.array_windows().find(|[one, other]| one == other) {
            return Err(wrong(
                "two settings give one header: of `headers`, `auth` and a user in the endpoint, leave one",
            )
            .with_context("header", twice));
        }
        self.apply(&mut HeaderMap::new())
    }

    /// Adds the headers. They are made anew each time, since a secret may have been read again.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) -> Result<()> {
        match &self.scheme {
            Scheme::None => {}
            Scheme::ApiKey(name, key) => _ = headers.insert(name, plain("auth.api_key", key)?),
            Scheme::Bearer(token) => _ = headers.insert(AUTHORIZATION, bearer(token)?),
            Scheme::Basic(user, password) => {
                _ = headers.insert(AUTHORIZATION, basic(user, password.as_ref())?);
            }
        }
        for (name, value) in &self.headers {
            headers
                .insert(name, plain("headers", value).map_err(|error| error.with_context("header", name))?);
        }
        Ok(())
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let scheme = match &self.scheme {
            Scheme::ApiKey(_, secret) | Scheme::Bearer(secret) | Scheme::Basic(_, Some(secret)) => {
                Some(secret)
            }
            Scheme::None | Scheme::Basic(_, None) => None,
        };
        scheme.into_iter().chain(self.headers.iter().map(|(_, secret)| secret))
    }

    /// A text in which none of them is shown.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn hide(&self, text: &str) -> String {
        self.secrets().fold(text.to_owned(), |text, secret| {
            secret.expose(|secret| if secret.is_empty() { text.clone() } else { text.replace(secret, "…") })
        })
    }

    /// Reads again what came from files; tells whether anything is another one now.
    pub(crate) fn refresh(&self) -> bool {
        self.secrets().fold(false, |changed, secret| {
            changed
                | secret.refresh().unwrap_or_else(|error| {
                    tell!(%error, "a refused secret could not be read again");
                    false
                })
        })
    }
}

fn wrong(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

fn needed(name: &str, secret: &Option<Secret>) -> Result<Secret> {
    secret.clone().ok_or_else(|| wrong(format!("this kind of authentication needs `auth.{name}`")))
}

/// The name of a header that may be set: not of one that says where a message ends.
pub(super) fn header_name(setting: &'static str, name: &str) -> Result<HeaderName> {
    let name = HeaderName::from_bytes(name.as_bytes());
    let name =
        name.map_err(|_| wrong("this is not the name of a header").with_context("setting", setting))?;
    let ours = [
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    match ours.contains(&name) {
        false => Ok(name),
        true => Err(wrong("this header follows from the payload and the endpoint, and cannot be set")
            .with_context("setting", setting)
            .with_context("header", name)),
    }
}

/// A header that is the secret.
pub(super) fn plain(setting: &'static str, secret: &Secret) -> Result<HeaderValue> {
    secret.expose(|text| value(setting, text))
}

pub(super) fn bearer(token: &Secret) -> Result<HeaderValue> {
    token.expose(|token| match token {
        "" => value("auth.token", ""),
        token => value("auth.token", &Zeroizing::new(format!("Bearer {token}"))),
    })
}

pub(super) fn basic(user: &str, password: Option<&Secret>) -> Result<HeaderValue> {
    if user.contains(':') || user.chars().any(char::is_control) {
        return Err(wrong("a user's name can hold neither `:` nor control characters")
            .with_context("setting", "auth.username"));
    }
    let pair = match password {
        Some(password) => password.expose(|password| format!("{user}:{password}")),
        None => format!("{user}:"),
    };
    let pair = Zeroizing::new(pair);
    value("auth", &Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes()))))
}

/// Marked, so that nobody prints it.
fn value(setting: &'static str, text: &str) -> Result<HeaderValue> {
    let wrong = |message: &'static str| wrong(message).with_context("setting", setting);
    if text.is_empty() {
        return Err(wrong("a secret is empty"));
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        wrong("a secret holds what a header cannot: a line break, perhaps, or a letter with an accent")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        "https://acme.example".parse().unwrap()
    }

    fn sent(config: &AuthConfig) -> Result<Vec<(String, String)>> {
        let mut headers = HeaderMap::new();
        Auth::new(config, &BTreeMap::new(), &endpoint())?.apply(&mut headers)?;
        assert!(headers.values().all(HeaderValue::is_sensitive));
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(headers.iter().map(text).collect())
    }

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text))
    }

    #[test]
    fn the_kind_follows_from_what_is_given() {
        let none = AuthConfig::default();
        assert_eq!(sent(&none).unwrap(), []);
        for kind in [None, Some(AuthKind::ApiKey)] {
            let config = AuthConfig { kind, api_key: secret("k3y"), ..none.clone() };
            assert_eq!(sent(&config).unwrap(), [("x-api-key".into(), "k3y".into())]);
            let config = AuthConfig { header: Some("DD-API-KEY".into()), ..config };
            assert_eq!(sent(&config).unwrap(), [("dd-api-key".into(), "k3y".into())]);
        }
        let config = AuthConfig { token: secret("t0ken"), ..none.clone() };
        assert_eq!(sent(&config).unwrap(), [("authorization".into(), "Bearer t0ken".into())]);
        let config =
            AuthConfig { username: Some("Aladdin".into()), password: secret("open sesame"), ..none.clone() };
        // The example of RFC 7617.
        let basic = [("authorization".into(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into())];
        assert_eq!(sent(&config).unwrap(), basic);
        let config = AuthConfig { username: Some("key".into()), ..none.clone() };
        assert_eq!(sent(&config).unwrap(), [("authorization".into(), "Basic a2V5Og==".into())]);
        let headers = [("X-Team".to_owned(), Secret::new("a"))].into();
        assert_eq!(sent(&AuthConfig { headers, ..none }).unwrap(), [("x-team".into(), "a".into())]);
    }

    #[test]
    fn contradictions_name_the_cure() {
        let none = AuthConfig::default();
        let both = AuthConfig { token: secret("hunter2"), api_key: secret("hunter2"), ..none.clone() };
        let header = |name: &str| [(name.to_owned(), Secret::new("hunter2"))].into();
        for (config, said) in [
            (both.clone(), "`auth.api_key` and `auth.token` are both given"),
            (AuthConfig { kind: Some(AuthKind::Bearer), ..both }, "does not use `auth.api_key`: remove it"),
            (
                AuthConfig { kind: Some(AuthKind::None), token: secret("hunter2"), ..none.clone() },
                "type to bearer",
            ),
            (AuthConfig { kind: Some(AuthKind::Bearer), ..none.clone() }, "needs `auth.token`"),
            (AuthConfig { header: Some("X".into()), ..none.clone() }, "needs `auth.api_key`"),
            (AuthConfig { password: secret("hunter2"), ..none.clone() }, "needs `auth.username`"),
            (AuthConfig { username: Some("a:b".into()), ..none.clone() }, "neither `:`"),
            (AuthConfig { token: secret(""), ..none.clone() }, "is empty"),
            (AuthConfig { token: secret("hunter2\r\nX: y"), ..none.clone() }, "line break"),
            (AuthConfig { api_key: secret("hunter2\n"), ..none.clone() }, "line break"),
            (AuthConfig { api_key: secret("k"), header: Some("a b".into()), ..none.clone() }, "not the name"),
            (AuthConfig { headers: header("Content-Length"), ..none.clone() }, "cannot be set"),
            (AuthConfig { token: secret("t"), headers: header("authorization"), ..none }, "leave one"),
        ] {
            let error = sent(&config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.message().contains(said), "{error} does not say {said}");
            assert!(!format!("{error} {error:?} {config:?}").contains("hunter2"), "{error}");
        }
        let user = "https://me:pw@acme.example".parse().unwrap();
        let config = AuthConfig { token: secret("t"), ..AuthConfig::default() };
        assert!(Auth::new(&config, &BTreeMap::new(), &user).unwrap_err().message().contains("endpoint"));
    }
}
