//! Typed attributes: OpenTelemetry's keys and values.

use std::{borrow::Cow, fmt, ops::Deref, sync::Arc};

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "file", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// A floating point number.
    F64(#[cfg_attr(feature = "file", serde(with = "super::exact::float"))] f64),
    /// Text.
    String(Cow<'static, str>),
    /// Several values of one type.
    Array(Arc<[Value]>),
}

impl Value {
    /// Whether it stands for no value at all: see [`AttributeValue`](crate::AttributeValue).
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::String(text) if text.is_empty())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::I64(v) => v.fmt(f),
            Self::F64(v) => v.fmt(f),
            Self::String(v) => f.write_str(v),
            Self::Array(v) => {
                f.write_str("[")?;
                for (i, v) in v.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{v}")?;
                }
                f.write_str("]")
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(v: $from) -> Self {
                Self::$variant(v.into())
            }
        })*
    };
}
value_from! {
    bool => Bool, i64 => I64, i32 => I64, u32 => I64, f64 => F64,
    &'static str => String, String => String, Cow<'static, str> => String,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyValue {
    /// The key, for example `error.type`.
    pub key: Cow<'static, str>,
    /// The value.
    pub value: Value,
}

impl KeyValue {
    /// Pairs a key with a value.
    pub fn new(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// A set of attributes: sorted by key, keys unique, cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Attributes(Arc<[KeyValue]>);

impl Attributes {
    /// Sorts `attributes` by key; of two with the same key the last one stays.
    pub fn new(attributes: impl IntoIterator<Item = KeyValue>) -> Self {
        let mut list: Vec<_> = attributes.into_iter().collect();
        if !list.is_sorted_by(|a, b| a.key < b.key) {
            list.reverse();
            list.sort_by(|a, b| a.key.cmp(&b.key));
            list.dedup_by(|later, earlier| later.key == earlier.key);
        }
        Self(list.into())
    }

    /// Whether others have the same set.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
    }

    /// The value of `key`, if it is text.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Deref for Attributes {
    type Target = [KeyValue];
    fn deref(&self) -> &[KeyValue] {
        &self.0
    }
}

impl FromIterator<KeyValue> for Attributes {
    fn from_iter<I: IntoIterator<Item = KeyValue>>(iter: I) -> Self {
        Self::new(iter)
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|a| (&a.key, &a.value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_unique_and_the_last_wins() {
        let set = Attributes::new([KeyValue::new("b", 1), KeyValue::new("a", "x"), KeyValue::new("b", 2)]);
        assert_eq!(set.iter().map(|a| &*a.key).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(set.get("b"), Some(&Value::I64(2)));
        assert_eq!(set.get_str("a"), Some("x"));
    }
}
