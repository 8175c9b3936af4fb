//! What wraps an exporter: each layer turns one exporter into another, and says of every item what became of it.
//!
//! The layer that is added last sees a batch first. A layer names no backend, waits no longer than a batch's
//! [`deadline`](crate::Batch::deadline) allows, and passes on what it does not understand.

mod circuit_breaker;
#[cfg(feature = "file")]
mod dead_letter;
mod fallback;
mod filter;
mod monitor;
mod probe;
mod rate_limit;
mod resilience;
mod retry;
mod sample;
mod sanitize;
mod select;
mod timeout;

pub use circuit_breaker::{CircuitBreakerConfig, CircuitBreakerLayer, CircuitState};
#[cfg(feature = "file")]
pub use dead_letter::{DeadLetterConfig, DeadLetterFile, DeadLetterKind, DeadLetterLayer, DeadLetterStats};
pub use fallback::FallbackLayer;
pub use filter::FilterLayer;
pub use monitor::{Alert, AlertConfig, AlertKind, MonitorConfig, MonitorLayer, MonitorStats};
pub use probe::{ProbeConfig, ProbeLayer};
pub use rate_limit::RateLimitLayer;
pub use resilience::{ResilienceConfig, ResilienceLayer};
pub use retry::RetryLayer;
pub use sample::SampleLayer;
pub use sanitize::SanitizeLayer;
pub use timeout::TimeoutLayer;

/// The methods of [`Exporter`](crate::Exporter) that a layer leaves to what it wraps, `inner`.
macro_rules! forward {
    ($($method:ident),*) => { $($crate::layers::forward!(@ $method);)* };
    (@ info) => {
        fn info(&self) -> $crate::Info {
            self.inner.info()
        }
    };
    (@ capability) => {
        fn capability(&self) -> $crate::Capability {
            self.inner.capability()
        }
    };
    (@ health) => {
        fn health(&self) -> impl Future<Output = $crate::Health> + Send {
            self.inner.health()
        }
    };
    (@ flush) => {
        fn flush(&self) -> impl Future<Output = $crate::Result<()>> + Send {
            self.inner.flush()
        }
    };
    (@ shutdown) => {
        fn shutdown(&self) -> impl Future<Output = $crate::Result<()>> + Send {
            self.inner.shutdown()
        }
    };
}
use forward;

#[cfg(test)]
pub(crate) mod script;
