//! Pages, and the memory behind them: used again when nobody reads it any more, and bounded while many do.

use super::negotiate::Format;
use bytes::Bytes;
use http::StatusCode;
use std::time::{Duration, Instant};

/// So many pages may be read at a time; who comes then, shares the newest.
const MAX_PAGES: usize = 8;
/// How old a page may be to be shared.
const MAX_AGE: Duration = Duration::from_secs(5);

/// An answer to a scrape.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// 200; 500 where the numbers could not be had.
    pub status: StatusCode,
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The page.
    pub body: Bytes,
}

impl Page {
    pub(super) fn failed() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::from_static(b"gathering the metrics failed\n"),
        }
    }
}

/// The pages that were handed out, oldest first.
#[derive(Default)]
pub(super) struct Pages(Vec<(Page, Format, Instant)>);

impl Pages {
    /// A page to share, where slow readers hold too many already.
    pub(super) fn shared(&self, format: Format) -> Option<Page> {
        let held = self.0.iter().filter(|(page, ..)| !page.body.is_unique()).count();
        let (page, _, at) = self.0.iter().rfind(|(_, of, _)| *of == format)?;
        (held >= MAX_PAGES && at.elapsed() < MAX_AGE).then(|| page.clone())
    }

    /// Room for a page, if possible where one was that nobody reads any more.
    pub(super) fn room(&mut self) -> Vec<u8> {
        let mut free = Bytes::new();
        self.0.retain_mut(|(page, ..)| {
            let held = !page.body.is_unique();
            if !held {
                free = std::mem::take(&mut page.body);
            }
            held
        });
        let mut room: Vec<u8> = free.try_into_mut().map(Vec::from).unwrap_or_default();
        room.clear();
        room
    }

    pub(super) fn hand_out(&mut self, body: Vec<u8>, format: Format) -> Page {
        let body = Bytes::from(body);
        let page = Page { status: StatusCode::OK, content_type: format.content_type(), body };
        // An empty page has no memory, and no owner.
        if !page.body.is_empty() {
            self.0.push((page.clone(), format, Instant::now()));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PrometheusConfig, PrometheusExporter},
        *,
    };
    use crate::{Attributes, Data, Descriptor, Metric, Number, Point, ProfileMetrics, Scope, Series};
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
        time::SystemTime,
    };

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
            Arc::new(ProfileMetrics {
                resource: Arc::default(),
                interval: now..now,
                metrics: vec![metric],
                ended: Vec::new(),
            })
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
        drop(open);
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
        assert_eq!(exporter.work().pages.0.len(), 1);
    }
}
