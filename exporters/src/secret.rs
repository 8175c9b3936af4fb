//! `Secret`: a value that is used and never shown, and that is read again where it came from a file.

use crate::{Error, ErrorKind, Result, named_file};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
};
use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};
use zeroize::Zeroizing;

/// What is printed in place of a secret, whatever its length.
const REDACTED: &str = "[REDACTED]";
/// A larger file is no secret.
const MAX_BYTES: u64 = 64 * 1024;
/// The name under which a deserializer of ours is asked for one.
pub(crate) const NAME: &str = "exporters::Secret";

/// A credential. `Debug`, `Display` and `Serialize` show `[REDACTED]`; its memory is cleared when it is dropped.
///
/// In a configuration file it is text, or `{ file: PATH }`, whose content it is, less one line break at the end. One that came
/// from a file is read again when a backend refuses it. Clones share the value.
///
/// ```
/// let secret = exporters::Secret::new("hunter2");
/// assert_eq!(secret.expose(|text| text.len()), 7);
/// assert_eq!(format!("{secret:?} {secret}"), "[REDACTED] [REDACTED]");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    value: RwLock<Zeroizing<String>>,
    file: Option<PathBuf>,
}

impl Secret {
    /// Keeps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Arc::new(Inner { value: RwLock::new(Zeroizing::new(value.into())), file: None }))
    }

    /// Keeps what is in `file`, less one line break at its end.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where the file cannot be read, is not UTF-8, empty, or larger than 64 KiB.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self> {
        let file = file.into();
        let value = RwLock::new(read(&file)?);
        Ok(Self(Arc::new(Inner { value, file: Some(file) })))
    }

    /// Lends the value to `use_it`.
    pub fn expose<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        use_it(&self.0.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again that it came from; tells whether the value is another one now.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file); the value stays as it was.
    pub fn refresh(&self) -> Result<bool> {
        let Some(file) = &self.0.file else { return Ok(false) };
        let new = read(file)?;
        let mut value = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *new != **value;
        *value = new;
        Ok(changed)
    }

    /// Whether it has no characters.
    pub fn is_empty(&self) -> bool {
        self.expose(str::is_empty)
    }
}

fn read(file: &Path) -> Result<Zeroizing<String>> {
    let wrong = |message: &'static str| {
        Error::new(ErrorKind::ConfigInvalid, message).with_context("file", file.display())
    };
    let unreadable = |error: io::Error| {
        wrong("the file of a secret cannot be read").with_context("reason", named_file::reason(&error))
    };
    let mut text = Zeroizing::new(String::new());
    let read = named_file::open(file).and_then(|open| open.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(wrong("the file of a secret is not text"))
        }
        Err(error) => Err(unreadable(error)),
        Ok(bytes) if bytes as u64 > MAX_BYTES => Err(wrong("the file of a secret is larger than 64 KiB")),
        Ok(_) => {
            let end =
                text.strip_suffix('\n').map_or(&**text, |text| text.strip_suffix('\r').unwrap_or(text)).len();
            text.truncate(end);
            if text.is_empty() { Err(wrong("the file of a secret is empty")) } else { Ok(text) }
        }
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl PartialEq for Secret {
    /// In constant time for values of one length.
    fn eq(&self, other: &Self) -> bool {
        self.expose(|a| {
            other.expose(|b| {
                a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
            })
        })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or `{ file: PATH }`")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
                deserializer.deserialize_any(self)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                match text {
                    "" => Err(E::custom("a secret is empty")),
                    text => Ok(Secret::new(text)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(de::Error::missing_field("file"));
                };
                if key != "file" {
                    return Err(de::Error::unknown_field(&key, &["file"]));
                }
                let file: PathBuf = map.next_value()?;
                match map.next_key::<String>()? {
                    Some(key) => Err(de::Error::unknown_field(&key, &["file"])),
                    None => Secret::from_file(file).map_err(de::Error::custom),
                }
            }
        }
        deserializer.deserialize_newtype_struct(NAME, Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)).matches("hunter2").count(), 0);
        assert_eq!(secret, Secret::new("hunter2"));
        assert_ne!(secret, Secret::new("hunter3"));
        assert_ne!(secret, Secret::new("hunter"));
    }

    #[test]
    fn nobody_waits_for_what_is_no_file() {
        use std::os::unix::ffi::OsStrExt;
        let pipe = std::env::temp_dir().join(format!("exporters-secret-pipe-{}", std::process::id()));
        let path = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends in a zero.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        for no_file in [&*pipe, Path::new("/dev/zero")] {
            let error = Secret::from_file(no_file).unwrap_err().to_string();
            assert!(error.contains("a pipe or a device"), "{error}");
        }
        let error = Secret::from_file(std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("is a directory"), "{error}");
        fs::remove_file(pipe).unwrap();
    }

    #[test]
    fn a_file_is_read_again() {
        let file = std::env::temp_dir().join(format!("exporters-secret-{}", std::process::id()));
        fs::write(&file, "one\n").unwrap();
        let secret = Secret::from_file(&file).unwrap();
        let clone = secret.clone();
        assert!(!secret.refresh().unwrap());
        fs::write(&file, "two\n\n").unwrap();
        assert!(secret.refresh().unwrap());
        assert_eq!(clone.expose(str::to_owned), "two\n");
        fs::remove_file(&file).unwrap();
        let error = secret.refresh().unwrap_err().to_string();
        assert!(error.contains("cannot be read") && !error.contains("two"), "{error}");
        assert_eq!(clone.expose(str::to_owned), "two\n");
    }
}
