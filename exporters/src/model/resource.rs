//! Who reports (the resource) and which library measured (the instrumentation scope).

use super::{Attributes, KeyValue};
use std::{borrow::Cow, env};

/// The entity that telemetry is about: the service and where it runs.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct Resource {
    /// `service.name`, `service.version`, `deployment.environment.name`, …
    pub attributes: Attributes,
}

impl Resource {
    /// The resource that the environment describes: `OTEL_RESOURCE_ATTRIBUTES` (`key=value,…`, percent-encoded; as a whole
    /// ignored when malformed) and `OTEL_SERVICE_NAME`, over `service.name = unknown_service:<program>` and `telemetry.sdk.*`.
    /// `extra` wins over all of them.
    pub fn from_env(extra: impl IntoIterator<Item = KeyValue>) -> Self {
        Self::layered([], extra)
    }

    /// The same, with `below` under what the environment says.
    pub(crate) fn layered(
        below: impl IntoIterator<Item = KeyValue>,
        extra: impl IntoIterator<Item = KeyValue>,
    ) -> Self {
        let program = env::current_exe().ok().and_then(|path| path.file_name()?.to_str().map(str::to_owned));
        let unknown =
            program.map_or_else(|| "unknown_service".into(), |name| format!("unknown_service:{name}"));
        let base = [
            KeyValue::new("service.name", unknown),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("telemetry.sdk.name", env!("CARGO_PKG_NAME")),
            KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        let listed =
            env::var("OTEL_RESOURCE_ATTRIBUTES").ok().and_then(|list| parse_list(&list)).unwrap_or_default();
        let name = env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
        let name = name.map(|name| KeyValue::new("service.name", name));
        Self { attributes: base.into_iter().chain(below).chain(listed).chain(name).chain(extra).collect() }
    }

    /// `service.name`, if it is known.
    pub fn service_name(&self) -> Option<&str> {
        self.attributes.get_str("service.name")
    }
}

/// `key=value,key=value` with percent-encoded values, as the OpenTelemetry specification has it.
pub(crate) fn parse_list(list: &str) -> Option<Vec<KeyValue>> {
    let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let key = key.trim();
            (!key.is_empty()).then(|| Some(KeyValue::new(key.to_owned(), percent_decode(value.trim())?)))?
        })
        .collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// The instrumented crate: its name and version.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct Scope {
    /// The crate's name.
    pub name: Cow<'static, str>,
    /// The crate's version; empty when unknown.
    pub version: Cow<'static, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_list_is_ignored_as_a_whole() {
        assert_eq!(parse_list("a=1,b=x%2Cy"), Some(vec![KeyValue::new("a", "1"), KeyValue::new("b", "x,y")]));
        assert_eq!(parse_list("a=1,b"), None);
        assert_eq!(parse_list("a=%zz"), None);
    }
}
