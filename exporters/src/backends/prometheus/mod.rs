//! Prometheus: a page of all metrics, to be scraped.
//!
//! [`PrometheusExporter`] serves it (by default on `http://127.0.0.1:9464/metrics`), or [renders](PrometheusExporter::render)
//! it for a server that the program has already:
//!
//! ```
//! # use exporters::prometheus::{PrometheusConfig, PrometheusExporter};
//! # fn main() -> Result<(), exporters::Error> {
//! let exporter = PrometheusExporter::new(PrometheusConfig::default())?;
//! let accept = Some("application/openmetrics-text"); // the request's header
//! let page = exporter.render(accept);
//! assert_eq!(page.body, "# EOF\n");
//! # Ok(()) }
//! ```
//!
//! Names follow OpenTelemetry's rules: `function.calls` becomes `function_calls_total`, `function.calls.duration` in `s`
//! becomes `function_calls_duration_seconds`. The format is what the client prefers: text 0.0.4, OpenMetrics 1.0, or
//! protobuf with native histograms.

mod buckets;
mod config;
mod families;
mod io;
mod known;
mod negotiate;
mod page;
mod protobuf;
mod pull;
mod render;
mod text;
mod wire;

pub use config::PrometheusConfig;
pub use negotiate::Format;
pub use page::Page;
pub use render::Renderer;
pub(crate) use render::write;

use crate::{
    Batch, Capability, Error, ErrorKind, Exporter, Health, Info, Mapping, ProfileMetrics, Receipt, Result,
    Signal, mapping::Mapper,
};
use page::Pages;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::watch;

/// Answers scrapes. Clones share everything.
#[derive(Clone)]
pub struct PrometheusExporter(Arc<Shared>);

type Gather = dyn Fn() -> Arc<ProfileMetrics> + Send + Sync;
type Hook = dyn Fn(&mut String, Format) + Send + Sync;

struct Shared {
    config: PrometheusConfig,
    source: RwLock<Source>,
    hooks: RwLock<Vec<Arc<Hook>>>,
    /// What of a snapshot is shown, and under which names.
    mapper: Mapper,
    work: Mutex<Work>,
    /// Whether the server may run.
    open: watch::Sender<bool>,
    scrapes: AtomicU64,
    failures: AtomicU64,
}

/// Where a page's numbers come from.
enum Source {
    /// The last snapshot that was exported.
    Latest(Option<Arc<ProfileMetrics>>),
    /// What is there when somebody asks.
    Live(Arc<Gather>),
}

/// What is kept from page to page.
struct Work {
    renderer: Renderer,
    pages: Pages,
}

/// What an exporter has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PrometheusStats {
    /// Pages asked for.
    pub scrapes: u64,
    /// Of these, those that could not be had because the program's own code panicked.
    pub failures: u64,
    /// Points that were [left out](Renderer::render), over all pages.
    pub dropped: u64,
}

impl PrometheusExporter {
    /// Does not listen yet: see [`bind`](Self::bind).
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where a setting is wrong, or the address can be reached by others without
    /// [consent](PrometheusConfig::allow_remote).
    pub fn new(config: PrometheusConfig) -> Result<Self> {
        Self::with_mapping(config, Mapping::default())
    }

    /// The same, with metrics chosen and named by `mapping`; a name is shown as it is given, without an added suffix.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_mapping(config: PrometheusConfig, mapping: Mapping) -> Result<Self> {
        mapping.check()?;
        let renderer = Renderer::new(&config)?;
        Ok(Self(Arc::new(Shared {
            config,
            source: RwLock::new(Source::Latest(None)),
            hooks: RwLock::default(),
            mapper: Mapper::new(mapping),
            work: Mutex::new(Work { renderer, pages: Pages::default() }),
            open: watch::Sender::new(true),
            scrapes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })))
    }

    /// Its settings.
    pub fn config(&self) -> &PrometheusConfig {
        &self.0.config
    }

    /// From now on pages show what `gather` returns when they are asked for, not the last snapshot exported.
    pub fn connect(&self, gather: Arc<dyn Fn() -> Arc<ProfileMetrics> + Send + Sync>) {
        *self.0.source.write().unwrap_or_else(PoisonError::into_inner) = Source::Live(gather);
    }

    /// Appends what `hook` writes to every page, for metrics that the program keeps in a registry of its own.
    ///
    /// The hook writes whole families in the [`Format`] it is given, never [`Protobuf`](Format::Protobuf): with a hook,
    /// clients are served text. A closing `# EOF` is optional, and goes to the end of the page. Names must differ from ours.
    pub fn append(&self, hook: impl Fn(&mut String, Format) + Send + Sync + 'static) {
        self.0.hooks.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(hook));
    }

    /// The page, in the format that the request's `Accept` header prefers. Never panics: where the program's own code does,
    /// the page's status is 500.
    ///
    /// It shows this moment's numbers; those of up to 5 s ago only while eight earlier pages are still held, by slow readers,
    /// so that these cost little memory.
    pub fn render(&self, accept: Option<&str>) -> Page {
        self.0.scrapes.fetch_add(1, Relaxed);
        catch_unwind(AssertUnwindSafe(|| self.page(accept))).unwrap_or_else(|_| {
            self.0.failures.fetch_add(1, Relaxed);
            tracing::warn!(target: "exporters", "a scrape failed: gathering or an appended hook panicked");
            Page::failed()
        })
    }

    fn page(&self, accept: Option<&str>) -> Page {
        let hooks = self.0.hooks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let format = Format::best(accept, |format| hooks.is_empty() || format != Format::Protobuf);
        if let Some(page) = self.work().pages.shared(format) {
            return page;
        }
        // The program's own code runs outside the locks.
        let metrics = self.gather();
        let appended = appended(&hooks, format);
        let mut work = self.work();
        let mut body = work.pages.room();
        if let Some(metrics) = metrics {
            work.renderer.render(&metrics, format, &mut body);
        }
        body.extend_from_slice(appended.as_bytes());
        if format == Format::OpenMetrics {
            body.extend_from_slice(b"# EOF\n");
        }
        work.pages.hand_out(body, format)
    }

    fn gather(&self) -> Option<Arc<ProfileMetrics>> {
        let source = match &*self.0.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Latest(snapshot) => Err(snapshot.clone()),
            Source::Live(gather) => Ok(Arc::clone(gather)),
        };
        let metrics = source.map_or_else(|latest| latest, |gather| Some(gather()))?;
        Some(if self.0.mapper.is_empty() { metrics } else { Arc::new(self.0.mapper.apply(&metrics).metrics) })
    }

    /// What it has done so far.
    pub fn stats(&self) -> PrometheusStats {
        PrometheusStats {
            scrapes: self.0.scrapes.load(Relaxed),
            failures: self.0.failures.load(Relaxed),
            dropped: self.work().renderer.dropped(),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the hooks write, without the lines that end a page.
fn appended(hooks: &[Arc<Hook>], format: Format) -> String {
    let mut all = String::new();
    for hook in hooks {
        hook(&mut all, format);
        let end = all.trim_end().trim_end_matches("# EOF").trim_end().len();
        all.truncate(end);
        if end > 0 {
            all.push('\n');
        }
    }
    all
}

impl Exporter for PrometheusExporter {
    fn info(&self) -> Info {
        Info::new("prometheus")
    }

    fn capability(&self) -> Capability {
        Capability::METRICS
    }

    /// Keeps the snapshot to show, unless pages are [live](PrometheusExporter::connect).
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        if !*self.0.open.borrow() {
            return Err(closed());
        }
        let Signal::Metrics(metrics) = batch.signal() else {
            return Err(Error::new(ErrorKind::Unsupported, "Prometheus takes metrics only"));
        };
        if let Source::Latest(latest) = &mut *self.0.source.write().unwrap_or_else(PoisonError::into_inner) {
            *latest = Some(Arc::clone(metrics));
        }
        Ok(Receipt::accepted(batch.len()))
    }

    async fn health(&self) -> Health {
        match *self.0.open.borrow() {
            true => Health::Healthy,
            false => Health::Unhealthy(closed()),
        }
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Ends the server.
    async fn shutdown(&self) -> Result<()> {
        self.0.open.send_replace(false);
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the exporter is shut down")
}

impl fmt::Debug for PrometheusExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusExporter").field("config", &self.0.config).finish_non_exhaustive()
    }
}
