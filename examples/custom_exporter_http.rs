//! An exporter of one's own of which nothing is written but the struct: it posts over HTTP, with TLS, a pool of connections,
//! deadlines, and a token that is read again when it is refused. What arrives at the receiver, which the example starts
//! itself, is printed.
//!
//! ```text
//! cargo run --example custom_exporter_http --features examples/http
//! ```

use exporters::{Endpoint, Exporter, Profiler, Result, Secret, profiled};
use serde::Deserialize;
use std::time::Duration;

/// What the receiver wants to see.
const TOKEN: &str = "an example's token";

/// Posts call statistics to Acme.
#[derive(Debug, Deserialize, Exporter)]
#[exporter(kind = "acme", encode = json, http(path = "/v1/metrics", auth = bearer(token)))]
#[metric(throughput = "calls_per_second", kind = gauge, unit = "{call}/s", help = "Calls that ended")]
#[metric(latency_p95 = "function.calls.duration", stat = p95, unit = "ms")]
struct Acme {
    endpoint: Endpoint,
    token: Secret,
    #[exporter(attribute = "deployment.environment.name")]
    environment: String,
}

#[profiled]
fn charge(amount: u32) -> u32 {
    amount + 1
}

fn main() -> Result<()> {
    let address = examples::receive(TOKEN).expect("a port on loopback");
    let acme = Acme {
        endpoint: format!("http://{address}").parse()?,
        token: TOKEN.into(),
        environment: "example".into(),
    };
    let profiler = Profiler::builder().service("custom_exporter_http").exporter(acme).start()?;
    println!("sold for {}", (1..=20).map(charge).sum::<u32>());
    profiler.flush(Duration::from_secs(5))?;
    profiler.shutdown(Duration::from_secs(5)).into_result()
}
