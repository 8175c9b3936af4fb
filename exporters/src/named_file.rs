//! Opens files by a name that somebody gave: none that must be waited for, or that never ends.

use std::{
    fs::{self, File},
    io::{Error, ErrorKind, Result},
    path::Path,
};

/// # Errors
/// The system's, and [`InvalidInput`](ErrorKind::InvalidInput) for a pipe, a socket or a device.
pub(crate) fn open(file: &Path) -> Result<File> {
    let found = fs::metadata(file)?.file_type();
    match found.is_file() || found.is_dir() {
        true => File::open(file),
        // Not opened, since that waits for who writes into a pipe.
        false => Err(Error::new(ErrorKind::InvalidInput, "it is a pipe or a device, and no file")),
    }
}

/// Why it could not be opened or read, in words without a value.
pub(crate) fn reason(error: &Error) -> String {
    error.get_ref().map_or_else(|| error.kind().to_string(), ToString::to_string)
}
