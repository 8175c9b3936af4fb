//! Three exporters from a file, `examples/deploy/exporters.yaml`: everything for a scrape, the statistics of an exporter of the
//! program's own, and a few of other names for whoever is woken up by them. All of it stays on loopback.
//!
//! ```text
//! cargo run --example exporters_yaml
//! ```
//!
//! A program of yours calls `exporters::init()`, and names its file in `PROFILING_EXPORTERS_CONFIG`.

#[path = "custom_exporter/acme.rs"]
mod acme;

use exporters::{Builder, profiled};
use std::{error::Error, fs, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[profiled]
fn charge(amount: u32) -> Result<u32, &'static str> {
    if amount.is_multiple_of(4) { Err("declined") } else { Ok(amount) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let receiver = examples::receive(acme::TOKEN)?;
    // What whoever deploys the program would set.
    for (name, value) in [("ACME_URL", format!("http://{receiver}")), ("ACME_TOKEN", acme::TOKEN.to_owned())]
    {
        // SAFETY: there is no other thread yet that could read the environment but the receiver's, which does not.
        unsafe { std::env::set_var(name, value) };
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/exporters.yaml");
    println!("{}", fs::read_to_string(&file)?);

    let profiler = Builder::from_file(&file)?.start()?;
    println!("sold for {}\n", (1..=20).filter_map(|amount| charge(amount).ok()).sum::<u32>());
    profiler.flush(Duration::from_secs(5))?;

    let address = profiler.listening().ok_or("nothing is scraped")?;
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    println!("\nhttp://{address}/metrics says, among others:");
    page.lines().filter(|line| line.starts_with("function_calls_total")).for_each(|line| println!("{line}"));

    println!("\nWhat became of every item:");
    for (name, ledger) in profiler.ledger() {
        println!("{name}: {ledger:?}");
    }
    Ok(profiler.shutdown(Duration::from_secs(5)).into_result()?)
}
