//! What is rarely asked of settings: every type that serde knows, and errors that could show too much.

#![cfg(feature = "yaml")]

use super::*;
use crate::Secret;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, fmt, time::Duration};

/// What `T` is, of a file and variables that begin with `P_`.
fn read<T: DeserializeOwned>(text: &str, variables: &[(&str, &str)]) -> Result<T> {
    let environment: Environment =
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let node = crate::config::yaml::parse(text, "f.yaml", &environment)?;
    Settings { node, path: "config".into(), scope: Scope::new(environment, "P") }.read()
}

/// The error, which shows no secret.
fn refused<T: DeserializeOwned + fmt::Debug>(text: &str, variables: &[(&str, &str)]) -> String {
    let error = read::<T>(text, variables).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    error
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    count: u16,
    word: String,
    inner: Option<Box<Inner>>,
}

fn inner(count: u16, word: &str) -> Inner {
    Inner { count, word: word.into(), inner: None }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Meters(f64);

#[derive(Debug, Deserialize, PartialEq)]
struct Unit;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum External {
    Unit,
    Wrapped(u8),
    Tuple(u8, String),
    Fields { count: u8 },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Internal {
    A { word: String, wait: Option<u64> },
    B(Inner),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
    Inner(Inner),
}

#[derive(Debug, Deserialize, PartialEq)]
struct Flat {
    own: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Zoo {
    pair: Option<(u8, String)>,
    meters: Option<Meters>,
    nothing: (),
    unit: Option<Unit>,
    letter: Option<char>,
    wide: u128,
    signed: i128,
    externals: Vec<External>,
    internals: Vec<Internal>,
    untagged: Vec<Untagged>,
    list: Vec<Inner>,
    map: BTreeMap<String, Inner>,
    by_number: BTreeMap<u16, String>,
    by_variant: BTreeMap<Named, bool>,
    inner: Option<Inner>,
    flat: Option<Flat>,
}

#[derive(Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "snake_case")]
enum Named {
    One,
}

#[test]
fn every_type_is_read() {
    let text = "
pair: [1, 2.0]
meters: 1e3
nothing: ~
letter: ü
wide: 340282366920938463463374607431768211455
signed: -170141183460469231731687303715884105728
externals: [unit, {unit: ~}, {wrapped: 0x10}, {tuple: [1, a]}, {fields: {count: 1}}]
internals: [{type: a, word: x, wait: 5}, {word: y, type: b}]
untagged: [5, '5', {count: 1}]
list: [{count: 1}, {}, ~]
map: {a: {word: x}, b: ~}
by_number: {5: x, 0x10: y}
by_variant: {one: true}
inner: {inner: {count: 5}}
flat: {own: 1, other: x}
";
    let rest = [("other".to_owned(), "x".to_owned())].into();
    let expected = Zoo {
        pair: Some((1, "2.0".into())),
        meters: Some(Meters(1000.0)),
        letter: Some('ü'),
        wide: u128::MAX,
        signed: i128::MIN,
        externals: vec![
            External::Unit,
            External::Unit,
            External::Wrapped(16),
            External::Tuple(1, "a".into()),
            External::Fields { count: 1 },
        ],
        internals: vec![Internal::A { word: "x".into(), wait: Some(5) }, Internal::B(inner(0, "y"))],
        untagged: vec![Untagged::Number(5), Untagged::Text("5".into()), Untagged::Inner(inner(1, ""))],
        list: vec![inner(1, ""), inner(0, ""), inner(0, "")],
        map: [("a".into(), inner(0, "x")), ("b".into(), inner(0, ""))].into(),
        by_number: [(5, "x".into()), (16, "y".into())].into(),
        by_variant: [(Named::One, true)].into(),
        inner: Some(Inner { inner: Some(Box::new(inner(5, ""))), ..Inner::default() }),
        flat: Some(Flat { own: 1, rest }),
        ..Zoo::default()
    };
    assert_eq!(read::<Zoo>(text, &[]).unwrap(), expected);
}

#[test]
fn what_is_no_such_type_is_told() {
    for (text, said) in [
        ("pair: [1, 2, hunter2]", "1 items too many"),
        ("pair: [1]", "found 1"),
        ("nothing: hunter2", "found text"),
        ("letter: hunter2", "not a character"),
        ("wide: -1", "the value is not u128"),
        ("wide: hunter2", "expected u128, found text"),
        ("wide: 340282366920938463463374607431768211456", "expected u128"),
        ("externals: [hunter2]", "the value is none of unit, wrapped"),
        ("externals: [{wrapped: hunter2}]", "setting: config.externals[0].wrapped"),
        ("externals: [wrapped]", "config.externals[0]"),
        ("externals: [~]", "none of"),
        ("internals: [{type: a, word: 1.10}]", "expected a string, found a number"),
        ("untagged: [{count: hunter2}]", "did not match any variant"),
        ("inner: {word: ~}", "expected a string, found nothing"),
        ("inner: {count: 1_000}", "found text"),
        ("inner: {count: 1e3}", "found text"),
        ("inner: [hunter2]", "found a list"),
        ("by_number: {x: hunter2}", "expected u16, found text"),
        ("flat: {own: 1, other: [hunter2]}", "expected a string"),
    ] {
        let error = refused::<Zoo>(text, &[]);
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn a_variable_is_over_the_file_wherever_it_reaches() {
    let zoo = |text: &str, variables: &[(&str, &str)]| read::<Zoo>(text, variables).unwrap();
    let over = zoo("inner: {count: 1, word: file}", &[("P_INNER_COUNT", "2")]);
    assert_eq!(over.inner, Some(inner(2, "file")));
    assert_eq!(zoo("inner: ~", &[("P_INNER_WORD", "x")]).inner, Some(inner(0, "x")));
    assert_eq!(zoo("", &[("P_INNER_INNER_COUNT", "3")]).inner.unwrap().inner.unwrap().count, 3);
    assert_eq!(zoo("inner: {word: x}", &[("P_INNER", "count=4")]).inner, Some(inner(4, "")));
    assert_eq!(zoo("pair: [1, a]", &[("P_PAIR", "2, b")]).pair, Some((2, "b".into())));
    // Text, even where a file would mean nothing by it.
    assert_eq!(zoo("", &[("P_INNER_WORD", "null")]).inner, Some(inner(0, "null")));
    let error = refused::<Zoo>("", &[("P_LETTER_CASE", "hunter2")]);
    assert!(error.contains("setting: config.letter, in: the variable P_LETTER_CASE"), "{error}");
}

#[derive(Debug, Deserialize, PartialEq)]
struct Tokens {
    token: Option<Secret>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    inner: Option<Inner>,
    whole: Option<Whole>,
}

/// Says what it does not like in every way there is.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "Inner")]
struct Whole;

impl TryFrom<Inner> for Whole {
    type Error = String;

    fn try_from(inner: Inner) -> Result<Self, String> {
        Err(format!("neither {} nor {:?}", inner.word, inner.word))
    }
}

#[test]
fn a_secret_that_a_variable_replaces_need_not_be_there() {
    let none = ("PROFILING_SECRETS_DIR", "/nonexistent");
    assert!(refused::<Tokens>("token_secret: hunter2", &[none]).contains("there is no secret of the name"));
    let token = read::<Tokens>("token_secret: hunter2", &[none, ("P_TOKEN", "t")]).unwrap().token;
    assert_eq!(token, Some(Secret::new("t")));
}

#[test]
fn a_secret_is_found_wherever_its_name_stands() {
    #[derive(Debug, Deserialize)]
    struct Deep {
        inner: Option<Box<Deep>>,
        #[serde(default)]
        list: Vec<Deep>,
        #[serde(default)]
        map: BTreeMap<String, Deep>,
        variant: Option<Variant>,
        token: Option<Secret>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Variant {
        Deep { token: Secret },
    }
    let variables =
        [("PROFILING_SECRETS_DIR", "/nonexistent"), ("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")];
    let text = "{inner: {token_secret: a}, list: [{token_secret: b}], map: {x: {token_secret: c}}, variant: {deep: {token_secret: d}}}";
    let deep = read::<Deep>(text, &variables).unwrap();
    assert_eq!(deep.inner.unwrap().token, Some(Secret::new("1")));
    assert_eq!(deep.list[0].token, Some(Secret::new("2")));
    assert_eq!(deep.map["x"].token, Some(Secret::new("3")));
    let Some(Variant::Deep { token }) = deep.variant else { panic!("no variant") };
    assert_eq!(token, Secret::new("4"));
}

#[test]
fn no_error_shows_what_a_variable_holds() {
    for (name, text, said) in [
        // Base64 looks like the key and value of a list.
        ("P_INNER", "hunter2==", "there is no setting of this name (there are count, word, inner)"),
        ("P_HEADERS", "hunter2=", "setting: config.headers[0], in: the variable P_HEADERS"),
        ("P_WHOLE_WORD", "hunter2", "neither … nor …"),
        ("P_WHOLE_WORD", "\"hunter2\\\n", "neither … nor …"),
        ("P_WHOLE", "word=hunter2", "neither … nor …"),
    ] {
        let error = refused::<Tokens>("", &[(name, text)]);
        assert!(error.contains(said), "{name}: {error}");
    }
    assert!(refused::<Whole>("", &[("P_WORD", "hunter2")]).contains("neither … nor …"));
    assert!(refused::<Whole>("word: 'a \"hunter2\"'", &[]).contains("neither … nor …"));
    assert!(refused::<Vec<Whole>>("[{word: hunter2}]", &[]).contains("neither … nor …"));
}

#[test]
fn what_others_say_they_found_may_be_a_value() {
    #[derive(Debug)]
    struct Small;
    impl<'de> Deserialize<'de> for Small {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(D::Error::invalid_type(serde::de::Unexpected::Other(&text), &"something small"))
        }
    }
    assert!(refused::<Small>("hunter2", &[]).contains("expected something small"));
}

#[test]
fn errors_are_short_however_long_the_keys() {
    let long = "k".repeat(100_000);
    for text in [
        format!("{long}: 1"),
        format!("inner: {{{long}: 1}}"),
        format!("? {long}\n: ${{{long}}}"),
        format!("token_secret: {long}"),
        format!("token: {{file: {long}}}"),
    ] {
        let error = read::<Tokens>(&text, &[]).unwrap_err().to_string();
        assert!(error.len() < 3000, "{} bytes", error.len());
    }
}

#[test]
fn a_unit_comes_from_the_name_of_the_setting() {
    #[derive(Debug, Deserialize)]
    struct Waits {
        #[serde(alias = "wait_ms", deserialize_with = "crate::duration::deserialize")]
        wait: Duration,
    }
    assert_eq!(read::<Waits>("wait_ms: .5", &[]).unwrap().wait, Duration::from_micros(500));
    assert_eq!(read::<Waits>("wait_ms: 2s", &[]).unwrap().wait, Duration::from_secs(2));
    for text in ["wait: 5", "wait_ms: 1e3", "wait_ms: -5", "wait_ms: +5", "wait_ms: inf", "wait_ms: 0"] {
        assert!(refused::<Waits>(text, &[]).contains("a duration such as 500ms"), "{text}");
    }
}
