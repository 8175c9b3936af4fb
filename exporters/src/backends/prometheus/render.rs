//! `Renderer`: snapshots to pages, without allocation once it has seen the series.

use super::{
    config::PrometheusConfig,
    families::{Families, Style},
    negotiate::Format,
    protobuf, text,
};
use crate::{Batch, Error, ErrorKind, ProfileMetrics, Resource, Result, encode::Written};
use std::{fmt, sync::Arc};

/// Writes snapshots in Prometheus' formats.
///
/// It remembers how each series' lines begin, by the address of its [`Series`](crate::Series), and allocates nothing as
/// long as the series stay the same.
pub struct Renderer {
    style: Style,
    text: Families,
    protobuf: Families,
    /// `target_info`, of the resource it was written for.
    target: [Option<(Arc<Resource>, Vec<u8>)>; 3],
    dropped: u64,
}

impl Renderer {
    /// # Errors
    /// [`ConfigInvalid`](crate::ErrorKind::ConfigInvalid) where a setting is wrong.
    pub fn new(config: &PrometheusConfig) -> Result<Self> {
        Ok(Self {
            style: Style::new(config)?,
            text: Families::new(text::ENCODER),
            protobuf: Families::new(protobuf::ENCODER),
            target: [None, None, None],
            dropped: 0,
        })
    }

    /// Appends the families that show the totals of `metrics`; what ends a page of OpenMetrics, `# EOF`, is the caller's.
    ///
    /// What the format cannot carry is left out, and [counted](Self::dropped): counters that are negative or not finite,
    /// histograms whose sum is not finite or whose bounds are out of order, and series with the labels of another.
    pub fn render(&mut self, metrics: &ProfileMetrics, format: Format, out: &mut Vec<u8>) {
        self.target_info(&metrics.resource, format, out);
        let metrics = &*metrics.metrics;
        self.dropped += match format {
            Format::Protobuf => {
                let mut page = protobuf::Page { out, dropped: 0 };
                page.families(&mut self.protobuf, &self.style, metrics);
                page.dropped
            }
            _ => {
                let open_metrics = format == Format::OpenMetrics;
                let mut page = text::Page { out, open_metrics, dropped: 0 };
                page.families(&mut self.text, &self.style, metrics);
                page.dropped
            }
        };
    }

    /// How many points were left out so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn target_info(&mut self, resource: &Arc<Resource>, format: Format, out: &mut Vec<u8>) {
        if !self.style.config.target_info {
            return;
        }
        let remembered = &mut self.target[format as usize];
        match remembered {
            Some((of, bytes)) if Arc::ptr_eq(of, resource) => out.extend_from_slice(bytes),
            _ => {
                let start = out.len();
                match format {
                    Format::Protobuf => protobuf::target_info(out, resource),
                    _ => text::target_info(out, resource, format == Format::OpenMetrics),
                }
                *remembered = Some((Arc::clone(resource), out[start..].to_vec()));
            }
        }
    }
}

/// Writes the text 0.0.4 of a batch, with labels, for exporters that send it themselves.
pub(crate) fn write(
    batch: &Batch,
    labels: &[(&str, &str)],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<Written> {
    let Some(metrics) = batch.metrics() else {
        return Err(Error::new(ErrorKind::Unsupported, "Prometheus takes metrics only"));
    };
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut renderer = Renderer::new(&PrometheusConfig { labels, ..PrometheusConfig::default() })?;
    renderer.render(&metrics.slice(batch.range()), Format::Text, out);
    // How many families fit is not how many items do.
    let items = if out.len() <= limit { batch.len() } else { batch.len() / 2 };
    Ok(Written { items, skipped: usize::try_from(renderer.dropped()).unwrap_or(usize::MAX).min(batch.len()) })
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer").field("style", &self.style).field("dropped", &self.dropped).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attributes, Buckets, Data, Descriptor, Exemplar, ExponentialHistogram, Histogram, KeyValue, Metric,
        Number, Point, Scope, Series, Sum,
    };
    use std::time::{Duration, UNIX_EPOCH};

    fn point<T: Clone>(attributes: &[(&'static str, &'static str)], total: T) -> Point<T> {
        let attributes: Attributes = attributes.iter().map(|(k, v)| KeyValue::new(*k, *v)).collect();
        let scope = Arc::new(Scope { name: "app".into(), version: "1.0".into() });
        let series = Arc::new(Series { scope, attributes, start: UNIX_EPOCH + Duration::from_millis(1500) });
        Point { series, change: total.clone(), total, exemplars: Vec::new() }
    }

    fn metric(name: &'static str, unit: &'static str, data: Data) -> Metric {
        let descriptor = Descriptor {
            name: name.into(),
            unit: unit.into(),
            description: "A \"b\".".into(),
            ..Default::default()
        };
        Metric { descriptor: Arc::new(descriptor), data }
    }

    fn counter(points: Vec<Point<Number>>) -> Data {
        Data::Sum(Sum { monotonic: true, points })
    }

    fn snapshot(metrics: Vec<Metric>) -> ProfileMetrics {
        let attributes = [KeyValue::new("service.name", "shop")].into_iter().collect();
        let resource = Arc::new(Resource { attributes });
        ProfileMetrics { resource, interval: UNIX_EPOCH..UNIX_EPOCH, metrics, ended: Vec::new() }
    }

    fn page(renderer: &mut Renderer, metrics: &ProfileMetrics, format: Format) -> String {
        let mut out = Vec::new();
        renderer.render(metrics, format, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn plain(config: PrometheusConfig) -> Renderer {
        Renderer::new(&PrometheusConfig { target_info: false, scope_labels: false, ..config }).unwrap()
    }

    /// 1.0, 1.05 twice and 2.0, at schema 3.
    fn four_values() -> ExponentialHistogram {
        let positive = Buckets { offset: 0, counts: vec![1, 2, 0, 0, 0, 0, 0, 0, 1] };
        ExponentialHistogram { scale: 3, positive, sum: 5.1, ..Default::default() }
    }

    #[test]
    fn a_page_in_both_text_formats() {
        let metrics = snapshot(vec![
            metric("calls", "{call}", counter(vec![point(&[("function", "a\"\\\nb")], Number::U64(7))])),
            metric("took", "s", Data::ExponentialHistogram(vec![point(&[], four_values())])),
            metric("use", "1", Data::Gauge(vec![point(&[], Number::F64(f64::NAN))])),
        ]);
        let config =
            PrometheusConfig { classic_buckets: vec![1.0, 4.0], created: true, ..Default::default() };
        let mut renderer = Renderer::new(&config).unwrap();
        let text = r#"# HELP target_info Target metadata
# TYPE target_info gauge
target_info{service_name="shop"} 1
# HELP calls_total A "b".
# TYPE calls_total counter
calls_total{function="a\"\\\nb",otel_scope_name="app",otel_scope_version="1.0"} 7
# HELP took_seconds A "b".
# TYPE took_seconds histogram
took_seconds_bucket{otel_scope_name="app",otel_scope_version="1.0",le="1.0"} 1
took_seconds_bucket{otel_scope_name="app",otel_scope_version="1.0",le="4.0"} 4
took_seconds_bucket{otel_scope_name="app",otel_scope_version="1.0",le="+Inf"} 4
took_seconds_sum{otel_scope_name="app",otel_scope_version="1.0"} 5.1
took_seconds_count{otel_scope_name="app",otel_scope_version="1.0"} 4
# HELP use_ratio A "b".
# TYPE use_ratio gauge
use_ratio{otel_scope_name="app",otel_scope_version="1.0"} NaN
"#;
        let open = r#"# TYPE target info
# HELP target Target metadata
target_info{service_name="shop"} 1
# TYPE calls counter
# HELP calls A \"b\".
calls_total{function="a\"\\\nb",otel_scope_name="app",otel_scope_version="1.0"} 7
calls_created{function="a\"\\\nb",otel_scope_name="app",otel_scope_version="1.0"} 1.500
# TYPE took_seconds histogram
# UNIT took_seconds seconds
# HELP took_seconds A \"b\".
took_seconds_bucket{otel_scope_name="app",otel_scope_version="1.0",le="1.0"} 1
took_seconds_bucket{otel_scope_name="app",otel_scope_version="1.0",le="4.0"} 4
took_seconds_bucket{otel_scope_name="app",otel_scope_version="1.0",le="+Inf"} 4
took_seconds_sum{otel_scope_name="app",otel_scope_version="1.0"} 5.1
took_seconds_count{otel_scope_name="app",otel_scope_version="1.0"} 4
took_seconds_created{otel_scope_name="app",otel_scope_version="1.0"} 1.500
# TYPE use_ratio gauge
# UNIT use_ratio ratio
# HELP use_ratio A \"b\".
use_ratio{otel_scope_name="app",otel_scope_version="1.0"} NaN
"#;
        // Twice: the second page is written from what the first one remembered.
        for _ in 0..2 {
            assert_eq!(page(&mut renderer, &metrics, Format::Text), text);
            assert_eq!(page(&mut renderer, &metrics, Format::OpenMetrics), open);
        }
        assert_eq!(renderer.dropped(), 0);
    }

    #[test]
    fn a_native_histogram_byte_for_byte() {
        let epoch = |mut point: Point<_>| {
            let series = Series { start: UNIX_EPOCH - Duration::from_secs(1), ..(*point.series).clone() };
            point.series = Arc::new(series);
            point
        };
        let data = Data::ExponentialHistogram(vec![epoch(point(&[], four_values()))]);
        let mut metric = metric("job", "s", data);
        metric.descriptor = Arc::new(Descriptor { description: "".into(), ..(*metric.descriptor).clone() });
        let mut renderer = plain(PrometheusConfig { classic_buckets: vec![], ..Default::default() });
        let mut out = Vec::new();
        renderer.render(&snapshot(vec![metric]), Format::Protobuf, &mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = concat!(
            "550a0b6a6f625f7365636f6e647312001804",
            "2239",
            "3a37",
            "0804",
            "116666666666661440",
            "1a0b080411000000000000f07f", // the classic bucket +Inf
            "2806",
            "310000000000000000",
            "3800",
            "6204080010026204080c1001",
            "6802",
            "6802",
            "6801",
            "2a077365636f6e6473",
        );
        assert_eq!(hex, expected);
    }

    #[test]
    fn explicit_histograms_and_exemplars() {
        let histogram = Histogram { bounds: vec![0.5, 2.0], counts: vec![1, 0, 2], sum: 9.25 };
        let mut with = point(&[], histogram);
        let exemplar = |value, second| Exemplar {
            value,
            time: UNIX_EPOCH + Duration::from_secs(second),
            trace_id: [0xab; 16],
            span_id: [1; 8],
        };
        with.exemplars = vec![exemplar(0.5, 1), exemplar(3.0, 9), exemplar(4.0, 8), exemplar(f64::NAN, 10)];
        let negative = Histogram { bounds: vec![-1.0], counts: vec![1, 0], sum: -3.0 };
        let mut renderer = plain(PrometheusConfig::default());
        let metrics = snapshot(vec![
            metric("a", "", Data::Histogram(vec![with])),
            metric("b", "", Data::Histogram(vec![point(&[], negative)])),
        ]);
        let text = page(&mut renderer, &metrics, Format::OpenMetrics);
        let trace = r#"{trace_id="abababababababababababababababab",span_id="0101010101010101"}"#;
        assert!(text.contains(&format!("a_bucket{{le=\"0.5\"}} 1 # {trace} 0.5 1.000\n")), "{text}");
        assert!(text.contains("a_bucket{le=\"2.0\"} 1\n"), "{text}");
        assert!(text.contains(&format!("a_bucket{{le=\"+Inf\"}} 3 # {trace} 3.0 9.000\n")), "{text}");
        assert!(text.contains("a_sum 9.25\na_count 3\n"), "{text}");
        assert!(text.ends_with("b_bucket{le=\"-1.0\"} 1\nb_bucket{le=\"+Inf\"} 1\n"), "{text}");
        assert!(page(&mut renderer, &metrics, Format::Text).ends_with("b_sum -3.0\nb_count 1\n"));
    }

    #[test]
    fn what_cannot_be_represented_is_left_out_and_counted() {
        let broken = Histogram { bounds: vec![2.0, 1.0], counts: vec![0, 0, 0], sum: 0.0 };
        let metrics = snapshot(vec![
            metric(
                "a",
                "",
                counter(vec![point(&[], Number::F64(f64::NAN)), point(&[("b", "c")], Number::I64(-1))]),
            ),
            metric("h", "", Data::Histogram(vec![point(&[], broken)])),
            metric(
                "twice",
                "",
                counter(vec![point(&[("x.y", "1")], Number::U64(1)), point(&[("x_y", "1")], Number::U64(2))]),
            ),
        ]);
        let mut renderer = plain(PrometheusConfig::default());
        let expected = "# HELP twice_total A \"b\".\n# TYPE twice_total counter\ntwice_total{x_y=\"1\"} 1\n";
        assert_eq!(page(&mut renderer, &metrics, Format::Text), expected);
        assert_eq!(renderer.dropped(), 4);
    }

    #[test]
    fn metrics_of_one_name_share_a_family_or_are_told_apart() {
        let one = |key: &'static str| vec![point(&[(key, "1")], Number::U64(1))];
        let metrics = snapshot(vec![
            metric("a.b", "", counter(one("x"))),
            metric("a/b", "", Data::Gauge(one("x"))),
            metric("a_b", "", counter(one("y"))),
            metric("a b", "", counter(one("x"))),
            metric("a_b_total", "", Data::Gauge(one("x"))),
        ]);
        let mut renderer = plain(PrometheusConfig::default());
        let text = page(&mut renderer, &metrics, Format::OpenMetrics);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE a_b counter",
                "a_b_total{x=\"1\"} 1",
                "a_b_total{y=\"1\"} 1",
                "# TYPE a_b_2 gauge",
                "a_b_2{x=\"1\"} 1",
                "# TYPE a_b_3 counter",
                "a_b_3_total{x=\"1\"} 1",
                "# TYPE a_b_total_2 gauge",
                "a_b_total_2{x=\"1\"} 1",
            ]
        );
    }

    #[test]
    fn a_name_that_a_user_chose_stays() {
        let points = || vec![point(&[], Number::U64(1))];
        let mut chosen = metric("jobs_total", "", counter(points()));
        let exact = Descriptor { exact_name: true, ..(*chosen.descriptor).clone() };
        chosen.descriptor = Arc::new(exact);
        let metrics = snapshot(vec![metric("jobs", "", counter(points())), chosen]);
        let text = page(&mut plain(PrometheusConfig::default()), &metrics, Format::Text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["jobs_total 1", "jobs_2_total 1"]);
    }

    #[test]
    fn series_and_metrics_may_come_and_go() {
        let (a, b, c) = (
            point(&[("f", "a")], Number::U64(1)),
            point(&[("f", "b")], Number::U64(2)),
            point(&[("f", "c")], Number::U64(3)),
        );
        let mut renderer = plain(PrometheusConfig::default());
        let lists = [vec![&a, &b], vec![&a, &c, &b], vec![&c], vec![], vec![&b, &a]];
        for list in lists {
            let points: Vec<_> = list.into_iter().cloned().collect();
            let expected: String = points
                .iter()
                .map(|p| {
                    format!(
                        "n_total{{f={:?}}} {}\n",
                        p.series.attributes.get_str("f").unwrap(),
                        p.total.as_f64()
                    )
                })
                .collect();
            let mut metrics = snapshot(vec![metric("n", "", counter(points))]);
            assert!(page(&mut renderer, &metrics, Format::Text).ends_with(&expected));
            metrics.metrics.insert(0, metric("m", "", Data::Gauge(vec![a.clone()])));
            assert!(page(&mut renderer, &metrics, Format::Text).ends_with(&expected));
        }
    }
}
