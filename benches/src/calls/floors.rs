//! The functions that everything is compared with: the bare ones, and those that only read a clock.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The error that no call returns, which the compiler does not know.
#[derive(Debug, Clone, Copy)]
pub struct Refused;

/// What every measured function returns.
pub type Outcome = Result<u64, Refused>;

/// Runs a measured function so many times.
pub type Run = Box<dyn Fn(u64) + Send + Sync>;

/// What every measured function does, apart from being measured.
#[inline(always)]
pub fn body(x: u64) -> Outcome {
    let x = black_box(x);
    if x == u64::MAX { Err(Refused) } else { Ok(black_box(x.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7)) }
}

/// A [`Run`] that calls `function` with 0, 1, 2, …
pub fn repeat(function: impl Fn(u64) -> Outcome + Send + Sync + 'static) -> Run {
    Box::new(move |count| {
        for x in 0..count {
            let _ = black_box(function(x));
        }
    })
}

/// The function that most are compared with.
#[inline(never)]
pub fn bare(x: u64) -> Outcome {
    body(x)
}

/// The bare counterpart of a profiled function that calls a profiled function.
#[inline(never)]
pub fn bare_nested(x: u64) -> Outcome {
    bare(x).and_then(body)
}

/// The bare asynchronous function: it is ready at poll number `1 + pending`.
pub async fn bare_async(x: u64, pending: u32) -> Outcome {
    let outcome = body(x);
    Pending::times(pending).await;
    outcome
}

/// It, between two readings of the time-stamp counter.
#[inline(never)]
pub fn two_time_stamps(x: u64) -> Outcome {
    let start = time_stamp();
    let outcome = body(x);
    black_box(time_stamp().wrapping_sub(start));
    outcome
}

static ON: AtomicBool = AtomicBool::new(false);

/// [`flag`], in a process in which the compiler cannot know that it is off.
pub fn flag_off() -> Run {
    ON.store(black_box(false), Relaxed);
    repeat(flag)
}

/// What has to stay of any instrumentation that is compiled in and off: a flag read once, and looked at before and after.
#[inline(never)]
fn flag(x: u64) -> Outcome {
    #[cold]
    #[inline(never)]
    fn slow(x: u64) -> u64 {
        black_box(x)
    }

    let on = ON.load(Relaxed);
    let start = if on { slow(x) } else { 0 };
    let outcome = body(x);
    if on {
        black_box(slow(start));
    }
    outcome
}

/// It, between two readings of the standard library's clock.
#[inline(never)]
pub fn two_instants(x: u64) -> Outcome {
    let start = Instant::now();
    let outcome = body(x);
    black_box(start.elapsed());
    outcome
}

/// The time-stamp counter.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The virtual counter, which stands where x86-64 has its time-stamp counter.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn time_stamp() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register that user code may read on every system that Rust's standard library supports.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

/// Pending so many times, then ready.
#[derive(Debug)]
pub struct Pending(u32);

impl Pending {
    /// The compiler is not to know how many.
    pub fn times(count: u32) -> Self {
        Self(black_box(count))
    }
}

impl Future for Pending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(rest) => {
                self.0 = rest;
                Poll::Pending
            }
        }
    }
}

/// Polls `future` until it is ready, through a pointer as an executor does.
#[inline(always)]
pub fn drive<T>(future: impl Future<Output = T>) -> T {
    let future = pin!(future);
    let mut future: Pin<&mut dyn Future<Output = T>> = future;
    black_box(&mut future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
