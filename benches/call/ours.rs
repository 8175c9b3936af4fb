//! Our own functions. They record more than the peers: calls by outcome, the distribution within 4.5 %, concurrency, self time, maximum.

use benches::Result;
use benches::calls::floors::{Outcome, Pending, Run, body, drive, repeat};
use exporters::profiled;

#[profiled]
#[inline(never)]
fn subject(x: u64) -> Outcome {
    body(x)
}

pub(crate) fn sync() -> Result<Run> {
    benches::start()?;
    Ok(repeat(subject))
}

/// The same function, in a process that never called `init`.
pub(crate) fn not_initialised() -> Result<Run> {
    Ok(repeat(subject))
}

pub(crate) fn asynchronous(pending: u32) -> Result<Run> {
    #[profiled]
    async fn subject(x: u64, pending: u32) -> Outcome {
        let outcome = body(x);
        Pending::times(pending).await;
        outcome
    }
    benches::start()?;
    Ok(repeat(move |x| drive(subject(x, pending))))
}

pub(crate) fn one_in_16() -> Result<Run> {
    #[profiled(time_one_in = 16)]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    benches::start()?;
    Ok(repeat(subject))
}

/// Counted as two calls, since both functions are profiled.
pub(crate) fn nested() -> Result<Run> {
    #[profiled]
    #[inline(never)]
    fn outer(x: u64) -> Outcome {
        subject(x).and_then(body)
    }
    benches::start()?;
    Ok(repeat(outer))
}

pub(crate) fn one_attribute() -> Result<Run> {
    const QUEUES: [&str; 4] = ["orders", "refunds", "mails", "reports"];
    #[profiled(attributes(queue = QUEUES[x as usize % QUEUES.len()]))]
    #[inline(never)]
    fn subject(x: u64) -> Outcome {
        body(x)
    }
    benches::start()?;
    Ok(repeat(subject))
}
