//! TLS, in front of a real receiver: an nginx whose certificate is a private authority's, and that may want one of ours.

use super::{batch, export, random, receivers, rows, runtime};
use exporters::{
    AnyExporter, Batch, Error, ErrorKind, Exporter, OpenTelemetryExporter, Receipt, Settings, Signal,
};
use receivers::{Agent, some};
use rows::Sent;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    env,
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::{Arc, LazyLock},
    thread,
};
use tests::nginx::{Certificates, Nginx};

const PROTOCOLS: [&str; 3] = ["http/protobuf", "http/json", "grpc"];

/// Always the same.
fn spans() -> Batch {
    static SPANS: LazyLock<Batch> = LazyLock::new(|| {
        let spans = some(random::spans(), 4).into_iter().flatten();
        batch(Signal::Spans(Arc::new(spans.collect())))
    });
    SPANS.clone()
}

/// A receiver behind nginx, which speaks TLS for it.
struct Front {
    agent: Agent,
    files: Certificates,
    nginx: Nginx,
}

impl Front {
    fn start() -> Option<Self> {
        let (agent, files) = (Agent::start()?, Certificates::new());
        let server = |address: &SocketAddr, certificate: &str, more: &str| {
            format!(
                "server {{ listen {address} ssl http2; {more}
                 ssl_certificate {0}.pem; ssl_certificate_key {0}.key;
                 location /v1/ {{ proxy_pass http://{1}; }}
                 location /opentelemetry.proto.collector. {{ grpc_pass grpc://{2}; }} }}\n",
                files.file(certificate).display(),
                agent.address,
                agent.grpc,
            )
        };
        let verify =
            format!("ssl_client_certificate {}; ssl_verify_client on;", files.file("ours.pem").display());
        let nginx = Nginx::start(3, |_, addresses| {
            server(&addresses[0], "server", "")
                + &server(&addresses[1], "server", &verify)
                + &server(&addresses[2], "expired", "")
        })?;
        Some(Self { agent, files, nginx })
    }

    /// Asks for no certificate.
    fn open(&self) -> String {
        self.at(0)
    }

    fn verifying(&self) -> String {
        self.at(1)
    }

    fn expired(&self) -> String {
        self.at(2)
    }

    fn at(&self, server: usize) -> String {
        format!("localhost:{}", self.nginx.addresses()[server].port())
    }

    /// Whether the receiver was sent [these](spans), exactly.
    fn has_all(&self) -> bool {
        let taken = self.agent.taken(&spans()).map(|request| rows::decoded(&request)).unwrap_or_default();
        taken == rows::expected(&spans(), Sent { delta: false })
    }
}

/// Sends all spans, as a file of settings says.
fn send(files: &Certificates, protocol: &str, place: &str, tls: &[(&str, &str)]) -> Result<Receipt, Error> {
    let file = |(key, name): &(&str, &str)| format!("{key}: '{}'", files.file(name).display());
    let tls = tls.iter().map(file).collect::<Vec<_>>().join(", ");
    let settings = format!(
        "{{ endpoint: 'https://{place}', protocol: {protocol}, timeout: 30s, connect_timeout: 30s, \
         auth: {{ token: hunter2 }}, retry: {{ max_retries: 0 }}, tls: {{ {tls} }} }}"
    );
    let exporter = AnyExporter::of_kind("opentelemetry", Settings::from_yaml(&settings).unwrap())?;
    runtime().block_on(exporter.export(spans()))
}

const CA: (&str, &str) = ("ca_file", "ours.pem");
const CLIENT: [(&str, &str); 3] = [CA, ("client_cert_file", "client.pem"), ("client_key_file", "client.key")];
const STRANGER: [(&str, &str); 3] =
    [CA, ("client_cert_file", "stranger.pem"), ("client_key_file", "stranger.key")];

#[test]
fn spans_arrive_where_both_sides_are_trusted() {
    let Some(front) = Front::start() else { return };
    for protocol in PROTOCOLS {
        for (place, tls) in [(front.open(), &[CA][..]), (front.verifying(), &CLIENT)] {
            let receipt = send(&front.files, protocol, &place, tls).unwrap();
            assert!(receipt.accepted > 3, "{receipt:?}");
            assert!(front.has_all(), "{protocol} {tls:?}");
        }
    }
}

#[test]
fn whoever_is_not_trusted_is_told_nothing() {
    let Some(front) = Front::start() else { return };
    let port = front.nginx.addresses()[0].port();
    for protocol in PROTOCOLS {
        for (place, tls, said) in [
            (front.open(), &[("ca_file", "other.pem")][..], "name that in `tls.ca_file`"),
            (front.open(), &[], "name that in `tls.ca_file`"),
            (format!("127.0.0.1:{port}"), &[CA], "for another host, so nothing was sent: see `endpoint`"),
            (front.expired(), &[CA], "out of date, or our clock is wrong"),
            (front.verifying(), &[CA], "does not accept our certificate: see `tls.client_cert_file`"),
            (front.verifying(), &STRANGER, "does not accept our certificate: see `tls.client_cert_file`"),
        ] {
            let error = send(&front.files, protocol, &place, tls).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{protocol}: {text}");
            assert!(text.contains(said) && text.contains(&place), "{protocol}: {text} does not say {said}");
            assert!(!text.contains("hunter2") && !text.contains("BEGIN"), "{protocol}: {text}");
        }
        assert!(front.agent.taken(&spans()).is_none());
    }
    assert!(front.nginx.access().iter().all(|line| line.ends_with(" 400")), "{:?}", front.nginx.access());
}

/// Others than nginx end a connection whose certificate they do not accept.
#[test]
fn a_server_that_hangs_up_does_not_accept_our_certificate() {
    let files = Certificates::new();
    let pem = |name: &str| CertificateDer::from_pem_file(files.file(name)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut authorities = RootCertStore::empty();
    authorities.add(pem("ours.pem")).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier.build().unwrap());
    let key = PrivateKeyDer::from_pem_file(files.file("server.key")).unwrap();
    let mut config = config.with_single_cert(vec![pem("server.pem")], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);

    for protocol in PROTOCOLS {
        for tls in [&[CA][..], &STRANGER] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let place = format!("localhost:{}", listener.local_addr().unwrap().port());
            let config = config.clone();
            let refusing = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut connection = ServerConnection::new(config).unwrap();
                let refused = connection.complete_io(&mut stream);
                // Once the client has read why, it goes.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
                refused.is_err()
            });
            let error = send(&files, protocol, &place, tls).unwrap_err();
            assert!(refusing.join().unwrap());
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{protocol}: {text}");
            assert!(text.contains("see `tls.client_cert_file`"), "{protocol}: {text}");
        }
    }
}

/// Set for the children of the test below.
const CHILD: &str = "TESTS_OTLP_CHILD";

#[test]
fn the_variables_of_opentelemetry_say_whom_to_trust() {
    if env::var_os(CHILD).is_some() {
        export(&OpenTelemetryExporter::from_env().unwrap(), spans()).unwrap();
        return;
    }
    let Some(front) = Front::start() else { return };
    let file = |name: &str| front.files.file(name).display().to_string();
    let send = |protocol: &str, variables: &[(&str, &str)]| {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "tls::the_variables_of_opentelemetry_say_whom_to_trust"]);
        child.env_clear().env(CHILD, "1").env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        child.envs(variables.iter().map(|(name, text)| (format!("OTEL_EXPORTER_OTLP_{name}"), text)));
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() || said.contains("does not accept our certificate"), "{said}");
        output.status.success()
    };
    let (ours, other) = (&*file("ours.pem"), &*file("other.pem"));
    let (certificate, key) = (&*file("client.pem"), &*file("client.key"));
    for protocol in PROTOCOLS {
        // Over gRPC, it needs no scheme.
        let scheme = if protocol == "grpc" { "" } else { "https://" };
        let endpoint = &*format!("{scheme}{}", front.verifying());
        let all = [("ENDPOINT", endpoint), ("CERTIFICATE", ours)];
        assert!(!send(protocol, &all));
        assert!(front.agent.taken(&spans()).is_none());
        let ours_too = [("CLIENT_CERTIFICATE", certificate), ("CLIENT_KEY", key)];
        assert!(send(protocol, &[&all[..], &ours_too].concat()));
        assert!(front.has_all(), "{protocol}");
        let of_traces = [
            ("TRACES_CERTIFICATE", ours),
            ("TRACES_CLIENT_CERTIFICATE", certificate),
            ("TRACES_CLIENT_KEY", key),
            ("METRICS_CERTIFICATE", ours),
        ];
        let wrong = [("ENDPOINT", endpoint), ("CERTIFICATE", other)];
        assert!(send(protocol, &[&wrong[..], &of_traces].concat()));
        assert!(front.has_all(), "{protocol}");
    }
    let plain = front.agent.grpc.to_string();
    assert!(send("grpc", &[("ENDPOINT", &plain), ("INSECURE", "true")]));
    assert!(front.has_all());
}
