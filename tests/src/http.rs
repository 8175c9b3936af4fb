//! A small HTTP client, which shows exactly what a server sent.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, for example 200.
    pub status: u16,
    /// The status line and headers, as they came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is = |line: &&str| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        self.head.lines().find(is).map(|line| line[name.len() + 1..].trim())
    }

    /// The body as text.
    ///
    /// # Panics
    /// Where it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

/// Asks for `path`; `headers` are whole lines.
///
/// # Errors
/// Where the server cannot be reached, or does not answer with HTTP within 30 s.
pub fn get(server: SocketAddr, path: &str, headers: &[&str]) -> io::Result<Response> {
    request(server, &format!("GET {path} HTTP/1.0"), headers)
}

/// Sends a request that begins with `line`.
///
/// # Errors
/// As [`get`].
pub fn request(server: SocketAddr, line: &str, headers: &[&str]) -> io::Result<Response> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    raw(server, format!("{line}\r\nHost: {server}\r\nConnection: close\r\n{headers}\r\n").as_bytes())
}

/// Sends `bytes` and reads all that comes back.
///
/// # Errors
/// As [`get`].
pub fn raw(server: SocketAddr, bytes: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    // The server may refuse in the middle of it, and what it said is to be read all the same.
    let written = stream.write_all(bytes);
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if all.is_empty() => return Err(error),
        _ => {}
    }
    parse(&all).ok_or_else(|| written.err().unwrap_or_else(|| io::Error::other("not an HTTP response")))
}

fn parse(all: &[u8]) -> Option<Response> {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&all[..end]).ok()?.to_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, head, body: all[end + 4..].to_vec() })
}
