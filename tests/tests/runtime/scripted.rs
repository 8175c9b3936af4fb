//! An exporter that does what a test tells it to, and remembers what it was given.

use exporters::{Batch, Capability, Error, ErrorKind, Exporter, Health, Info, Receipt, Result};
use std::{
    collections::VecDeque,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Waker},
};

/// What it does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Succeed,
    /// The request succeeds; so many items were refused.
    Reject(usize),
    Fail(ErrorKind),
    /// The batch is too large; so many items would fit.
    TooLarge(Option<usize>),
    /// Waits for the gate, then succeeds.
    Wait(Gate),
    /// The same, without letting go of the thread.
    Block(Gate),
    Panic,
    /// Panics with something that panics again when it is dropped.
    PanicTwice,
    /// Panics before there is a future.
    PanicAtOnce,
    /// Succeeds; the future panics when it is dropped.
    PanicInDrop,
}

/// Closed until it is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<Passage>, Condvar)>);

#[derive(Debug, Default)]
struct Passage {
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub(crate) fn open(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.open = true;
        state.waiting.drain(..).for_each(Waker::wake);
        self.0.1.notify_all();
    }

    fn block(&self) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| !state.open).unwrap());
    }

    async fn passed(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.0.0.lock().unwrap();
            if state.open {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Scripted(Arc<State>);

#[derive(Debug)]
struct State {
    name: &'static str,
    /// The most items it takes at once, and whether it says where it stopped.
    most: usize,
    tells: bool,
    /// For one export each; then they succeed.
    exports: Mutex<VecDeque<Step>>,
    flush: Step,
    shutdown: Step,
    taken: Mutex<Vec<Batch>>,
    refused: Mutex<Vec<Batch>>,
}

impl Scripted {
    pub(crate) fn new(name: &'static str, exports: impl IntoIterator<Item = Step>) -> Self {
        Self::ending(name, exports, Step::Succeed, Step::Succeed)
    }

    pub(crate) fn ending(
        name: &'static str,
        exports: impl IntoIterator<Item = Step>,
        flush: Step,
        shutdown: Step,
    ) -> Self {
        Self(Arc::new(State {
            exports: Mutex::new(exports.into_iter().collect()),
            flush,
            shutdown,
            ..State::new(name)
        }))
    }

    /// Takes no batch of more than `most` items; `tells` how many fit.
    pub(crate) fn taking(most: usize, tells: bool) -> Self {
        Self(Arc::new(State { most, tells, ..State::new("scripted") }))
    }

    /// What it succeeded with.
    pub(crate) fn taken(&self) -> Vec<Batch> {
        self.0.taken.lock().unwrap().clone()
    }

    /// What it failed with.
    pub(crate) fn refused(&self) -> Vec<Batch> {
        self.0.refused.lock().unwrap().clone()
    }
}

impl State {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            most: usize::MAX,
            tells: false,
            exports: Mutex::default(),
            flush: Step::Succeed,
            shutdown: Step::Succeed,
            taken: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

/// What goes on in one request.
struct Doing<T>(Step, T, Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl<T> Doing<T> {
    fn new(step: Step, answer: T) -> Self {
        if matches!(step, Step::PanicAtOnce) {
            resume_unwind(Box::new(()));
        }
        let wait = match &step {
            Step::Wait(gate) => {
                let gate = gate.clone();
                Some(Box::pin(async move { gate.passed().await }) as _)
            }
            _ => None,
        };
        Self(step, answer, wait)
    }
}

impl<T: Clone + Unpin> Future for Doing<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        match &self.0 {
            Step::Fail(kind) => {
                let error = Error::new(*kind, "as the test has it").with_context("endpoint", "there");
                Poll::Ready(Err(error.with_source("the cause")))
            }
            Step::TooLarge(fitting) => {
                let error = Error::new(ErrorKind::PayloadTooLarge, "as the test has it");
                Poll::Ready(Err(fitting.iter().fold(error, |error, items| error.with_fitting(*items))))
            }
            Step::Panic => resume_unwind(Box::new(())),
            Step::PanicTwice => resume_unwind(Box::new(PanicsInDrop)),
            _ => {
                if let Step::Block(gate) = &self.0 {
                    gate.block();
                }
                if let Some(wait) = &mut self.2 {
                    std::task::ready!(wait.as_mut().poll(cx));
                }
                Poll::Ready(Ok(self.1.clone()))
            }
        }
    }
}

impl<T> Drop for Doing<T> {
    fn drop(&mut self) {
        if matches!(self.0, Step::PanicInDrop) {
            resume_unwind(Box::new(()));
        }
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        resume_unwind(Box::new(()));
    }
}

impl Exporter for Scripted {
    fn info(&self) -> Info {
        Info::new("scripted").with_name(self.0.name)
    }

    fn capability(&self) -> Capability {
        Capability::ALL
    }

    fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send {
        let mut step = self.0.exports.lock().unwrap().pop_front().unwrap_or(Step::Succeed);
        if batch.len() > self.0.most {
            step = Step::TooLarge(self.0.tells.then_some(self.0.most));
        }
        let rejected = if let Step::Reject(items) = step { items } else { 0 };
        use Step::{Fail, Panic, PanicAtOnce, PanicTwice, TooLarge};
        let fails = matches!(step, Fail(_) | TooLarge(_) | Panic | PanicTwice | PanicAtOnce);
        let place = if fails { &self.0.refused } else { &self.0.taken };
        place.lock().unwrap().push(batch.clone());
        Doing::new(step, Receipt::accepted(batch.len()).with_rejected(rejected))
    }

    async fn health(&self) -> Health {
        Health::Healthy
    }

    fn flush(&self) -> impl Future<Output = Result<()>> + Send {
        Doing::new(self.0.flush.clone(), ())
    }

    fn shutdown(&self) -> impl Future<Output = Result<()>> + Send {
        Doing::new(self.0.shutdown.clone(), ())
    }
}
