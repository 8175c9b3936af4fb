//! What can be seen of the exporter without a server.

use super::*;
use crate::{BatchId, Endpoint, PayloadFormat, Signal};
use std::future::Future;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn endpoint() -> Endpoint {
    // Nobody listens on this port.
    "http://127.0.0.1:1/in".parse().unwrap()
}

fn batch() -> Batch {
    let id = BatchId { instance: 1, leg: "leg \"é\"".into(), sequence: 2, part: 0 };
    let scope = Arc::new(crate::Scope { name: "app".into(), version: "1".into() });
    let series = crate::Series { scope, attributes: Default::default(), start: std::time::UNIX_EPOCH };
    let data = crate::Data::Gauge(vec![crate::Point {
        series: Arc::new(series),
        change: crate::Number::U64(1),
        total: crate::Number::U64(1),
        exemplars: Vec::new(),
    }]);
    let descriptor =
        crate::Descriptor { name: "n".into(), unit: "".into(), description: "".into(), exact_name: false };
    let mut metrics = ProfileMetrics::none();
    metrics.metrics.push(crate::Metric { descriptor: Arc::new(descriptor), data });
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}

#[test]
fn a_transformer_may_panic_or_make_what_is_no_json() {
    let exporter = HttpExporter::new(endpoint()).unwrap().with_transformer(|_| {
        if true {
            panic!("hunter2");
        }
    });
    let error = run(exporter.export(batch())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(!error.to_string().contains("hunter2"));

    let map: std::collections::BTreeMap<_, _> = [((1, 2), "hunter2")].into();
    let exporter = HttpExporter::new(endpoint()).unwrap().with_transformer(move |_| map.clone());
    let error = run(exporter.export(batch())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(run(exporter.health()).is_healthy(), "the backend has nothing to do with it");
}

#[test]
fn what_is_written_says_what_it_is() {
    let mut config = HttpConfig::new(endpoint());
    config.compression = crate::Compression::Gzip;
    config.batch_size = Some(5);
    let written = wire::write(&config, None, &batch()).unwrap();
    assert_eq!(written.headers["content-type"], "application/json");
    assert_eq!(written.headers["content-encoding"], "gzip");
    let key = "\"00000000000000000000000000000001/leg%20%22%C3%A9%22/2/0\"";
    assert_eq!(written.headers["idempotency-key"], key);
    let exporter = HttpExporter::new(config).unwrap();
    assert_eq!(exporter.capability().max_items, Some(5));
    let exporter = exporter.with_transformer(|metrics: &ProfileMetrics| metrics.len());
    assert_eq!(exporter.capability().max_items, None, "statistics are of the whole");

    let mut config = HttpConfig::new(endpoint());
    config.max_body = Some(10);
    let error = wire::write(&config, None, &batch()).unwrap_err();
    assert_eq!((error.kind(), error.fitting()), (ErrorKind::PayloadTooLarge, Some(0)));
    let long: Box<Transformer> = Box::new(|_| Ok(Bytes::from_static(b"\"0123456789\"")));
    let error = wire::write(&config, Some(&*long), &batch()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let base = HttpConfig::new(endpoint());
    let tls = crate::TlsConfig { ca_file: Some("/nowhere.pem".into()), ..Default::default() };
    let https = "https://127.0.0.1:1".parse().unwrap();
    let mut secret_in_both = HttpConfig::new("http://me:hunter2@127.0.0.1:1".parse().unwrap());
    secret_in_both.auth.token = Some("hunter2".into());
    for (config, said) in [
        (HttpConfig { batch_size: Some(0), ..base.clone() }, "batch_size"),
        (HttpConfig { tls: tls.clone(), ..base.clone() }, "make it https://"),
        (HttpConfig { tls, endpoint: https, ..base.clone() }, "cannot be read"),
        (HttpConfig { endpoint: "http://127.0.0.1:99999".parse().unwrap(), ..base.clone() }, "endpoint"),
        (secret_in_both, "leave one"),
        (HttpConfig { headers: [("Host".to_owned(), "x".into())].into(), ..base }, "cannot be set"),
    ] {
        let error = HttpExporter::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.message().contains(said), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn health_is_what_came_of_the_last_export() {
    let exporter = HttpExporter::new(HttpConfig { format: PayloadFormat::Csv, ..endpoint().into() }).unwrap();
    run(async {
        assert!(exporter.health().await.is_healthy());
        let error = exporter.export(batch()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("nothing was sent, reason: "), "{error}");
        assert!(matches!(exporter.health().await, Health::Degraded(_)));
        exporter.flush().await.unwrap();
        exporter.shutdown().await.unwrap();
        assert!(exporter.export(batch()).await.unwrap_err().message().contains("shut down"));
        assert!(matches!(exporter.health().await, Health::Unhealthy(_)));
    });
}
