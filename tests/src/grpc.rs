//! A server of gRPC that does to its clients what a test says.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::Notify,
};

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service, and its method.
    pub path: String,
    /// The metadata, among headers.
    pub headers: HeaderMap,
    /// The message, with what stands before it.
    pub body: Vec<u8>,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is answered.
    Said(Said),
    /// The stream is reset.
    Reset,
    /// The connection is closed.
    Close,
    /// Nothing, for as long as the client waits.
    Stall,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Said {
    /// Of HTTP.
    pub status: u16,
    /// The message, with what stands before it.
    pub message: Vec<u8>,
    /// What is said after it.
    pub trailers: Vec<(&'static str, String)>,
    /// Whether all of it is said in headers, without a message.
    pub at_once: bool,
}

impl Said {
    /// Success.
    pub fn fine() -> Self {
        Self::status(0, Vec::new())
    }

    /// An empty message and a status of gRPC.
    pub fn status(status: u32, more: Vec<(&'static str, String)>) -> Self {
        let status = ("grpc-status", status.to_string());
        let trailers = [status].into_iter().chain(more).collect();
        Self { status: 200, message: vec![0; 5], trailers, at_once: false }
    }

    /// The same, with a wait of so many seconds that a `google.rpc.RetryInfo` asks for.
    pub fn wait(status: u8, seconds: u8) -> Self {
        let message = |key: u8, content: &[u8]| [&[key, content.len() as u8], content].concat();
        let delay = message(0x0a, &[0x08, seconds]);
        let kind = message(0x0a, b"type.googleapis.com/google.rpc.RetryInfo");
        let detail = message(0x1a, &[kind, message(0x12, &delay)].concat());
        let details = BASE64_STANDARD_NO_PAD.encode([&[0x08, status][..], &detail].concat());
        Self::status(status.into(), vec![("grpc-status-details-bin", details)])
    }

    /// What a proxy says that knows nothing of gRPC.
    pub fn http(status: u16) -> Self {
        Self { status, message: Vec::new(), trailers: Vec::new(), at_once: true }
    }
}

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Grpc {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What answers.
type Act = dyn Fn(&Call) -> Answer + Send + Sync;

impl Grpc {
    /// Does `act` for each call.
    ///
    /// # Panics
    /// Where there is no port.
    pub fn start(act: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("nonblocking");
        let (calls, stop) = (Arc::<Mutex<Vec<Call>>>::default(), Arc::new(Notify::new()));
        let (shared, stopped) = (calls.clone(), stop.clone());
        let act: Arc<Act> = Arc::new(move |call| {
            shared.lock().expect("whole").push(call.clone());
            act(call)
        });
        let serve = async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => drop(tokio::spawn(serve(stream, act.clone()))),
                    () = stopped.notified() => break,
                }
            }
        };
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve);
        });
        Self { address, calls, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The calls that came, in order.
    ///
    /// # Panics
    /// Never.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("whole").clone()
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        self.stop.notify_one();
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || thread::panicking(), "the server panicked");
    }
}

/// One connection, until either side closes it.
async fn serve(stream: TcpStream, act: Arc<Act>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let close = Arc::new(Notify::new());
    loop {
        tokio::select! {
            call = connection.accept() => match call {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(request, respond, act.clone(), close.clone()));
                }
                // That the client goes away is what most tests are about.
                _ => return,
            },
            () = close.notified() => return,
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    act: Arc<Act>,
    close: Arc<Notify>,
) {
    let (head, mut from) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(part)) = from.data().await {
        let _ = from.flow_control().release_capacity(part.len());
        body.extend_from_slice(&part);
    }
    let call = Call { path: head.uri.path().to_owned(), headers: head.headers, body };
    match act(&call) {
        // A client that is gone is none that could be told.
        Answer::Said(said) => drop(say(&mut respond, said)),
        Answer::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
        Answer::Close => close.notify_one(),
        Answer::Stall => std::future::pending().await,
    }
}

fn say(respond: &mut SendResponse<Bytes>, said: Said) -> Result<(), h2::Error> {
    let pair = |(key, value): (&'static str, String)| {
        (HeaderName::from_static(key), HeaderValue::try_from(value).expect("a value"))
    };
    let trailers: HeaderMap = said.trailers.into_iter().map(pair).collect();
    let mut response = Response::new(());
    *response.status_mut() = said.status.try_into().expect("a status");
    if said.at_once {
        *response.headers_mut() = trailers;
        return respond.send_response(response, true).map(drop);
    }
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(said.message.into(), false)?;
    stream.send_trailers(trailers)
}
