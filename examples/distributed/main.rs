//! One trace through two processes: a shop, and the payment service that it asks. Both are this program, started again. Each
//! writes its spans to a directory, from where the first process reads them; a real service would rather send them away, by an
//! `OpenTelemetryExporter` for example.
//!
//! ```text
//! cargo run --example distributed
//! ```

mod payments;
mod process;
mod shop;
mod tree;

use exporters::{
    AnyExporter, FileConfig, FileExporter, FileFormat, MemoryExporter, Profiler, Sampler, replay,
    tower::HttpServerLayer,
};
use process::{Directory, Process};
use std::{env, error::Error, path::Path, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpListener};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result {
    // Where anything in the build has reqwest speak TLS, as the feature `http` of `exporters` does, somebody must say how.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "there are two TLS providers")?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => watch().await,
        ["shop", directory, payments] => serve("shop", directory, shop::app(payments)?).await,
        ["payments", directory] => serve("payments", directory, payments::app()).await,
        _ => Err("it takes no arguments".into()),
    }
}

/// Starts both services, asks the shop for something, and prints what the two have recorded.
async fn watch() -> Result {
    let directory = Directory::new()?;
    let payments = Process::start(&["payments", &directory.path("payments")?])?;
    let shop = Process::start(&["shop", &directory.path("shop")?, &payments.url])?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let answer = client.get(format!("{}/checkout/17", shop.url)).send().await?.error_for_status()?;
    println!("The shop says: {}\n", answer.text().await?);
    shop.stop()?;
    payments.stop()?;

    let memory = MemoryExporter::new();
    for service in ["shop", "payments"] {
        let (directory, memory) = (directory.path(service)?, AnyExporter::new(memory.clone()));
        let report = tokio::task::spawn_blocking(|| replay(directory, memory)).await??;
        report.error.map_or(Ok(()), Err)?;
    }
    print!("{}", tree::Tree::new(&memory.batches())?);
    Ok(())
}

/// Serves on a free port, whose URL it prints, until its input ends.
async fn serve(name: &str, directory: impl AsRef<Path>, app: axum::Router) -> Result {
    let files = FileConfig { format: FileFormat::Records, ..FileConfig::new(directory.as_ref()) };
    let profiler = Profiler::builder()
        .service(name)
        .sampler(Sampler::parent_based(Sampler::AlwaysOn))
        .exporter(FileExporter::new(files)?)
        .start()?;
    let layer = HttpServerLayer::new()
        .route(|request| Some(request.extensions.get::<axum::extract::MatchedPath>()?.as_str().into()));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let end = async { _ = tokio::io::stdin().read(&mut [0]).await };
    axum::serve(listener, app.layer(layer)).with_graceful_shutdown(end).await?;
    profiler.shutdown(Duration::from_secs(5)).into_result()?;
    Ok(())
}
