//! The scrape server: few connections, short deadlines, and nothing of what the client says in its answers.

use super::{
    PrometheusExporter,
    io::{Io, TokioTimer},
    negotiate,
};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Future, poll_fn},
    io::{self, Write as _},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How long a client may take to send its request.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// How long it may take from then on, until it has read the answer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Smaller pages are not worth compressing.
const MIN_GZIP: usize = 1024;
/// How much is compressed before other connections have their turn: less than a millisecond's work.
const GZIP_STEP: usize = 32 * 1024;

impl PrometheusExporter {
    /// Opens the port, so that an address that cannot be had is known before anything runs.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) where the address is in use, or not this machine's.
    pub fn bind(&self) -> Result<std::net::TcpListener> {
        let listen = self.config().listen;
        let open = || {
            let listener = std::net::TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        open().map_err(|error: io::Error| {
            let message = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "cannot serve metrics: the address is in use; set another `listen`"
                }
                _ => "cannot serve metrics",
            };
            Error::new(ErrorKind::Unavailable, message).with_context("listen", listen).with_source(error)
        })
    }

    /// Answers scrapes until the exporter is [shut down](crate::Exporter::shutdown).
    ///
    /// To be polled on a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) where the runtime does not take the listener.
    pub fn serve(&self, listener: std::net::TcpListener) -> impl Future<Output = Result<()>> + Send + use<> {
        let exporter = self.clone();
        async move {
            let listener = TcpListener::from_std(listener).map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot serve metrics").with_source(error)
            })?;
            let mut connections =
                Connections { list: VecDeque::new(), limit: exporter.config().max_connections };
            while let Some(stream) = exporter.next(&listener).await {
                match stream {
                    Ok(stream) => connections.serve(&exporter, stream),
                    // Out of file descriptors, most likely: trying again at once would only burn time.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
            Ok(())
        }
    }

    /// The next connection; `None` at shutdown.
    async fn next(&self, listener: &TcpListener) -> Option<io::Result<TcpStream>> {
        let mut open = self.0.open.subscribe();
        let mut closed = pin!(open.wait_for(|open| !open));
        poll_fn(|cx| {
            if closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
        })
        .await
    }
}

/// The open connections, oldest first.
struct Connections {
    list: VecDeque<Connection>,
    limit: usize,
}

struct Connection {
    task: JoinHandle<()>,
    /// Whether its request has arrived.
    asked: Arc<AtomicBool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connections {
    /// Makes room at the cost of the oldest client that has not asked yet, so that many silent ones cannot shut out one
    /// that asks; at the cost of the slowest reader where all have asked.
    fn serve(&mut self, exporter: &PrometheusExporter, stream: TcpStream) {
        self.list.retain(|connection| !connection.task.is_finished());
        if self.list.len() >= self.limit {
            let silent = self.list.iter().position(|connection| !connection.asked.load(Relaxed));
            self.list.remove(silent.unwrap_or(0));
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(connection(exporter.clone(), stream, Arc::clone(&asked)));
        self.list.push_back(Connection { task, asked });
    }
}

/// Answers one request: one a connection keeps the deadlines simple.
async fn connection(exporter: PrometheusExporter, stream: TcpStream, asked: Arc<AtomicBool>) {
    let service = service_fn(|request| {
        asked.store(true, Relaxed);
        answer(exporter.clone(), request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer)
        .header_read_timeout(HEADER_DEADLINE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(Io(stream), service);
    // How a connection ends is its client's affair.
    let _ = tokio::time::timeout(HEADER_DEADLINE + REQUEST_DEADLINE, serving).await;
}

async fn answer(
    exporter: PrometheusExporter,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != exporter.config().path {
        return Ok(refusal(StatusCode::NOT_FOUND, "not found\n"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let page = exporter.render(list(request.headers(), ACCEPT).as_deref());
    let compress = page.body.len() >= MIN_GZIP
        && negotiate::accepts_gzip(list(request.headers(), ACCEPT_ENCODING).as_deref());
    let compressed = if compress { gzip(&page.body).await } else { None };
    let encoding = compressed.is_some();
    let mut response = Response::new(Full::new(compressed.unwrap_or(page.body)));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A header that may be repeated, as one list.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

async fn gzip(page: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    for step in page.chunks(GZIP_STEP) {
        encoder.write_all(step).ok()?;
        tokio::task::yield_now().await;
    }
    encoder.finish().ok().map(Bytes::from)
}
