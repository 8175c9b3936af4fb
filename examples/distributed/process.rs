//! The services as processes, and where they write.

use crate::Result;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// This program once more, as a service. It ends when its input does, and so when this process is no more.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) url: String,
    child: Child,
}

impl Process {
    /// Started, and waited for until it has told its URL.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut process = Self { url: String::new(), child };
        let output = process.child.stdout.take().ok_or("it has no output")?;
        BufReader::new(output).read_line(&mut process.url)?;
        process.url.truncate(process.url.trim_end().len());
        match process.url.is_empty() {
            true => Err(format!("{} did not start", arguments[0]).into()),
            false => Ok(process),
        }
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) -> Result {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a service ended with {status}").into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is over, unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is there as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("exporters-distributed-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// What is in it by that name.
    pub(crate) fn path(&self, name: &str) -> Result<String> {
        let path = self.0.join(name);
        Ok(path.to_str().ok_or("the temporary directory's name is no text")?.to_owned())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
