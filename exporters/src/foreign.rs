//! Code that is not ours, run so that a panic in it costs nothing else.

use crate::{Error, ErrorKind};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

/// It panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

impl From<Panicked> for Error {
    fn from(Panicked: Panicked) -> Self {
        Error::new(ErrorKind::Unexpected, "the exporter panicked")
    }
}

/// Runs a future from making it to dropping it.
pub(crate) async fn caught<T, F: Future<Output = T>>(make: impl FnOnce() -> F) -> Result<T, Panicked> {
    let mut future = quietly(|| Box::pin(make()))?;
    let answer = std::future::poll_fn(|cx| match quietly(|| future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await;
    // What the backend answered stands, whatever happens now.
    let _ = quietly(|| drop(future));
    answer
}

/// Has the program's `tracing` subscriber told of something, with what `tracing::warn!` takes after the target. Where the
/// subscriber panics, it is not told, and nothing else happens.
macro_rules! tell {
    ($($event:tt)+) => {
        _ = $crate::foreign::quietly(|| tracing::warn!(target: "exporters", $($event)+))
    };
}
pub(crate) use tell;

/// Whether the program's `tracing` subscriber hears what the library says at this level.
macro_rules! is_heard {
    ($level:expr) => {
        $crate::foreign::quietly(|| tracing::enabled!(target: "exporters", $level)).unwrap_or(true)
    };
}
pub(crate) use is_heard;

/// A line on standard error.
pub(crate) fn say(line: &str) {
    let _ = quietly(|| eprintln!("exporters: {line}"));
}

/// Runs a function.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        // What it panicked with may panic when it is dropped, and so on.
        let worse = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        worse.unwrap_or_else(std::mem::forget);
        Panicked
    })
}
