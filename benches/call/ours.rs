//! Our own functions. They record more than the peers: calls by outcome, the distribution within 4.5 %, concurrency, self time, maximum.

use std::thread;
use std::time::Duration;

use benches::Result;
use exporters::{__private::spans, Sampler, SpanContext, profiled, with_remote_parent};

use crate::floors::{Outcome, Pending, Run, body, drive, repeat};

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

/// Records, and reads the spans as fast as they come, but makes nothing of them.
fn start_spans() -> Result<()> {
    benches::start()?;
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_micros(500));
            spans::discard();
        }
    });
    Ok(())
}

/// [`subject`] without spans, in a process that has them in other rounds.
pub(crate) fn without_spans() -> Run {
    // Where only this is measured, somebody has to start it.
    let started = benches::start();
    let run = repeat(subject);
    Box::new(move |count| {
        assert!(started.is_ok());
        spans::stop();
        run(count);
    })
}

pub(crate) fn span(sampler: Sampler) -> Result<Run> {
    start_spans()?;
    let run = repeat(subject);
    Ok(Box::new(move |count| {
        spans::sample(&sampler);
        run(count);
    }))
}

/// Calls in a trace about which has been decided.
pub(crate) fn span_in_unsampled() -> Result<Run> {
    let run = span(none())?;
    let parent = SpanContext { trace_id: [1; 16], span_id: [1; 8], flags: 0, trace_state: "".into() };
    Ok(Box::new(move |count| with_remote_parent(parent.clone(), || run(count))))
}

pub(crate) fn span_async() -> Result<Run> {
    #[profiled]
    async fn subject(x: u64) -> Outcome {
        body(x)
    }
    start_spans()?;
    spans::sample(&Sampler::AlwaysOn);
    Ok(repeat(move |x| drive(subject(x))))
}

pub(crate) fn none() -> Sampler {
    Sampler::parent_based(Sampler::TraceIdRatio(0.0))
}

pub(crate) fn one_in_100() -> Sampler {
    Sampler::parent_based(Sampler::TraceIdRatio(0.01))
}
