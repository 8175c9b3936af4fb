//! The metrics on a page of the server that a program has anyway, here one made with axum:
//! `cargo run --release --example axum_metrics --features examples/axum [-- ADDRESS]`.

use std::{env, error::Error, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use exporters::{
    Profiler, profiled,
    prometheus::{PrometheusConfig, PrometheusExporter},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Nothing listens but the program's own server, which shows the profiler's numbers.
    let profiler = Profiler::builder().service("greeter").start()?;
    let exporter = PrometheusExporter::new(PrometheusConfig::default())?;
    exporter.connect(Arc::new(move || profiler.snapshot()));

    let app =
        Router::new().route("/greet/{name}", get(greet)).route("/metrics", get(metrics)).with_state(exporter);
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("try   curl http://{address}/greet/Ada http://{address}/greet/42");
    println!("look  curl http://{address}/metrics");
    axum::serve(listener, app).await?;
    Ok(())
}

/// A name has letters only. What does not is an error in the metrics, as it is for the client.
#[profiled]
async fn greet(Path(name): Path<String>) -> Result<String, StatusCode> {
    match name.chars().all(char::is_alphabetic) {
        true => Ok(format!("Good day, {name}\n")),
        false => Err(StatusCode::BAD_REQUEST),
    }
}

/// The page, in the format that the client prefers.
async fn metrics(State(exporter): State<PrometheusExporter>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let page = exporter.render(accept);
    (page.status, [(header::CONTENT_TYPE, page.content_type)], page.body)
}
