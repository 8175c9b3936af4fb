//! One exporter with its task, and the books of what it was given.

use crate::{AnyExporter, Batch, BatchId, Error, ErrorKind, Exporter, Info, ProfileMetrics, Result, Signal};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Instant,
};
use tokio::sync::Notify;

/// An exporter that is sent snapshots.
///
/// Metrics are state: a snapshot that comes before the one ahead of it has gone is merged with it, so that the sums stay exact
/// and no more than two snapshots are held, however long the backend takes.
#[derive(Debug)]
pub(super) struct Leg {
    exporter: AnyExporter,
    name: Arc<str>,
    instance: u128,
    work: Mutex<Work>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Work {
    pending: Option<Arc<ProfileMetrics>>,
    requests: Vec<Request>,
    sequence: u64,
    books: Books,
}

/// `accepted = exported + rejected + merged + dropped + buffered`, whenever nothing is on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Books {
    accepted: u64,
    exported: u64,
    rejected: u64,
    merged: u64,
    dropped: u64,
    buffered: u64,
}

#[derive(Debug)]
struct Request {
    /// Or only to flush.
    shutdown: bool,
    done: Arc<Done>,
}

/// Tells a thread that waits what came of its request.
#[derive(Debug, Default)]
pub(super) struct Done(Mutex<Option<Result<()>>>, Condvar);

impl Done {
    fn set(&self, result: Result<()>) {
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

/// What became of the items that an exporter was given; an item is one series' point of one snapshot.
#[derive(Debug)]
#[non_exhaustive]
pub struct LegReport {
    /// The exporter's name.
    pub name: String,
    /// Items it was given.
    pub accepted: u64,
    /// Items its backend took.
    pub exported: u64,
    /// Items its backend refused.
    pub rejected: u64,
    /// Items that were added to those of a later snapshot.
    pub merged: u64,
    /// Items given up after an error that trying again would not cure.
    pub dropped: u64,
    /// Items it still held when the deadline came.
    pub buffered: u64,
    /// Why not all is well.
    pub error: Option<Error>,
}

impl Leg {
    pub(super) fn new(exporter: AnyExporter, info: Info, instance: u128) -> Self {
        let name = info.name.into();
        Self { exporter, name, instance, work: Mutex::default(), wake: Notify::new() }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it a snapshot. Never waits for the backend.
    pub(super) fn offer(&self, metrics: &Arc<ProfileMetrics>) {
        self.give(metrics, None);
    }

    /// Gives it a snapshot and asks it to send what it has, and to stop if `shutdown`.
    pub(super) fn request(&self, metrics: &Arc<ProfileMetrics>, shutdown: bool) -> Arc<Done> {
        let done = Arc::<Done>::default();
        self.give(metrics, Some(Request { shutdown, done: done.clone() }));
        done
    }

    /// Both at once, so that who asks is told what became of the snapshot.
    fn give(&self, metrics: &Arc<ProfileMetrics>, request: Option<Request>) {
        let mut work = self.work();
        work.books.accepted += metrics.len() as u64;
        work.keep(metrics.clone());
        work.requests.extend(request);
        drop(work);
        self.wake.notify_one();
    }

    /// The state of the books, and why not all is well.
    pub(super) fn report(&self, error: Option<Error>) -> LegReport {
        let Books { accepted, exported, rejected, merged, dropped, buffered } = self.work().books;
        LegReport {
            name: self.name.to_string(),
            accepted,
            exported,
            rejected,
            merged,
            dropped,
            buffered,
            error,
        }
    }

    /// Sends what it is given, until it is asked to stop.
    pub(super) async fn run(self: Arc<Self>) {
        // What went wrong since somebody asked, unless it was made good.
        let mut trouble = Ok(());
        loop {
            self.wake.notified().await;
            let (requests, next) = self.work().take();
            if let Some((metrics, sequence)) = next {
                match self.send(metrics, sequence).await {
                    Ok(()) if trouble.as_ref().is_err_and(Error::is_retryable) => trouble = Ok(()),
                    Ok(()) => {}
                    failed => trouble = failed,
                }
            }
            // Everyone who asks is told.
            let told = match requests.is_empty() {
                true => Ok(()),
                false => std::mem::replace(&mut trouble, Ok(())),
            };
            let mut stop = false;
            for request in requests {
                let finished = match request.shutdown {
                    true => caught(|| self.exporter.shutdown()).await,
                    false => caught(|| self.exporter.flush()).await,
                };
                stop |= request.shutdown;
                let again = |error: &Error| Err(Error::new(error.kind(), error.message().to_owned()));
                request.done.set(told.as_ref().map_or_else(again, |()| finished));
            }
            if stop {
                return;
            }
        }
    }

    async fn send(&self, metrics: Arc<ProfileMetrics>, sequence: u64) -> Result<()> {
        let id = BatchId { instance: self.instance, leg: self.name.clone(), sequence, part: 0 };
        let items = metrics.len() as u64;
        let batch = Batch::new(id, Signal::Metrics(metrics.clone()));
        let answer = match quietly(|| self.exporter.capability().metrics) {
            Some(true) => caught(|| self.exporter.export(batch)).await,
            Some(false) => Err(Error::new(ErrorKind::Unsupported, "the exporter does not take metrics")),
            None => Err(panicked()),
        };
        if let Err(error) = &answer {
            tracing::warn!(target: "exporters", exporter = &*self.name, %error, "an export failed");
        }
        let mut work = self.work();
        work.books.buffered -= items;
        match answer {
            Ok(receipt) => {
                let rejected = (receipt.rejected as u64).min(items);
                work.books.rejected += rejected;
                work.books.exported += items - rejected;
                Ok(())
            }
            Err(error) => {
                match error.is_retryable() {
                    true => work.put_back(metrics),
                    false => work.books.dropped += items,
                }
                Err(error)
            }
        }
    }
}

impl Work {
    /// Who asked, and the snapshot to be sent with its number.
    fn take(&mut self) -> (Vec<Request>, Option<(Arc<ProfileMetrics>, u64)>) {
        let next = self.pending.take().map(|metrics| {
            self.sequence += 1;
            (metrics, self.sequence)
        });
        (std::mem::take(&mut self.requests), next)
    }

    /// Holds a snapshot, merged with one that has not gone yet.
    fn keep(&mut self, later: Arc<ProfileMetrics>) {
        self.books.buffered += later.len() as u64;
        let earlier = self.pending.replace(later);
        earlier.into_iter().for_each(|earlier| self.merge(&earlier));
    }

    /// Holds a snapshot again that could not be sent.
    fn put_back(&mut self, earlier: Arc<ProfileMetrics>) {
        self.books.buffered += earlier.len() as u64;
        match self.pending {
            Some(_) => self.merge(&earlier),
            None => self.pending = Some(earlier),
        }
    }

    fn merge(&mut self, earlier: &ProfileMetrics) {
        if let Some(later) = &mut self.pending {
            let absorbed = Arc::make_mut(later).absorb(earlier, usize::MAX);
            self.books.merged += absorbed.merged as u64;
            self.books.dropped += absorbed.left_out as u64;
            self.books.buffered -= (absorbed.merged + absorbed.left_out) as u64;
        }
    }
}

/// Runs foreign code, from making the future to dropping it; a panic is its error, and costs nothing else.
async fn caught<T, F: Future<Output = Result<T>>>(make: impl FnOnce() -> F) -> Result<T> {
    let mut future = quietly(|| Box::pin(make())).ok_or_else(panicked)?;
    let answer = std::future::poll_fn(|cx| {
        quietly(|| future.as_mut().poll(cx)).unwrap_or_else(|| Poll::Ready(Err(panicked())))
    })
    .await;
    // What the backend answered stands, whatever happens now.
    let _ = quietly(|| drop(future));
    answer
}

fn panicked() -> Error {
    Error::new(ErrorKind::Unexpected, "the exporter panicked")
}

/// `None` where `f` panicked.
fn quietly<T>(f: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(f));
    let drop_payload = |payload| {
        // What it panicked with may panic when it is dropped, and so on.
        let worse = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        worse.unwrap_or_else(std::mem::forget);
    };
    result.map_err(drop_payload).ok()
}
