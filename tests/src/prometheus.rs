//! A real Prometheus that scrapes.

use crate::{Process, http, program, until};
use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
};

/// Labels and value of one series.
pub type Sample = (BTreeMap<String, String>, f64);

/// A running server with an empty database.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    process: Process,
}

impl Prometheus {
    /// Scrapes `target` five times a second; as protobuf where `native_histograms` are on, else as OpenMetrics.
    /// `None` where it is not installed (see [`program`]).
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(target: SocketAddr, native_histograms: bool) -> Option<Self> {
        let prometheus = program("BACKEND_PROMETHEUS")?;
        // Somebody else may take the port before Prometheus does; then it ends, and another port is tried.
        let mut said = String::new();
        for _ in 0..5 {
            let address = free_port();
            let process = Process::start("prometheus", |directory| {
                let config = directory.join("prometheus.yml");
                let scrape = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}";
                let jobs = format!(
                    "scrape_configs: [{{job_name: test, static_configs: [{{targets: ['{target}']}}]}}]"
                );
                fs::write(&config, format!("{scrape}\n{jobs}\n")).expect("a file");
                let mut command = Command::new(prometheus.clone());
                command
                    .arg(format!("--config.file={}", config.display()))
                    .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
                    .arg(format!("--web.listen-address={address}"))
                    .stdout(Stdio::null());
                if native_histograms {
                    command.arg("--enable-feature=native-histograms");
                }
                command
            });
            let mut started = Self { address, process };
            if started.is_ready() {
                return Some(started);
            }
            said = started.process.stderr();
        }
        panic!("Prometheus does not start: {said}")
    }

    fn is_ready(&mut self) -> bool {
        until("Prometheus is ready", || match http::get(self.address, "/-/ready", &[]) {
            Ok(answer) if answer.status == 200 => Ok(true),
            _ if !self.process.is_running() => Ok(false),
            other => Err(format!("{other:?}")),
        })
    }

    /// The answer to a query, now; native histograms in it are left out.
    ///
    /// # Errors
    /// What Prometheus said, where it is not an answer.
    pub fn query(&self, query: &str) -> Result<Vec<Sample>, String> {
        let data = self.api(&format!("query?query={}", encoded(query)))?;
        let series = data["result"].as_array().ok_or_else(|| data.to_string())?;
        let numbers = series.iter().filter(|one| one.get("histogram").is_none());
        numbers.map(|one| sample(one).ok_or_else(|| one.to_string())).collect()
    }

    /// The only value of a query's answer.
    ///
    /// # Errors
    /// Where it is not one value.
    pub fn value(&self, query: &str) -> Result<f64, String> {
        match &self.query(query)?[..] {
            [(_, value)] => Ok(*value),
            other => Err(format!("{query}: {other:?}")),
        }
    }

    /// Waits until the only value of a query's answer is `expected`, exactly.
    ///
    /// # Panics
    /// After 30 s, with the last answer and what became of the last scrape.
    pub fn expect(&self, query: &str, expected: f64) {
        until(query, || match self.value(query) {
            Ok(value) if value == expected => Ok(()),
            other => Err(format!("{other:?}, expected {expected}; last scrape: {:?}", self.last_error())),
        });
    }

    /// Why the last scrape failed; empty where it did not.
    ///
    /// # Errors
    /// What Prometheus said, where it is not an answer.
    pub fn last_error(&self) -> Result<String, String> {
        let data = self.api("targets")?;
        let target = &data["activeTargets"][0];
        match target["health"].as_str() {
            Some("up") => Ok(String::new()),
            _ => Ok(target.to_string()),
        }
    }

    fn api(&self, path: &str) -> Result<serde_json::Value, String> {
        let answer =
            http::get(self.address, &format!("/api/v1/{path}"), &[]).map_err(|error| error.to_string())?;
        let mut json: serde_json::Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {answer:?}"))?;
        match json["status"].as_str() {
            Some("success") => Ok(json["data"].take()),
            _ => Err(json.to_string()),
        }
    }
}

fn sample(json: &serde_json::Value) -> Option<Sample> {
    let labels = json["metric"].as_object()?;
    let labels = labels.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Some((labels.collect::<Option<_>>()?, json["value"][1].as_str()?.parse().ok()?))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// An address that nobody listens on, for now.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address")
}
