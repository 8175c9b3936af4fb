//! A real Prometheus scrapes us: its answers are the known numbers, exactly.

// A test fails by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

use exporters::{
    Data, ExponentialHistogram, KeyValue, Number, Point, ProfileMetrics, Scope, Series,
    prometheus::{PrometheusConfig, PrometheusExporter},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tests::{
    Served,
    data::{counter, histogram, metric, point, snapshot},
    prometheus::Prometheus,
};

fn exporter(gather: impl Fn() -> ProfileMetrics + Send + Sync + 'static) -> PrometheusExporter {
    let config = PrometheusConfig { listen: "127.0.0.1:0".parse().unwrap(), ..Default::default() };
    let exporter = PrometheusExporter::new(config).unwrap();
    exporter.connect(Arc::new(move || Arc::new(gather())));
    exporter
}

/// Latencies from 20 µs to 2 s, most of them short, in no order.
fn latencies() -> Vec<f64> {
    let spread = |i: u64| (i * 7919 % 10_007) as f64 / 10_007.0;
    (1..10_000).map(|i| 20e-6 * 1e5f64.powf(spread(i).powi(2))).collect()
}

/// The value below or at which the share `q` of all values lies.
fn exact(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * q).ceil() as usize).max(1) - 1]
}

const LARGE: u64 = (1 << 53) - 1;

/// Everything that the two tests ask about.
fn everything(took: Point<ExponentialHistogram>, calls: u64) -> ProfileMetrics {
    let charge = [KeyValue::new("function", "charge \"é\\\n"), KeyValue::new("module", "shop")];
    let refund = [KeyValue::new("function", "refund"), KeyValue::new("module", "shop")];
    snapshot(vec![
        metric(
            "function.calls",
            "{call}",
            counter(vec![point(charge, Number::U64(calls)), point(refund, Number::U64(LARGE))]),
        ),
        metric(
            "function.calls.duration",
            "s",
            Data::ExponentialHistogram(vec![
                took,
                point(
                    [KeyValue::new("function", "never")],
                    ExponentialHistogram { scale: 3, ..Default::default() },
                ),
            ]),
        ),
        metric(
            "queue.use",
            "1",
            Data::Gauge(vec![
                point([], Number::F64(-0.1)),
                point([KeyValue::new("queue", "b")], Number::F64(f64::NAN)),
            ]),
        ),
    ])
}

fn took(values: &[f64]) -> Point<ExponentialHistogram> {
    point([KeyValue::new("function", "charge")], histogram(values))
}

/// What holds in every format.
fn check_common(prometheus: &Prometheus) {
    prometheus.expect("function_calls_total{function=\"charge \\\"é\\\\\\n\",module=\"shop\"}", 41.0);
    prometheus.expect("function_calls_total{function=\"refund\",otel_scope_name=\"tests\"}", LARGE as f64);
    prometheus.expect("queue_use_ratio{queue=\"\"}", -0.1);
    prometheus.expect("up", 1.0);
    prometheus.expect("target_info{service_name=\"tests\",job=\"test\"}", 1.0);
    assert!(prometheus.value("queue_use_ratio{queue=\"b\"}").unwrap().is_nan());
    assert_eq!(prometheus.last_error(), Ok(String::new()));
}

#[test]
fn text_is_scraped_exactly() {
    let calls = Arc::new(AtomicU64::new(41));
    let (now, values) = (calls.clone(), latencies());
    let once = took(&values);
    let served = Served::start(&exporter(move || everything(once.clone(), now.load(Relaxed))));
    let Some(prometheus) = Prometheus::start(served.address, false) else { return };
    check_common(&prometheus);

    // On a classic bucket's bound the count is exact.
    for (bound, le) in [(2f64.powi(-14), "6.103515625e-05"), (0.25, "0.25"), (1.0, "1.0"), (4.0, "4.0")] {
        let below = values.iter().filter(|value| **value <= bound).count() as f64;
        let series = format!("{{le=\"{le}\",function=\"charge\"}}");
        prometheus.expect(&format!("function_calls_duration_seconds_bucket{series}"), below);
    }
    prometheus.expect("function_calls_duration_seconds_count{function=\"charge\"}", values.len() as f64);
    prometheus.expect("function_calls_duration_seconds_sum{function=\"charge\"}", histogram(&values).sum);
    prometheus.expect("function_calls_duration_seconds_bucket{function=\"never\",le=\"+Inf\"}", 0.0);

    // The next scrape shows what is true then; a restart is one reset.
    let charged = "function_calls_total{function!=\"refund\"}";
    prometheus.expect(&format!("resets({charged}[5m])"), 0.0);
    calls.store(1041, Relaxed);
    prometheus.expect(charged, 1041.0);
    calls.store(7, Relaxed);
    prometheus.expect(charged, 7.0);
    prometheus.expect(&format!("resets({charged}[5m])"), 1.0);
    prometheus.expect("min_over_time(up[5m])", 1.0);
}

#[test]
fn native_histograms_are_scraped_exactly() {
    let mut values = latencies();
    let once = took(&values);
    let served = Served::start(&exporter(move || everything(once.clone(), 41)));
    let Some(prometheus) = Prometheus::start(served.address, true) else { return };
    check_common(&prometheus);

    let series = "function_calls_duration_seconds{function=\"charge\"}";
    prometheus.expect(&format!("histogram_count({series})"), values.len() as f64);
    prometheus.expect(&format!("histogram_sum({series})"), histogram(&values).sum);
    prometheus.expect("histogram_count(function_calls_duration_seconds{function=\"never\"})", 0.0);
    for q in [0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999] {
        let answer = prometheus.value(&format!("histogram_quantile({q}, {series})")).unwrap();
        let exact = exact(&mut values, q);
        assert!((answer / exact - 1.0).abs() <= 0.045, "p{}: {answer}, exactly {exact}", q * 100.0);
    }
    let half = prometheus.value(&format!("histogram_fraction(0, 1, {series})")).unwrap();
    let below = values.iter().filter(|value| **value <= 1.0).count() as f64 / values.len() as f64;
    assert!((half - below).abs() < 1e-9, "{half}, exactly {below}");
    prometheus.expect(&format!("resets({series}[5m])"), 0.0);
}

#[test]
fn series_may_come_and_go_under_a_running_scrape() {
    let count = Arc::new(AtomicU64::new(1));
    let now = count.clone();
    let all: Vec<_> = (0..50)
        .map(|i| {
            let attributes = [KeyValue::new("i", i.to_string())].into_iter().collect();
            let start = SystemTime::now() - Duration::from_secs(1);
            Arc::new(Series { scope: Arc::new(Scope::default()), attributes, start })
        })
        .collect();
    let exporter = exporter(move || {
        let take = now.load(Relaxed) as usize;
        let of = |series: &Arc<Series>| Point { series: series.clone(), ..point([], Number::U64(1)) };
        snapshot(vec![metric("jobs", "", counter(all.iter().rev().take(take).map(of).collect()))])
    });
    let served = Served::start(&exporter);
    let Some(prometheus) = Prometheus::start(served.address, true) else { return };
    for n in [1, 50, 7, 0, 20] {
        count.store(n, Relaxed);

        match n {
            0 => tests::until("no series", || match prometheus.query("jobs_total")? {
                none if none.is_empty() => Ok(()),
                some => Err(format!("{some:?}")),
            }),
            _ => prometheus.expect("count(jobs_total)", n as f64),
        }
    }
    assert_eq!(exporter.stats().dropped, 0);
}
