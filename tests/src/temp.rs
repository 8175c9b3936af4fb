//! A directory that goes when the test ends.

use std::{
    env, fs,
    path::PathBuf,
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
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("exporters-temp-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
