//! A function with a bug: it panics on some input, is caught, and both is seen in the table.

use exporters::profiled;

/// A title is cut to this many bytes.
const LENGTH: usize = 60;

/// The first line, shortened. Where the cut falls within a character, it panics.
#[profiled]
pub(crate) fn title(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    &line[..line.len().min(LENGTH)]
}

/// Leaves the panics of this file unprinted, since they are caught and counted; all others are as before.
pub(crate) fn silence() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_none_or(|location| location.file() != file!()) {
            others(panic);
        }
    }));
}
