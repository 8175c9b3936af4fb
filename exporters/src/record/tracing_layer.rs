//! `TracingLayer`: what `tracing` is told of a program, told to us.

mod fields;
mod sites;

use super::{
    OWN_TARGET,
    alloc::uncounted,
    detached::{self, Detached, Parent},
    is_on,
    spans::{self, details, details::Details},
    thread,
};
use crate::model::KeyValue;
use fields::{Fields, STATUS_CODE, StatusCode};
use std::sync::Arc;
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter, span};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::{LookupSpan, SpanRef},
};

pub(super) use sites::{SitesGuard, sites};

/// A `tracing_subscriber` layer that makes calls of the spans of `tracing`, and so metrics and traces of functions that have
/// `#[tracing::instrument]`, and events of spans of its events.
///
/// It goes where `tracing_opentelemetry::layer()` went. Functions with `#[instrument]` and with [`#[profiled]`](crate::profiled)
/// may call each other: their spans are in one trace, and the time of one is no part of the self time of the other.
///
/// ```
/// use tracing_subscriber::{filter::LevelFilter, prelude::*};
///
/// #[tracing::instrument(err)]
/// fn charge(order: u32) -> Result<(), std::fmt::Error> {
///     tracing::info!("charging");
///     if order == 0 { Err(std::fmt::Error) } else { Ok(()) }
/// }
///
/// # let profiler = exporters::test();
/// let layer = exporters::TracingLayer::new().with_filter(LevelFilter::INFO);
/// # let _default =
/// tracing_subscriber::registry().with(layer).set_default(); // or `.init()`, once
///
/// let _results = [charge(1), charge(0)];
/// # let metrics = profiler.snapshot();
/// assert_eq!(metrics.function("charge").total_calls(), 2); // one `ok`, one `error`
/// ```
///
/// # Calls
///
/// Each place that makes spans is a function: its name is the span's, its module that of the place. A call begins when its span is
/// made and ends when it is closed, which is when the last handle is gone. Between being entered and left it is busy; the rest is
/// waiting. A span that two threads are in at once is busy twice.
///
/// | a call ends as | when |
/// |---|---|
/// | `error` | `#[instrument(err)]` has told of an error, whatever the level; or the span's field `otel.status_code` is `ERROR`. `tracing` does not say of what type an error is, so its `error.type` is `_OTHER` |
/// | `error`, of type `panic` | a panic left it |
/// | `ok` | else: also when a future is dropped before it is done, of which `tracing` does not tell |
///
/// An error that is only logged is none of the call's.
///
/// # Spans
///
/// While a span is entered it is the one that is running: [`current_span`](crate::current_span),
/// [`in_current`](crate::in_current) and [`set_span_attribute`](crate::set_span_attribute) mean it. It is the child of what is running
/// where it is made, or of the `parent` it is given. The sampler decides as for all others, and of a trace that is not recorded no
/// field is formatted. A span's fields are its attributes, `follows_from` makes links. As elsewhere `otel.name`, `otel.kind`,
/// `otel.status_code` and `otel.status_message` say what the span is, and what `tracing-log` adds is left out. The limits are those
/// of [`set_span_attribute`](crate::set_span_attribute).
///
/// # Events
///
/// An event is one of the span that is running, be it of `tracing` or of `#[profiled]`. It is called what its message says; its fields,
/// `level` and `target` are its attributes. One that has an error among its fields, given as `&dyn Error` or by `#[instrument(err)]`, is
/// called `exception`, and has an attribute `exception.message`.
///
/// # What is left out
///
/// What the library says itself, under the target `exporters`, and everything on the threads from which it exports: so nothing that is
/// recorded makes more of it. Nothing is recorded before the profiler has started, nor when it has ended.
#[derive(Clone, Debug)]
pub struct TracingLayer {
    events: LevelFilter,
}

impl Default for TracingLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl TracingLayer {
    /// Of all spans and events. Fewer there are with
    /// [`with_filter`](tracing_subscriber::layer::Layer::with_filter).
    pub const fn new() -> Self {
        Self { events: LevelFilter::TRACE }
    }

    /// Only takes events of this level and above; with [`LevelFilter::OFF`], none. Whether a call has failed is known all the same.
    #[must_use]
    pub fn events(mut self, level: impl Into<LevelFilter>) -> Self {
        self.events = level.into();
        self
    }
}

/// What a span of `tracing` has of ours.
struct Call(Arc<Detached>);

fn call<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> Option<Arc<Detached>> {
    span.extensions().get::<Call>().map(|call| call.0.clone())
}

/// Of a span, or else of the nearest one around it.
fn call_around<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> Option<Arc<Detached>> {
    span.scope().find_map(|span| call(&span))
}

fn call_of<S>(id: &span::Id, ctx: &Context<'_, S>) -> Option<Arc<Detached>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    call(&ctx.span(id)?)
}

fn counts(metadata: &Metadata<'_>) -> bool {
    is_on() && metadata.target() != OWN_TARGET && !thread::serves()
}

/// Records fields of a span.
fn describe(
    call: &Detached,
    metadata: &Metadata<'_>,
    status: impl FnOnce(&mut StatusCode),
    fields: impl FnOnce(&mut Fields),
) {
    if metadata.fields().field(STATUS_CODE).is_some() {
        let mut code = StatusCode::default();
        uncounted(|| status(&mut code));
        if let Some(is_ok) = code.0 {
            call.fail(!is_ok);
        }
    }
    if call.is_recorded() && !metadata.fields().is_empty() {
        // The program's own code may run here, so nothing is held.
        let mut all = Fields::default();
        uncounted(|| fields(&mut all));
        call.add(|details| all.describe(details));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TracingLayer {
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let metadata = attrs.metadata();
        let Some(span) = ctx.span(id).filter(|_| counts(metadata)) else { return };
        let parent = attrs.parent().and_then(|id| call_around(&ctx.span(id)?));
        let parent = match &parent {
            _ if attrs.is_contextual() => Parent::Running,
            Some(parent) => Parent::Call(parent),
            None => Parent::None,
        };
        // Another layer of this type was here before.
        if call(&span).is_some() {
            return;
        }
        let Some(call) = Detached::begin(sites::of(metadata), parent) else { return };
        uncounted(|| span.extensions_mut().replace(Call(call.clone())));
        describe(&call, metadata, |code| attrs.record(code), |fields| attrs.record(fields));
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(call) = call(&span)
        {
            describe(&call, span.metadata(), |code| values.record(code), |fields| values.record(fields));
        }
    }

    fn on_follows_from(&self, id: &span::Id, follows: &span::Id, ctx: Context<'_, S>) {
        if let Some(call) = call_of(id, &ctx).filter(|call| call.is_recorded())
            && let Some(context) = call_of(follows, &ctx).and_then(|followed| followed.context())
        {
            call.add(|details| details.link(context));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let metadata = event.metadata();
        if !counts(metadata) {
            return;
        }
        let is_failure = fails(event, &ctx);
        if *metadata.level() > self.events || event.is_root() {
            return;
        }
        let parent = event.parent().map(|id| call_around(&ctx.span(id)?));
        let is_recorded = match &parent {
            None => {
                detached::settle();
                spans::is_recording()
            }
            Some(parent) => parent.as_ref().is_some_and(|parent| parent.is_recorded()),
        };
        if !is_recorded {
            return;
        }
        let add = uncounted(|| happened(event, is_failure));
        match parent.flatten() {
            Some(parent) => parent.add(add),
            None => details::add(add),
        }
    }

    fn on_enter(&self, id: &span::Id, ctx: Context<'_, S>) {
        if let Some(call) = call_of(id, &ctx) {
            call.enter();
        }
    }

    fn on_exit(&self, id: &span::Id, ctx: Context<'_, S>) {
        if let Some(call) = call_of(id, &ctx) {
            call.exit();
        }
    }

    fn on_close(&self, id: span::Id, ctx: Context<'_, S>) {
        let call = ctx.span(&id).and_then(|span| span.extensions_mut().remove::<Call>());
        if let Some(Call(call)) = call {
            call.end();
        }
    }
}

/// Notes the error that `#[instrument(err)]` tells of: it has the same place as the span, and no other field. Says whether it is one.
fn fails<S>(event: &Event<'_>, ctx: &Context<'_, S>) -> bool
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let place = |metadata: &Metadata<'static>| (metadata.line(), metadata.file());
    let metadata = event.metadata();
    let mut fields = metadata.fields().iter();
    if fields.next().is_none_or(|field| field.name() != "error") || fields.next().is_some() {
        return false;
    }
    let span = ctx.event_span(event).filter(|span| place(span.metadata()) == place(metadata));
    let Some(call) = span.as_ref().and_then(call) else { return false };
    call.fail(true);
    true
}

/// What adds it to a span.
fn happened(event: &Event<'_>, is_failure: bool) -> impl FnOnce(&mut Details) + use<> {
    let metadata = event.metadata();
    let (level, target) = (level(*metadata.level()), metadata.target().to_owned());
    let mut fields = Fields::default();
    event.record(&mut fields);
    let Fields { mut attributes, message, error } = fields;
    let text = || {
        attributes
            .iter()
            .find(|attribute| attribute.key == "error")
            .map(|error| error.value.to_string().into())
    };
    let error = error.or_else(|| is_failure.then(text).flatten());
    let name = match &error {
        Some(_) => "exception".into(),
        None => message.clone().unwrap_or_else(|| metadata.name().to_owned().into()),
    };
    if let Some(error) = error.clone() {
        attributes.push(KeyValue::new("exception.message", error));
        attributes.extend(message.map(|message| KeyValue::new("message", message)));
    }
    attributes.extend([KeyValue::new("level", level), KeyValue::new("target", target)]);
    move |details| {
        details.happened(name, attributes.into_iter());
        if let Some(error) = error.filter(|_| is_failure) {
            details.explain(error);
        }
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}
