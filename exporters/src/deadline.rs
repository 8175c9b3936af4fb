//! `Deadline`: when there is no more time, told to those who work already.

use std::{future, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::{sync::watch, time::Instant};

/// When there is no more time for a [`Batch`](crate::Batch). It may be set while the batch is on its way: so whoever waits between
/// two attempts can be called to the last one.
///
/// Clones share it.
#[derive(Clone, Debug)]
pub struct Deadline(Option<Arc<watch::Sender<Option<Instant>>>>);

impl Deadline {
    /// One that is not set yet.
    #[must_use]
    pub fn open() -> Self {
        Self(Some(Arc::new(watch::Sender::new(None))))
    }

    /// One that is never set.
    pub const NEVER: Self = Self(None);

    /// Sets it, unless it is set to something earlier. Does nothing to [`NEVER`](Self::NEVER).
    pub fn set(&self, at: Instant) {
        if let Some(shared) = &self.0 {
            shared.send_if_modified(|deadline| {
                let earlier = deadline.is_none_or(|deadline| at < deadline);
                if earlier {
                    *deadline = Some(at);
                }
                earlier
            });
        }
    }

    /// When it is, if it is set.
    pub fn at(&self) -> Option<Instant> {
        self.0.as_ref().and_then(|shared| *shared.borrow())
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        self.at().is_some_and(|at| at <= Instant::now())
    }

    /// Waits between two attempts: for `duration`, or until the deadline is set. Whether it is not.
    pub async fn pause(&self, duration: Duration) -> bool {
        let pause = tokio::time::sleep(duration);
        let Some(shared) = &self.0 else {
            pause.await;
            return true;
        };
        let mut changes = shared.subscribe();
        either(pause, changes.wait_for(Option::is_some)).await.is_ok()
    }

    /// What `work` gives, or `None` where the deadline passes before; then `work` is dropped.
    pub async fn limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        either(work, self.passed()).await.ok()
    }

    /// Waits until it has passed.
    pub async fn passed(&self) {
        let Some(shared) = &self.0 else { return future::pending().await };
        let mut changes = shared.subscribe();
        loop {
            let at = *changes.borrow_and_update();
            match at {
                None => drop(changes.changed().await),
                Some(at) if tokio::time::timeout_at(at, changes.changed()).await.is_err() => return,
                Some(_) => {}
            }
        }
    }
}

/// What the first of two gives that is done; `one`, if both are.
async fn either<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> Result<A, B> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    future::poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(a) => Poll::Ready(Ok(a)),
        Poll::Pending => other.as_mut().poll(cx).map(Err),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let paused = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        paused.unwrap().block_on(test);
    }

    #[test]
    fn it_is_told_to_who_waits_and_only_comes_nearer() {
        run(async {
            let (deadline, began) = (Deadline::open(), Instant::now());
            let waiting = tokio::spawn({
                let deadline = deadline.clone();
                async move {
                    assert!(deadline.pause(Duration::from_secs(1)).await, "nobody set it");
                    assert!(!deadline.pause(Duration::from_secs(3600)).await, "it was set");
                    let called = Instant::now();
                    assert_eq!(deadline.limit(future::ready(7)).await, Some(7));
                    assert_eq!(deadline.limit(future::pending::<()>()).await, None);
                    (called, Instant::now())
                }
            });
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(deadline.at().is_none() && !deadline.has_passed());
            for seconds in [9, 5, 7] {
                deadline.set(began + Duration::from_secs(seconds));
                tokio::task::yield_now().await;
            }
            let (called, passed) = waiting.await.unwrap();
            assert_eq!((called, passed), (began + Duration::from_secs(2), began + Duration::from_secs(5)));
            assert!(deadline.has_passed());
        });
    }

    #[test]
    fn never_is_never() {
        run(async {
            Deadline::NEVER.set(Instant::now());
            assert!(Deadline::NEVER.at().is_none());
            let passed = tokio::time::timeout(Duration::from_secs(1_000_000), Deadline::NEVER.passed());
            assert!(passed.await.is_err());
        });
    }
}
