//! A directory that goes when the test ends.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A directory that nobody else uses, and that goes when this is dropped.
#[derive(Debug)]
pub struct Temp(pub PathBuf);

impl Temp {
    /// An empty one.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[expect(clippy::new_without_default, reason = "it is no value")]
    pub fn new() -> Self {
        Self::within(&env::temp_dir())
    }

    /// An empty one in memory, where the system has such a place: no other program keeps it busy.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::within(memory) } else { Self::new() }
    }

    fn within(parent: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("exporters-temp-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = parent.join(name);
        fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
