//! Settings before they have a type: a tree from a file, the environment or the program, read into any `Deserialize`.
//!
//! Whatever is wrong is told with its place and its cure, and never with a value, since any value may be a secret.

mod de;
mod endpoint;
mod node;
mod scope;
mod units;
mod wrong;

pub use endpoint::Endpoint;
pub(crate) use node::{Key, Node, Origin, Value};
pub(crate) use scope::{Environment, Scope};
pub(crate) use units::{DURATION, parse_duration};
pub use units::{duration, size};
pub(crate) use wrong::{Wrong, nearest};

use crate::{Error, Result};
use serde::de::DeserializeOwned;

/// The settings of one exporter, or of another part of the configuration.
///
/// Reading takes into account that a field `x` may be given as `x`, as the variable `PREFIX_X`, as the file `PREFIX_X_FILE`, or, for a
/// [`Secret`](crate::Secret), as `x_secret`, the name of one in the secrets directory. An unknown key is an error.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) node: Node,
    pub(crate) path: String,
    pub(crate) scope: Option<Scope>,
}

impl Settings {
    /// Settings that only the environment gives: `PREFIX_FIELD` for each field.
    pub fn from_env(prefix: &str) -> Self {
        let scope = Scope::new(Environment::of_process(), prefix);
        Self { node: Node::empty(Origin::Code), path: String::new(), scope: Some(scope) }
    }

    /// The settings as a `T`.
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) naming the setting, where it stands, and what it takes.
    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        let path = self.path.clone();
        T::deserialize(de::De::new(self.node, self.scope)).map_err(|wrong| wrong.into_error(&path))
    }

    /// Takes out what is given of `names`, as settings of their own.
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
