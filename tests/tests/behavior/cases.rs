//! The cases, each for any exporter; what an exporter cannot carry, or a backend not say, is told by its capability and its double.

use crate::double::{Answer, Double, Seen, id, record, wait};
use exporters::{
    Attributes, Batch, BufferConfig, Data, Descriptor, ErrorKind, Exporter, Health, KeyValue, LegOptions,
    Metric, Number, Point, ProfileMetrics, Profiler, Receipt, Result, Scope, Series, Signal, Span,
    SpanContext, SpanKind, Spans, Status, Sum,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

fn batch(metrics: ProfileMetrics) -> Batch {
    Batch::new(id(1), Signal::Metrics(Arc::new(metrics)))
}

/// All backends there are have taken this, once.
fn assert_seen(double: &dyn Double, expected: &Seen) {
    for seen in [Some(double.seen()), double.seen_beside()].into_iter().flatten() {
        assert_eq!(seen, *expected);
    }
}

/// Sends all of it, splitting what is too large as a leg does.
fn send(exporter: &impl Exporter, batch: Batch) -> Result<usize> {
    match wait(exporter.export(batch.clone())) {
        Ok(Receipt { accepted, rejected, .. }) => {
            assert_eq!(accepted + rejected, batch.len(), "the receipt speaks of every item");
            Ok(accepted)
        }
        Err(error) if error.kind() == ErrorKind::PayloadTooLarge && batch.len() > 1 => {
            let fitting = error.fitting().filter(|fitting| (1..batch.len()).contains(fitting));
            let (first, rest) = batch.split(fitting.unwrap_or(batch.len() / 2)).expect("two parts");
            Ok(send(exporter, first)? + send(exporter, rest)?)
        }
        Err(error) => Err(error),
    }
}

/// A profiler with this exporter alone records real calls; the books are balanced and say that all of it was exported.
pub(crate) fn round_trip(double: &dyn Double) {
    let expected = with_profiler(double, LegOptions::default(), |profiler| {
        profiler.flush(Duration::from_secs(30)).unwrap();
    });
    assert_seen(double, &expected);
}

/// The same in batches of three items.
pub(crate) fn parts(double: &dyn Double) {
    let expected = with_profiler(double, LegOptions::default().with_batch_size(3), |profiler| {
        profiler.flush(Duration::from_secs(30)).unwrap();
    });
    assert_seen(double, &expected);
    let mut ids = double.ids();
    let sent = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), sent, "no identity twice");
}

/// Records calls under a profiler with this exporter alone; gives what the exporter should have been sent in the end.
fn with_profiler(double: &dyn Double, options: LegOptions, then: impl FnOnce(&Profiler)) -> Seen {
    let builder = Profiler::builder().interval(Duration::from_secs(3600));
    let profiler = builder.exporter_with(double.exporter(), options).start().unwrap();
    let recorded = Seen::of(&record(), false);
    then(&profiler);
    let expected = Seen::of(&profiler.snapshot(), true);
    assert!(recorded.calls.iter().all(|(key, calls)| expected.calls.get(key) >= Some(calls)), "{expected:?}");
    let report = profiler.shutdown(Duration::from_secs(30));
    for leg in &report.legs {
        assert!(leg.ledger.is_balanced() && leg.error.is_none(), "{leg:?}");
        let lost = leg.ledger.buffered + leg.ledger.rejected + leg.ledger.dropped.total();
        assert!(leg.ledger.exported > 0 && lost == 0, "{leg:?}");
    }
    expected
}

/// Each answer becomes the kind of error it should.
pub(crate) fn errors(double: &dyn Double) {
    let exporter = double.exporter();
    for answer in [
        Answer::Status(400, None),
        Answer::Status(401, None),
        Answer::Status(403, None),
        Answer::Status(404, None),
        Answer::Status(302, None),
        Answer::Status(413, None),
        Answer::Status(429, Some(7)),
        Answer::Status(429, None),
        Answer::Status(500, None),
        Answer::Status(503, Some(3)),
        Answer::Close,
        Answer::Reset,
    ] {
        // Where a pooled connection was closed, a client may rightly try once more.
        if !double.script(&[answer, answer]) {
            return;
        }
        let error = wait(exporter.export(batch(record()))).expect_err(&format!("{answer:?}"));
        assert_eq!(error.kind(), double.becomes(answer), "{answer:?}: {error}");
        if let Answer::Status(429 | 503, seconds) = answer {
            assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{answer:?}");
        }
        double.script(&[]);
    }
    assert_eq!(double.seen(), Seen::default(), "nothing of what failed was taken");
}

/// What failed is taken when it is sent again.
pub(crate) fn again(double: &dyn Double) {
    let exporter = double.exporter();
    let (metrics, mut expected) = (record(), Seen::default());
    expected.plus(&Seen::of(&metrics, double.cumulative()));
    let batch = batch(metrics);
    if double.script(&[Answer::Status(503, None)]) {
        assert!(wait(exporter.export(batch.clone())).unwrap_err().is_retryable());
    }
    assert_eq!(send(&exporter, batch.clone()).unwrap(), batch.len());
    assert_seen(double, &expected);
}

/// The attempt ends at the exporter's timeout, and the next one is not held up.
pub(crate) fn stall(double: &dyn Double) {
    if !double.script(&[Answer::Stall]) {
        return;
    }
    let exporter = double.exporter();
    let error = wait(exporter.export(batch(record()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let batch = batch(record());
    assert_eq!(send(&exporter, batch.clone()).unwrap(), batch.len());
}

/// A backend that takes 3 kB at once gets all of it.
pub(crate) fn too_large(double: &dyn Double) {
    if !double.script(&[Answer::AtMost(3000)]) {
        return;
    }
    let metrics = record();
    let expected = Seen::of(&metrics, false);
    let batch = batch(metrics);
    assert_eq!(send(&double.exporter(), batch.clone()).unwrap(), batch.len());
    assert_seen(double, &expected);
}

/// Names and values that formats have to escape break nothing, and what stands beside them arrives.
pub(crate) fn hostile_names(double: &dyn Double) {
    let mut metrics = record();
    let expected = Seen::of(&metrics, double.cumulative());
    let texts =
        ["", "\"", "a\nb", "\\", "é\u{1F600}", "=1+1", "a,b;c", "{}", "\u{0}", "x\r\ny", "_total", "le"];
    let points = texts.map(|text| {
        let attributes: Attributes =
            [KeyValue::new(text, text), KeyValue::new("k", text)].into_iter().collect();
        let series = Series { scope: Arc::<Scope>::default(), attributes, start: SystemTime::UNIX_EPOCH };
        Point {
            series: Arc::new(series),
            total: Number::U64(1),
            change: Number::U64(1),
            exemplars: Vec::new(),
        }
    });
    for name in texts {
        let descriptor = Descriptor { name: name.into(), unit: name.into(), ..Descriptor::default() };
        let data = Data::Sum(Sum { monotonic: true, points: points.to_vec() });
        metrics.metrics.push(Metric { descriptor: Arc::new(descriptor), data });
    }
    let infinite = Data::Gauge(vec![Point {
        total: Number::F64(f64::INFINITY),
        change: Number::F64(f64::NAN),
        ..points[0].clone()
    }]);
    let descriptor = Descriptor { name: "infinite".into(), ..Descriptor::default() };
    metrics.metrics.push(Metric { descriptor: Arc::new(descriptor), data: infinite });
    send(&double.exporter(), batch(metrics)).unwrap();
    assert_seen(double, &expected);
}

/// A snapshot without a point.
pub(crate) fn empty(double: &dyn Double) {
    let metrics = ProfileMetrics { metrics: Vec::new(), ..record() };
    assert_eq!(send(&double.exporter(), batch(metrics)).unwrap(), 0);
    assert_eq!(double.seen(), Seen::default());
}

/// A signal that the exporter's capability does not name is an error of its kind; one that it names is taken.
pub(crate) fn unsupported(double: &dyn Double) {
    let exporter = double.exporter();
    let span = Span {
        context: SpanContext { trace_id: [1; 16], span_id: [2; 8], ..SpanContext::default() },
        parent_id: [0; 8],
        parent_is_remote: false,
        name: "charge".into(),
        kind: SpanKind::Server,
        start: SystemTime::UNIX_EPOCH,
        end: SystemTime::UNIX_EPOCH + Duration::from_millis(5),
        attributes: Attributes::default(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: Status::Ok,
        scope: Arc::default(),
    };
    let spans = Batch::new(id(1), Signal::Spans(Arc::new(Spans::new(Arc::default(), vec![span]))));
    let answer = wait(exporter.export(spans));
    match exporter.capability().spans {
        true => assert_eq!(answer.unwrap().accepted, 1),
        false => assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported),
    }
}

/// Healthy at first; not after a failure; and again after a success.
pub(crate) fn health(double: &dyn Double) {
    let exporter = double.exporter();
    assert!(wait(exporter.health()).is_healthy());
    if double.script(&[Answer::Status(503, None), Answer::Status(503, None)]) {
        wait(exporter.export(batch(record()))).unwrap_err();
        let health = wait(exporter.health());
        assert!(matches!(health, Health::Degraded(_)), "{health:?}");
    }
    double.script(&[]);
    send(&exporter, batch(record())).unwrap();
    assert!(wait(exporter.health()).is_healthy());
}

/// What was recorded goes out at the end; flushing and shutting down again does nothing.
pub(crate) fn shutdown(double: &dyn Double) {
    let expected = with_profiler(
        double,
        LegOptions::default()
            .with_buffer(BufferConfig::default().with_flush_interval(Duration::from_secs(3600))),
        |_| {},
    );
    assert_seen(double, &expected);
    let exporter = double.exporter();
    wait(exporter.flush()).unwrap();
    for _ in 0..2 {
        wait(exporter.shutdown()).unwrap();
    }
}
