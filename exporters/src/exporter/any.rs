//! The one boxed boundary: any exporter behind one type, and what wraps it.

use super::{Capability, Exporter, Health, Info, LastOutcome, Receipt};
use crate::{Batch, Result, foreign::quietly};
use pin_project_lite::pin_project;
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    mem::ManuallyDrop,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any exporter: what layers, routes and the pipeline pass around. Cheap to clone.
///
/// It remembers what came of the last export, so that no exporter has to: where that failed, its [`health`](Exporter::health) is
/// [`Degraded`](Health::Degraded) if sending again may help, else [`Unhealthy`](Health::Unhealthy), also where the exporter itself
/// says that all is well. Batches that could not be written, or were too large, do not count.
///
/// An exporter that panics when it is asked for its [`info`](Exporter::info) is called `unknown`; a panic when it is dropped ends
/// there.
#[derive(Clone)]
pub struct AnyExporter(Arc<dyn DynExporter>);

/// Turns an exporter into another one. State lives in the layer, so that it can be asked after wrapping.
pub trait Layer {
    /// Wraps `inner`.
    fn layer(&self, inner: AnyExporter) -> AnyExporter;
}

impl AnyExporter {
    /// Erases the type of `exporter`.
    pub fn new(exporter: impl Exporter) -> Self {
        Self(Arc::new(Remembering { exporter: ManuallyDrop::new(exporter), last: LastOutcome::default() }))
    }

    /// Wraps it. The layer that is added last sees a batch first.
    #[must_use]
    pub fn layer(self, layer: impl Layer) -> Self {
        layer.layer(self)
    }

    /// The same exporter, called otherwise: tells two of a kind apart.
    #[must_use]
    pub fn with_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Named { inner: self, name: name.into() })
    }
}

/// An exporter under another name.
#[derive(Debug)]
struct Named {
    inner: AnyExporter,
    name: Cow<'static, str>,
}

impl Exporter for Named {
    fn info(&self) -> Info {
        self.inner.0.info().with_name(self.name.clone())
    }
    fn capability(&self) -> Capability {
        self.inner.0.capability()
    }
    fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send {
        self.inner.0.export(batch)
    }
    fn health(&self) -> impl Future<Output = Health> + Send {
        self.inner.0.health()
    }
    fn flush(&self) -> impl Future<Output = Result<()>> + Send {
        self.inner.0.flush()
    }
    fn shutdown(&self) -> impl Future<Output = Result<()>> + Send {
        self.inner.0.shutdown()
    }
}

impl fmt::Debug for AnyExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Exporter for AnyExporter {
    fn info(&self) -> Info {
        self.0.info()
    }
    fn capability(&self) -> Capability {
        self.0.capability()
    }
    // The futures as they are, not within one of ours: so whoever polls one is the one that drops it.
    fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send {
        self.0.export(batch)
    }
    fn health(&self) -> impl Future<Output = Health> + Send {
        self.0.health()
    }
    fn flush(&self) -> impl Future<Output = Result<()>> + Send {
        self.0.flush()
    }
    fn shutdown(&self) -> impl Future<Output = Result<()>> + Send {
        self.0.shutdown()
    }
}

/// The object-safe face of [`Exporter`].
trait DynExporter: Send + Sync + fmt::Debug {
    fn info(&self) -> Info;
    fn capability(&self) -> Capability;
    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>>;
    fn health(&self) -> BoxFuture<'_, Health>;
    fn flush(&self) -> BoxFuture<'_, Result<()>>;
    fn shutdown(&self) -> BoxFuture<'_, Result<()>>;
}

/// An exporter, and what came of its last export.
struct Remembering<E> {
    exporter: ManuallyDrop<E>,
    last: LastOutcome,
}

impl<E> Drop for Remembering<E> {
    fn drop(&mut self) {
        // SAFETY: this is dropped once, and nothing uses the exporter after that.
        let _ = quietly(|| unsafe { ManuallyDrop::drop(&mut self.exporter) });
    }
}

impl<E: fmt::Debug> fmt::Debug for Remembering<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self.exporter).fmt(f)
    }
}

impl<E: Exporter> DynExporter for Remembering<E> {
    fn info(&self) -> Info {
        quietly(|| self.exporter.info()).unwrap_or(Info::new("unknown"))
    }
    fn capability(&self) -> Capability {
        self.exporter.capability()
    }
    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        Box::pin(Remembered { export: self.exporter.export(batch), last: &self.last })
    }
    fn health(&self) -> BoxFuture<'_, Health> {
        Box::pin(async {
            match self.exporter.health().await {
                Health::Healthy => self.last.health(),
                other => other,
            }
        })
    }
    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.exporter.flush())
    }
    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.exporter.shutdown())
    }
}

pin_project! {
    /// An export whose answer is remembered. It ends before its future is dropped, which is for whoever polls this one.
    struct Remembered<'a, F> {
        #[pin]
        export: F,
        last: &'a LastOutcome,
    }
}

impl<F: Future<Output = Result<Receipt>>> Future for Remembered<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.export.poll(cx));
        this.last.remember(&answer);
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LegOptions, MemoryExporter, MonitorConfig, MonitorLayer, Profiler};
    use std::panic::resume_unwind;

    /// Does not know its name, and does not want to go.
    #[derive(Debug)]
    struct Stubborn(MemoryExporter);

    impl Drop for Stubborn {
        fn drop(&mut self) {
            resume_unwind(Box::new("as the test has it"));
        }
    }

    impl Exporter for Stubborn {
        fn info(&self) -> Info {
            resume_unwind(Box::new("as the test has it"))
        }
        fn capability(&self) -> Capability {
            self.0.capability()
        }
        fn export(&self, batch: Batch) -> impl Future<Output = Result<Receipt>> + Send {
            self.0.export(batch)
        }
        fn health(&self) -> impl Future<Output = Health> + Send {
            self.0.health()
        }
        fn flush(&self) -> impl Future<Output = Result<()>> + Send {
            self.0.flush()
        }
        fn shutdown(&self) -> impl Future<Output = Result<()>> + Send {
            self.0.shutdown()
        }
    }

    #[test]
    fn a_panic_for_its_name_or_when_it_is_dropped_costs_nothing() {
        let memory = MemoryExporter::new();
        let exporter = AnyExporter::new(Stubborn(memory.clone()));
        assert_eq!(exporter.info(), Info::new("unknown"));
        let layered = exporter.layer(MonitorLayer::new(MonitorConfig::default()).unwrap());
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio.block_on(layered.export(crate::layers::script::batch(1))).unwrap();
        drop(layered);
        assert_eq!(memory.batches().len(), 1);
        // It is asked when it is added, and goes with what it was added to.
        drop(Profiler::builder().exporter_with(Stubborn(memory.clone()), LegOptions::default()));
    }
}
