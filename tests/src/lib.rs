//! What the tests share: real servers on free ports, stopped when the test ends, and checkers of what we send them.

mod backend;
pub mod calls;
pub mod checker;
pub mod data;
pub mod grpc;
pub mod hostile;
pub mod http;
pub mod killed;
pub mod nginx;
pub mod otlp;
pub mod prometheus;
mod serve;
pub mod spans;
mod temp;

pub use backend::{Process, program};
pub use prometheus::free_port;
pub use serve::Served;
pub use temp::Temp;

use std::time::{Duration, Instant};

/// Asks `ready` again and again until it has an answer.
///
/// # Panics
/// After 30 s, with what it said last: nothing that is waited for takes that long, unless it hangs.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match ready() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() > end => panic!("{what}: not after 30 s: {last}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
