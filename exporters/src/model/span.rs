//! Trace spans, as OpenTelemetry models them.

use super::{Attributes, Resource, Scope};
use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// Spans that ended, all of one resource.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct Spans {
    /// Who reports.
    pub resource: Arc<Resource>,
    /// The spans, in no order.
    pub spans: Vec<Span>,
}

impl Spans {
    /// Of this resource.
    pub fn new(resource: Arc<Resource>, spans: Vec<Span>) -> Self {
        Self { resource, spans }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Others of the same resource.
    pub(crate) fn with(&self, spans: Vec<Span>) -> Self {
        Self { resource: self.resource.clone(), spans }
    }
}

/// Of a resource of which nothing is known.
impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        Self::new(Arc::default(), spans.into_iter().collect())
    }
}

/// One finished operation of a trace.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
#[doc(alias = "ProfileTrace")]
pub struct Span {
    /// Its own identity.
    pub context: SpanContext,
    /// The span it happened in; zero for a root.
    #[cfg_attr(feature = "file", serde(with = "super::exact::hex"))]
    pub parent_id: [u8; 8],
    /// Whether the parent lives in another process.
    pub parent_is_remote: bool,
    /// What was done, for example `checkout::charge`.
    pub name: Cow<'static, str>,
    /// Its role.
    pub kind: SpanKind,
    /// When it began.
    #[cfg_attr(feature = "file", serde(with = "super::exact::time"))]
    pub start: SystemTime,
    /// When it ended; never before the start.
    #[cfg_attr(feature = "file", serde(with = "super::exact::time"))]
    pub end: SystemTime,
    /// What is known of it.
    pub attributes: Attributes,
    /// How many attributes did not fit.
    pub dropped_attributes: u32,
    /// What happened within.
    pub events: Vec<SpanEvent>,
    /// How many events did not fit.
    pub dropped_events: u32,
    /// Spans it has to do with besides its parent.
    pub links: Vec<SpanLink>,
    /// How many links did not fit.
    pub dropped_links: u32,
    /// How it ended.
    pub status: Status,
    /// The instrumented crate.
    pub scope: Arc<Scope>,
}

/// What identifies a span everywhere: W3C Trace Context.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct SpanContext {
    /// The trace; never all zero.
    #[cfg_attr(feature = "file", serde(with = "super::exact::hex"))]
    pub trace_id: [u8; 16],
    /// The span; never all zero.
    #[cfg_attr(feature = "file", serde(with = "super::exact::hex"))]
    pub span_id: [u8; 8],
    /// W3C trace flags; bit 0 says that the trace is sampled.
    pub flags: u8,
    /// W3C `tracestate`, as received; empty for none.
    pub trace_state: Cow<'static, str>,
}

/// The role of a span.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "file", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SpanKind {
    /// Work inside the service.
    #[default]
    Internal,
    /// The answer to a remote request.
    Server,
    /// A request to a remote service.
    Client,
    /// A message handed to a queue.
    Producer,
    /// A message taken from a queue.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "file", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Status {
    /// Nothing said.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// Badly; why, in words.
    Error(Cow<'static, str>),
}

/// Something that happened within a span.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct SpanEvent {
    /// When.
    #[cfg_attr(feature = "file", serde(with = "super::exact::time"))]
    pub time: SystemTime,
    /// What.
    pub name: Cow<'static, str>,
    /// What is known of it.
    pub attributes: Attributes,
}

/// Another span that a span has to do with.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "file", derive(serde::Deserialize, serde::Serialize))]
pub struct SpanLink {
    /// Which.
    pub context: SpanContext,
    /// In what way.
    pub attributes: Attributes,
}
