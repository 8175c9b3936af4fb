//! YAML into a tree of settings: within a budget, with the line of every part, and `${VAR}` replaced in its texts.

use crate::{
    Result,
    settings::{Environment, Key, Node, Origin, Value, Wrong},
};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Bytes of a file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Lists and mappings within each other.
const MAX_DEPTH: usize = 64;
/// Values of a file, those that aliases repeat included.
const MAX_NODES: usize = 100_000;

/// The settings in `text`; `file` is what it is called in errors.
///
/// # Errors
/// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) with the line, where this is not YAML, too large, too deep, or uses a variable
/// that is not set.
pub(crate) fn parse(text: &str, file: &str, environment: &Environment) -> Result<Node> {
    let file: Arc<str> = file.into();
    let origin = |line| Origin::File { file: file.clone(), line };
    if text.len() > MAX_BYTES {
        return Err(Wrong::new("the file is larger than 1 MiB").at(&origin(1)).into());
    }
    let options = granit_parser::options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader =
        Reader { events, file: &file, environment, anchors: HashMap::new(), left: (MAX_NODES, MAX_BYTES) };
    reader.document().map_err(Into::into)
}

struct Reader<'a, P> {
    events: P,
    file: &'a Arc<str>,
    environment: &'a Environment,
    anchors: HashMap<usize, Node>,
    /// Nodes, and bytes of texts, that may still come.
    left: (usize, usize),
}

type Read<T> = std::result::Result<T, Wrong>;

impl<'i, P: Iterator<Item = std::result::Result<(Event<'i>, Span), ScanError>>> Reader<'_, P> {
    fn origin(&self, line: usize) -> Origin {
        Origin::File { file: self.file.clone(), line }
    }

    fn next(&mut self) -> Read<(Event<'i>, usize)> {
        loop {
            let (event, line) = match self.events.next() {
                Some(Ok((event, span))) => (event, span.start.line()),
                Some(Err(error)) => {
                    let line = error.marker().line();
                    return Err(
                        Wrong::new(format!("this is not YAML: {}", error.kind())).at(&self.origin(line))
                    );
                }
                None => (Event::StreamEnd, 0),
            };
            if !matches!(event, Event::StreamStart | Event::DocumentStart(..) | Event::Anchor(..)) {
                return Ok((event, line));
            }
        }
    }

    /// The one document there may be.
    fn document(&mut self) -> Read<Node> {
        let (event, line) = self.next()?;
        if matches!(event, Event::StreamEnd | Event::DocumentEnd) {
            return Ok(Node::empty(self.origin(1)));
        }
        let node = self.node(event, line, 0)?;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(node),
                (Event::DocumentEnd, _) => {}
                (_, line) => return Err(Wrong::new("a file holds one document").at(&self.origin(line))),
            }
        }
    }

    fn node(&mut self, event: Event<'i>, line: usize, depth: usize) -> Read<Node> {
        let origin = self.origin(line);
        self.spend((1, 0), &origin)?;
        // Flow and block collections each have a limit of their own in the parser.
        if depth > MAX_DEPTH {
            return Err(Wrong::new(format!("lists and mappings are more than {MAX_DEPTH} deep")).at(&origin));
        }
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let text = interpolate(&text, self.environment).map_err(|wrong| wrong.at(&origin))?;
                self.spend((0, text.len()), &origin)?;
                Value::Scalar { text, plain }
            }
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => list.push(self.node(event, line, depth + 1)?),
                    }
                }
                Value::List(list)
            }
            Event::MappingStart(..) => Value::Map(self.entries(depth)?),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(Wrong::new("an alias stands within what it repeats").at(&origin));
                };
                self.spend(count(&node), &origin)?;
                return Ok(node);
            }
            _ => return Err(Wrong::new("a value is missing").at(&origin)),
        };
        let node = Node { value, origin };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Read<Vec<(Key, Node)>> {
        let mut entries = Vec::new();
        let mut names = HashSet::new();
        loop {
            let (event, line) = self.next()?;
            let origin = self.origin(line);
            let name = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(name, ..) => name.into_owned(),
                _ => return Err(Wrong::new("a key is text").at(&origin)),
            };
            self.spend((1, name.len()), &origin)?;
            if !names.insert(name.clone()) {
                return Err(Wrong::new("this setting is given twice").within(name).at(&origin));
            }
            let (event, line) = self.next()?;
            let node = self.node(event, line, depth + 1).map_err(|wrong| wrong.within(name.clone()))?;
            entries.push((Key { name, origin }, node));
        }
    }

    fn spend(&mut self, (nodes, bytes): (usize, usize), origin: &Origin) -> Read<()> {
        let Some(nodes) = self.left.0.checked_sub(nodes) else {
            return Err(Wrong::new(format!("the file has more than {MAX_NODES} values")).at(origin));
        };
        let Some(bytes) = self.left.1.checked_sub(bytes) else { return Err(too_large().at(origin)) };
        self.left = (nodes, bytes);
        Ok(())
    }
}

fn too_large() -> Wrong {
    Wrong::new("the texts of the file, with variables and repetitions, are larger than 1 MiB")
}

/// The nodes, and the bytes of texts.
fn count(node: &Node) -> (usize, usize) {
    let add = |sum: (usize, usize), more: (usize, usize)| (sum.0 + more.0, sum.1 + more.1);
    match &node.value {
        Value::Scalar { text, .. } => (1, text.len()),
        Value::List(list) => list.iter().map(count).fold((1, 0), add),
        Value::Map(map) => {
            map.iter().map(|(key, node)| add((1, key.name.len()), count(node))).fold((1, 0), add)
        }
    }
}

/// Replaces `${VAR}`, and `${VAR:-default}` where the variable is not set or empty; `$${` is a `${` that stays.
fn interpolate(text: &str, environment: &Environment) -> Read<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(before);
        let unclosed = || Wrong::new("a `${` has no `}`; write `$${` for one that is no variable");
        let (inner, after) = after.get(2..).and_then(|after| after.split_once('}')).ok_or_else(unclosed)?;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(Wrong::new("`${..}` holds the name of a variable; write `$${` for one that is none"));
        }
        match environment.get(name).or(default) {
            Some(text) if out.len() + text.len() <= MAX_BYTES => out.push_str(text),
            Some(_) => return Err(too_large()),
            None => {
                let message =
                    format!("the variable {name} is not set; set it, or write `${{{name}:-default}}`");
                return Err(Wrong::new(message));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, settings::Scope};
    use serde::Deserialize;
    use std::collections::BTreeMap;

    fn environment() -> Environment {
        [("HOST", "example"), ("EMPTY", ""), ("LONG", "0123456789abcdef"), ("PORT", "80")]
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    }

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
        let node = parse(text, "f.yaml", &environment())?;
        let scope = Scope::of(environment(), Vec::new(), Vec::new());
        Settings { node, path: String::new(), scope }.read()
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        name: String,
        version: String,
        port: u16,
        ratio: f64,
        on: bool,
        tags: Vec<String>,
        labels: BTreeMap<String, String>,
        inner: Option<Box<Example>>,
    }

    impl Default for Example {
        fn default() -> Self {
            let (tags, labels) = Default::default();
            Self {
                name: "n".into(),
                version: "v".into(),
                port: 1,
                ratio: 0.5,
                on: false,
                tags,
                labels,
                inner: None,
            }
        }
    }

    #[test]
    fn the_type_decides_what_a_text_is() {
        let text = "name: 1.10\nversion: '1'\nport: ${PORT}\nratio: 1\non: true\ntags: [a, 1, \"${HOST}\", '$${HOST}']\n\
                    labels: {x: y, z: 5}\ninner: {name: '${EMPTY:-d}${NONE:-}x', inner: ~}\n";
        let tags = ["a", "1", "example", "${HOST}"].map(str::to_owned).to_vec();
        let labels = [("x", "y"), ("z", "5")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let inner = Some(Box::new(Example { name: "dx".into(), ..Example::default() }));
        let (name, version) = ("1.10".into(), "1".into());
        let expected = Example { name, version, port: 80, ratio: 1.0, on: true, tags, labels, inner };
        assert_eq!(read::<Example>(text).unwrap(), expected);
        assert_eq!(read::<Example>("").unwrap(), Example::default());
        assert_eq!(read::<Example>("# nothing\n---\n").unwrap(), Example::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_place_and_cure_and_without_the_value() {
        for (text, parts) in [
            ("name: [hunter2]", &["setting: name", "f.yaml:1", "expected a string, found a list"][..]),
            ("a: b\nprot: 1", &["setting: a", "f.yaml:1"]),
            ("\nprot: hunter2", &["did you mean `port`?", "f.yaml:2", "setting: prot"]),
            ("port: hunter2", &["expected u16, found text", "setting: port"]),
            ("port: 70000", &["the value is not u16"]),
            ("on: hunter2", &["true or false"]),
            ("inner:\n  inner:\n    port: hunter2", &["setting: inner.inner.port", "f.yaml:3"]),
            ("tags:\n- a\n- {x: hunter2}", &["setting: tags[1]", "f.yaml:3"]),
            ("name: a\nname: hunter2", &["given twice", "f.yaml:2"]),
            ("name: ${NONE}", &["NONE", ":-default", "f.yaml:1"]),
            ("name: ${hunter2", &["`}`"]),
            ("name: ${hunter2 x}", &["name of a variable"]),
            ("name: 'hunter2", &["not YAML", "unclosed quote"]),
            ("name: a\n---\nname: hunter2", &["one document"]),
            ("hunter2", &["expected struct Example, found text"]),
            ("? [hunter2]\n: x", &["a key is text"]),
            ("a: &a [*a, hunter2]", &["f.yaml:1"]),
        ] {
            let error = read::<Example>(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{text:?}: {error}");
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error} lacks {part:?}");
            }
        }
    }

    /// Of this many, each compared with all before it took seconds.
    #[test]
    fn many_keys_are_no_bomb() {
        let text: String = (0..MAX_NODES / 2 - 1).map(|n| format!("k{n}: \n")).collect();
        parse(&text, "f.yaml", &environment()).unwrap();
        let error = parse(&format!("{text}k7: \n"), "f.yaml", &environment()).unwrap_err().to_string();
        assert!(error.contains("given twice") && error.contains("setting: k7"), "{error}");
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let alias = format!("*a{}, ", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", alias.repeat(10)));
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mixed = (0..100).map(|n| format!("{}- [\n", " ".repeat(n))).collect::<String>();
        let repeated = format!("[&a {}, {}]", "x".repeat(MAX_BYTES / 4), "*a, ".repeat(1000));
        let variables = format!("- {}\n", "${LONG}".repeat(MAX_BYTES / 8));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(10_000));
        for text in
            [bomb, long, deep, mixed, repeated, variables, "a".repeat(MAX_BYTES + 1), "- ".repeat(1000)]
        {
            let error = parse(&text, "f.yaml", &environment()).unwrap_err();
            assert!(error.to_string().len() < 300, "{error}");
        }
    }
}
