//! What the work adds up to: words and how often they occur, and the counts that the summary shows.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use exporters::profiled;

use crate::work::{Failure, Processed};

/// How often each word occurs.
pub(crate) type Words = HashMap<String, u64>;

/// Words in the line of the most used ones.
const SHOWN: usize = 5;

/// What all files came to, over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: u64,
    bytes: u64,
    compressed: u64,
    unreadable: u64,
    not_utf8: u64,
    panicked: u64,
    aborted: u64,
    contents: HashSet<[u8; 32]>,
    words: Words,
}

// One attribute on the block profiles each of its functions.
#[profiled]
impl Index {
    /// Counts directories that could not be read.
    pub(crate) fn leave_out(&mut self, unreadable: u64) {
        self.unreadable += unreadable;
    }

    /// Adds the outcome of one file, and whether the task that watched it was aborted.
    pub(crate) fn add(&mut self, outcome: Result<Processed, Failure>, aborted: bool) {
        self.files += 1;
        self.aborted += u64::from(aborted);
        match outcome {
            Err(Failure::Read(_)) => self.unreadable += 1,
            Err(Failure::NotUtf8(bytes)) => {
                self.not_utf8 += 1;
                self.bytes += bytes;
            }
            Ok(file) => {
                self.bytes += file.bytes;
                self.compressed += file.compressed;
                self.panicked += u64::from(file.panicked);
                self.contents.insert(file.hash);
                self.merge(file.words);
            }
        }
    }

    fn merge(&mut self, words: Words) {
        for (word, count) in words {
            *self.words.entry(word).or_default() += count;
        }
    }

    /// The words used most, the first one the most.
    fn most_used(&self) -> Vec<(&str, u64)> {
        let mut words: Vec<_> = self.words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        words.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        words.truncate(SHOWN);
        words
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most_used: Vec<_> = self.most_used().iter().map(|(word, n)| format!("{word} {n}")).collect();
        writeln!(f, "files       {}", self.files)?;
        writeln!(f, "distinct    {}", self.contents.len())?;
        writeln!(f, "bytes       {}", self.bytes)?;
        writeln!(f, "compressed  {}", self.compressed)?;
        writeln!(f, "words       {}", self.words.values().sum::<u64>())?;
        writeln!(f, "most used   {}", most_used.join(", "))?;
        writeln!(f, "unreadable  {}", self.unreadable)?;
        writeln!(f, "not UTF-8   {}", self.not_utf8)?;
        writeln!(f, "panicked    {}", self.panicked)?;
        writeln!(f, "aborted     {}", self.aborted)
    }
}
