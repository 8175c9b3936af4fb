//! What names may be, of metrics, labels, attributes and exporters: not empty, and no two alike. `#[derive(Exporter)]` has the same rule.

use crate::{Error, ErrorKind, Result};
use std::collections::HashSet;

/// The names that there are of one thing.
#[derive(Debug)]
pub(crate) struct Names {
    what: &'static str,
    known: HashSet<String>,
}

impl Names {
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, known: HashSet::new() }
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where it is empty, or there is one already.
    pub(crate) fn add(&mut self, name: &str) -> Result<()> {
        let (what, wrong) = (self.what, |message| Error::new(ErrorKind::ConfigInvalid, message));
        if name.trim().is_empty() {
            return Err(wrong(format!("the name of this {what} is empty; give it one")));
        }
        match self.known.insert(name.to_owned()) {
            true => Ok(()),
            false => {
                let message = format!("there is this {what} already; give one of the two another name");
                Err(wrong(message).with_context(what, name))
            }
        }
    }

    /// All at once.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn check<'a>(what: &'static str, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut all = Self::of(what);
        names.into_iter().try_for_each(|name| all.add(name))
    }
}
