//! What becomes of an export whose backend stalls, drips, breaks off, never ends, or sends elsewhere.

use exporters::{
    Batch, BatchId, Error, ErrorKind, Exporter, Health, HttpConfig, HttpExporter, Number, Receipt, Signal,
};
use std::{
    io::{self, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};
use tests::{
    data,
    hostile::{Asked, Hostile, reset},
    until,
};

const TIMEOUT: Duration = Duration::from_millis(400);
/// What takes that long hangs.
const HANG: Duration = Duration::from_secs(20);

fn batch() -> Batch {
    let points = vec![data::point([], Number::U64(7))];
    let metrics = data::snapshot(vec![data::metric("jobs", "", data::counter(points))]);
    let id = BatchId { instance: 1, leg: "test".into(), sequence: 1, part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn config(server: &Hostile, scheme: &str) -> HttpConfig {
    let mut config = HttpConfig::new(format!("{scheme}://{}/in", server.address()).parse().unwrap());
    (config.timeout, config.connect_timeout) = (TIMEOUT, TIMEOUT);
    config.auth.token = Some("hunter2".into());
    config
}

fn export(exporter: &HttpExporter) -> Result<Receipt, Error> {
    let start = Instant::now();
    let answer = runtime().block_on(exporter.export(batch()));
    assert!(start.elapsed() < HANG);
    answer
}

fn to(server: &Hostile) -> Result<Receipt, Error> {
    export(&HttpExporter::new(config(server, "http")).unwrap())
}

/// One byte after the other, slowly, until the client has had enough.
fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) -> io::Result<()> {
    bytes.into_iter().try_for_each(|byte| {
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(&[byte])
    })
}

type Act = fn(&Asked, &mut TcpStream) -> io::Result<()>;

/// The kind of error, or none, that `act` leads to.
fn outcome(act: Act) -> Option<ErrorKind> {
    let answer = to(&Hostile::start(act));
    if let Err(error) = &answer {
        let text = error.to_string();
        assert!(text.contains("endpoint: http://127.0.0.1:"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("BODY"), "{text}");
    }
    answer.err().map(|error| error.kind())
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\n";

#[test]
fn the_deadline_holds_whatever_is_slow() {
    assert_eq!(to(&Hostile::silent()).unwrap_err().kind(), ErrorKind::Timeout);
    let slow_head: Act =
        |_, stream| drip(stream, b"HTTP/1.1 200 OK\r\nX: ".iter().copied().chain(std::iter::repeat(b'y')));
    let slow_body: Act = |_, stream| {
        stream.write_all(OK)?;
        stream.write_all(b"Content-Length: 1000000\r\n\r\n")?;
        drip(stream, std::iter::repeat(b'y'))
    };
    let slow_chunks: Act = |_, stream| {
        stream.write_all(OK)?;
        stream.write_all(b"Transfer-Encoding: chunked\r\n\r\n")?;
        drip(stream, b"1\r\ny\r\n".iter().copied().cycle())
    };
    let not_yet: Act = |_, stream| drip(stream, b"HTTP/1.1 100 Continue\r\n\r\n".iter().copied().cycle());
    // Not endless: without optimisation they are read so slowly that the deadline would come seconds late.
    let many: Act = |_, stream| {
        (0..20_000).try_for_each(|_| stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n"))?;
        io::copy(stream, &mut io::sink()).map(drop)
    };
    for act in [slow_head, slow_body, slow_chunks, not_yet, many] {
        assert_eq!(outcome(act), Some(ErrorKind::Timeout));
    }
    // A refusal is one before its body is there.
    let slow_refusal: Act = |_, stream| {
        stream.write_all(REFUSED)?;
        stream.write_all(b"Content-Length: 1000000\r\n\r\n")?;
        drip(stream, std::iter::repeat(b'y'))
    };
    assert_eq!(outcome(slow_refusal), Some(ErrorKind::Unauthorized));
}

#[test]
fn a_broken_answer_is_none() {
    let broken: [Act; 7] = [
        |_, stream| {
            reset(stream);
            Err(io::ErrorKind::ConnectionReset.into())
        },
        |_, _| Err(io::ErrorKind::ConnectionReset.into()),
        |_, stream| {
            stream.write_all(OK)?;
            Err(io::ErrorKind::ConnectionReset.into())
        },
        |_, stream| {
            stream.write_all(OK)?;
            stream.write_all(b"Content-Length: 100\r\n\r\nBODY")?;
            Err(io::ErrorKind::ConnectionReset.into())
        },
        |_, stream| {
            stream.write_all(OK)?;
            stream.write_all(b"Transfer-Encoding: chunked\r\n\r\nnot hex\r\nBODY")
        },
        |_, stream| stream.write_all(b"BODY of something else\r\n\r\n"),
        |_, stream| {
            stream.write_all(OK)?;
            stream.write_all(b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nBODY")
        },
    ];
    for (n, act) in broken.into_iter().enumerate() {
        assert_eq!(outcome(act), Some(ErrorKind::Unavailable), "{n}");
    }
    let broken_refusal: Act = |_, stream| {
        stream.write_all(REFUSED)?;
        stream.write_all(b"Content-Length: 100\r\n\r\nBODY")?;
        Err(io::ErrorKind::ConnectionReset.into())
    };
    assert_eq!(outcome(broken_refusal), Some(ErrorKind::Unauthorized));
}

#[test]
fn what_never_ends_is_left() {
    let endless_body: Act = |_, stream| {
        stream.write_all(OK)?;
        stream.write_all(b"Content-Length: 1000000000000\r\n\r\n")?;
        loop {
            stream.write_all(&[b'y'; 4096])?;
        }
    };
    assert_eq!(outcome(endless_body), None);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 50 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let head = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    to(&Hostile::answer([OK, head.as_bytes(), &bomb].concat())).unwrap();
    let endless_header: Act = |_, stream| {
        stream.write_all(OK)?;
        stream.write_all(b"X: ")?;
        loop {
            stream.write_all(&[b'y'; 4096])?;
        }
    };
    assert_eq!(outcome(endless_header), Some(ErrorKind::Unavailable));
    let endless_headers: Act = |_, stream| {
        stream.write_all(OK)?;
        loop {
            stream.write_all(b"X: y\r\n")?;
        }
    };
    assert_eq!(outcome(endless_headers), Some(ErrorKind::Unavailable));
}

#[test]
fn the_wait_that_is_asked_for_is_told_and_no_clock_overflows() {
    let day = Duration::from_secs(86_400);
    for (value, wait) in [
        ("7", Some(Duration::from_secs(7))),
        ("99999999999999999999999", Some(day)),
        ("18446744073709551615", Some(day)),
        ("Thu, 01 Jan 2990 00:00:00 GMT", None),
        ("Fri, 01 Jan 2990 00:00:00 GMT", Some(day)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::ZERO)),
        ("-1", None),
        ("soon", None),
    ] {
        for (status, kind) in [(429, ErrorKind::RateLimited), (503, ErrorKind::Unavailable)] {
            let answer = format!("HTTP/1.1 {status} No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
            let error = to(&Hostile::answer(answer)).unwrap_err();
            assert_eq!((error.kind(), error.retry_after()), (kind, wait), "{value}");
            assert!(error.to_string().contains(&format!("status: {status}")), "{error}");
        }
    }
    let answer = "HTTP/1.1 400 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nBODY";
    let error = to(&Hostile::answer(answer)).unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Rejected, None));
}

#[test]
fn a_redirect_leads_nowhere() {
    let other = Hostile::answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for status in [301, 302, 303, 307, 308] {
        let to_other = format!("http://{}/stolen", other.address());
        let answer =
            format!("HTTP/1.1 {status} Over There\r\nLocation: {to_other}\r\nContent-Length: 0\r\n\r\n");
        let server = Hostile::answer(answer);
        let error = to(&server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(
            error.message().contains("set `endpoint`") && !error.to_string().contains("stolen"),
            "{error}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!((other.connections(), other.requests().len()), (0, 0));
}

#[test]
fn an_encrypted_endpoint_gets_no_plaintext() {
    // A handshake that stalls.
    let silent = Hostile::silent();
    let mut stalled = config(&silent, "https");
    stalled.timeout = HANG;
    let error = export(&HttpExporter::new(stalled).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("connect_timeout"), "{error}");
    let told = until("what was said first", || match silent.bytes() {
        none if none.is_empty() => Err("nothing yet".to_owned()),
        told => Ok(told),
    });
    assert_eq!(told[0], 0x16, "a TLS record");
    assert!(!told.windows(4).any(|four| four == b"POST" || four == b"hunt"));

    // A port that speaks something else.
    let plain = Hostile::refuse_to_understand();
    let mut mistaken = config(&plain, "https");
    (mistaken.timeout, mistaken.connect_timeout) = (HANG, HANG);
    let error = export(&HttpExporter::new(mistaken).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("does not speak TLS"), "{error}");
}

#[test]
fn who_is_not_there_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [format!("http://{port}/in"), "http://nobody.invalid/in".into()] {
        let mut config = HttpConfig::new(endpoint.parse().unwrap());
        config.connect_timeout = Duration::from_secs(2);
        let exporter = HttpExporter::new(config).unwrap();
        let error = export(&exporter).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(matches!(runtime().block_on(exporter.health()), Health::Degraded(_)));
    }
}

const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn a_payload_that_is_sent_again_says_that_it_is_the_same() {
    let server = Hostile::answer(EMPTY);
    let exporter = HttpExporter::new(config(&server, "http")).unwrap();
    let receipts = [export(&exporter).unwrap(), export(&exporter).unwrap()];
    let requests = server.requests();
    assert_eq!(requests[0].header("idempotency-key"), Some("\"00000000000000000000000000000001/test/1/0\""));
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    for (receipt, request) in receipts.iter().zip(&requests) {
        assert_eq!((receipt.accepted, receipt.rejected, receipt.bytes), (1, 0, request.body.len()));
        assert!(receipt.response_time > Duration::ZERO);
        assert!(request.head.starts_with("POST /in HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("authorization"), Some("Bearer hunter2"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("user-agent").unwrap().starts_with("exporters/"));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["metrics"][0]["name"], &body["metrics"][0]["value"]), (&"jobs".into(), &7.into()));
    }
}

#[test]
fn a_transformer_sees_the_batch_and_is_asked_once() {
    let server = Hostile::answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    let exporter = HttpExporter::new(config(&server, "http")).unwrap().with_transformer(move |metrics| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        [("points", metrics.len())]
    });
    let points = (0..5).map(|_| data::point([], Number::U64(1))).collect();
    let metrics = data::snapshot(vec![data::metric("jobs", "", data::counter(points))]);
    let whole = Batch::new(batch().id().clone(), Signal::Metrics(Arc::new(metrics)));
    let (_, part) = whole.split(2).unwrap();
    let error = runtime().block_on(exporter.export(part)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(server.requests()[0].body, br#"[["points",3]]"#);
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_proxy_is_asked_if_it_is_set() {
    let proxy = Hostile::answer(EMPTY);
    let mut config = HttpConfig::new("http://me:hunter2@backend.invalid/in?key=x".parse().unwrap());
    config.proxy = Some(format!("http://user:pass@{}", proxy.address()).parse().unwrap());
    export(&HttpExporter::new(config).unwrap()).unwrap();
    let asked = proxy.requests().remove(0);
    assert!(asked.head.starts_with("POST http://backend.invalid/in?key=x HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!(asked.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
    assert_eq!(asked.header("authorization"), Some("Basic bWU6aHVudGVyMg=="));

    // Through a tunnel the proxy learns where to, and nothing else.
    let proxy = Hostile::answer("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let mut config = HttpConfig::new("https://backend.invalid/in?key=x".parse().unwrap());
    config.auth.token = Some("hunter2".into());
    config.proxy = Some(format!("http://{}", proxy.address()).parse().unwrap());
    let error = export(&HttpExporter::new(config).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let asked = proxy.requests().remove(0);
    assert!(asked.head.starts_with("CONNECT backend.invalid:443 HTTP/1.1\r\n"), "{}", asked.head);
    assert!(!asked.head.contains("hunter2") && !asked.head.contains("key"), "{}", asked.head);
}

#[test]
fn connections_come_from_the_address_that_is_set() {
    let server = Hostile::answer(EMPTY);
    let mut config = HttpConfig::new(format!("http://{}/in", server.address()).parse().unwrap());
    config.local_address = Some([127, 0, 0, 2].into());
    export(&HttpExporter::new(config).unwrap()).unwrap();
    assert_eq!(server.requests()[0].peer.ip(), std::net::Ipv4Addr::new(127, 0, 0, 2));
}

/// Set for the child of the test below.
const BACKEND: &str = "TESTS_BACKEND";

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    if let Ok(endpoint) = std::env::var(BACKEND) {
        export(&HttpExporter::new(HttpConfig::new(endpoint.parse().unwrap())).unwrap()).unwrap();
        return;
    }
    let (backend, proxy) = (Hostile::answer(EMPTY), Hostile::answer(EMPTY));
    let at_proxy = format!("http://{}", proxy.address());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_proxy_of_the_environment_is_not_asked"]);
    child.env(BACKEND, format!("http://{}/in", backend.address()));
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &at_proxy);
    }
    assert!(child.status().unwrap().success());
    assert_eq!((backend.requests().len(), proxy.connections()), (1, 0));
}

#[test]
fn a_derived_exporter_sends_in_the_same_way() {
    use exporters::{
        __private::http::{AuthRef, HttpTransmit},
        Endpoint, Payload, Secret,
    };
    static HTTP: HttpTransmit = HttpTransmit::new();
    let secret = Secret::new("hunter2");
    let payload = || Payload::new("{}", "application/json", 3, batch().id().clone());
    let send = |server: &Hostile, path: &str, auth: AuthRef<'_>| {
        let endpoint: Endpoint = format!("http://{}/base", server.address()).parse().unwrap();
        runtime().block_on(HTTP.send(&endpoint, path, auth, payload()))
    };
    let server = Hostile::answer(EMPTY);
    for (path, auth, line, header) in [
        ("", AuthRef::None, "POST /base HTTP/1.1", None),
        (
            "/v1",
            AuthRef::Bearer(&secret),
            "POST /base/v1 HTTP/1.1",
            Some(("authorization", "Bearer hunter2")),
        ),
        ("v1", AuthRef::ApiKey("X-Key", &secret), "POST /base/v1 HTTP/1.1", Some(("x-key", "hunter2"))),
        (
            "v1",
            AuthRef::Basic("me", &secret),
            "POST /base/v1 HTTP/1.1",
            Some(("authorization", "Basic bWU6aHVudGVyMg==")),
        ),
    ] {
        let receipt = send(&server, path, auth).unwrap();
        assert_eq!((receipt.accepted, receipt.bytes), (3, 2));
        let asked = server.requests().pop().unwrap();
        assert_eq!(asked.head.lines().next(), Some(line));
        assert_eq!((&*asked.body, asked.header("content-type")), (&b"{}"[..], Some("application/json")));
        assert!(header.is_none_or(|(name, value)| asked.header(name) == Some(value)), "{}", asked.head);
    }
    let refusing = Hostile::answer("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(send(&refusing, "v1", AuthRef::None).unwrap_err().kind(), ErrorKind::Unauthorized);
    let error = send(&server, "v1", AuthRef::ApiKey("Host", &secret)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}
