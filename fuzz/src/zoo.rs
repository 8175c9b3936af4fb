//! One field for each thing that serde knows.

use exporters::Secret;
use serde::{Deserialize, Deserializer, de::Error};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Zoo {
    pair: Option<(u8, String)>,
    meters: Option<Meters>,
    nothing: (),
    letter: Option<char>,
    wide: u128,
    signed: i128,
    narrow: i8,
    ratio: f32,
    on: bool,
    bytes: Vec<u8>,
    external: Option<External>,
    internal: Option<Internal>,
    adjacent: Option<Adjacent>,
    untagged: Option<Untagged>,
    list: Vec<Inner>,
    map: BTreeMap<String, Inner>,
    by_number: BTreeMap<u16, String>,
    inner: Option<Box<Inner>>,
    flat: Option<Flat>,
    token: Option<Secret>,
    #[serde(alias = "wait_ms", deserialize_with = "exporters::duration::option::deserialize")]
    wait: Option<Duration>,
    #[serde(deserialize_with = "exporters::size::option::deserialize")]
    size_mb: Option<u64>,
    address: Option<IpAddr>,
    picky: Option<Picky>,
    whole: Option<Whole>,
}

#[derive(Debug, Deserialize)]
struct Meters(#[expect(dead_code)] f64);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code)]
enum External {
    Unit,
    Wrapped(u8),
    Tuple(u8, String),
    Fields { count: u8, token: Secret },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code)]
enum Internal {
    A { word: String, count: u8 },
    B(Inner),
    C,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
#[expect(dead_code)]
enum Adjacent {
    A(u8),
    B { word: String },
    C,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code)]
enum Untagged {
    Number(u64),
    Text(String),
    Inner(Inner),
    Token(Secret),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    count: u16,
    word: Option<String>,
    inner: Option<Box<Inner>>,
    token: Option<Secret>,
}

#[derive(Debug, Default, Deserialize)]
struct Flat {
    #[serde(flatten)]
    #[expect(dead_code)]
    inner: Inner,
    #[serde(flatten)]
    #[expect(dead_code)]
    rest: BTreeMap<String, String>,
}

/// Repeats what it does not like, in every way there is.
#[derive(Debug)]
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(D::Error::custom(format!("neither {text} nor {text:?}")))
    }
}

/// The same of a part of a struct, which only the whole struct's error shows.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Inner")]
struct Whole;

impl TryFrom<Inner> for Whole {
    type Error = String;

    fn try_from(inner: Inner) -> Result<Self, String> {
        Err(format!("neither {:?} nor {}", inner.word, inner.word.as_deref().unwrap_or_default()))
    }
}
