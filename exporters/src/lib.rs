#![doc = include_str!("../../README.md")]
// Whatever happens, the host goes on.
#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[doc(hidden)]
pub mod __private;
mod backends;
mod clock;
mod config;
mod deadline;
mod encode;
mod error;
mod exporter;
mod foreign;
#[cfg(feature = "file")]
mod journal;
mod layers;
mod mapping;
mod model;
mod named_file;
mod pipeline;
mod record;
#[cfg(feature = "file")]
mod replay;
mod routes;
mod secret;
mod settings;
#[cfg_attr(not(feature = "file"), path = "no_spool.rs")]
mod spool;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "http")]
mod transport;

#[cfg(feature = "file")]
pub use backends::file::{FileConfig, FileExporter, FileFormat, RotationPolicy};
#[cfg(feature = "http")]
pub use backends::http::{HttpConfig, HttpExporter, HttpMethod};
#[cfg(feature = "opentelemetry")]
pub use backends::opentelemetry::{
    HistogramAggregation, OpenTelemetryConfig, OpenTelemetryExporter, OtlpProtocol, Temporality,
};
#[cfg(feature = "prometheus")]
pub use backends::prometheus;
pub use config::kinds;
#[cfg(feature = "schema")]
pub use config::schema;
pub use deadline::Deadline;
pub use encode::{Compression, Encoded, PayloadFormat};
pub use error::{Error, ErrorKind, Result};
pub use exporter::{
    AnyExporter, BackoffStrategy, Capability, DropReason, Dropped, Exporter, Health, Info, Layer,
    MemoryExporter, Payload, Receipt, RetryConfig, Transmit,
};
pub use exporters_derive::*;
#[cfg(feature = "file")]
pub use journal::Durability;
pub use layers::{
    Alert, AlertConfig, AlertKind, CircuitBreakerConfig, CircuitBreakerLayer, CircuitState, FallbackLayer,
    FilterLayer, MonitorConfig, MonitorLayer, MonitorStats, ProbeConfig, ProbeLayer, RateLimitLayer,
    ResilienceConfig, ResilienceLayer, RetryLayer, SampleLayer, SanitizeLayer, TimeoutLayer,
};
#[cfg(feature = "file")]
pub use layers::{DeadLetterConfig, DeadLetterFile, DeadLetterKind, DeadLetterLayer, DeadLetterStats};
pub use mapping::{Mapping, MetricKind, MetricMapping, Source, Statistic};
pub use model::*;
#[cfg(all(feature = "file", feature = "zstd"))]
pub use pipeline::BufferCompression;
pub use pipeline::{
    AdaptiveConfig, BufferConfig, BufferStats, Builder, LastExport, Ledger, LegHandle, LegOptions, LegPatch,
    LegReport, Overflow, Profiler, Report, ShutdownReport, TestProfiler, init, report, test,
};
#[cfg(feature = "log-layer")]
pub use record::LogLayer;
#[cfg(feature = "tracing-layer")]
pub use record::TracingLayer;
pub use record::{
    AttributeValue, Carry, ErrorType, InContext, KeepConfig, KeepStats, ProfilingAllocator, Run, Sampler,
    ValueRef, add_span_event, current_span, in_current, is_recording, set_span_attribute, update_span_name,
    with_remote_parent,
};
#[cfg(feature = "file")]
pub use replay::{ReplayReport, replay};
pub use routes::{
    ConditionalBuilder, ConditionalConfig, ConditionalExporter, ExportStrategy, Expression, FailurePolicy,
    MultiConfig, MultiExporter, RouteMatch,
};
pub use secret::Secret;
pub use settings::{Endpoint, Settings, duration, size};
#[cfg(feature = "file")]
pub use spool::{SpoolConfig, SpoolStats};
#[cfg(feature = "http")]
pub use transport::{AuthConfig, AuthKind, ExporterConfig, TlsConfig};
