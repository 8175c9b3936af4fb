//! What is wrong with a setting: said with its place and its cure, and never with its value.

use super::node::{Key, Node, Origin, Value};
use crate::{Error, ErrorKind, error::shortened};
use serde::de::{self, Expected, Unexpected};
use std::fmt::{self, Write};

/// Text this short is no secret, and would be found in every sentence.
const SHORTEST_SECRET: usize = 4;
/// A longer word is no misspelling.
const LONGEST_NAME: usize = 100;
/// Bytes; a longer message repeats what it should not.
const LONGEST_MESSAGE: usize = 1500;

const TWICE: &str = "this setting is given twice, perhaps under two of its names";

/// Something is wrong with a setting.
#[derive(Debug)]
pub(crate) struct Wrong {
    message: String,
    /// Innermost first.
    path: Vec<String>,
    origin: Option<Origin>,
    /// Whether somebody else wrote the message, who may have put a value into it.
    foreign: bool,
    /// The name by which a variable gave a setting that is also given by another one of its names.
    also: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), path: Vec::new(), origin: None, foreign: false, also: None }
    }

    /// Where it was found, unless that is known better.
    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    /// It is within `part`.
    pub(crate) fn within(mut self, part: impl Into<String>) -> Self {
        self.path.push(part.into());
        self
    }

    /// A setting is given twice, the second time by a variable that calls it `name`.
    pub(super) fn also(self, name: &str) -> Self {
        let also = Some(name.to_owned()).filter(|_| self.message == TWICE);
        Self { also, ..self }
    }

    /// `node`, each time with another one of the settings beside the one that is given twice called as a variable calls that; it is
    /// the last, so that all others have been read when it is found to be given twice still.
    pub(super) fn renamings(&self, node: &Node) -> Vec<Node> {
        let Some(name) = &self.also else { return Vec::new() };
        // The innermost part is the setting itself.
        let place: Vec<&str> = self.path.iter().skip(1).rev().map(String::as_str).collect();
        let renamed = |at: usize| {
            let mut node = node.clone();
            let Value::Map(entries) = &mut node.find(&place)?.value else { return None };
            let (key, value) = (at < entries.len()).then(|| entries.remove(at))?;
            entries.push((Key { name: name.clone(), ..key }, value));
            Some(node)
        };
        (0..).map_while(renamed).collect()
    }

    /// Whether it says the same of the same setting.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.message == other.message && self.path == other.path
    }

    /// Takes `texts` out of the message, if somebody else wrote it, plain or as `Debug` shows them: the longest first, since one
    /// may be a part of another.
    pub(crate) fn without(mut self, mut texts: Vec<String>) -> Self {
        if self.foreign {
            texts.retain(|text| text.len() >= SHORTEST_SECRET);
            texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
            for text in texts {
                self.message = self.message.replace(&format!("{text:?}"), "…").replace(&text, "…");
            }
        }
        self
    }

    /// There is no setting called `name`; without one, none that may be said.
    pub(super) fn no_such(name: Option<&str>, known: &[&str]) -> Self {
        let hint = name.map(|name| nearest(name, known)).unwrap_or_default();
        let wrong =
            Self::new(format!("there is no setting of this name{hint} (there are {})", known.join(", ")));
        match name {
            Some(name) => wrong.within(name),
            None => wrong,
        }
    }

    /// `path` is where the settings as a whole are.
    pub(crate) fn into_error(self, path: &str) -> Error {
        let mut place = path.to_owned();
        for part in self.path.iter().rev() {
            let dot = if part.starts_with('[') || place.is_empty() { "" } else { "." };
            let _ = write!(place, "{dot}{}", name(part));
        }
        let mut error = Error::new(ErrorKind::ConfigInvalid, shortened(self.message, LONGEST_MESSAGE));
        if !place.is_empty() {
            error = error.with_context("setting", place);
        }
        match self.origin.as_ref().and_then(Origin::place) {
            None => error,
            Some(place) => error.with_context("in", place),
        }
    }
}

/// A key as far as it is a name: `token:hunter2`, where a space is missing, is one key, and shown as `token…`.
fn name(key: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
    match key.find(|c| !is_name(c)) {
        Some(end) => format!("{}…", key.get(..end).unwrap_or_default()),
        None => key.to_owned(),
    }
}

/// Adds every text in a tree that could be a secret.
pub(super) fn texts(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::Scalar { text, .. } if text.len() >= SHORTEST_SECRET => found.push(text.clone()),
        Value::Scalar { .. } => {}
        Value::List(list) => list.iter().for_each(|node| texts(node, found)),
        Value::Map(map) => map.iter().for_each(|(_, node)| texts(node, found)),
    }
}

/// `; did you mean `x`?`, if one of `known` is near.
pub(crate) fn nearest(word: &str, known: &[&str]) -> String {
    nearest_after("", word, known)
}

/// The same of names that all begin with `prefix`, which `word` and `known` are without: it says nothing of how near they are.
pub(crate) fn nearest_after(prefix: &str, word: &str, known: &[&str]) -> String {
    if word.len() > LONGEST_NAME {
        return String::new();
    }
    let near = known.iter().map(|known| (strsim::osa_distance(word, known), known)).min();
    match near.filter(|(distance, known)| *distance <= 1 + known.len() / 3) {
        Some((_, known)) => format!("; did you mean `{prefix}{known}`?"),
        None => String::new(),
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { foreign: true, ..Self::new(message.to_string()) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
            Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "text",
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a mapping",
            // `Other` may show what was found.
            _ => "something else",
        };
        Self::new(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("the value is not {expected}"))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {len}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("the value is none of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::no_such(Some(field), expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("this setting is required").within(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(TWICE).within(field)
    }
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
