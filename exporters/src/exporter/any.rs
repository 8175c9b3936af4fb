//! The one boxed boundary: any exporter behind one type, and what wraps it.

use super::{Capability, Exporter, Health, Info, Receipt};
use crate::{Batch, Result};
use std::{borrow::Cow, fmt, future::Future, pin::Pin, sync::Arc};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any exporter: what layers, routes and the pipeline pass around. Cheap to clone.
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
        Self(Arc::new(exporter))
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

impl<E: Exporter> DynExporter for E {
    fn info(&self) -> Info {
        Exporter::info(self)
    }
    fn capability(&self) -> Capability {
        Exporter::capability(self)
    }
    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        Box::pin(Exporter::export(self, batch))
    }
    fn health(&self) -> BoxFuture<'_, Health> {
        Box::pin(Exporter::health(self))
    }
    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(Exporter::flush(self))
    }
    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(Exporter::shutdown(self))
    }
}
