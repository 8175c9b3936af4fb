//! Time for the call path: the time-stamp counter where it can be trusted, else the operating system's monotonic clock.
//!
//! Durations are kept in ticks of whichever clock was chosen and converted when they are read.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The frequency of the chosen clock, as the bits of an `f64`; 0 before [`init`].
static TICKS_PER_SECOND: AtomicU64 = AtomicU64::new(0);
/// One reading of both clocks, to measure the frequency from.
static ANCHOR: OnceLock<(Instant, u64)> = OnceLock::new();

/// The shortest time over which the counter's frequency is measured before recording starts: at most 0.02 % off.
const FIRST_CALIBRATION: Duration = Duration::from_millis(1);
/// When the frequency is measured for good: within about 10 parts per million.
pub(crate) const LAST_CALIBRATION: Duration = Duration::from_millis(200);

/// Chooses the clock and measures its frequency; takes 1 ms the first time and nothing later.
pub(crate) fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let (start, _) = anchor();
        if has_counter() {
            while start.elapsed() < FIRST_CALIBRATION {
                std::hint::spin_loop();
            }
            calibrate();
        } else {
            TICKS_PER_SECOND.store(1e9f64.to_bits(), Relaxed);
        }
    });
}

/// Measures the counter's frequency again, over the time since the first measurement began.
pub(crate) fn calibrate() {
    if has_counter() {
        let (start, first) = anchor();
        let (now, last) = read_both();
        let seconds = now.duration_since(start).as_secs_f64();
        if seconds > 0.0 && last > first {
            TICKS_PER_SECOND.store(((last - first) as f64 / seconds).to_bits(), Relaxed);
        }
    }
}

/// How long ago measuring began.
pub(crate) fn calibrating_since() -> Duration {
    anchor().0.elapsed()
}

fn anchor() -> (Instant, u64) {
    *ANCHOR.get_or_init(read_both)
}

/// Both clocks at the same moment: the closest of a few tries, since a preemption may come between the two readings.
fn read_both() -> (Instant, u64) {
    let try_once = || {
        let before = counter();
        let now = Instant::now();
        let after = counter();
        (after.wrapping_sub(before), (now, before.wrapping_add(after.wrapping_sub(before) / 2)))
    };
    let mut best = try_once();
    for _ in 0..8 {
        let next = try_once();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// Ticks a second; 1 before [`init`].
pub(crate) fn ticks_per_second() -> f64 {
    match TICKS_PER_SECOND.load(Relaxed) {
        0 => 1.0,
        bits => f64::from_bits(bits),
    }
}

/// Ticks as seconds.
pub(crate) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_second()
}

/// Seconds as ticks.
pub(crate) fn ticks(duration: Duration) -> u64 {
    (duration.as_secs_f64() * ticks_per_second()) as u64
}

/// The chosen clock, in ticks.
pub(crate) fn now() -> u64 {
    if has_counter() { counter() } else { monotonic() }
}

fn monotonic() -> u64 {
    anchor().0.elapsed().as_nanos() as u64
}

/// Reads the time-stamp counter. Only meaningful where [`has_counter`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    // SAFETY: `rdtsc` is part of every x86_64 processor and touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn counter() -> u64 {
    0
}

/// Whether the counter runs at one rate whatever the processor does (CPUID 8000_0007h, EDX bit 8), and the operating system
/// trusts it as its own clock where it says so.
pub(crate) fn has_counter() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| invariant() && trusted())
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn invariant() -> bool {
    use core::arch::x86_64::__cpuid;
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx >> 8 & 1 == 1
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn invariant() -> bool {
    false
}

/// Linux marks the counter unstable when it saw the processors' counters drift apart.
fn trusted() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/available_clocksource")
        .map_or(true, |sources| sources.split_whitespace().any(|source| source == "tsc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_monotonic_clock() {
        init();
        while calibrating_since() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        calibrate();
        let (start, ticks) = (Instant::now(), now());
        while start.elapsed() < Duration::from_millis(20) {}
        let (theirs, ours) = (start.elapsed().as_secs_f64(), seconds(now() - ticks));
        assert!(ours > 0.019 && (ours - theirs).abs() < 0.01, "{ours} and {theirs}");
    }
}
