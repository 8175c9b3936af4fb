//! A canary in everything that may be secret of an HTTP exporter: whatever goes wrong, nothing that can be printed shows it.

use exporters::{
    AnyExporter, AuthConfig, Batch, BatchId, Exporter, ExporterConfig, Health, HttpConfig, HttpExporter,
    Number, Secret, Signal,
};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};
use tests::{data, hostile::Hostile};

const CANARY: &str = "c4n4ry";

/// Everything that was logged, by whomever, at the finest level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        writeln!(self.clone(), "{} {}", record.target(), record.args()).unwrap();
    }
    fn flush(&self) {}
}

fn credentials() -> Vec<AuthConfig> {
    let none = AuthConfig::default();
    let secret = || Some(Secret::new(CANARY));
    vec![
        AuthConfig { api_key: secret(), ..none.clone() },
        AuthConfig { token: secret(), ..none.clone() },
        AuthConfig { username: Some("me".into()), password: secret(), ..none.clone() },
        AuthConfig { headers: [("X-More".to_owned(), Secret::new(CANARY))].into(), ..none },
    ]
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let log = Log::default();
    log::set_boxed_logger(Box::new(log.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    subscriber.with_writer(move || writer.clone()).init();

    let answer = |status: &str| {
        let headers = format!("Location: http://x/{CANARY}\r\nRetry-After: {CANARY}\r\nX: {CANARY}");
        let length = CANARY.len();
        Hostile::answer(format!(
            "HTTP/1.1 {status} {CANARY}\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{CANARY}"
        ))
    };
    let mut servers: Vec<_> = ["200", "307", "400", "401", "403", "404", "408", "413", "429", "500", "503"]
        .into_iter()
        .map(|status| ("http", answer(status)))
        .collect();
    servers.push(("http", Hostile::answer(format!("{CANARY}\r\n\r\n"))));
    servers.push(("http", Hostile::start(|_, _| Err(io::ErrorKind::ConnectionReset.into()))));
    servers.push(("http", Hostile::silent()));
    servers.push(("https", Hostile::silent()));
    servers.push(("https", Hostile::refuse_to_understand()));

    let mut shown = String::new();
    let mut errors = 0;
    for (scheme, server) in &servers {
        for auth in credentials() {
            let proxied = *scheme == "http";
            let user = if auth.headers.is_empty() { String::new() } else { format!("me:{CANARY}@") };
            let endpoint = format!("{scheme}://{user}{}/in?key={CANARY}", server.address());
            let mut config =
                HttpConfig::from(ExporterConfig { auth, ..ExporterConfig::new(endpoint.parse().unwrap()) });
            config.headers = [("X-Other".to_owned(), Secret::new(CANARY))].into();
            config.timeout = Duration::from_millis(200);
            config.connect_timeout = config.timeout;
            config.proxy =
                proxied.then(|| format!("http://me:{CANARY}@{}", server.address()).parse().unwrap());
            shown += &format!("{config:?} {config:#?}");
            let exporter = AnyExporter::new(HttpExporter::new(config).unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            if let Err(error) = runtime.block_on(exporter.export(batch())) {
                shown += &format!("{error} {error:?} {error:#?} {}\n", error.message());
                errors += 1;
            }
            shown += &match runtime.block_on(exporter.health()) {
                Health::Degraded(error) | Health::Unhealthy(error) => format!("{error} {error:?}"),
                other => format!("{other:?}"),
            };
            shown += &format!("{exporter:?} {exporter:#?} {:?}", exporter.info());
        }
    }
    assert_eq!(errors, (servers.len() - 1) * credentials().len());
    // It was sent, so it could have been shown.
    let all_sent = servers[0].1.requests().iter().all(|asked| asked.head.matches(CANARY).count() >= 2);
    assert!(all_sent && servers[0].1.requests().len() == credentials().len());
    assert!(!shown.contains(CANARY), "{shown}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("reqwest"), "the log is there");
    let lines: Vec<_> = log.lines().filter(|line| line.contains(CANARY)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

fn batch() -> Batch {
    let points = vec![data::point([], Number::U64(7))];
    let metrics = data::snapshot(vec![data::metric("jobs", "", data::counter(points))]);
    let id = BatchId { instance: 1, leg: "test".into(), sequence: 1, part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}
