//! A real nginx with a configuration of the test's own, and certificates of a private authority.

use crate::{Process, Temp, program, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A running server.
#[derive(Debug)]
pub struct Nginx {
    addresses: Vec<SocketAddr>,
    access: PathBuf,
    process: Process,
}

impl Nginx {
    /// Serves what `servers` makes of a directory of its own and `ports` free addresses: `server { … }` blocks.
    /// `None` where it is not installed (see [`program`]).
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(ports: usize, servers: impl Fn(&Path, &[SocketAddr]) -> String) -> Option<Self> {
        let nginx = program("BACKEND_NGINX")?;
        let mut said = String::new();
        // Somebody else may take a port before nginx does.
        for _ in 0..5 {
            // All at once, so that they differ.
            let free: Vec<_> =
                (0..ports).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
            let addresses: Vec<_> = free.iter().map(|port| port.local_addr().expect("its address")).collect();
            drop(free);
            let mut access = PathBuf::new();
            let process = Process::start("nginx", |directory| {
                access = directory.join("access.log");
                let config = directory.join("nginx.conf");
                fs::write(&config, configuration(directory, &servers(directory, &addresses)))
                    .expect("a file");
                let mut command = Command::new(&nginx);
                command.arg("-p").arg(directory).arg("-c").arg(config).args(["-e", "stderr"]);
                command.stdout(Stdio::null());
                command
            });
            let mut started = Self { addresses, access, process };
            if started.is_ready() {
                return Some(started);
            }
            said = started.process.stderr();
        }
        panic!("nginx does not start: {said}")
    }

    fn is_ready(&mut self) -> bool {
        until("nginx is ready", || match TcpStream::connect(self.addresses[0]) {
            _ if !self.process.is_running() => Ok(false),
            Ok(_) => Ok(true),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The requests it has answered, as `METHOD /path STATUS`.
    pub fn access(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.access).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

/// One process, nothing outside of `directory`, no line of the log held back.
fn configuration(directory: &Path, servers: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {}/{what};\n", directory.display()))
        .collect();
    format!(
        "daemon off;
         master_process off;
         pid {0}/pid;
         events {{ worker_connections 64; }}
         http {{
           log_format short '$request_method $uri $status';
           access_log {0}/access.log short;
           {temporary}
           {servers}
         }}\n",
        directory.display()
    )
}

/// A private certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Called `name`, with a key of its own.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Writes its certificate to `file`.
    fn write(&self, file: &Path) {
        fs::write(file, self.0.pem()).expect("a file");
    }

    /// Writes a certificate for the host `name`, and its key, to `name.pem` and `name.key` in `directory`.
    fn issue(&self, directory: &Path, name: &str, host: &str, expired: bool) {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        fs::write(directory.join(format!("{name}.pem")), certificate.pem()).expect("a file");
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
    }
}

/// Certificates, in a directory that goes when this is dropped: of two authorities, `ours.pem` and `other.pem`; by ours, for the host
/// `localhost`, `server.pem` and, out of date, `expired.pem`, and for a client, `client.pem`; by the other one, for a client,
/// `stranger.pem`. The keys are beside them, `server.key` and so on.
#[derive(Debug)]
pub struct Certificates(Temp);

impl Certificates {
    /// Makes them.
    ///
    /// # Panics
    /// Where they cannot be written.
    #[expect(clippy::new_without_default, reason = "it is no value")]
    pub fn new() -> Self {
        let temporary = Temp::new();
        let directory = &temporary.0;
        let (ours, other) = (Authority::new("ours"), Authority::new("other"));
        ours.write(&directory.join("ours.pem"));
        other.write(&directory.join("other.pem"));
        ours.issue(directory, "server", "localhost", false);
        ours.issue(directory, "expired", "localhost", true);
        ours.issue(directory, "client", "client", false);
        other.issue(directory, "stranger", "client", false);
        Self(temporary)
    }

    /// One of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }
}
