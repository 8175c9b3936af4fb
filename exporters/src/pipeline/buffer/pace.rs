//! A flush interval that follows the load.

use super::{AdaptiveConfig, BufferConfig};
use std::time::Duration;

/// How full a buffer is to be when it is sent.
const WANTED: f64 = 0.5;
/// The most that the interval changes by at once, as a factor.
const STEP: u32 = 2;

/// How long what waits is to wait.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pipeline) struct Pace {
    /// What the load made of it.
    adapted: Option<Duration>,
}

impl Pace {
    /// The interval at the moment; `None` where nothing is to wait.
    pub(in crate::pipeline) fn interval(&self, config: &BufferConfig) -> Option<Duration> {
        match config.adaptive {
            None => config.flush_interval,
            Some(AdaptiveConfig { min, max }) => {
                let begin = config.flush_interval.unwrap_or(BufferConfig::IN_FILES);
                Some(self.adapted.unwrap_or(begin).clamp(min, max))
            }
        }
    }

    /// What waited for `waited` filled so much of the buffer, 1 for all of it.
    pub(in crate::pipeline) fn adapt(&mut self, config: &BufferConfig, waited: Duration, usage: f64) {
        let Some(AdaptiveConfig { min, max }) = config.adaptive else {
            self.adapted = None;
            return;
        };
        let Some(now) = self.interval(config) else { return };
        let wanted = waited.as_secs_f64() * WANTED / usage.max(f64::MIN_POSITIVE);
        let (least, most) = (now / STEP, now.saturating_mul(STEP));
        let wanted = Duration::try_from_secs_f64(wanted).unwrap_or(most);
        self.adapted = Some(wanted.clamp(least, most).clamp(min, max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The interval after some rounds in each of which `rate` of the buffer is filled a second, and it goes early where it is full.
    fn settled(pace: &mut Pace, config: &BufferConfig, rate: f64) -> Duration {
        for _ in 0..20 {
            let interval = pace.interval(config).unwrap();
            let waited = interval.min(s(1).div_f64(rate));
            pace.adapt(config, waited, waited.as_secs_f64() * rate);
        }
        pace.interval(config).unwrap()
    }

    #[test]
    fn the_buffer_is_half_full_when_it_is_sent() {
        let config = BufferConfig::default().with_adaptive(AdaptiveConfig::default());
        let mut pace = Pace::default();
        assert_eq!(pace.interval(&config), Some(s(30)));
        for (rate, interval) in [(0.01, s(50)), (0.05, s(10)), (1.0, s(5)), (100.0, s(5)), (1e-6, s(300))] {
            let found = settled(&mut pace, &config, rate);
            assert!(found.abs_diff(interval) < Duration::from_millis(1), "{rate}: {found:?}");
        }
    }

    #[test]
    fn it_changes_by_steps_and_never_leaves_its_bounds() {
        let config = BufferConfig::default().with_adaptive(AdaptiveConfig::new(s(8), s(100)));
        let mut pace = Pace::default();
        let mut last = s(30);
        for usage in [0.0, f64::INFINITY, f64::NAN, 1e300, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0] {
            pace.adapt(&config, last, usage);
            let now = pace.interval(&config).unwrap();
            assert!((s(8)..=s(100)).contains(&now) && now <= 2 * last && 2 * now >= last, "{usage}: {now:?}");
            last = now;
        }
        // Other bounds hold at once, and none are the end of it.
        assert_eq!(pace.interval(&config.clone().with_adaptive(AdaptiveConfig::new(s(1), s(2)))), Some(s(2)));
        let fixed = BufferConfig::default().with_flush_interval(s(7));
        pace.adapt(&fixed, s(7), 1.0);
        assert_eq!((pace.interval(&fixed), pace.interval(&config)), (Some(s(7)), Some(s(30))));
    }

    #[test]
    fn the_longest_intervals_are_no_trouble() {
        let longest = AdaptiveConfig::new(Duration::MAX, Duration::MAX);
        for adaptive in [longest, AdaptiveConfig::new(s(1), Duration::MAX)] {
            let config = BufferConfig::default().with_flush_interval(Duration::MAX).with_adaptive(adaptive);
            for (waited, usage) in [(s(1), 0.0), (Duration::MAX, 0.5), (Duration::MAX, f64::INFINITY)] {
                let mut pace = Pace::default();
                pace.adapt(&config, waited, usage);
                assert!(pace.interval(&config).unwrap() >= adaptive.min);
            }
        }
    }
}
