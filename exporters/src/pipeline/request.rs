//! What a thread asks of a leg, and how it waits for the answer.

use crate::{Error, ErrorKind, Result};
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Instant,
};

/// To send what it has.
#[derive(Debug)]
pub(super) struct Request {
    /// And to stop.
    pub(super) shutdown: bool,
    pub(super) done: Arc<Done>,
}

/// Tells a thread that waits what came of its request.
#[derive(Debug, Default)]
pub(super) struct Done(Mutex<Option<Result<()>>>, Condvar);

impl Done {
    pub(super) fn set(&self, result: Result<()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.1.notify_all();
    }

    /// Waits, at most until the deadline. Uses no thread-local, since a thread's may be gone when the program ends.
    pub(super) fn wait(&self, deadline: Instant) -> Result<()> {
        let result = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.1.wait_timeout_while(result, left, |result| result.is_none());
        let (mut result, _) = waited.unwrap_or_else(PoisonError::into_inner);
        result.take().unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Timeout, "the exporter was not done at the deadline"))
        })
    }
}
