//! A monitored backend under a clock that is driven by hand.

use super::*;
use crate::{
    Data, DropReason, ErrorKind, MemoryExporter, ProfileMetrics,
    layers::script::{Answer, Script, batch, paused},
};

fn default() -> MonitorLayer {
    MonitorLayer::new(MonitorConfig::default()).unwrap()
}

#[test]
fn what_an_exporter_does_is_counted() {
    paused(async {
        let slow = |seconds| Answer::Slow(Duration::from_secs(seconds));
        let failed = Answer::Fail(ErrorKind::Unavailable);
        let script = Script::new([slow(1), slow(2), slow(3), failed, slow(5), Answer::Never, Answer::Panic]);
        let monitor = default();
        let exporter = script.exporter().layer(monitor.clone());
        assert_eq!(monitor.stats(), MonitorStats::default());
        for number in 1..=5 {
            assert_eq!(monitor.stats().latency_p50, None, "too few");
            let _ = exporter.export(batch(10).with_backlog(number)).await;
        }
        let stats = monitor.stats();
        assert_eq!((stats.exports, stats.failures, stats.items, stats.failed_items), (5, 1, 40, 10));
        assert_eq!(stats.errors.into_iter().collect::<Vec<_>>(), [("unavailable", 1)]);
        let seconds = |duration: Option<Duration>| duration.unwrap().as_secs();
        assert_eq!((seconds(stats.latency_p50), seconds(stats.latency_p95)), (2, 5));
        assert_eq!((stats.success_rate_percent, stats.queue_depth), (Some(80.0), Some(5)));

        let given_up = tokio::time::timeout(Duration::from_secs(9), exporter.export(batch(3))).await;
        assert!(given_up.is_err());
        assert!(caught(|| exporter.export(batch(2))).await.is_err());
        let stats = monitor.stats();
        assert_eq!((stats.exports, stats.failures, stats.failed_items), (7, 3, 15));
        assert_eq!((stats.errors["cancelled"], stats.errors["panic"]), (1, 1));
        // The latest ones are those of five minutes.
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert_eq!((monitor.stats().latency_p50, monitor.stats().exports), (None, 7));
    });
}

#[test]
fn a_receipt_tells_what_failed_and_what_was_not_wanted() {
    let monitor = default();
    let count = |receipt: Receipt| {
        let ended = Ended {
            spans: false,
            items: 10,
            failed: 0,
            error: None,
            bytes: 0,
            backlog: 0,
            duration: Duration::ZERO,
        };
        let exporter = Info::new("script");
        let mut attempt =
            Attempt { layer: &monitor, exporter, began: Instant::now(), answered: false, ended };
        attempt.answered(&Ok(receipt));
        let Ended { items, failed, error, .. } = attempt.ended;
        (items, failed, error)
    };
    assert_eq!(count(Receipt::accepted(10)), (10, 0, None));
    assert_eq!(count(Receipt::accepted(8).with_rejected(2)), (10, 2, Some("rejected")));
    assert_eq!(count(Receipt::dead_lettered(10)), (10, 10, Some("dead_lettered")));
    assert_eq!(count(Receipt::accepted(4).with_dropped(DropReason::Filtered, 6)), (4, 0, None));
    assert_eq!(count(Receipt::accepted(4).with_dropped(DropReason::Sampled, 6)), (4, 0, None));
    assert_eq!(count(Receipt::accepted(4).with_dropped(DropReason::Panicked, 6)), (10, 6, Some("dropped")));
    assert_eq!((monitor.stats().items, monitor.stats().failed_items), (10 + 8 + 4 + 4 + 4, 2 + 10 + 6));
}

#[test]
fn what_is_not_tracked_is_not_told() {
    paused(async {
        let config = MonitorConfig {
            track_export_latency: false,
            track_export_size: false,
            track_success_rate: false,
            track_errors: false,
            track_queue_depth: false,
            ..MonitorConfig::default()
        };
        let monitor = MonitorLayer::new(config).unwrap();
        let script = Script::new([Answer::Fail(ErrorKind::Timeout); 6]);
        let exporter = script.exporter().layer(monitor.clone());
        for _ in 0..6 {
            exporter.export(batch(1).with_backlog(7)).await.unwrap_err();
        }
        let expected = MonitorStats { exports: 6, failures: 6, failed_items: 6, ..MonitorStats::default() };
        assert_eq!(monitor.stats(), expected);
    });
}

#[test]
fn alerts_are_told_once_and_a_callback_that_panics_harms_nobody() {
    paused(async {
        let told = Arc::new(Mutex::new(Vec::new()));
        let monitor = default().on_alert({
            let told = told.clone();
            move |alert| {
                told.lock().unwrap().push((alert.kind.as_str(), alert.raised));
                std::panic::resume_unwind(Box::new("the callback's own fault"));
            }
        });
        let script = Script::new([Answer::Fail(ErrorKind::Unavailable); 10]);
        let exporter = script.exporter().layer(monitor);
        for _ in 0..10 {
            exporter.export(batch(1)).await.unwrap_err();
        }
        assert_eq!(*told.lock().unwrap(), [("success_rate", true)]);
        for _ in 0..1000 {
            exporter.export(batch(1)).await.unwrap();
        }
        assert_eq!(*told.lock().unwrap(), [("success_rate", true), ("success_rate", false)]);
    });
}

fn calls(metrics: &ProfileMetrics, name: &str) -> Vec<(Option<String>, u64, u64)> {
    let Data::Sum(sum) = &metrics.metric(name).unwrap().data else { unreachable!() };
    let number = |number: crate::Number| number.as_f64() as u64;
    let error = |point: &crate::Point<_>| point.series.attributes.get_str("error.type").map(str::to_owned);
    sum.points.iter().map(|point| (error(point), number(point.total), number(point.change))).collect()
}

#[test]
fn its_own_metrics_go_to_another_exporter_and_only_where_there_are_any() {
    paused(async {
        let reports = MemoryExporter::new();
        let monitor = default().report_to(AnyExporter::new(reports.clone()), Duration::from_secs(60));
        let script = Script::new([Answer::Fail(ErrorKind::Unavailable)]);
        let exporter = script.exporter().layer(monitor.clone());
        let reported = || {
            let of = |batch: Batch| batch.metrics().unwrap().clone();
            reports.take().into_iter().map(of).collect::<Vec<_>>()
        };
        exporter.export(batch(3)).await.unwrap_err();
        exporter.export(batch(4)).await.unwrap();
        assert!(reported().is_empty(), "not yet");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(reported().is_empty(), "nothing is sent while nothing is exported");
        exporter.export(batch(5)).await.unwrap();
        tokio::task::yield_now().await;
        let first = reported().pop().unwrap();
        let points = "otel.sdk.exporter.metric_data_point.exported";
        assert_eq!(calls(&first, points), [(None, 9, 9), (Some("unavailable".into()), 3, 3)]);
        let Data::ExponentialHistogram(durations) =
            &first.metric("otel.sdk.exporter.operation.duration").unwrap().data
        else {
            unreachable!()
        };
        assert_eq!(durations.iter().map(|point| point.total.count()).collect::<Vec<_>>(), [2, 1]);
        let name = durations[0].series.attributes.get_str("otel.component.name");
        assert_eq!(name, Some("script"));

        exporter.export(batch(1)).await.unwrap();
        exporter.flush().await.unwrap();
        let second = reported().pop().unwrap();
        assert_eq!(calls(&second, points), [(None, 10, 1), (Some("unavailable".into()), 3, 0)]);
        assert_eq!(second.interval.start, first.interval.end);
        // Idle: however long, and however often it is flushed.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            exporter.flush().await.unwrap();
        }
        exporter.shutdown().await.unwrap();
        assert!(reported().is_empty());
        assert_eq!(monitor.failed_reports(), 0);
    });
}

#[test]
fn another_exporter_that_hangs_holds_up_nobody() {
    paused(async {
        let reports = Script::new([Answer::Never]);
        let monitor = default().report_to(reports.exporter(), Duration::ZERO);
        let exporter = Script::default().exporter().layer(monitor.clone());
        let began = Instant::now();
        for _ in 0..10 {
            exporter.export(batch(1)).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!((began.elapsed(), reports.attempts().len()), (Duration::ZERO, 1));
        tokio::time::sleep(REPORT_TIMEOUT * 2).await;
        assert_eq!(monitor.failed_reports(), 1);
    });
    paused(async {
        let reports = Script::new([Answer::Never]);
        let exporter = Script::default().exporter();
        let exporter = exporter.layer(default().report_to(reports.exporter(), Duration::from_secs(3600)));
        exporter.export(batch(1)).await.unwrap();
        let began = Instant::now();
        assert_eq!(exporter.shutdown().await.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(began.elapsed(), LAST_REPORT);
    });
}

#[test]
fn a_report_that_failed_is_in_the_next_one() {
    paused(async {
        let reports = Script::new([Answer::Fail(ErrorKind::Unavailable)]);
        let monitor = default().report_to(reports.exporter(), Duration::from_secs(60));
        let exporter = Script::default().exporter().layer(monitor.clone());
        exporter.export(batch(3)).await.unwrap();
        exporter.flush().await.unwrap();
        assert_eq!((monitor.failed_reports(), reports.batches().len()), (1, 0));
        exporter.flush().await.unwrap();
        let points = "otel.sdk.exporter.metric_data_point.exported";
        let of = |at: usize| calls(reports.batches()[at].metrics().unwrap(), points);
        assert_eq!(of(0), [(None, 3, 3)]);
        exporter.export(batch(4)).await.unwrap();
        exporter.flush().await.unwrap();
        assert_eq!(of(1), [(None, 7, 4)]);
    });
}

#[test]
fn a_report_that_is_on_its_way_is_not_sent_twice() {
    paused(async {
        let reports =
            Script::new([Answer::Slow(Duration::from_secs(5)), Answer::Fail(ErrorKind::Unavailable)]);
        let monitor = default().report_to(reports.exporter(), Duration::ZERO);
        let exporter = Script::default().exporter().layer(monitor);
        exporter.export(batch(3)).await.unwrap();
        tokio::task::yield_now().await;
        exporter.export(batch(4)).await.unwrap();
        exporter.flush().await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        exporter.flush().await.unwrap();
        let points = "otel.sdk.exporter.metric_data_point.exported";
        let sent: Vec<_> =
            reports.batches().iter().map(|sent| calls(sent.metrics().unwrap(), points)).collect();
        assert_eq!(sent, [[(None, 3, 3)], [(None, 7, 4)]]);
    });
}

#[test]
fn a_runtime_that_ends_within_a_report_costs_no_later_one() {
    let reports = Script::new([Answer::Never]);
    let monitor = default().report_to(reports.exporter(), Duration::ZERO);
    for _ in 0..2 {
        let monitor = monitor.clone();
        paused(async move {
            let exporter = Script::default().exporter().layer(monitor);
            exporter.export(batch(1)).await.unwrap();
            tokio::task::yield_now().await;
        });
    }
    assert_eq!(reports.attempts().len(), 2);
}

#[test]
fn without_a_runtime_nothing_is_reported_and_nothing_panics() {
    let monitor = default().report_to(AnyExporter::new(MemoryExporter::new()), Duration::ZERO);
    let exporter = AnyExporter::new(MemoryExporter::new()).layer(monitor);
    let mut export = std::pin::pin!(exporter.export(batch(1)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(export.as_mut().poll(&mut cx).is_ready());
}
