//! A backend for the examples: takes JSON by HTTP on loopback, and prints what arrives.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Starts it on a free port. It answers `401` to whoever does not show `token`.
///
/// # Errors
/// Where no port can be had.
pub fn receive(token: &'static str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(|stream| answer(stream, token)) {
                eprintln!("the receiver: {error}");
            }
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream, token: &str) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut lines =
        reader.by_ref().lines().take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
    let request = lines.next().transpose()?.unwrap_or_default();
    let headers = lines.collect::<io::Result<Vec<_>>>()?;
    let header = |name: &str| {
        let find = |line: &String| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        headers.iter().find_map(find)
    };
    let len = header("content-length").and_then(|len| len.parse().ok()).unwrap_or_default();
    let mut body = Vec::new();
    reader.take(len).read_to_end(&mut body)?;
    let status = if header("authorization").is_some_and(|given| given == format!("Bearer {token}")) {
        let document: serde_json::Value = serde_json::from_slice(&body)?;
        println!("{request}\n{document:#}");
        "202 Accepted"
    } else {
        "401 Unauthorized"
    };
    write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
