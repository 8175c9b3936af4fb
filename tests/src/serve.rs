//! A `PrometheusExporter` that serves, on a thread of its own.

use exporters::{Exporter, prometheus::PrometheusExporter};
use std::{net::SocketAddr, thread::JoinHandle};

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Served {
    /// Where.
    pub address: SocketAddr,
    exporter: PrometheusExporter,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves on the address of the exporter's settings.
    ///
    /// # Panics
    /// Where it cannot.
    pub fn start(exporter: &PrometheusExporter) -> Self {
        let listener = exporter.bind().expect("a port");
        let address = listener.local_addr().expect("its address");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let serving = exporter.serve(listener);
        let thread = std::thread::spawn(move || runtime.block_on(serving).expect("served"));
        Self { address, exporter: exporter.clone(), thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(self.exporter.shutdown());
        }
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || std::thread::panicking(), "the server panicked");
    }
}
