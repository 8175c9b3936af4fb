//! The fields of a span or an event of `tracing`, as attributes.

use crate::{
    model::{KeyValue, SpanKind, Value},
    record::spans::details::{Details, LONGEST},
};
use std::{borrow::Cow, error::Error, fmt};
use tracing::field::{Field, Visit};

/// What was visited.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) attributes: Vec<KeyValue>,
    /// The text of an event.
    pub(super) message: Option<Cow<'static, str>>,
    /// The text of an error.
    pub(super) error: Option<Cow<'static, str>>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        // That of a message which `tracing-log` passes on.
        if !name.starts_with("log.") {
            self.attributes.push(KeyValue::new(name.strip_prefix("r#").unwrap_or(name), value));
        }
    }

    fn add_text(&mut self, field: &Field, text: Cow<'static, str>) {
        match field.name() {
            "message" => self.message = Some(text),
            _ => self.add(field, text),
        }
    }

    /// Has them be what is known of a span. Those whose names begin with `otel.` say what the span is, as elsewhere.
    pub(super) fn describe(self, details: &mut Details) {
        if let Some(message) = self.message {
            details.set("message".into(), message.into());
        }
        for KeyValue { key, value } in self.attributes {
            let text = |value: Value| match value {
                Value::String(text) => text,
                value => value.to_string().into(),
            };
            match &*key {
                "otel.name" => details.rename(text(value)),
                "otel.kind" => details.kind = kind(&text(value)).or(details.kind),
                "otel.status_code" => details.is_ok = is_ok(&text(value)).unwrap_or(details.is_ok),
                "otel.status_message" | "otel.status_description" => details.explain(text(value)),
                _ => details.set(key, value),
            }
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.add(field, value),
            Err(_) => self.add(field, value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let end = value.floor_char_boundary(LONGEST);
        self.add_text(field, value[..end].to_owned().into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let text: Cow<'static, str> = Text::of(format_args!("{value}")).into();
        self.error = Some(text.clone());
        self.add_text(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_text(field, Text::of(format_args!("{value:?}")).into());
    }
}

/// As much of something formatted as an attribute takes.
#[derive(Default)]
struct Text(String);

impl Text {
    fn of(what: fmt::Arguments<'_>) -> String {
        let mut text = Self::default();
        // What cannot be formatted is what was written of it.
        let _ = fmt::write(&mut text, what);
        text.0
    }
}

impl fmt::Write for Text {
    /// Never an error: a value may panic over one.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(LONGEST.saturating_sub(self.0.len()));
        self.0.push_str(&text[..end]);
        Ok(())
    }
}

/// What a span says of how it ended, for metrics too, and so also where no attribute is wanted.
#[derive(Debug, Default)]
pub(super) struct StatusCode(pub(super) Option<bool>);

/// The field that says it.
pub(super) const STATUS_CODE: &str = "otel.status_code";

impl Visit for StatusCode {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == STATUS_CODE {
            self.0 = is_ok(value).or(self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == STATUS_CODE {
            self.record_str(field, &Text::of(format_args!("{value:?}")));
        }
    }

    // Without formatting them.
    fn record_i64(&mut self, _: &Field, _: i64) {}
    fn record_u64(&mut self, _: &Field, _: u64) {}
    fn record_f64(&mut self, _: &Field, _: f64) {}
    fn record_bool(&mut self, _: &Field, _: bool) {}
    fn record_error(&mut self, _: &Field, _: &(dyn Error + 'static)) {}
}

fn is_ok(code: &str) -> Option<bool> {
    // Debug's quotes are not part of it.
    match code.trim_matches('"') {
        code if code.eq_ignore_ascii_case("ok") => Some(true),
        code if code.eq_ignore_ascii_case("error") => Some(false),
        _ => None,
    }
}

fn kind(kind: &str) -> Option<SpanKind> {
    match &*kind.trim_matches('"').to_ascii_lowercase() {
        "server" => Some(SpanKind::Server),
        "client" => Some(SpanKind::Client),
        "producer" => Some(SpanKind::Producer),
        "consumer" => Some(SpanKind::Consumer),
        "internal" => Some(SpanKind::Internal),
        _ => None,
    }
}
