//! Slots: the directories of a leg, each of them one process's own for as long as that holds its lock.

use crate::journal;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
};

/// How many processes may share a directory.
const MOST: u32 = 1000;
/// Bytes of a name; a file system may have room for 255.
const LONGEST: usize = 200;
const LOCK: &str = ".lock";

/// A directory, locked.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) directory: PathBuf,
    lock: File,
    process: u32,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Else it would be held for as long as somebody lives who was forked meanwhile, be it only until it runs something else.
        if self.is_ours() {
            let _ = self.lock.unlock();
        }
    }
}

impl Slot {
    /// The first one that nobody has.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn claim(directory: &Path, leg: &str) -> io::Result<Self> {
        let first = first(directory, leg);
        journal::make_directory(first.parent().unwrap_or(directory))?;
        let mut why = None;
        for number in 0..MOST {
            let slot = numbered(&first, number);
            match journal::make_directory(&slot).and_then(|()| Self::lock(&slot)) {
                Ok(Some(slot)) => return Ok(slot),
                Ok(None) => {}
                // Something else has the name.
                Err(error) => _ = why.get_or_insert(error),
            }
        }
        Err(why.unwrap_or_else(|| io::Error::new(io::ErrorKind::ResourceBusy, "too many processes share it")))
    }

    /// All others that nobody has, such as those of processes that were killed.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn others(directory: &Path, leg: &str) -> io::Result<Vec<Self>> {
        let first = first(directory, leg);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(first.parent().unwrap_or(directory))? {
            let path = entry?.path();
            numbers.extend(number(&first, &path));
        }
        numbers.sort_unstable();
        let lock = |number| Self::lock(&numbered(&first, number)).ok().flatten();
        Ok(numbers.into_iter().filter_map(lock).collect())
    }

    /// `None` where somebody has it.
    fn lock(directory: &Path) -> io::Result<Option<Self>> {
        // A link would lead away.
        if !fs::symlink_metadata(directory)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let lock = journal::open(&directory.join(LOCK), |options| options.create(true))?;
        Ok(lock.map(|lock| Self { directory: directory.to_owned(), lock, process: process::id() }))
    }

    /// Whether it is still there, and not another one in its place, which somebody else may have.
    ///
    /// # Errors
    /// The system's, where that cannot be said.
    pub(super) fn is_there(&self) -> io::Result<bool> {
        let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match fs::symlink_metadata(self.directory.join(LOCK)) {
            Ok(there) => Ok(place(there) == place(self.lock.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether this is the process that locked it, and no child of it.
    pub(super) fn is_ours(&self) -> bool {
        self.process == process::id()
    }

    /// Removes the directory, if nothing else is in it.
    pub(super) fn remove(&self) {
        if self.is_there().is_ok_and(|there| there) {
            let _ = fs::remove_file(self.directory.join(LOCK));
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

/// A leg's first directory: lower case letters, digits, `-` and `_` of its name stand for themselves, other bytes for `%` and their
/// number, so that no two names have the same, not even where case makes no difference; a long name is several, one in the other.
fn first(directory: &Path, leg: &str) -> PathBuf {
    let mut name = String::new();
    for byte in leg.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    let mut path = directory.to_owned();
    let mut rest = &*name;
    while let Some((part, more)) = rest.split_at_checked(LONGEST) {
        path.push(part);
        rest = more;
    }
    match rest {
        "" => path,
        rest => path.join(rest),
    }
}

/// Those after the first have a number behind it.
fn numbered(first: &Path, number: u32) -> PathBuf {
    match number {
        0 => first.to_owned(),
        number => first.with_added_extension(number.to_string()),
    }
}

/// Its number, if it is a slot of that leg.
fn number(first: &Path, path: &Path) -> Option<u32> {
    let rest = path.file_name()?.to_str()?.strip_prefix(first.file_name()?.to_str()?)?;
    let number = match rest {
        "" => 0,
        rest => rest.strip_prefix('.')?.parse().ok()?,
    };
    (number < MOST && numbered(first, number).file_name() == path.file_name()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::Temp;
    use std::{collections::HashSet, path::Component};

    #[test]
    fn every_name_has_a_directory_of_its_own_inside() {
        let long = ["x".repeat(199), "x".repeat(200), "x".repeat(201), "x".repeat(400), "é".repeat(3000)];
        let short = [
            "", "%", "%25", "a", "A", "a.1", "a/1", ".", "..", "../a", "/a", "a\0", "é", ".lock", "lock",
            "a ", "-",
        ];
        let names: Vec<&str> = short.into_iter().chain(long.iter().map(|name| &**name)).collect();
        let mut seen = HashSet::new();
        for name in &names {
            for number in [0, 1, 12] {
                let path = numbered(&first(Path::new("/d"), name), number);
                let inside = path.strip_prefix("/d").unwrap();
                assert!(inside.components().all(|part| matches!(part, Component::Normal(part)
                    if part.len() < 255 && !part.to_str().unwrap().starts_with('.'))));
                assert!(seen.insert(path.to_str().unwrap().to_lowercase()), "{name:?}");
            }
        }
    }

    #[test]
    fn whoever_comes_second_has_the_next_one() {
        let temp = Temp::new();
        for leg in ["a", "", "../up", &"x".repeat(1000)] {
            let name = |slot: &Slot| number(&first(&temp.0, leg), &slot.directory);
            let one = Slot::claim(&temp.0, leg).unwrap();
            let two = Slot::claim(&temp.0, leg).unwrap();
            assert_eq!((name(&one), name(&two)), (Some(0), Some(1)));
            assert!(Slot::others(&temp.0, leg).unwrap().is_empty(), "somebody has them");
            drop(two);
            let others = Slot::others(&temp.0, leg).unwrap();
            assert_eq!(others.iter().map(name).collect::<Vec<_>>(), [Some(1)]);
            assert_eq!(name(&Slot::claim(&temp.0, leg).unwrap()), Some(2));
            others[0].remove();
            assert!(!others[0].is_there().unwrap() && one.is_there().unwrap());
        }
    }

    #[test]
    fn what_is_no_directory_is_passed_over() {
        let temp = Temp::new();
        let elsewhere = temp.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, temp.0.join("a")).unwrap();
        std::os::unix::fs::symlink(temp.0.join("nowhere"), temp.0.join("a.1")).unwrap();
        fs::write(temp.0.join("a.2"), "").unwrap();
        fs::create_dir_all(temp.0.join("a.3/.lock")).unwrap();
        fs::create_dir(temp.0.join("a.04")).unwrap();
        let slot = Slot::claim(&temp.0, "a").unwrap();
        assert_eq!(slot.directory, temp.0.join("a.4"));
        assert!(Slot::others(&temp.0, "a").unwrap().is_empty());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert_eq!(fs::metadata(&slot.directory).unwrap().mode() & 0o777, 0o700);
        // Renamed away, or deleted: it is not ours any more.
        fs::rename(&slot.directory, temp.0.join("b")).unwrap();
        assert!(!slot.is_there().unwrap());
        fs::create_dir(&slot.directory).unwrap();
        fs::write(slot.directory.join(LOCK), "").unwrap();
        assert!(!slot.is_there().unwrap());
    }
}
