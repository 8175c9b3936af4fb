//! The tree that settings are, each part with the place it came from.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// A part of the settings. Its `Debug` shows the shape, never a value.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

#[derive(Clone)]
pub(crate) enum Value {
    /// `plain` is text whose type its look decides: `true`, `1.5`, `null`.
    Scalar {
        text: String,
        plain: bool,
    },
    #[cfg_attr(not(feature = "yaml"), expect(dead_code, reason = "a file has them"))]
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    #[cfg_attr(not(any(test, feature = "yaml")), expect(dead_code, reason = "there are no files"))]
    File {
        file: Arc<str>,
        line: usize,
    },
    Variable(Arc<str>),
    /// Those whose names begin so.
    Variables(Arc<str>),
    Code,
}

impl Origin {
    /// What a person is told of it: nothing of the program, which knows.
    pub(crate) fn place(&self) -> Option<&Self> {
        Some(self).filter(|origin| **origin != Self::Code)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Variables(prefix) => write!(f, "the variables {prefix}…"),
            Self::Code => f.write_str("the program"),
        }
    }
}

impl Value {
    /// Text whose type its look decides.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::Scalar { text: text.into(), plain: true }
    }
}

impl Node {
    pub(crate) fn empty(origin: Origin) -> Self {
        Self { value: Value::Map(Vec::new()), origin }
    }

    /// Text from the environment, whose type its look decides.
    pub(crate) fn variable(name: &str, text: &str) -> Self {
        Self { value: Value::plain(text), origin: Origin::Variable(name.into()) }
    }

    /// Nothing: `null`, `~`, or no text at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if is_null(text))
    }

    /// What a person calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Whether a mapping has `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(&self.value, Value::Map(entries) if entries.iter().any(|(other, _)| other.name == key))
    }

    /// The part at `place`: keys, and in lists `[0]`.
    pub(crate) fn find(&mut self, place: &[&str]) -> Option<&mut Self> {
        let Some((first, rest)) = place.split_first() else { return Some(self) };
        let part = match &mut self.value {
            Value::Scalar { .. } => None,
            Value::List(list) => first
                .strip_prefix('[')?
                .strip_suffix(']')?
                .parse()
                .ok()
                .and_then(|at: usize| list.get_mut(at)),
            Value::Map(map) => map.iter_mut().find(|(key, _)| key.name == *first).map(|(_, node)| node),
        };
        part?.find(rest)
    }

    /// The text of `key` in a mapping.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let Value::Map(entries) = &self.value else { return None };
        let (_, node) = entries.iter().find(|(other, _)| other.name == key)?;
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(text),
            _ => None,
        }
    }

    /// Where each key of a mapping stands.
    pub(crate) fn origins(&self) -> BTreeMap<String, Origin> {
        let Value::Map(entries) = &self.value else { return BTreeMap::new() };
        entries.iter().map(|(key, _)| (key.name.clone(), key.origin.clone())).collect()
    }

    /// Adds to a mapping.
    pub(crate) fn put(&mut self, key: Key, node: Self) {
        if let Value::Map(entries) = &mut self.value {
            entries.push((key, node));
        }
    }

    /// Takes the value of `key` out of a mapping.
    pub(crate) fn take(&mut self, key: &str) -> Option<(Key, Node)> {
        let Value::Map(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|(other, _)| other.name == key)?;
        Some(entries.remove(at))
    }
}

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Scalar { .. } => f.write_str("…"),
            Value::List(list) => f.debug_list().entries(list).finish(),
            Value::Map(map) => {
                f.debug_map().entries(map.iter().map(|(key, node)| (&key.name, node))).finish()
            }
        }
    }
}
