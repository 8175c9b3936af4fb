//! Settings before they have a type: a tree from a file, the environment or the program, read into any `Deserialize`.
//!
//! Whatever is wrong is told with its place and its cure, and never with a value, since any value may be a secret.

#[cfg(test)]
mod corners;
mod de;
mod endpoint;
mod names;
mod node;
mod numbers;
mod scope;
mod secrets;
mod units;
mod wrong;

pub use endpoint::Endpoint;
pub(crate) use names::Names;
pub(crate) use node::{Key, Node, Origin, Value};
pub(crate) use scope::{Environment, Scope, variable_name};

pub use units::{duration, size};
pub(crate) use wrong::{Wrong, nearest, nearest_after};

use crate::{Error, Result};
use serde::de::DeserializeOwned;

/// The settings of one exporter, or of another part of the configuration.
///
/// Reading takes into account that a field `x` may be given as `x`, as the variable `PREFIX_X`, or, for a
/// [`Secret`](crate::Secret), as the file `PREFIX_X_FILE`, or as `x_secret` or `PREFIX_X_SECRET`, the name of one in the secrets
/// directory. An unknown key is an error.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) node: Node,
    pub(crate) path: String,
    pub(crate) scope: Scope,
}

impl Settings {
    /// Settings that only the environment gives: `PREFIX_FIELD` for each field.
    pub fn from_env(prefix: &str) -> Self {
        let scope = Scope::new(Environment::of_process(), prefix);
        Self { node: Node::empty(Origin::Code), path: String::new(), scope }
    }

    /// The settings as a `T`.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) naming the setting, where it stands, and what it takes.
    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        let Self { mut node, path, scope } = self;
        let mut texts = Vec::new();
        wrong::texts(&node, &mut texts);
        let read = |node: &Node| T::deserialize(de::De::new(node.clone(), scope.clone()));
        let mut result = read(&node);
        // That two names are one setting's serde tells only where both are given; here by a file, and by a variable, which is over it.
        while let Err(wrong) = &result {
            let tries = wrong.renamings(&node).into_iter().map(|renamed| (read(&renamed), renamed));
            let is_same = |other: &Result<T, Wrong>| other.as_ref().is_err_and(|other| other.is_same(wrong));
            let Some(better) = tries.into_iter().find(|(other, _)| !is_same(other)) else { break };
            (result, node) = better;
        }
        result.map_err(|wrong| {
            texts.extend(scope.environment.used());
            wrong.without(texts).into_error(&path)
        })
    }

    /// Takes out what is given of `names`, as settings of their own.
    #[cfg(feature = "http")]
    pub(crate) fn take(&mut self, names: &[&str]) -> Self {
        let taken = names.iter().filter_map(|name| self.node.take(name)).collect();
        let node = Node { value: Value::Map(taken), origin: self.node.origin.clone() };
        Self { node, path: self.path.clone(), scope: self.scope.clone() }
    }
}

impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Self {
        wrong.into_error("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use serde::Deserialize;
    use std::{collections::BTreeMap, fs, time::Duration};

    #[derive(Debug, Deserialize)]
    struct Example {
        endpoint: Endpoint,
        token: Option<Secret>,
        #[serde(alias = "wait_seconds", default, deserialize_with = "duration::option::deserialize")]
        wait: Option<Duration>,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        auth: Auth,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Auth {
        user: String,
        tries: u8,
    }

    fn settings(file: &[(&str, &str)], variables: &[(&str, &str)]) -> Settings {
        let environment =
            variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let line = Origin::File { file: "f.yaml".into(), line: 7 };
        let mut node = Node::empty(line.clone());
        for (key, text) in file {
            let key = Key { name: (*key).to_owned(), origin: line.clone() };
            node.put(key, Node { value: Value::plain(*text), origin: line.clone() });
        }
        Settings {
            node,
            path: "exporters[0].config".into(),
            scope: Scope::new(environment, "PROFILING_ACME"),
        }
    }

    #[test]
    fn variables_come_before_the_file() {
        let example: Example = settings(
            &[("endpoint", "http://file/"), ("wait_seconds", "5")],
            &[
                ("PROFILING_ACME_ENDPOINT", "http://variable/"),
                ("PROFILING_ACME_LABELS", "a=b, c=d=e"),
                ("PROFILING_ACME_TAGS", "x, y"),
                ("PROFILING_ACME_AUTH_TRIES", "3"),
                ("PROFILING_ACME_TOKEN", "hunter2"),
            ],
        )
        .read()
        .unwrap();
        assert_eq!(example.endpoint.to_string(), "http://variable/");
        assert_eq!(example.wait, Some(Duration::from_secs(5)));
        assert_eq!(
            example.labels,
            [("a", "b"), ("c", "d=e")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
        assert_eq!(example.tags, ["x", "y"]);
        assert_eq!(example.auth, Auth { user: String::new(), tries: 3 });
        assert_eq!(example.token, Some(Secret::new("hunter2")));
        assert!(!format!("{example:?}").contains("hunter2"));
    }

    #[test]
    fn secrets_come_from_files_too() {
        let folder = std::env::temp_dir().join(format!("exporters-settings-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("acme-token"), "from a file\n").unwrap();
        let (folder, file) = (folder.to_str().unwrap(), folder.join("acme-token"));
        let url = ("endpoint", "http://h/");
        let token = |file: &[(&str, &str)], variables: &[(&str, &str)]| {
            settings(file, variables)
                .read::<Example>()
                .map(|example| example.token.unwrap().expose(str::to_owned))
        };
        let by_name = [url, ("token_secret", "acme-token")];
        let found = token(&by_name, &[("PROFILING_SECRETS_DIR", folder), ("ACME_TOKEN", "no")]).unwrap();
        assert_eq!(found, "from a file");
        let found = token(&by_name, &[("PROFILING_SECRETS_DIR", "/nonexistent"), ("ACME_TOKEN", "variable")])
            .unwrap();
        assert_eq!(found, "variable");
        let by_name_in_variable =
            [("PROFILING_ACME_TOKEN_SECRET", "acme-token"), ("PROFILING_SECRETS_DIR", folder)];
        assert_eq!(token(&[url], &by_name_in_variable).unwrap(), "from a file");
        let by_file = [("PROFILING_ACME_TOKEN_FILE", file.to_str().unwrap())];
        assert_eq!(token(&[url], &by_file).unwrap(), "from a file");

        for (file, variables, part) in [
            (
                &by_name[..],
                &[("PROFILING_SECRETS_DIR", "/nonexistent")][..],
                "(10 characters), neither a file in /nonexistent nor",
            ),
            (&[url, ("token_secret", "hunter2")], &[], "(7 characters), neither a file in /run/secrets nor"),
            (
                &[url, ("token_secret", "HUNTER2_hunter2")],
                &[],
                "setting: exporters[0].config.token_secret, in: f.yaml:7",
            ),
            (
                &[url],
                &[("PROFILING_ACME_TOKEN_SECRET", "hunter2")],
                "in: the variable PROFILING_ACME_TOKEN_SECRET",
            ),
            (&[url, ("token_secret", "../x")], &[], "the name of a file"),
            (
                &[url],
                &[("PROFILING_ACME_TOKEN", "hunter2"), ("PROFILING_ACME_TOKEN_FILE", "x")],
                "two variables are set",
            ),
            (&[url], &[("PROFILING_ACME_TOKEN_FILE", "/nonexistent")], "cannot be read"),
        ] {
            let error = token(file, variables).unwrap_err().to_string();
            assert!(error.contains(part) && !error.to_lowercase().contains("hunter2"), "{error}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_wrong_names_setting_and_place() {
        for (file, variables, parts) in [
            (&[][..], &[][..], &["required", "exporters[0].config.endpoint", "f.yaml:7"][..]),
            (&[("endpoint", "hunter2")], &[], &["http://", "setting: exporters[0].config.endpoint"]),
            (&[("endpoint", "http://h"), ("wait", "hunter2")], &[], &["500ms", ".wait"]),
            (&[("endpoint", "http://h"), ("wait", "5")], &[], &["500ms", ".wait"]),
            (
                &[("endpoint", "http://h")],
                &[("PROFILING_ACME_AUTH_TRIES", "hunter2")],
                &["expected u8", ".auth.tries", "the variable PROFILING_ACME_AUTH_TRIES"],
            ),
            (&[("endpoint", "http://h")], &[("PROFILING_ACME_LABELS", "hunter2")], &["key=value", ".labels"]),
            (&[("endpont", "hunter2")], &[], &["did you mean `endpoint`?", "f.yaml:7"]),
            (
                &[("endpoint", "http://h"), ("token", "~")],
                &[("PROFILING_ACME_TOKEN_X", "hunter2")],
                &[".token"],
            ),
        ] {
            let error = settings(file, variables).read::<Example>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            for part in parts {
                assert!(error.contains(part), "{error} lacks {part:?}");
            }
        }
    }

    #[test]
    fn a_value_in_somebody_elses_message_is_taken_out() {
        #[derive(Debug)]
        struct Picky;
        impl<'de> Deserialize<'de> for Picky {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Err(serde::de::Error::custom(format!("I do not like {text}")))
            }
        }
        #[derive(Debug, Deserialize)]
        struct Outer {
            _token: Picky,
        }
        let error = settings(&[("_token", "hunter2")], &[]).read::<Outer>().unwrap_err().to_string();
        assert!(error.contains("I do not like …") && error.contains("_token"), "{error}");
    }
}
