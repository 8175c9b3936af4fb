//! `LogLayer`: counts and times the log messages that go through a `tracing_subscriber` layer.

use super::{OWN_TARGET, emoji, is_on, logs, logs::Message, thread};
use crate::clock;
use std::{any::TypeId, fmt, mem};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};
use tracing_subscriber::layer::{Context, Layer};

#[cfg(test)]
pub(super) mod tests;

/// Wraps a `tracing_subscriber` layer and measures the messages it processes: how many by level, how long each took, how
/// many fields they had, which had an emoji in their text or in a field or had a field `emoji…`, and how many it dropped.
///
/// It passes everything on and changes nothing. What it measured are the `log.*` metrics and the `…_message…` and
/// `emoji_…` statistics of [`ProfileMetrics`](crate::ProfileMetrics).
///
/// ```
/// use tracing_subscriber::{filter::LevelFilter, fmt, prelude::*};
///
/// # let profiler = exporters::test();
/// let layer = exporters::LogLayer::new(fmt::layer()).with_filter(LevelFilter::INFO);
/// # let _default =
/// tracing_subscriber::registry().with(layer).set_default();
///
/// tracing::info!(order = 17, amount = 99.5, "paid 🎉");
/// tracing::debug!("not asked for");
/// # let metrics = profiler.snapshot();
/// assert_eq!(metrics.total_messages(), Some(1));
/// assert_eq!(metrics.emoji_message_count(), Some(1));
/// assert_eq!(metrics.avg_fields_per_message(), Some(2.0));
/// ```
///
/// # What counts
///
/// A filter belongs outside, as above. `LogLayer::new(layer.with_filter(filter))` also counts the messages that the filter
/// takes out, with the short time that takes. A message is counted by each `LogLayer` it goes through.
///
/// A message is *dropped* when the wrapped layer refuses it in [`event_enabled`](Layer::event_enabled), or panics over it.
/// Dropped messages are counted among all messages, but not timed.
///
/// The text of a message is not one of its fields, nor is what `tracing-log` adds to a message from the `log` crate. To look
/// for emoji, fields that are given as `?value` or `%value` are formatted once more; text is looked at where it is.
///
/// What the library itself says, and what is said on the threads from which it exports, is passed on and not counted.
///
/// Nothing is measured, and no field visited, while recording is off.
#[derive(Clone, Debug)]
pub struct LogLayer<L> {
    inner: L,
}

impl<L> LogLayer<L> {
    /// Measures what `inner` processes.
    pub fn new(inner: L) -> Self {
        logs::expect();
        Self { inner }
    }
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for LogLayer<L> {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.inner.on_register_dispatch(subscriber);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.inner.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, S>) -> bool {
        self.inner.enabled(metadata, ctx)
    }

    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        self.inner.on_new_span(attrs, id, ctx);
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.inner.max_level_hint()
    }

    fn on_record(&self, span: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        self.inner.on_record(span, values, ctx);
    }

    fn on_follows_from(&self, span: &span::Id, follows: &span::Id, ctx: Context<'_, S>) {
        self.inner.on_follows_from(span, follows, ctx);
    }

    fn event_enabled(&self, event: &Event<'_>, ctx: Context<'_, S>) -> bool {
        let enabled = self.inner.event_enabled(event, ctx);
        if !enabled && counts(event) {
            Message::of(event).record(None);
        }
        enabled
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if !counts(event) {
            return self.inner.on_event(event, ctx);
        }
        let processing = Processing { message: Message::of(event), start: clock::now() };
        self.inner.on_event(event, ctx);
        processing.end();
    }

    fn on_enter(&self, id: &span::Id, ctx: Context<'_, S>) {
        self.inner.on_enter(id, ctx);
    }

    fn on_exit(&self, id: &span::Id, ctx: Context<'_, S>) {
        self.inner.on_exit(id, ctx);
    }

    fn on_close(&self, id: span::Id, ctx: Context<'_, S>) {
        self.inner.on_close(id, ctx);
    }

    fn on_id_change(&self, old: &span::Id, new: &span::Id, ctx: Context<'_, S>) {
        self.inner.on_id_change(old, new, ctx);
    }

    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.downcast_raw(id) }
    }
}

fn counts(event: &Event<'_>) -> bool {
    is_on() && event.metadata().target() != OWN_TARGET && !thread::serves()
}

/// A message that the wrapped layer is processing; dropped when that panics.
struct Processing {
    message: Message,
    start: u64,
}

impl Processing {
    fn end(self) {
        let ticks = clock::now().wrapping_sub(self.start);
        self.message.record(Some(ticks));
        mem::forget(self);
    }
}

impl Drop for Processing {
    fn drop(&mut self) {
        self.message.record(None);
    }
}

impl Message {
    fn of(event: &Event<'_>) -> Self {
        let level = match *event.metadata().level() {
            Level::TRACE => 0,
            Level::DEBUG => 1,
            Level::INFO => 2,
            Level::WARN => 3,
            Level::ERROR => 4,
        };
        let mut message = Self { level, ..Self::default() };
        event.record(&mut message);
        message
    }

    /// Counts a field.
    fn meet(&mut self, field: &Field) {
        match field.name() {
            "message" | "log.target" | "log.module_path" | "log.file" | "log.line" => {}
            name => {
                self.fields += 1;
                self.emoji |= name.starts_with("emoji");
            }
        }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.meet(field);
        if !self.emoji {
            // A value that cannot be formatted has no text.
            let _ = fmt::write(self, format_args!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.meet(field);
        self.emoji = self.emoji || emoji::is_in(value);
    }

    fn record_f64(&mut self, field: &Field, _: f64) {
        self.meet(field);
    }

    fn record_i64(&mut self, field: &Field, _: i64) {
        self.meet(field);
    }

    fn record_u64(&mut self, field: &Field, _: u64) {
        self.meet(field);
    }

    fn record_i128(&mut self, field: &Field, _: i128) {
        self.meet(field);
    }

    fn record_u128(&mut self, field: &Field, _: u128) {
        self.meet(field);
    }

    fn record_bool(&mut self, field: &Field, _: bool) {
        self.meet(field);
    }

    fn record_bytes(&mut self, field: &Field, _: &[u8]) {
        self.meet(field);
    }
}

/// Looks at text as it is formatted.
impl fmt::Write for Message {
    /// Never an error, not even once the answer is known: a value may panic over one.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.emoji = self.emoji || emoji::is_in(text);
        Ok(())
    }
}
