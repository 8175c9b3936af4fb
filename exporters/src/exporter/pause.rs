//! How long a backend is left alone that asked for it, where whoever sends is not told since the batch is settled.

use super::LONGEST_PAUSE;
use crate::{Error, ErrorKind};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Until when the backend asked to be left alone, at most five minutes.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// An attempt failed.
    pub(crate) fn heed(&self, error: &Error) {
        let until = error.retry_after().map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Why the backend is not to be asked, as long as it is not.
    pub(crate) fn reason(&self) -> Option<Error> {
        let until = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let left = until.saturating_duration_since(Instant::now());
        let error = Error::new(ErrorKind::RateLimited, "the backend asked to be left alone");
        (!left.is_zero()).then(|| error.with_retry_after(left))
    }
}
