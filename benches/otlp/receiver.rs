//! Takes OTLP over HTTP/1.1 in a process of its own, counts the spans, and keeps nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use benches::Result;

static SPANS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// A receiver that runs.
pub(crate) struct Receiver {
    process: Child,
    printed: BufReader<std::process::ChildStdout>,
    pub(crate) port: u16,
}

/// What it was sent of spans.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) spans: u64,
    /// Of bodies.
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
}

impl Receiver {
    /// Starts one that takes so long for each request.
    pub(crate) fn start(delay: Duration) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--child", "receive", &delay.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut printed = BufReader::new(process.stdout.take().ok_or("no output")?);
        let port = line(&mut printed)?.trim().parse()?;
        Ok(Self { process, printed, port })
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<Received> {
        drop(self.process.stdin.take());
        let counts = line(&mut self.printed)?;
        self.process.wait()?;
        let counts: Vec<u64> =
            counts.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
        match counts[..] {
            [spans, bytes, requests] => Ok(Received { spans, bytes, requests }),
            _ => Err(format!("the receiver printed {counts:?}").into()),
        }
    }
}

fn line(from: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line)
}

/// In a child: receives until nobody is there any more to ask for the counts.
pub(crate) fn run(delay_ms: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let delay = Duration::from_millis(delay_ms);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                if let Err(error) = serve(&stream, delay) {
                    eprintln!("receiver: {error}");
                }
            });
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{} {} {}", SPANS.load(Relaxed), BYTES.load(Relaxed), REQUESTS.load(Relaxed));
    Ok(())
}

/// Answers all requests of a connection.
fn serve(stream: &TcpStream, delay: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let of_spans = line.starts_with("POST /v1/traces ");
        let mut length = None;
        while !line.trim_end().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        body.resize(length.ok_or("a request without a length")?, 0);
        reader.read_exact(&mut body)?;
        if of_spans {
            SPANS.fetch_add(spans(&body)?, Relaxed);
            BYTES.fetch_add(body.len() as u64, Relaxed);
            REQUESTS.fetch_add(1, Relaxed);
        }
        thread::sleep(delay);
        writer.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}

/// The spans of a request: `resource_spans`, `scope_spans` and `spans` in each other.
fn spans(request: &[u8]) -> Result<u64> {
    let mut spans = 0;
    each(request, 1, |resource| {
        each(resource, 2, |scope| {
            each(scope, 2, |_| {
                spans += 1;
                Ok(())
            })
        })
    })?;
    Ok(spans)
}

/// Shows each field `number` of a message; it is a message too.
fn each<'a>(mut message: &'a [u8], number: u64, mut visit: impl FnMut(&'a [u8]) -> Result<()>) -> Result<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => _ = varint(&mut message)?,
            1 => _ = cut(&mut message, 8)?,
            2 => {
                let length = varint(&mut message)?;
                let field = cut(&mut message, length)?;
                if tag >> 3 == number {
                    visit(field)?;
                }
            }
            5 => _ = cut(&mut message, 4)?,
            other => return Err(format!("no wire type is {other}").into()),
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = cut(bytes, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number without end".into())
}

fn cut<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8]> {
    bytes.split_off(..usize::try_from(length)?).ok_or_else(|| "a message ends too early".into())
}
