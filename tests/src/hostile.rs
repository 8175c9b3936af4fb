//! A server that does to its clients what a test says.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
};

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    requests: Mutex<Vec<Asked>>,
    bytes: Mutex<Vec<u8>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asked.
    pub peer: SocketAddr,
    /// Request line and headers.
    pub head: String,
    /// What follows them.
    pub body: Vec<u8>,
}

impl Asked {
    /// The path of the request line.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl Hostile {
    /// Reads requests, and does `act` after each. An error ends the connection.
    ///
    /// # Panics
    /// Where there is no port.
    pub fn start(act: impl Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::serve(move |shared, stream| {
            while let Some(asked) = read(stream)? {
                shared.requests.lock().expect("whole").push(asked.clone());
                act(&asked, stream)?;
            }
            Ok(())
        })
    }

    /// Answers every request with the same bytes.
    pub fn answer(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |_, stream| stream.write_all(answer.as_ref()))
    }

    /// Accepts, reads and never says a word.
    pub fn silent() -> Self {
        Self::serve(|shared, stream| {
            let mut some = [0; 4096];
            loop {
                match stream.read(&mut some)? {
                    0 => return Ok(()),
                    size => shared.bytes.lock().expect("whole").extend_from_slice(&some[..size]),
                }
            }
        })
    }

    /// Says at once, and to whatever comes, that it is no HTTP.
    pub fn refuse_to_understand() -> Self {
        Self::serve(|_, stream| {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
            io::copy(stream, &mut io::sink()).map(drop)
        })
    }

    fn serve(act: impl Fn(&Shared, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::<Shared>::default();
        let (state, act) = (shared.clone(), Arc::new(act));
        let accept = move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if state.stopping.load(SeqCst) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                state.streams.lock().expect("whole").push(stream.try_clone().expect("a handle"));
                let (state, act) = (state.clone(), act.clone());
                connections.push(thread::spawn(move || {
                    // That the client goes away is what most tests are about.
                    let _ = act(&state, &mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                }));
            }
            connections.into_iter().for_each(|one| one.join().expect("no panic"));
        };
        Self { address, shared, thread: Some(thread::spawn(accept)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that came, in order.
    ///
    /// # Panics
    /// Never.
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().expect("whole").clone()
    }

    /// What a [silent](Self::silent) one was told.
    ///
    /// # Panics
    /// Never.
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.bytes.lock().expect("whole").clone()
    }

    /// How many connections there were.
    ///
    /// # Panics
    /// Never.
    pub fn connections(&self) -> usize {
        self.shared.streams.lock().expect("whole").len()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        // Wakes who accepts, then who reads or writes.
        drop(TcpStream::connect(self.address));
        if let Ok(streams) = self.shared.streams.lock() {
            streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || thread::panicking(), "the server panicked");
    }
}

/// The next request; `None` where the client closed.
fn read(stream: &mut TcpStream) -> io::Result<Option<Asked>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte)? {
            0 => return Ok(None),
            _ => head.extend_from_slice(&byte),
        }
    }
    let mut asked = Asked {
        peer: stream.peer_addr()?,
        head: String::from_utf8_lossy(&head).into_owned(),
        body: Vec::new(),
    };
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body)?;
    Ok(Some(asked))
}

/// Ends a connection with RST instead of FIN.
///
/// # Panics
/// Where the system does not let us.
pub fn reset(stream: &TcpStream) {
    use std::os::fd::AsRawFd;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = size_of_val(&linger) as libc::socklen_t;
    // SAFETY: The descriptor is open, and the option is the struct that it takes, with its size.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    assert_eq!(set, 0);
}
