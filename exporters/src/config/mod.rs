//! The configuration of a whole profiler: from a file, and from the environment.

mod file;
#[cfg(feature = "yaml")]
pub mod fuzz;
mod leg;
#[cfg(feature = "yaml")]
mod load;
mod sampler;
#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod tests;
mod variables;
#[cfg(feature = "yaml")]
pub(crate) mod yaml;

pub(crate) use file::Config;
pub(crate) use leg::Sink;
#[cfg(feature = "schema")]
pub use schema::schema;

use crate::{AnyExporter, Result, Settings, backends::KINDS, exporter::factory::Kinds, settings::Scope};

/// The names of all kinds of exporters that are registered: what `type:` in a configuration file can be.
///
/// Each `#[derive(Exporter)]` registers one, wherever it is, as long as the program links the crate it is in.
///
/// # Errors
/// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where two are registered under one name; the error says where both are.
pub fn kinds() -> Result<Vec<&'static str>> {
    Kinds::registered(KINDS).map(|kinds| kinds.names())
}

/// The variables of an exporter in a route, by its name.
pub(crate) fn scope_within(route: &Scope, name: &str) -> Scope {
    Scope::of(route.environment.clone(), vec![variables::prefix(name)], Vec::new())
}

impl AnyExporter {
    /// An exporter of a registered kind.
    ///
    /// ```
    /// # use exporters::{AnyExporter, Settings};
    /// let settings = Settings::from_env("MY_MEMORY"); // MY_MEMORY_CAPACITY
    /// let exporter = AnyExporter::of_kind("memory", settings)?;
    /// # Ok::<(), exporters::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where there is no such kind, or a setting is wrong.
    pub fn of_kind(kind: &str, settings: Settings) -> Result<Self> {
        Kinds::registered(KINDS)?.find(kind)?.build(settings)
    }
}
