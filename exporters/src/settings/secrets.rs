//! Secrets that are given by name: a file in the secrets directory, or a variable.

use super::{
    de::De,
    node::{Key, Node, Origin, Value},
    scope::{Scope, variable_name},
    wrong::Wrong,
};
use serde::Deserialize;
use std::path::PathBuf;

/// Where they are.
const SECRETS_DIR: &str = "/run/secrets";

/// The secret called so: a file in the secrets directory, or the variable of that name.
pub(super) fn by_name(node: Node, scope: &Scope) -> Result<Node, Wrong> {
    let origin = node.origin.clone();
    let name = String::deserialize(De::new(node, scope.without_variables()))?;
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(
            Wrong::new("the name of a secret is the name of a file in the secrets directory").at(&origin)
        );
    }
    let variable = |name: &str| scope.environment.get(name).map(str::to_owned);
    let directory = variable("PROFILING_SECRETS_DIR").map_or_else(|| SECRETS_DIR.into(), PathBuf::from);
    let file = directory.join(&name);
    if file.exists() {
        let text = Value::Scalar { text: file.to_string_lossy().into_owned(), plain: false };
        let key = Key { name: "file".into(), origin: origin.clone() };
        return Ok(Node {
            value: Value::Map(vec![(key, Node { value: text, origin: origin.clone() })]),
            origin,
        });
    }
    let named = variable_name(&name);
    match variable(&named) {
        Some(text) => {
            Ok(Node { value: Value::Scalar { text, plain: false }, origin: Origin::Variable(named.into()) })
        }
        // What stands there may be the secret itself, by mistake: it is not repeated, whatever it looks like.
        None => {
            let (characters, dir) = (name.chars().count(), directory.display());
            let message = format!(
                "there is no secret of the name that stands here ({characters} characters), neither a file in {dir} nor a variable \
                 (in upper case, with `_` for all but letters and digits); a secret itself belongs into the setting without `_secret`"
            );
            Err(Wrong::new(message).at(&origin))
        }
    }
}
