//! What is read of an answer, and where connections live.

use super::*;
use crate::transport::transmit::{CONNECT_TIMEOUT, TIMEOUT};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Answers every request on every connection with the same bytes. Its threads end with the connections.
fn server(answer: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::<AtomicUsize>::default();
    let count = connections.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Relaxed);
            let answer = answer.clone();
            thread::spawn(move || serve(stream.unwrap(), &answer));
        }
    });
    (address, connections)
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    let (mut seen, mut bytes) = (Vec::new(), [0; 1024]);
    while let Ok(size @ 1..) = stream.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..size]);
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}

fn client() -> Client {
    let tls = &TlsConfig::default();
    let (timeout, connect_timeout) = (TIMEOUT, CONNECT_TIMEOUT);
    Client::new(false, Options { timeout, connect_timeout, tls, proxy: None, local_address: None }).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn ask(client: &Client, address: SocketAddr) -> Result<Answer> {
    let endpoint = format!("http://{address}/in").parse().unwrap();
    let (method, headers, body) = (Method::POST, HeaderMap::new(), Bytes::new());
    client.send(Request { method, endpoint: &endpoint, headers, body }).await
}

fn body_of(head: &str, body: &[u8]) -> Bytes {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{head}\r\n");
    let (address, _) = server([head.as_bytes(), body].concat());
    runtime().block_on(ask(&client(), address)).unwrap().body
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_answer_is_read_up_to_64_kib() {
    assert_eq!(body_of("", b"fine"), "fine");
    assert_eq!(body_of("", &vec![b'a'; LARGEST_ANSWER]).len(), LARGEST_ANSWER);
    assert_eq!(body_of("", &vec![b'a'; 10 << 20]).len(), LARGEST_ANSWER);
    let encoded = "Content-Encoding: gzip\r\n";
    assert_eq!(body_of(encoded, &gzip(b"fine")), "fine");
    assert_eq!(body_of(encoded, b"not gzip"), "");
    let bomb = gzip(&vec![0; 100 << 20]);
    assert!(bomb.len() > LARGEST_ANSWER, "so that it is cut before and after decompression");
    assert_eq!(body_of(encoded, &bomb).len(), LARGEST_ANSWER);
}

#[test]
fn a_connection_is_used_again_but_not_by_another_runtime() {
    let (address, connections) = server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let client = client();
    let (one, other) = (runtime(), runtime());
    for _ in 0..3 {
        one.block_on(ask(&client, address)).unwrap();
    }
    assert_eq!(connections.load(Relaxed), 1);
    // Its connection stands still while nobody runs `one`.
    other.block_on(ask(&client, address)).unwrap();
    drop(one);
    other.block_on(ask(&client, address)).unwrap();
    assert_eq!(connections.load(Relaxed), 2);
    for _ in 0..2 * POOLS {
        runtime().block_on(ask(&client, address)).unwrap();
    }
    assert_eq!(client.pools.lock().unwrap().len(), POOLS);
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let mut asked = Box::pin(async { ask(&client(), SocketAddr::from(([127, 0, 0, 1], 1))).await });
    let waker = std::task::Waker::noop();
    let answer = asked.as_mut().poll(&mut std::task::Context::from_waker(waker));
    let std::task::Poll::Ready(Err(error)) = answer else { panic!("{answer:?}") };
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(error.message().contains("tokio"), "{error}");
}
