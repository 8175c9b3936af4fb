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
mod negotiate;
mod protobuf;
mod pull;
mod render;
mod text;
mod wire;

pub use config::PrometheusConfig;
pub use negotiate::Format;
pub use render::Renderer;

use crate::{
    Batch, Capability, Error, ErrorKind, Exporter, Health, Info, ProfileMetrics, Receipt, Result, Signal,
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
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
    renderer: Mutex<Work>,
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

/// As many pages may be read at a time; who comes then, shares the newest.
const MAX_PAGES: usize = 8;
/// How old a page may be to be shared.
const MAX_AGE: Duration = Duration::from_secs(5);

/// What is kept from page to page.
struct Work {
    renderer: Renderer,
    /// Pages that were handed out, oldest first; memory that nobody reads any more is used again.
    handed_out: VecDeque<(Page, Format, Instant)>,
}

impl Work {
    /// A page to share, where slow readers hold too many already.
    fn shared(&self, format: Format) -> Option<Page> {
        let read = self.handed_out.iter().filter(|(page, ..)| !page.body.is_unique());
        let (page, of, at) = self.handed_out.back().filter(|_| read.count() >= MAX_PAGES)?;
        (*of == format && at.elapsed() < MAX_AGE).then(|| page.clone())
    }

    /// Room for a page.
    fn room(&mut self) -> Vec<u8> {
        let mut free = Bytes::new();
        self.handed_out.retain_mut(|(page, ..)| {
            let read = !page.body.is_unique();
            if !read {
                free = std::mem::take(&mut page.body);
            }
            read
        });
        let mut room: Vec<u8> = free.try_into_mut().map(Vec::from).unwrap_or_default();
        room.clear();
        room
    }
}

/// An answer to a scrape.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// 200; 500 where the numbers could not be had.
    pub status: http::StatusCode,
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The page.
    pub body: Bytes,
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
        let renderer = Renderer::new(&config)?;
        Ok(Self(Arc::new(Shared {
            config,
            source: RwLock::new(Source::Latest(None)),
            hooks: RwLock::default(),
            renderer: Mutex::new(Work { renderer, handed_out: VecDeque::new() }),
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
            Page {
                status: http::StatusCode::INTERNAL_SERVER_ERROR,
                content_type: "text/plain; charset=utf-8",
                body: Bytes::from_static(b"gathering the metrics failed\n"),
            }
        })
    }

    fn page(&self, accept: Option<&str>) -> Page {
        let hooks = self.0.hooks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let format = Format::best(accept, |format| hooks.is_empty() || format != Format::Protobuf);
        if let Some(page) = self.work().shared(format) {
            return page;
        }
        // The program's own code runs outside the locks.
        let metrics = self.gather();
        let appended = appended(&hooks, format);
        let mut work = self.work();
        let mut body = work.room();
        if let Some(metrics) = metrics {
            work.renderer.render(&metrics, format, &mut body);
        }
        body.extend_from_slice(appended.as_bytes());
        if format == Format::OpenMetrics {
            body.extend_from_slice(b"# EOF\n");
        }
        let page = Page {
            status: http::StatusCode::OK,
            content_type: format.content_type(),
            body: Bytes::from(body),
        };
        // An empty page has no memory, and no owner.
        if !page.body.is_empty() {
            work.handed_out.push_back((page.clone(), format, Instant::now()));
        }
        page
    }

    fn gather(&self) -> Option<Arc<ProfileMetrics>> {
        let gather = match &*self.0.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Latest(snapshot) => return snapshot.clone(),
            Source::Live(gather) => Arc::clone(gather),
        };
        Some(gather())
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
        self.0.renderer.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, Data, Descriptor, Metric, Number, Point, Scope, Series};
    use std::time::SystemTime;

    /// Shows how often it was asked.
    fn counting() -> PrometheusExporter {
        let exporter = PrometheusExporter::new(PrometheusConfig::default()).unwrap();
        let series = Series {
            scope: Arc::new(Scope::default()),
            attributes: Attributes::default(),
            start: SystemTime::now(),
        };
        let (series, descriptor) =
            (Arc::new(series), Arc::new(Descriptor { name: "n".into(), ..Default::default() }));
        let asked = AtomicU64::new(0);
        exporter.connect(Arc::new(move || {
            let total = Number::U64(asked.fetch_add(1, Relaxed) + 1);
            let point = Point { series: series.clone(), total, change: total, exemplars: Vec::new() };
            let metric = Metric { descriptor: descriptor.clone(), data: Data::Gauge(vec![point]) };
            let now = SystemTime::now();
            Arc::new(ProfileMetrics { resource: Arc::default(), interval: now..now, metrics: vec![metric] })
        }));
        exporter
    }

    fn page(number: usize) -> String {
        format!("# TYPE n gauge\nn {number}\n")
    }

    #[test]
    fn every_page_is_fresh_unless_many_are_still_read() {
        let exporter = counting();
        for number in 1..=3 {
            assert_eq!(exporter.render(None).body, page(number));
        }
        let mut held: Vec<_> = (0..MAX_PAGES).map(|_| exporter.render(None)).collect();
        assert_eq!(held[MAX_PAGES - 1].body, page(MAX_PAGES + 3));
        assert_eq!(exporter.render(None).body, page(MAX_PAGES + 3));
        let open = exporter.render(Some("application/openmetrics-text"));
        assert_eq!(open.body, page(MAX_PAGES + 4) + "# EOF\n", "another format is not shared");
        held.pop();
        assert_eq!(exporter.render(None).body, page(MAX_PAGES + 5));
        assert!(
            held.iter().enumerate().all(|(i, held)| held.body == page(i + 4)),
            "what is held does not change"
        );
    }

    #[test]
    fn memory_that_nobody_reads_is_used_again() {
        let exporter = counting();
        let first = exporter.render(None).body.as_ptr();
        assert_eq!(exporter.render(None).body.as_ptr(), first);
        assert_eq!(exporter.work().handed_out.len(), 1);
    }
}
