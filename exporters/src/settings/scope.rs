//! The environment, and the part of it that belongs to one group of settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// The variables as they were at one moment, and which of them were used.
#[derive(Clone)]
pub(crate) struct Environment(Arc<Variables>);

struct Variables {
    /// Those that are not Unicode without a text.
    all: BTreeMap<String, Option<String>>,
    used: Mutex<BTreeSet<String>>,
    /// The names that somebody would have taken.
    asked: Mutex<BTreeSet<String>>,
}

impl Environment {
    /// That of the process. What is empty is as if it were not there.
    pub(crate) fn of_process() -> Self {
        Self::of(env::vars_os())
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let variables = variables.filter(|(_, text)| !text.is_empty());
        let all =
            variables.filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok())));
        Self(Arc::new(Variables { all: all.collect(), used: Mutex::default(), asked: Mutex::default() }))
    }

    /// A variable that is set, not empty, and Unicode.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let text = self.0.all.get(name)?.as_deref()?;
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Some(text)
    }

    /// Whether `name` is in the list that a variable holds; `None` if it is not set.
    pub(crate) fn lists(&self, variable: &str, name: &str) -> Option<bool> {
        let list = self.get(variable)?;
        Some(list.split(',').any(|other| other.trim().eq_ignore_ascii_case(name)))
    }

    /// The names of those that begin with `prefix`.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from =
            self.0.all.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(name, _)| &**name).take_while(move |name| name.starts_with(prefix))
    }

    /// The names beginning with `prefix` that there are settings for, set or not.
    pub(crate) fn asked(&self, prefix: &str) -> Vec<String> {
        let asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// What was taken, whole and in the parts of a list.
    pub(super) fn used(&self) -> Vec<String> {
        let used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = used.iter().filter_map(|name| self.0.all.get(name)?.as_ref());
        let parts = |text: &String| {
            let parts = text.split([',', '=']).map(str::trim).map(str::to_owned);
            [text.clone()].into_iter().chain(parts).collect::<Vec<_>>()
        };
        texts.flat_map(parts).collect()
    }

    /// Whether anybody took it.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self::of(variables.into_iter().map(|(name, text)| (name.into(), text.into())))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.all.keys()).finish()
    }
}

/// The variables that are about one group of settings.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// All variables: a secret that is given by name may be one of them wherever its name stands.
    pub(crate) environment: Environment,
    /// What the names of its own begin with; nothing where no variable is about it.
    prefixes: Vec<String>,
    /// What the names of some that are not its own begin with, although they begin like its own.
    others: Arc<[String]>,
}

/// What a variable says of one field.
#[derive(Debug, PartialEq)]
pub(crate) enum Says {
    /// Its text.
    Text,
    /// The file that its text is in.
    File,
    /// The name of the secret that it is.
    Secret,
    /// Something of a part of it.
    Part,
}

impl Scope {
    /// `PREFIX_X` for a setting `x`.
    pub(crate) fn new(environment: Environment, prefix: &str) -> Self {
        Self::of(environment, vec![format!("{}_", variable_name(prefix))], Vec::new())
    }

    /// What begins with these prefixes, and with none of the others.
    pub(crate) fn of(environment: Environment, prefixes: Vec<String>, others: Vec<String>) -> Self {
        Self { environment, prefixes, others: others.into() }
    }

    /// Of something that no variable is about.
    pub(crate) fn without_variables(&self) -> Self {
        Self { prefixes: Vec::new(), ..self.clone() }
    }

    /// Whether any variable could be about it.
    pub(crate) fn has_variables(&self) -> bool {
        !self.prefixes.is_empty()
    }

    /// The variables of `field`.
    pub(crate) fn names<'a>(&'a self, field: &'a str) -> impl Iterator<Item = String> + 'a {
        self.prefixes.iter().map(move |prefix| format!("{prefix}{}", variable_name(field)))
    }

    pub(crate) fn within(&self, field: &str) -> Self {
        Self { prefixes: self.names(field).map(|name| name + "_").collect(), ..self.clone() }
    }

    /// Whether a variable gives the whole of `field`.
    #[cfg(feature = "http")]
    pub(crate) fn gives(&self, field: &str) -> bool {
        self.says(&[field]).iter().any(|(_, says, _)| *says != Says::Part)
    }

    /// What there is of each of `fields`: of two that a variable could mean, it means the one with the longer name.
    pub(crate) fn says<'f>(&self, fields: &[&'f str]) -> Vec<(&'f str, Says, String)> {
        let names = fields.iter().flat_map(|field| self.names(field));
        self.environment.0.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        let says = |prefix: &str, name: &str| {
            let rest = name.strip_prefix(prefix)?;
            if self.others.iter().any(|other| name.starts_with(other)) {
                return None;
            }
            let means = |field: &'f str| {
                let rest = rest.strip_prefix(&variable_name(field))?;
                Some((
                    field,
                    match rest {
                        "" => Says::Text,
                        "_FILE" => Says::File,
                        "_SECRET" => Says::Secret,
                        _ if rest.starts_with('_') => Says::Part,
                        _ => return None,
                    },
                ))
            };
            let (field, says) =
                fields.iter().filter_map(|field| means(field)).max_by_key(|(field, _)| field.len())?;
            Some((field, says, name.to_owned()))
        };
        let of = |prefix| self.environment.names(prefix).filter_map(move |name| says(prefix, name));
        self.prefixes.iter().flat_map(|prefix| of(&**prefix)).collect()
    }
}

/// How a name is written as, or in, that of a variable.
pub(crate) fn variable_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_is_not_unicode_is_refused_not_left_out() {
        use std::os::unix::ffi::OsStringExt;
        let variable = |name: &str, text: &[u8]| (name.into(), OsString::from_vec(text.to_vec()));
        let variables = [variable("P_NAME", b"hunter2\xff"), variable("P_EMPTY", b"")];
        let environment = Environment::of(variables.into_iter());
        assert_eq!(environment.get("P_NAME"), None);
        #[derive(Debug, serde::Deserialize)]
        struct Example {
            #[serde(rename = "name")]
            _name: Option<String>,
        }
        let node = crate::settings::Node::empty(crate::settings::Origin::Code);
        let scope = Scope::new(environment, "p");
        let settings = crate::Settings { node, path: String::new(), scope };
        let error = settings.read::<Example>().unwrap_err().to_string();
        assert!(
            error.contains("not Unicode") && error.contains("P_NAME") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn the_longest_name_is_meant() {
        let names =
            ["P_AUTH_TYPE", "P_AUTH_HEADER", "P_TOKEN_FILE", "P_NAME", "P_NAMES", "Q_NAME", "P_OTHER"];
        let environment = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let mut says = Scope::new(environment, "p").says(&["auth", "auth_header", "token", "name"]);
        says.sort_by(|a, b| a.2.cmp(&b.2));
        let expected = [
            ("auth_header", Says::Text, "P_AUTH_HEADER"),
            ("auth", Says::Part, "P_AUTH_TYPE"),
            ("name", Says::Text, "P_NAME"),
            ("token", Says::File, "P_TOKEN_FILE"),
        ];
        assert_eq!(says, expected.map(|(field, says, name)| (field, says, name.to_owned())));
    }
}
