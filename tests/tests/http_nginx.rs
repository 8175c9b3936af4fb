//! `HttpExporter` against a real nginx: certificates, credentials, limits, redirects and compression, judged by what arrived.

use exporters::{
    Batch, BatchId, Compression, Error, ErrorKind, Exporter, HttpConfig, HttpExporter, Number, Receipt,
    Secret, Signal,
};
use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tests::{
    data,
    hostile::{Asked, Hostile},
    nginx::{Certificates, Nginx},
    until,
};

fn batch(points: usize) -> Batch {
    let points = (0..points).map(|_| data::point([], Number::U64(7))).collect();
    let metrics = data::snapshot(vec![data::metric("jobs", "", data::counter(points))]);
    let id = BatchId { instance: 1, leg: "test".into(), sequence: 1, part: 0 };
    Batch::new(id, Signal::Metrics(Arc::new(metrics)))
}

fn upstream() -> Hostile {
    Hostile::answer("HTTP/1.1 204 No Content\r\n\r\n")
}

fn config(url: String) -> HttpConfig {
    let mut config = HttpConfig::new(url.parse().unwrap());
    // A busy machine is no fault.
    (config.timeout, config.connect_timeout) = (Duration::from_secs(30), Duration::from_secs(30));
    config
}

fn export(config: HttpConfig, points: usize) -> Result<Receipt, Error> {
    let exporter = HttpExporter::new(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(exporter.export(batch(points)))
}

fn value_in(body: &[u8]) -> serde_json::Value {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["metrics"][0]["value"].clone()
}

/// nginx writes its log when a request is over, which may be after the answer was read.
fn expect_access(nginx: &Nginx, expected: &[&str]) {
    until("the access log", || {
        let access = nginx.access();
        if access == expected { Ok(()) } else { Err(format!("{access:?}")) }
    });
}

fn one_server(locations: impl Fn(&Path) -> String) -> Option<(Nginx, String)> {
    let nginx = Nginx::start(1, |directory, addresses| {
        format!("server {{ listen {}; {} }}", addresses[0], locations(directory))
    })?;
    let url = format!("http://{}", nginx.addresses()[0]);
    Some((nginx, url))
}

#[test]
fn statuses_mean_what_they_say() {
    let (upstream, other) = (upstream(), upstream());
    let locations = |_: &Path| {
        format!(
            "location = /in {{ proxy_pass http://{0}; }}
             location = /small {{ client_max_body_size 100; proxy_pass http://{0}; }}
             location = /limited {{ add_header Retry-After 7 always; return 429; }}
             location = /down {{ return 503; }}
             location = /dropped {{ return 444; }}
             location = /gone {{ return 410; }}
             location = /moved {{ return 307 http://{1}/in; }}",
            upstream.address(),
            other.address()
        )
    };
    let Some((nginx, url)) = one_server(locations) else { return };
    let to = |path: &str, points| {
        let mut config = config(format!("{url}{path}"));
        config.auth.token = Some("hunter2".into());
        export(config, points)
    };
    for (path, kind, wait) in [
        ("/small", ErrorKind::PayloadTooLarge, None),
        ("/limited", ErrorKind::RateLimited, Some(Duration::from_secs(7))),
        ("/down", ErrorKind::Unavailable, None),
        ("/dropped", ErrorKind::Unavailable, None),
        ("/gone", ErrorKind::Rejected, None),
        ("/missing", ErrorKind::Rejected, None),
        ("/moved", ErrorKind::Rejected, None),
    ] {
        let error = to(path, 1).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (kind, wait), "{path}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(other.connections(), 0, "a redirect is not followed");
    assert_eq!(upstream.connections(), 0);
    // nginx refuses what is announced as too large while it is still being sent.
    assert_eq!(to("/small", 20_000).unwrap_err().kind(), ErrorKind::PayloadTooLarge);

    let receipt = to("/in", 3).unwrap();
    let asked = upstream.requests().remove(0);
    assert_eq!((receipt.accepted, receipt.bytes), (3, asked.body.len()));
    assert_eq!(asked.header("authorization"), Some("Bearer hunter2"));
    assert_eq!(value_in(&asked.body), 7);
    let expected = [
        "POST /small 413",
        "POST /limited 429",
        "POST /down 503",
        "POST /dropped 444",
        "POST /gone 410",
        "POST /missing 404",
        "POST /moved 307",
        "POST /small 413",
        "POST /in 204",
    ];
    expect_access(&nginx, &expected);
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() {
    let upstream = upstream();
    let locations = |directory: &Path| {
        let users = directory.join("users");
        fs::write(&users, "me:{PLAIN}open sesame\n").unwrap();
        format!(
            "location = /in {{ auth_basic x; auth_basic_user_file {}; proxy_pass http://{}; }}",
            users.display(),
            upstream.address()
        )
    };
    let Some((nginx, url)) = one_server(locations) else { return };
    let with = |password: Option<&str>| {
        let mut config = config(format!("{url}/in"));
        config.auth.username = password.map(|_| "me".into());
        config.auth.password = password.map(Secret::new);
        export(config, 1)
    };
    for password in [None, Some("hunter2")] {
        let error = with(password).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(error.to_string().contains("see `auth`, status: 401"), "{error}");
    }
    assert_eq!(upstream.connections(), 0);
    with(Some("open sesame")).unwrap();
    export(config(url.replace("//", "//me:open%20sesame@") + "/in"), 1).unwrap();
    let basic = |asked: &Asked| asked.header("authorization") == Some("Basic bWU6b3BlbiBzZXNhbWU=");
    assert!(upstream.requests().len() == 2 && upstream.requests().iter().all(basic));
    expect_access(&nginx, &["POST /in 401", "POST /in 401", "POST /in 204", "POST /in 204"]);
}

#[test]
fn a_token_that_was_rotated_is_read_again() {
    let upstream = upstream();
    let locations = |_: &Path| {
        format!(
            "location = /in {{ if ($http_authorization != 'Bearer new') {{ return 401; }} proxy_pass http://{}; }}",
            upstream.address()
        )
    };
    let Some((nginx, url)) = one_server(locations) else { return };
    let file = std::env::temp_dir().join(format!("exporters-token-{}", std::process::id()));
    fs::write(&file, "old\n").unwrap();
    let mut config = config(format!("{url}/in"));
    config.auth.token = Some(Secret::from_file(&file).unwrap());
    let exporter = HttpExporter::new(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let export = || runtime.block_on(exporter.export(batch(1)));

    let error = export().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(matches!(runtime.block_on(exporter.health()), exporters::Health::Unhealthy(_)));
    expect_access(&nginx, &["POST /in 401"]);

    fs::write(&file, "new\n").unwrap();
    export().unwrap();
    fs::remove_file(&file).unwrap();
    assert!(runtime.block_on(exporter.health()).is_healthy());
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(upstream.requests()[0].header("authorization"), Some("Bearer new"));
    expect_access(&nginx, &["POST /in 401", "POST /in 401", "POST /in 204"]);
}

#[test]
fn compressed_payloads_arrive() {
    let upstream = upstream();
    let locations = |_: &Path| format!("location = /in {{ proxy_pass http://{}; }}", upstream.address());
    let Some((_nginx, url)) = one_server(locations) else { return };
    let with = |compression| {
        let mut config = config(format!("{url}/in"));
        config.compression = compression;
        let receipt = export(config, 1000).unwrap();
        let asked = upstream.requests().pop().unwrap();
        assert_eq!((receipt.accepted, receipt.bytes), (1000, asked.body.len()));
        asked
    };
    let plain = with(Compression::None);
    assert_eq!((plain.header("content-encoding"), value_in(&plain.body)), (None, 7.into()));
    let gzip = with(Compression::Gzip);
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.body[..]), &mut body).unwrap();
    assert_eq!((gzip.header("content-encoding"), value_in(&body)), (Some("gzip"), 7.into()));
    let zstd = with(Compression::Zstd);
    let body = zstd::decode_all(&zstd.body[..]).unwrap();
    assert_eq!((zstd.header("content-encoding"), value_in(&body)), (Some("zstd"), 7.into()));
    assert!(gzip.body.len() < plain.body.len() / 4 && zstd.body.len() < plain.body.len() / 4);
}

#[test]
fn only_a_backend_that_can_be_trusted_is_told_anything() {
    let (upstream, files) = (upstream(), Certificates::new());
    let server = |address: &SocketAddr, certificate: &str, more: &str| {
        format!(
            "server {{ listen {address} ssl; ssl_certificate {0}.pem; ssl_certificate_key {0}.key; {more}
             location = /in {{ proxy_pass http://{1}; }} }}\n",
            files.file(certificate).display(),
            upstream.address()
        )
    };
    let verify =
        format!("ssl_client_certificate {}; ssl_verify_client on;", files.file("ours.pem").display());
    let nginx = Nginx::start(3, |_, addresses| {
        server(&addresses[0], "server", "")
            + &server(&addresses[1], "expired", "")
            + &server(&addresses[2], "server", &verify)
    });
    let Some(nginx) = nginx else { return };
    let [good, expired, verifying] = nginx.addresses() else { unreachable!() };
    let to = |host: &str, address: &SocketAddr, authority: Option<&str>| {
        let mut config = config(format!("https://{host}:{}/in", address.port()));
        config.auth.api_key = Some("hunter2".into());
        config.tls.ca_file = authority.map(|name| files.file(name));
        config
    };
    for (config, said, reason) in [
        (to("localhost", good, Some("other.pem")), "`tls.ca_file`", "UnknownIssuer"),
        (to("localhost", good, None), "`tls.ca_file`", "UnknownIssuer"),
        (to("127.0.0.1", good, Some("ours.pem")), "another host", "not valid for name"),
        (to("localhost", expired, Some("ours.pem")), "out of date", "expired"),
    ] {
        let error = export(config, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = error.to_string();
        assert!(text.contains(said) && text.contains("nothing was sent"), "{text} does not say {said}");
        assert!(text.contains(reason) && !text.contains("hunter2"), "{text} does not say {reason}");
    }
    assert_eq!(upstream.connections(), 0);
    export(to("localhost", good, Some("ours.pem")), 1).unwrap();
    assert_eq!(upstream.requests()[0].header("x-api-key"), Some("hunter2"));

    let mut known = to("localhost", verifying, Some("ours.pem"));
    known.tls.client_cert_file = Some(files.file("client.pem"));
    known.tls.client_key_file = Some(files.file("client.key"));
    let mut stranger = known.clone();
    stranger.tls.client_cert_file = Some(files.file("stranger.pem"));
    stranger.tls.client_key_file = Some(files.file("stranger.key"));
    export(known.clone(), 1).unwrap();
    for config in [stranger, to("localhost", verifying, Some("ours.pem"))] {
        let error = export(config, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = error.to_string();
        assert!(text.contains("see `tls.client_cert_file`, status: 400"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(upstream.requests().len(), 2);
    expect_access(&nginx, &["POST /in 204", "POST /in 204", "POST /in 400", "POST /in 400"]);

    for (certificate, key, said) in [
        (Some("client.pem"), None, "set both"),
        (Some("client.pem"), Some("stranger.key"), "belong together"),
        (Some("client.key"), Some("client.key"), "does not hold"),
        (Some("client.pem"), Some("nowhere.key"), "cannot be read"),
    ] {
        let mut config = known.clone();
        config.tls.client_cert_file = certificate.map(|name| files.file(name));
        config.tls.client_key_file = key.map(|name| files.file(name));
        let error = HttpExporter::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.message().contains(said), "{error} does not say {said}");
    }
}
