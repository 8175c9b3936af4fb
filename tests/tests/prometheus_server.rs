//! The scrape server: what it answers, what it refuses, and that hostile clients do not keep it from others.

// A test fails by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

use exporters::{
    ErrorKind, KeyValue, Number,
    prometheus::{Format, PrometheusConfig, PrometheusExporter},
};
use std::{
    io::{ErrorKind as Io, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tests::{
    Served,
    checker::{OpenMetrics, Promtool},
    data::{counter, export, metric, point, snapshot},
    http::{get, raw, request},
};

fn exporter() -> PrometheusExporter {
    let listen = "127.0.0.1:0".parse().unwrap();
    PrometheusExporter::new(PrometheusConfig { listen, ..Default::default() }).unwrap()
}

/// With one counter of `series` series.
fn with_counter(series: usize) -> PrometheusExporter {
    let exporter = exporter();
    let points = (0..series).map(|i| point([KeyValue::new("i", i.to_string())], Number::U64(i as u64)));
    export(&exporter, snapshot(vec![metric("jobs", "", counter(points.collect()))]));
    exporter
}

const OPEN_METRICS: &str = "Accept: application/openmetrics-text";
const PROTOBUF: &str =
    "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

#[test]
fn answers_get_and_head_on_its_path_and_nothing_else() {
    let served = Served::start(&with_counter(1));
    let at = served.address;
    let page = get(at, "/metrics?name[]=x", &[]).unwrap();
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(page.text().contains("jobs_total{i=\"0\""), "{}", page.text());

    let open = get(at, "/metrics", &[OPEN_METRICS]).unwrap();
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.text().ends_with("\n# EOF\n"));

    let head = request(at, "HEAD /metrics HTTP/1.1", &[]).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(&*page.body.len().to_string()));

    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CANARY"] {
        let refused = request(at, &format!("{method} /metrics HTTP/1.1"), &[]).unwrap();
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for path in ["/", "/metrics/", "/Metrics", "/canary", "//metrics", "/%6Detrics", "/metrics/../metrics"] {
        let refused = get(at, path, &["X-Canary: canary"]).unwrap();
        assert_eq!(refused.status, 404, "{path}");
        assert!(!refused.text().contains("canary") && !refused.head.contains("canary"), "{path}");
    }
}

#[test]
fn compresses_where_it_is_wanted_and_worth_it() {
    let served = Served::start(&with_counter(10_000));
    let plain = get(served.address, "/metrics", &[]).unwrap();
    let packed = get(served.address, "/metrics", &["Accept-Encoding: br, gzip;q=0.5"]).unwrap();
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
    assert!(packed.body.len() * 5 < plain.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain.body);

    let small = Served::start(&with_counter(1));
    let page = get(small.address, "/metrics", &["Accept-Encoding: gzip"]).unwrap();
    assert_eq!(page.header("content-encoding"), None);
}

#[test]
fn an_address_that_cannot_be_had_is_an_error_that_says_so() {
    let first = exporter();
    let listener = first.bind().unwrap();
    let taken = listener.local_addr().unwrap();
    let second = PrometheusExporter::new(PrometheusConfig { listen: taken, ..Default::default() }).unwrap();
    let error = second.bind().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains(&taken.to_string()) && error.to_string().contains("in use"),
        "{error}"
    );

    let open = PrometheusConfig { listen: "0.0.0.0:0".parse().unwrap(), ..Default::default() };
    let error = PrometheusExporter::new(open).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("allow_remote"), "{error}");
}

#[test]
fn settings_are_data() {
    let read = serde_json::from_str::<PrometheusConfig>;
    assert_eq!(read("{}").unwrap(), PrometheusConfig::default());
    let some = r#"{"listen": "127.0.0.1:0", "path": "/m", "classic_buckets": [0.5, 2], "labels": {"zone": "a"}, "namespace": "shop"}"#;
    let config = read(some).unwrap();
    assert_eq!(config.classic_buckets, [0.5, 2.0]);
    assert!(read(r#"{"listne": "127.0.0.1:0"}"#).unwrap_err().to_string().contains("listne"));
    assert!(read(r#"{"listen": "nowhere"}"#).is_err());

    let exporter = PrometheusExporter::new(config).unwrap();
    export(&exporter, snapshot(vec![metric("jobs", "", counter(vec![point([], Number::U64(1))]))]));
    let served = Served::start(&exporter);
    let page = get(served.address, "/m", &[]).unwrap();
    assert!(
        page.text().contains(
            "\nshop_jobs_total{otel_scope_name=\"tests\",otel_scope_version=\"1.0\",zone=\"a\"} 1\n"
        )
    );
}

#[test]
fn a_panic_in_the_programs_own_code_costs_one_page() {
    let exporter = exporter();
    let broken = Arc::new(AtomicBool::new(true));
    let (gather_broken, metrics) = (broken.clone(), Arc::new(snapshot(vec![])));
    exporter.connect(Arc::new(move || {
        assert!(!gather_broken.load(Relaxed), "canary");
        metrics.clone()
    }));
    let served = Served::start(&exporter);
    let failed = get(served.address, "/metrics", &[]).unwrap();
    assert_eq!((failed.status, failed.text()), (500, "gathering the metrics failed\n"));
    broken.store(false, Relaxed);
    assert_eq!(get(served.address, "/metrics", &[]).unwrap().status, 200);

    exporter.append(|_, format| assert!(format == Format::Text, "canary"));
    assert_eq!(get(served.address, "/metrics", &[OPEN_METRICS]).unwrap().status, 500);
    assert_eq!(get(served.address, "/metrics", &[]).unwrap().status, 200);
    let stats = exporter.stats();
    assert_eq!((stats.scrapes, stats.failures), (4, 2));
}

#[test]
fn another_registry_is_appended_to_a_valid_page() {
    let exporter = with_counter(3);
    exporter.append(|out, format| match format {
        Format::OpenMetrics => out.push_str("# TYPE own counter\nown_total 5\n# EOF\n"),
        _ => out.push_str("# TYPE own_total counter\nown_total 5"),
    });
    exporter.append(|_, _| {});
    exporter.append(|out, _| out.push_str("# TYPE more gauge\nmore 1\n"));
    let served = Served::start(&exporter);

    // Hooks cannot write protobuf, so that the next best is served.
    let second = "Accept: application/openmetrics-text;q=0.5";
    let open = get(served.address, "/metrics", &[PROTOBUF, second]).unwrap();
    assert!(open.text().ends_with("own_total 5\n# TYPE more gauge\nmore 1\n# EOF\n"), "{}", open.text());
    let text = get(served.address, "/metrics", &[PROTOBUF]).unwrap();
    assert!(text.text().ends_with("own_total 5\n# TYPE more gauge\nmore 1\n"), "{}", text.text());

    let (Some(promtool), Some(mut strict)) = (Promtool::find(), OpenMetrics::start()) else { return };
    promtool.check(&text.body).unwrap();
    let samples = strict.parse(&open.body).unwrap();
    assert_eq!(samples.iter().map(|sample| sample.value).sum::<f64>(), 1.0 + (0.0 + 1.0 + 2.0) + 5.0 + 1.0);
}

#[test]
fn garbage_is_refused_and_does_no_harm() {
    let served = Served::start(&with_counter(1));
    let at = served.address;
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
    let many = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
    let length = "GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned();
    for bytes in [
        long,
        many,
        length,
        "\0\u{1}\u{2}\r\n\r\n".into(),
        "GET\r\n\r\n".into(),
        "\x16\x03\x01\r\n\r\n".into(),
    ] {
        // An answer is a courtesy; a page would be a mistake.
        if let Ok(answer) = raw(at, bytes.as_bytes()) {
            assert!((400..500).contains(&answer.status), "{} for {:.40}", answer.status, bytes);
        }
        assert_eq!(get(at, "/metrics", &[]).unwrap().status, 200);
    }
}

/// Whether the other side has closed the connection; what it sent is left unread.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => panic!("an answer to half a request"),
        Err(error) => error.kind() != Io::WouldBlock,
    }
}

/// A good scrape in the middle of it: it must come through; how quickly is for the benchmark to say.
fn scrape(at: SocketAddr) -> Duration {
    let start = Instant::now();
    assert_eq!(get(at, "/metrics", &[]).unwrap().status, 200);
    start.elapsed()
}

#[test]
fn silent_clients_are_dropped_and_keep_nobody_out() {
    allow_many_files();
    let served = Served::start(&with_counter(10));
    let mut half_open: Vec<_> = (0..5000)
        .map(|i| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            let half: &[u8] = if i % 2 == 0 { b"" } else { b"GET /metrics HTTP/1.1\r\nHost:" };
            // It may have been dropped already.
            let _ = stream.write_all(half);
            stream
        })
        .collect();
    let opened = Instant::now();
    let took = scrape(served.address);
    tests::until("all silent clients are dropped", || {
        half_open.retain_mut(|stream| !is_closed(stream));
        if half_open.is_empty() { Ok(()) } else { Err(format!("{} are not", half_open.len())) }
    });
    println!("5000 silent clients: scrape {took:?}, all dropped after {:?}", opened.elapsed());
}

#[test]
fn slow_readers_are_dropped_and_keep_nobody_out() {
    // More than the kernel's buffers take.
    let served = Served::start(&with_counter(150_000));
    let limit = PrometheusConfig::default().max_connections;
    let mut readers: Vec<_> = (0..limit)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            // It has been asked, and has begun to answer.
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    let opened = Instant::now();
    let took = scrape(served.address);
    // Who neither reads nor goes learns by writing that the connection is gone.
    let end = opened + Duration::from_secs(90);
    while !readers.is_empty() {
        assert!(Instant::now() < end, "{} slow readers are still served", readers.len());
        std::thread::sleep(Duration::from_millis(100));
        readers.retain_mut(|stream| stream.write_all(b"x").is_ok());
    }
    println!("{limit} slow readers: scrape {took:?}, all dropped after {:?}", opened.elapsed());
}

/// Both ends of 5,000 connections are in this process.
fn allow_many_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: Both calls get a valid `rlimit`.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
    assert!(limit.rlim_cur >= 6000, "too few open files are allowed: {}", limit.rlim_cur);
}
