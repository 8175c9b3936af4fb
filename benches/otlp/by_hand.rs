//! The floor: one thread that writes spans by hand, of numbers and what all have in common, and posts them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use benches::Result;

use crate::producers::{NAME, THREAD_ID, THREAD_NAME};

/// What is known of a span beforehand: a cache line.
struct Record {
    trace: [u64; 2],
    span: u64,
    parent: u64,
    start: u64,
    end: u64,
}

/// Writes and posts batches.
pub(crate) struct ByHand {
    answers: BufReader<TcpStream>,
    posts: TcpStream,
    records: Vec<Record>,
    body: Vec<u8>,
    /// Name, kind and attributes.
    common: Vec<u8>,
    made: u64,
}

impl ByHand {
    /// To the receiver at `port`.
    pub(crate) fn new(port: u16) -> Result<Self> {
        let posts = TcpStream::connect(("127.0.0.1", port))?;
        posts.set_nodelay(true)?;
        let text = |number, text: &str| field(number, text.as_bytes());
        let attribute = |key, value: Vec<u8>| field(9, &[text(1, key), field(2, &value)].concat());
        let common = [
            text(5, NAME),
            vec![6 << 3, 1],
            attribute("thread.id", vec![3 << 3, THREAD_ID]),
            attribute("thread.name", text(1, THREAD_NAME)),
        ];
        Ok(Self {
            answers: BufReader::new(posts.try_clone()?),
            posts,
            records: Vec::new(),
            body: Vec::new(),
            common: common.concat(),
            made: 0,
        })
    }

    /// Makes and posts so many spans, and waits for the answer.
    pub(crate) fn post(&mut self, spans: u64) -> Result<()> {
        self.records.clear();
        self.records.extend((self.made..self.made + spans).map(|at| Record {
            trace: [at + 1; 2],
            span: at + 1,
            parent: at + 1,
            start: 1_700_000_000_000_000_000 + at,
            end: 1_700_000_000_000_001_000 + at,
        }));
        self.made += spans;
        self.write();
        write!(
            self.posts,
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            self.body.len()
        )?;
        self.posts.write_all(&self.body)?;
        let mut line = String::new();
        while self.answers.read_line(&mut line)? > "\r\n".len() {}
        if line.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(line.into()) }
    }

    fn write(&mut self) {
        const NUMBERS: usize = 18 + 10 + 10 + 9 + 9;
        let span = NUMBERS + self.common.len();
        let head = [tag(2, 2), length(span)].concat();
        let scope = (head.len() + span) * self.records.len();
        let scope_head = [tag(2, 2), length(scope)].concat();
        self.body.clear();
        self.body.extend(tag(1, 2));
        self.body.extend(length(scope_head.len() + scope));
        self.body.extend(scope_head);
        for record in &self.records {
            let mut numbers = [0; NUMBERS];
            let mut at = 0;
            let mut put = |bytes: &[u8]| {
                numbers[at..at + bytes.len()].copy_from_slice(bytes);
                at += bytes.len();
            };
            put(&[1 << 3 | 2, 16]);
            put(&record.trace[0].to_be_bytes());
            put(&record.trace[1].to_be_bytes());
            put(&[2 << 3 | 2, 8]);
            put(&record.span.to_be_bytes());
            put(&[4 << 3 | 2, 8]);
            put(&record.parent.to_be_bytes());
            put(&[7 << 3 | 1]);
            put(&record.start.to_le_bytes());
            put(&[8 << 3 | 1]);
            put(&record.end.to_le_bytes());
            self.body.extend_from_slice(&head);
            self.body.extend_from_slice(&numbers);
            self.body.extend_from_slice(&self.common);
        }
    }
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&tag(number, 2)[..], &length(content.len()), content].concat()
}

fn tag(number: u8, wire_type: u8) -> Vec<u8> {
    vec![number << 3 | wire_type]
}

fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
