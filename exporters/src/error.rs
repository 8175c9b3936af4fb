//! The one error type: what failed, whether trying again can help, and where.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

/// A `Result` whose error defaults to [`struct@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
///
/// Printing it gives one line without line breaks: the kind, the message, the context and the chain of causes.
/// Neither payloads nor secrets belong in any of them.
pub struct Error(Box<Inner>);

/// Bytes of a place or a name; longer ones would make a log unreadable.
const LONGEST_CONTEXT: usize = 500;

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    fitting: Option<usize>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The category of an [`struct@Error`]; whether to retry follows from it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A circuit breaker is open: nothing was sent.
    CircuitOpen,
    /// A setting is missing or wrong.
    ConfigInvalid,
    /// The batch could not be written in the backend's format.
    Encode,
    /// The backend takes less at once: how much of the batch says [`Error::fitting`], if it is known.
    PayloadTooLarge,
    /// The backend asked to be left alone for a while.
    RateLimited,
    /// The backend refused the payload, and would again.
    Rejected,
    /// A deadline passed; what became of the attempt is unknown.
    Timeout,
    /// The credentials were refused.
    Unauthorized,
    /// The backend could not be reached, or failed by itself.
    Unavailable,
    /// The exporter does not carry this signal.
    Unsupported,
    /// None of the above.
    Unexpected,
}

impl ErrorKind {
    /// The kind as a low-cardinality `error.type`, for example `rate_limited`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::ConfigInvalid => "config_invalid",
            Self::Encode => "encode",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Unexpected => "unexpected",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// An error of `kind`; `message` says what failed and what cures it.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let (retry_after, fitting, source) = (None, None, None);
        Self(Box::new(Inner { kind, message, retry_after, fitting, context: Vec::new(), source }))
    }

    /// Adds a place or a name to what is printed. Never a secret. Of a very long one, only the beginning and the end are kept.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, shortened(value.to_string(), LONGEST_CONTEXT)));
        self
    }

    /// What is said of `key` where this happened.
    pub(crate) fn context(&self, key: &str) -> Option<&str> {
        self.0.context.iter().find(|(known, _)| *known == key).map(|(_, value)| &**value)
    }

    /// Adds of which setting this is and where that stands, unless that is said already; `path` goes before a setting that was
    /// named without.
    pub(crate) fn placed(mut self, path: &str, place: Option<impl fmt::Display>) -> Self {
        let context = &mut self.0.context;
        if context.iter().any(|(key, _)| *key == "in") {
            return self;
        }
        let setting = match context.iter().position(|(key, _)| *key == "setting") {
            None => path.to_owned(),
            Some(at) => match context.remove(at).1 {
                whole if whole.starts_with(path) => whole,
                part => format!("{path}.{part}"),
            },
        };
        let error = self.with_context("setting", setting);
        match place {
            None => error,
            Some(place) => error.with_context("in", place),
        }
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets how long the backend asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Sets how many of the batch's leading items fit into what the backend takes at once; for
    /// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge), from an encoder that stopped at its limit.
    #[must_use]
    pub fn with_fitting(mut self, items: usize) -> Self {
        self.0.fitting = Some(items);
        self
    }

    /// The category.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What failed, without context and cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How long the backend asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// How many of the batch's leading items fit, if the encoder said.
    pub fn fitting(&self) -> Option<usize> {
        self.0.fitting
    }

    /// Whether the same batch may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(OneLine(f), "{}: {}", inner.kind, inner.message)?;
        for (key, value) in &inner.context {
            write!(OneLine(f), ", {key}: {value}")?;
        }
        let mut cause = self.source();
        while let Some(source) = cause {
            write!(OneLine(f), ": {source}")?;
            cause = source.source();
        }
        Ok(())
    }
}

/// Of a text of more than `most` bytes, the beginning and the end.
pub(crate) fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let (head, tail) = (text.floor_char_boundary(most / 2), text.ceil_char_boundary(text.len() - most / 2));
    [text.get(..head), text.get(tail..)].map(Option::unwrap_or_default).join("…")
}

/// Turns control characters and Unicode's line breaks into spaces, so that no message can forge a line of a log.
struct OneLine<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl OneLine<'_, '_> {
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> fmt::Result {
        fmt::Write::write_fmt(self, args)
    }
}

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut lines = s.split(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        lines.next().map_or(Ok(()), |first| self.0.write_str(first))?;
        lines.try_for_each(|rest| {
            self.0.write_str(" ")?;
            self.0.write_str(rest)
        })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_with_context_and_causes() {
        let error = Error::new(ErrorKind::Unavailable, "cannot listen")
            .with_context("address", "127.0.0.1:1\nforged: line")
            .with_source(std::io::Error::other("in use"));
        assert_eq!(
            error.to_string(),
            "unavailable: cannot listen, address: 127.0.0.1:1 forged: line: in use"
        );
        assert!(error.is_retryable());
        let error = Error::new(ErrorKind::Encode, "a\u{2028}b").with_context("k", "é".repeat(10_000) + "end");
        let text = error.to_string();
        assert!(text.starts_with("encode: a b, k: éé") && text.ends_with("ééend"), "{text}");
        assert!(text.len() < 600 && text.contains("é…é"), "{text}");
    }
}
