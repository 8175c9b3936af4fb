//! What the environment says of exporters: which ones it switches on, and which of its variables nobody knows.

use super::leg::prefix;
use crate::{
    Error, ErrorKind, Result,
    exporter::factory::Kinds,
    settings::{Environment, nearest, variable_name},
};

/// The variables that belong to no exporter.
const GENERAL: &[&str] =
    &["PROFILING_DISABLED", "PROFILING_EXPORTERS_CONFIG", "PROFILING_SECRETS_DIR", "PROFILING_INTERVAL"];

/// The kind that a variable is about: of two, the one with the longer name.
fn kind_of<'k>(variable: &str, kinds: &[&'k str]) -> Option<&'k str> {
    let about = |kind: &&&str| variable.starts_with(&format!("{}_", variable_name(&prefix(kind))));
    kinds.iter().filter(about).max_by_key(|kind| kind.len()).copied()
}

/// The kinds that variables are about.
pub(super) fn kinds_of_variables<'k>(environment: &Environment, kinds: &[&'k str]) -> Vec<&'k str> {
    let mut found: Vec<_> = environment.names("PROFILING_").filter_map(|name| kind_of(name, kinds)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Refuses variables of exporters that run which none of their settings took: they are most likely misspelt.
pub(super) fn refuse_unknown(environment: &Environment, kinds: &Kinds, running: &[String]) -> Result<()> {
    let names = kinds.names();
    for variable in environment.names("PROFILING_") {
        if GENERAL.contains(&variable) && environment.get(variable).is_none() {
            let error = Error::new(ErrorKind::ConfigInvalid, "this variable is not Unicode");
            return Err(error.with_context("variable", variable));
        }
        if environment.is_used(variable) {
            continue;
        }
        match kind_of(variable, &names) {
            Some(kind) if running.iter().any(|running| running == kind) => {
                let known = environment.asked(&format!("{}_", variable_name(&prefix(kind))));
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let hint = nearest(variable, &known);
                let message = format!("no setting of the exporter has this variable{hint}");
                let error = Error::new(ErrorKind::ConfigInvalid, message);
                return Err(error.with_context("variable", variable).with_context("exporter", kind));
            }
            _ => tracing::warn!(target: "exporters", variable, "nothing takes this variable"),
        }
    }
    Ok(())
}
