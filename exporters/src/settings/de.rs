//! Reads a tree of settings into any `Deserialize`, and each field's variable over what the tree says.

use super::{
    node::{Key, Node, Origin, Value, is_null},
    numbers::{digits, float, whole},
    scope::{Says, Scope},
    secrets::by_name,
    units,
    wrong::Wrong,
};
use crate::secret;
use serde::{
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use std::{collections::HashSet, vec};

/// One part of the tree.
pub(crate) struct De {
    node: Node,
    /// The variables that are about this part.
    scope: Scope,
    /// What the setting's name says of the unit of a bare number.
    unit: &'static str,
}

type Result<T> = std::result::Result<T, Wrong>;

fn wrong_type(found: &Node, expected: &dyn Expected) -> Wrong {
    Wrong::new(format!("expected {expected}, found {}", found.kind())).at(&found.origin)
}

impl De {
    pub(crate) fn new(node: Node, scope: Scope) -> Self {
        Self { node, scope, unit: "" }
    }

    /// The value of the setting `name`.
    fn named(name: &str, node: Node, scope: Scope) -> Self {
        let unit = match name.rsplit_once('_') {
            Some((_, "seconds")) => "s",
            Some((_, "ms")) => "ms",
            Some((_, "mb")) => "MB",
            _ => "",
        };
        Self { node, scope, unit }
    }

    /// Text, shown to `visitor` by `read`; whatever goes wrong with it is told with its place.
    fn scalar<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        read: impl FnOnce(V, String, bool) -> Result<V::Value>,
    ) -> Result<V::Value> {
        match self.node {
            Node { value: Value::Scalar { text, plain }, origin } => {
                read(visitor, text, plain).map_err(|wrong| wrong.at(&origin))
            }
            node => Err(wrong_type(&node, &visitor)),
        }
    }

    /// The entries of a mapping; of text from a variable, its `key=value,key=value`.
    fn entries(self, expected: &dyn Expected) -> Result<Vec<(Key, Node)>> {
        match self.node {
            Node { value: Value::Map(entries), .. } => Ok(entries),
            node if node.is_null() => Ok(Vec::new()),
            Node { value: Value::Scalar { text, .. }, origin: origin @ Origin::Variable(_) } => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let mut known = HashSet::new();
                let entry = |(at, part): (usize, &'_ str)| {
                    let wrong = || Wrong::new("expected key=value,key=value").at(&origin);
                    let (key, text) = part.split_once('=').ok_or_else(wrong)?;
                    let key = Key { name: key.trim().to_owned(), origin: origin.clone() };
                    if !known.insert(key.name.clone()) {
                        let wrong = Wrong::new("this is given twice").within(format!("[{at}]"));
                        return Err(wrong.at(&origin));
                    }
                    Ok((key, Node { value: Value::plain(text.trim()), origin: origin.clone() }))
                };
                parts.enumerate().map(entry).collect()
            }
            node => Err(wrong_type(&node, expected)),
        }
    }

    /// The entries of a struct with these fields: the tree's, and over them the variables'.
    fn fields(self, fields: &'static [&'static str], expected: &dyn Expected) -> Result<Vec<Entry>> {
        let scope = self.scope.clone();
        let mut entries = Vec::<Entry>::new();
        let says = scope.says(fields);
        // A secret that a variable takes the place of need not be there.
        let replaced = |name: &str| says.iter().any(|(field, says, _)| *field == name && *says != Says::Part);
        for (key, node) in self.entries(expected)? {
            let (name, node) = match key.name.strip_suffix("_secret") {
                _ if fields.contains(&&*key.name) => (key.name, node),
                Some(name) if replaced(name) => (name.to_owned(), node),
                Some(name) if fields.contains(&name) => {
                    let secret = by_name(node, &scope).map_err(|wrong| wrong.within(&*key.name))?;
                    (name.to_owned(), secret)
                }
                // Its text is no name, but may be half a secret.
                _ if matches!(key.origin, Origin::Variable(_)) => {
                    return Err(Wrong::no_such(None, fields).at(&key.origin));
                }
                _ => return Err(Wrong::no_such(Some(&key.name), fields).at(&key.origin)),
            };
            entries.push(Entry { place: name.clone(), name, node, scope: scope.without_variables() });
        }
        let mut given = Vec::<(&str, String)>::new();
        for (field, says, variable) in says {
            let place = |entries: &mut Vec<Entry>, node: Option<Node>| {
                let at = entries.iter().position(|entry| entry.name == field).unwrap_or_else(|| {
                    let (name, place) = (field.to_owned(), field.to_owned());
                    let origin = Origin::Variable((&*variable).into());
                    entries.push(Entry {
                        name,
                        place,
                        node: Node::empty(origin),
                        scope: scope.within(field),
                    });
                    entries.len() - 1
                });
                if let Some(entry) = entries.get_mut(at) {
                    entry.node = node.unwrap_or_else(|| entry.node.clone());
                    entry.scope = scope.within(field);
                }
            };
            let text = match says {
                Says::Part => {
                    place(&mut entries, None);
                    continue;
                }
                Says::Text | Says::File | Says::Secret => {
                    scope.environment.get(&variable).ok_or_else(|| {
                        let wrong = Wrong::new("this variable is not Unicode").within(field);
                        wrong.at(&Origin::Variable((&*variable).into()))
                    })?
                }
            };
            if let Some((_, other)) = given.iter().find(|(other, _)| *other == field) {
                let wrong = Wrong::new(format!("two variables are set for this, {other} too; unset one"));
                return Err(wrong.within(field).at(&Origin::Variable(variable.into())));
            }
            let node = Node::variable(&variable, text);
            given.push((field, variable.clone()));
            let node = match says {
                Says::File => {
                    let key = Key { name: "file".into(), origin: node.origin.clone() };
                    Node { origin: node.origin.clone(), value: Value::Map(vec![(key, node)]) }
                }
                Says::Secret => by_name(node, &scope).map_err(|wrong| wrong.within(field))?,
                Says::Text | Says::Part => node,
            };
            place(&mut entries, Some(node));
        }
        Ok(entries)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.scalar(visitor, |visitor, text, _| match whole(&text) {
                Some(number) => match <$type>::try_from(number) {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(Wrong::invalid_value(Unexpected::Str(""), &visitor)),
                },
                None => Err(Wrong::invalid_type(Unexpected::Str(""), &visitor)),
            })
        })*
    };
}

impl<'de> Deserializer<'de> for De {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.value {
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar { .. } => self.scalar(visitor, |visitor, text, plain| match &*text {
                "true" | "True" | "TRUE" if plain => visitor.visit_bool(true),
                "false" | "False" | "FALSE" if plain => visitor.visit_bool(false),
                _ if !plain => visitor.visit_string(text),
                _ if is_null(&text) => visitor.visit_unit(),
                _ => match (whole(&text), float(&text)) {
                    (Some(number), _) if i64::try_from(number).is_ok() => visitor.visit_i64(number as i64),
                    (Some(number), _) if u64::try_from(number).is_ok() => visitor.visit_u64(number as u64),
                    (_, Some(number)) => visitor.visit_f64(number),
                    _ => visitor.visit_string(text),
                },
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let variable = matches!(self.node.origin, Origin::Variable(_));
        self.scalar(visitor, |visitor, text, _| match &*text.to_ascii_lowercase() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            "1" if variable => visitor.visit_bool(true),
            "0" if variable => visitor.visit_bool(false),
            _ if variable => Err(Wrong::new("expected 1, true, 0 or false")),
            _ => Err(Wrong::new("expected true or false")),
        })
    }

    numbers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.scalar(visitor, |visitor, text, _| {
            match digits(&text).and_then(|(digits, radix)| u128::from_str_radix(digits, radix).ok()) {
                Some(number) => visitor.visit_u128(number),
                None if whole(&text).is_some() => Err(Wrong::invalid_value(Unexpected::Str(""), &visitor)),
                None => Err(Wrong::invalid_type(Unexpected::Str(""), &visitor)),
            }
        })
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.scalar(visitor, |visitor, text, _| match float(&text) {
            Some(number) => visitor.visit_f64(number),
            None => Err(Wrong::invalid_type(Unexpected::Str(""), &visitor)),
        })
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_string(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.node.is_null() && !matches!(self.node.origin, Origin::Variable(_)) {
            return Err(wrong_type(&self.node, &visitor));
        }
        self.scalar(visitor, |visitor, text, _| visitor.visit_string(text))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.scalar(visitor, |visitor, text, _| visitor.visit_byte_buf(text.into_bytes()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.node.is_null() && !self.scope.has_variables() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.node.is_null() { visitor.visit_unit() } else { Err(wrong_type(&self.node, &visitor)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        match name {
            secret::NAME => match &self.node.value {
                Value::Map(_) => self.deserialize_map(visitor),
                _ => self.deserialize_string(visitor),
            },
            units::duration::NAME | units::size::NAME => {
                let unit = self.unit;
                self.scalar(visitor, |visitor, text, _| match text.parse::<f64>() {
                    Ok(_) => visitor.visit_string(text + unit),
                    Err(_) => visitor.visit_string(text),
                })
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let (origin, scope) = (self.node.origin.clone(), self.scope.without_variables());
        let list = match self.node {
            Node { value: Value::List(list), .. } => list,
            node if node.is_null() => Vec::new(),
            Node { value: Value::Scalar { text, .. }, origin: origin @ Origin::Variable(_) } => text
                .split(',')
                .map(|part| Node { value: Value::plain(part.trim()), origin: origin.clone() })
                .collect(),
            node => return Err(wrong_type(&node, &visitor)),
        };
        let mut items = Items { list: list.into_iter(), next: 0, scope };
        let value = visitor.visit_seq(&mut items).map_err(|wrong| wrong.at(&origin))?;
        match items.list.len() {
            0 => Ok(value),
            more => Err(Wrong::new(format!("the list has {more} items too many")).at(&origin)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let (origin, scope) = (self.node.origin.clone(), self.scope.without_variables());
        let entry = |(at, (key, node)): (usize, (Key, Node))| {
            let place = match key.origin {
                Origin::Variable(_) => format!("[{at}]"),
                _ => key.name.clone(),
            };
            Entry { name: key.name, place, node, scope: scope.clone() }
        };
        let entries: Vec<_> = self.entries(&visitor)?.into_iter().enumerate().map(entry).collect();
        let mut entries = Entries { entries: entries.into_iter(), value: None };
        visitor.visit_map(&mut entries).map_err(|wrong| wrong.at(&origin))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let origin = self.node.origin.clone();
        let mut entries = Entries { entries: self.fields(fields, &visitor)?.into_iter(), value: None };
        visitor.visit_map(&mut entries).map_err(|wrong| match &entries.value {
            Some(entry) if entry.scope.has_variables() => wrong.also(&entry.name).at(&entry.node.origin),
            _ => wrong.at(&origin),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let origin = self.node.origin.clone();
        if let Value::Map(entries) = &mut self.node.value
            && entries.len() == 1
            && let Some((key, node)) = entries.pop()
        {
            let name = key.name.clone();
            return visitor
                .visit_enum(Variant(key, node, self.scope.without_variables()))
                .map_err(|wrong| wrong.within(name).at(&origin));
        }
        self.scalar(visitor, |visitor, text, _| visitor.visit_enum(text.into_deserializer()))
    }

    forward_to_deserialize_any! { identifier ignored_any }
}

/// One setting of a struct or mapping.
struct Entry {
    name: String,
    /// What it is called in errors.
    place: String,
    node: Node,
    scope: Scope,
}

struct Entries {
    entries: vec::IntoIter<Entry>,
    /// The one whose key was read, and whose value was not yet.
    value: Option<Entry>,
}

impl<'de> MapAccess<'de> for &mut Entries {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.value = self.entries.next();
        let Some(entry) = &self.value else { return Ok(None) };
        // As quoted text, which a key of any type is read from.
        let key = Value::Scalar { text: entry.name.clone(), plain: false };
        let key = Node { value: key, origin: entry.node.origin.clone() };
        seed.deserialize(De::new(key, entry.scope.without_variables())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let Some(Entry { name, place, node, scope }) = self.value.take() else {
            return Err(Wrong::new("a value was asked for before its key"));
        };
        let origin = node.origin.clone();
        seed.deserialize(De::named(&name, node, scope)).map_err(|wrong| wrong.at(&origin).within(place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Items {
    list: vec::IntoIter<Node>,
    next: usize,
    scope: Scope,
}

impl<'de> SeqAccess<'de> for &mut Items {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(node) = self.list.next() else { return Ok(None) };
        let (at, origin) = (self.next, node.origin.clone());
        self.next += 1;
        let value = seed.deserialize(De::new(node, self.scope.clone()));
        value.map(Some).map_err(|wrong| wrong.at(&origin).within(format!("[{at}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len())
    }
}

/// `variant: { .. }`
struct Variant(Key, Node, Scope);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = De;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, De)> {
        let Self(key, node, scope) = self;
        let variant =
            seed.deserialize(key.name.into_deserializer()).map_err(|wrong: Wrong| wrong.at(&key.origin))?;
        Ok((variant, De::new(node, scope)))
    }
}

impl<'de> VariantAccess<'de> for De {
    type Error = Wrong;

    fn unit_variant(self) -> Result<()> {
        if self.node.is_null() { Ok(()) } else { Err(wrong_type(&self.node, &"nothing")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_struct("", fields, visitor)
    }
}
