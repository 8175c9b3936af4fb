//! What a program says of the span that is running.

use super::spans::{self, details};
use crate::model::{KeyValue, Value};
use std::borrow::Cow;

/// Whether a span is being recorded here, so that what is said of it gets anywhere. False in a trace that the sampler left out.
///
/// The span is that of the innermost `#[profiled]` function that is running on this thread, or in this task.
pub fn is_recording() -> bool {
    spans::is_recording()
}

/// Sets an attribute of the span that is running, if it is recorded; another value of the same key is replaced.
///
/// A span keeps 128 of them, and 4,095 bytes of a text; what is left out is counted as the span's
/// [`dropped_attributes`](crate::Span::dropped_attributes). Metrics get none of them: see `#[profiled(attributes(..))]`.
///
/// ```
/// # use exporters::{profiled, set_span_attribute};
/// #[profiled]
/// fn charge(order: u32, items: &[u64]) -> u64 {
///     set_span_attribute("order.id", order);
///     items.iter().sum()
/// }
/// # charge(1, &[2]);
/// ```
pub fn set_span_attribute(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
    if is_recording() {
        let (key, value) = (key.into(), value.into());
        details::add(|details| details.set(key, value));
    }
}

/// Adds an event, something that happened now, to the span that is running, if it is recorded.
///
/// A span keeps 128 of them; the others are counted as its [`dropped_events`](crate::Span::dropped_events).
///
/// ```
/// # use exporters::{KeyValue, add_span_event};
/// add_span_event("cache.miss", [KeyValue::new("key.length", 12)]);
/// ```
pub fn add_span_event(name: impl Into<Cow<'static, str>>, attributes: impl IntoIterator<Item = KeyValue>) {
    if is_recording() {
        let (name, attributes) = (name.into(), attributes.into_iter().collect::<Vec<_>>());
        details::add(|details| details.happened(name, attributes.into_iter()));
    }
}

/// Names the span that is running, if it is recorded; for example `GET /orders/{id}`. There should be few different names.
pub fn update_span_name(name: impl Into<Cow<'static, str>>) {
    if is_recording() {
        let name = name.into();
        details::add(|details| details.rename(name));
    }
}
