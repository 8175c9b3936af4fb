//! A request that is running.

use super::message::{self, HttpResponse};
use crate::record::{Context, Judge, Keyed, Plain, Profiled, Site, is_recording, set_span_attribute};
use std::{
    any::type_name,
    borrow::Cow,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

/// Whose requests they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Server,
    Client,
}

/// How a request ended.
impl<R: HttpResponse, E> Judge<Result<R, E>> for Side {
    fn failure<'a>(&self, answer: &'a Result<R, E>) -> Option<Cow<'a, str>> {
        let status = match answer {
            Ok(response) => response.status(),
            Err(_) => return Some(type_name::<E>().into()),
        };
        let lowest = if *self == Self::Server { 500 } else { 400 };
        (status.as_u16() >= lowest).then(|| status.as_str().to_owned().into())
    }
}

pin_project_lite::pin_project! {
    /// What the services of this module give: the response, whose making is recorded.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // Where the caller is in another process.
        remote: Option<Context>,
        #[pin]
        call: Profiled<Plain, Side, Answer<F>>,
    }
}

impl<F> ResponseFuture<F> {
    /// Begins a request and has `call` make its future. `key` is its series, unless nothing is recorded.
    pub(super) fn new(
        side: Side,
        site: &'static Site,
        key: Option<Arc<Keyed>>,
        remote: Option<Context>,
        call: impl FnOnce() -> F,
    ) -> Self {
        let future = Answer { side, future: None };
        let mut this = Self { remote, call: Profiled::new(site, key, Plain, future, side) };
        let scope = this.remote.as_ref().map(Context::enter);
        this.call.within(|answer| answer.future = Some(call()));
        drop(scope);
        this
    }
}

impl<F: Future<Output = Result<R, E>>, R: HttpResponse, E> Future for ResponseFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _scope = this.remote.as_ref().map(Context::enter);
        this.call.poll(cx)
    }
}

pin_project_lite::pin_project! {
    /// Says of the span what was answered.
    #[derive(Debug)]
    struct Answer<F> {
        side: Side,
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future<Output = Result<R, E>>, R: HttpResponse, E> Future for Answer<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // It is there before anybody can poll.
        let Some(future) = this.future.as_pin_mut() else { return Poll::Pending };
        let answer = ready!(future.poll(cx));
        if let Ok(response) = &answer
            && is_recording()
        {
            set_span_attribute("http.response.status_code", i32::from(response.status().as_u16()));
            if *this.side == Side::Client {
                message::tell_version(response.version());
            }
        }
        Poll::Ready(answer)
    }
}
