//! What names may be: the library's rule for mappings in a file, which a macro cannot ask.
//!
//! It depends on nothing, so that a test can read it beside the library's own (`tests/tests/derived_sources.rs`).

/// Whether it says nothing.
pub(crate) fn is_empty(name: &str) -> bool {
    name.trim().is_empty()
}

/// The places of those that another one before has.
pub(crate) fn repeated(names: &[String]) -> Vec<usize> {
    let is_known =
        |at: &usize| names.get(*at).is_some_and(|name| names.iter().take(*at).any(|other| other == name));
    (0..names.len()).filter(is_known).collect()
}
