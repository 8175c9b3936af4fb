//! What came of the last export: all that there is to say of a backend which nobody asks.

use super::Health;
use crate::{Error, ErrorKind, Result};
use std::sync::{Mutex, PoisonError};

/// Why the backend did not take the last batch that it was asked to take, and how many in a row it did not take.
#[derive(Debug, Default)]
pub(crate) struct LastExport(Mutex<Option<(Error, u64)>>);

impl LastExport {
    /// An export was answered.
    pub(crate) fn remember<T>(&self, answer: &Result<T>) {
        use ErrorKind::{Encode, PayloadTooLarge, Unsupported};
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *failure = match answer {
            Ok(_) => None,
            // The backend has nothing to do with it; and of a batch that is too large, its parts will tell.
            Err(error) if matches!(error.kind(), Encode | PayloadTooLarge | Unsupported) => return,
            Err(error) => {
                let before = failure.take().map_or(0, |(_, failures)| failures);
                Some((error.clone(), before.saturating_add(1)))
            }
        };
    }

    /// [`Degraded`](Health::Degraded) after a failure where sending again may help, [`Unhealthy`](Health::Unhealthy) after another.
    pub(crate) fn health(&self) -> Health {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((error, failures)) = failure else { return Health::Healthy };
        let error = error.with_context("failures in a row", failures);
        match error.is_retryable() {
            true => Health::Degraded(error),
            false => Health::Unhealthy(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_backend_are_counted_until_it_takes_a_batch() {
        let last = LastExport::default();
        let answered = |kind| {
            let answer = match kind {
                None => Ok(()),
                Some(kind) => Err(Error::new(kind, "as the test has it").with_context("endpoint", "there")),
            };
            last.remember(&answer);
            match last.health() {
                Health::Healthy => "healthy".to_owned(),
                Health::Degraded(error) => format!("degraded, {error}"),
                Health::Unhealthy(error) => format!("unhealthy, {error}"),
            }
        };
        let failed = |health: &str, failures| {
            format!("{health}: as the test has it, endpoint: there, failures in a row: {failures}")
        };
        use ErrorKind::{Encode, PayloadTooLarge, Rejected, Unavailable, Unsupported};
        assert_eq!(answered(Some(Encode)), "healthy");
        assert_eq!(answered(Some(Unavailable)), failed("degraded, unavailable", 1));
        assert_eq!(answered(Some(Rejected)), failed("unhealthy, rejected", 2));
        for kind in [Encode, PayloadTooLarge, Unsupported] {
            assert_eq!(answered(Some(kind)), failed("unhealthy, rejected", 2));
        }
        assert_eq!(answered(None), "healthy");
        assert_eq!(answered(Some(Unavailable)), failed("degraded, unavailable", 1));
    }
}
