//! The configuration of a whole profiler: from a file, and from the environment.

mod file;
mod leg;
#[cfg(feature = "yaml")]
mod load;
mod variables;
#[cfg(feature = "yaml")]
mod yaml;

pub(crate) use file::Config;
pub(crate) use leg::Sink;
