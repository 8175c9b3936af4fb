//! The span that is current, carried to other threads and tasks and in from other processes.

use super::{
    sampler,
    spans::{self, Before, Current, TraceState, derived},
};
use crate::model::SpanContext;
use std::{
    marker::PhantomData,
    pin::Pin,
    ptr,
    sync::Arc,
    task::{self, Poll},
};

/// What is current on a thread at a moment.
#[derive(Clone, Debug)]
pub struct Context {
    /// Without its state, which is borrowed.
    current: Current,
    state: Option<TraceState>,
    /// Whether nobody records the trace.
    unsampled: bool,
}

// SAFETY: the pointer in `current` is null.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Something is current for as long as this lives.
pub(crate) struct Scope<'a> {
    before: Before,
    /// Of whom `current` borrows.
    _context: PhantomData<&'a Context>,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        spans::restore(self.before);
    }
}

impl Context {
    pub(super) fn of(mut current: Current, unsampled: bool) -> Self {
        let state = current.trace_state();
        current.state = ptr::null();
        if unsampled && current.span == 0 {
            let low = current.trace[1];
            let (high, span) = derived(low);
            current = Current { trace: [high, low], span, ..Current::NONE };
        }
        Self { current, state, unsampled }
    }

    /// What happens in another process' span; without one, or in one that is none, nothing is current.
    pub(crate) fn remote(parent: Option<SpanContext>) -> Self {
        let Some(parent) = parent.filter(SpanContext::is_valid) else {
            return Self { current: Current::NONE, state: None, unsampled: false };
        };
        let (high, low) = parent.trace_id.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let current = Current {
            trace: [number(high), number(low)],
            span: number(&parent.span_id),
            state: ptr::null(),
            flags: parent.flags,
            remote: true,
        };
        let unsampled = !sampler::follows(current.trace[1], parent.is_sampled()) && !sampler::keeps();
        let state = (!parent.trace_state.is_empty()).then(|| Arc::new(parent.trace_state.into_owned()));
        Self { current, state, unsampled }
    }

    pub(crate) fn enter(&self) -> Scope<'_> {
        let state = self.state.as_ref().map_or(ptr::null(), Arc::as_ptr);
        let before = spans::adopt(Current { state, ..self.current }, self.unsampled);
        Scope { before, _context: PhantomData }
    }

    pub(super) fn into_span_context(self) -> Option<SpanContext> {
        let Current { trace: [high, low], span, flags, .. } = self.current;
        (span != 0).then(|| SpanContext {
            trace_id: trace_id([high, low]),
            span_id: span.to_be_bytes(),
            flags,
            trace_state: self.state.map(|state| state.as_str().to_owned()).unwrap_or_default().into(),
        })
    }
}

pub(super) fn trace_id([high, low]: [u64; 2]) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// The span that is running on this thread, to be told to another process; `None` outside of any.
///
/// In a trace that the sampler left out it has an identity too, and its [flags](SpanContext::flags) say that it is not recorded.
///
/// ```
/// # let mut headers = http::HeaderMap::new();
/// if let Some(span) = exporters::current_span() {
///     span.inject(&mut headers); // `traceparent`, for whoever is asked next
/// }
/// ```
pub fn current_span() -> Option<SpanContext> {
    spans::context().into_span_context()
}

/// Has a future or a closure run in the span that is current now, wherever and whenever it runs: on another thread, in a task
/// of its own. Gives a future, or a closure.
///
/// Without it what a new thread or task does is in a trace of its own. A closure is boxed, and may be sent. It is made where the span
/// is current: what rayon runs in its pool, the closures of `map` and `scope` too, is there already, so make them before
/// (`rayon::join(in_current(a), in_current(b))`, or a `Vec` of them to iterate over).
///
/// ```
/// # use exporters::{in_current, profiled};
/// #[profiled]
/// fn resize(image: &mut [u8]) { image.fill(0) }
///
/// #[profiled]
/// fn thumbnails(mut images: [Vec<u8>; 2]) {
///     std::thread::scope(|scope| {
///         for image in &mut images {
///             scope.spawn(in_current(|| resize(image))); // `resize` is a child of `thumbnails`
///         }
///     });
/// }
/// # thumbnails([vec![1], vec![2]]);
/// ```
pub fn in_current<Kind, W: Carry<Kind>>(work: W) -> W::Carried {
    work.carry(spans::context())
}

/// Runs a closure in a span of another process, and gives what it returns; or has a future run in it, and gives a future that
/// resolves to what it does. With no parent, what happens is in a trace of its own.
///
/// Whether spans in it are recorded is decided by the [`Sampler`](crate::Sampler).
///
/// ```
/// # use exporters::{SpanContext, profiled, with_remote_parent};
/// #[profiled(kind = "server")]
/// fn handle(path: &str) -> usize { path.len() }
///
/// # let headers = http::HeaderMap::new();
/// let answer = with_remote_parent(SpanContext::extract(&headers), || handle("/"));
/// # assert_eq!(answer, 1);
/// ```
pub fn with_remote_parent<Kind, W: Run<Kind>>(parent: impl Into<Option<SpanContext>>, work: W) -> W::Done {
    work.run(Context::remote(parent.into()))
}

/// What [`in_current`] takes: futures, and closures without arguments that may be sent. `Kind` tells them apart; it is always
/// inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a future nor a closure that could be sent to another thread",
    note = "`in_current` takes a future, or a closure without arguments that is `Send`"
)]
pub trait Carry<Kind> {
    /// A future, or a closure.
    type Carried;
    #[doc(hidden)]
    fn carry(self, context: Context) -> Self::Carried;
}

/// What [`with_remote_parent`] takes: futures, and closures without arguments. `Kind` tells them apart; it is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a future nor a closure without arguments",
    note = "`with_remote_parent` takes a future, or a closure without arguments, which it calls"
)]
pub trait Run<Kind> {
    /// A future, or what the closure returns.
    type Done;
    #[doc(hidden)]
    fn run(self, context: Context) -> Self::Done;
}

/// Says that something is a future.
#[derive(Debug)]
pub struct AsFuture;

/// Says that something is a closure that returns `R`.
#[derive(Debug)]
pub struct AsClosure<'a, R>(PhantomData<&'a fn() -> R>);

impl<F: Future> Carry<AsFuture> for F {
    type Carried = InContext<F>;
    fn carry(self, context: Context) -> InContext<F> {
        InContext { context, future: self }
    }
}

impl<'a, R: 'a, F: FnOnce() -> R + Send + 'a> Carry<AsClosure<'a, R>> for F {
    type Carried = Box<dyn FnOnce() -> R + Send + 'a>;
    fn carry(self, context: Context) -> Self::Carried {
        Box::new(move || {
            let _scope = context.enter();
            self()
        })
    }
}

impl<F: Future> Run<AsFuture> for F {
    type Done = InContext<F>;
    fn run(self, context: Context) -> InContext<F> {
        InContext { context, future: self }
    }
}

impl<R, F: FnOnce() -> R> Run<AsClosure<'static, R>> for F {
    type Done = R;
    fn run(self, context: Context) -> R {
        let _scope = context.enter();
        self()
    }
}

pin_project_lite::pin_project! {
    /// A future that runs in a span of its own choice: see [`in_current`] and [`with_remote_parent`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InContext<F> {
        context: Context,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _scope = this.context.enter();
        this.future.poll(cx)
    }
}
