//! Reads a journal's lines, none longer than there is memory for.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

/// The complete lines of a file; what no line feed ends is none.
#[derive(Debug)]
pub(crate) struct Lines {
    file: BufReader<File>,
    at: u64,
    longest: u64,
}

/// A line, and where it begins.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: u64,
    /// Its line feed included; `None` where it is too long.
    pub(crate) text: Option<Vec<u8>>,
}

impl Lines {
    pub(crate) fn new(file: File, longest: usize) -> Self {
        Self { file: BufReader::new(file), at: 0, longest: longest as u64 }
    }

    /// The next line.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let at = self.at;
        let mut text = Vec::new();
        let mut fits = true;
        loop {
            let read = self.file.by_ref().take(self.longest).read_until(b'\n', &mut text)?;
            self.at += read as u64;
            if text.last() == Some(&b'\n') {
                return Ok(Some(Line { at, text: fits.then_some(text) }));
            }
            if read == 0 {
                return Ok(None);
            }
            fits = fits && text.len() as u64 != self.longest;
            if !fits {
                text.clear();
            }
        }
    }
}
