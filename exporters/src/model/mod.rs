//! The data: metrics, spans, and the batches they travel in. No behaviour beyond arithmetic.

mod attribute;
mod batch;
#[cfg(feature = "file")]
mod exact;
mod histogram;
pub(crate) mod memory;
mod merge;
mod metric;
mod profile_metrics;
mod resource;
#[cfg(test)]
pub(crate) mod sample;
mod span;
mod trace_context;

pub use attribute::{Attributes, KeyValue, Value};
pub use batch::{Batch, BatchId, Signal, SignalKind};
pub(crate) use histogram::bound;
pub use histogram::{Buckets, ExponentialHistogram, Histogram};
#[cfg(all(feature = "file", feature = "zstd"))]
pub(crate) use memory::shared;
pub(crate) use merge::Absorbed;
pub use metric::{Data, Descriptor, Exemplar, Metric, Number, Point, Series, Sum};
pub use profile_metrics::{Ended, FunctionMetrics, ProfileMetrics};
#[cfg(feature = "opentelemetry")]
pub(crate) use resource::parse_list;
pub use resource::{Resource, Scope};
pub use span::{Span, SpanContext, SpanEvent, SpanKind, SpanLink, Spans, Status};
