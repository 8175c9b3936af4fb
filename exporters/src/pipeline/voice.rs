//! What an exporter's trouble is told like: at once when it begins, at most once a minute while it lasts, and when it is over.

use crate::{
    Error, ErrorKind,
    foreign::{self, is_heard, tell},
};
use std::time::Duration;
use tokio::time::Instant;

/// How long to be silent after something was told.
const PAUSE: Duration = Duration::from_secs(60);

/// What went wrong and was not told yet, and what was told.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// The latest, and how many there were.
    failed: Option<(Error, u64)>,
    /// Items that were given up.
    lost: u64,
    told: Option<Instant>,
    /// It was told that it fails, not that it succeeds again.
    is_bad: bool,
}

impl Voice {
    /// An export failed, and `lost` items were given up.
    pub(super) fn failed(&mut self, error: &Error, lost: usize) {
        let before = self.failed.take().map_or(0, |(_, times)| times);
        self.failed = Some((error.clone(), before + 1));
        self.lost += lost as u64;
    }

    /// Tells what there is to tell after what waited was sent, or was tried to; `well` if all of it was.
    pub(super) fn speak(&mut self, exporter: &str, well: bool) {
        if let Some(line) = self.line(Instant::now(), well) {
            say(exporter, &line);
        }
    }

    fn line(&mut self, now: Instant, well: bool) -> Option<String> {
        let told = self.told;
        if well && self.is_bad {
            let lost = std::mem::take(self).lost;
            self.told = told;
            return Some(match lost {
                0 => "exports succeed again".to_owned(),
                lost => format!("exports succeed again; items lost meanwhile: {lost}"),
            });
        }
        if told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            return None;
        }
        let (error, times) = self.failed.take()?;
        let lost = std::mem::take(&mut self.lost);
        (self.told, self.is_bad) = (Some(now), true);
        let became = match lost {
            0 => "nothing is lost yet: what could not be sent is held".to_owned(),
            lost => format!("items lost: {lost}"),
        };
        let what = match times {
            1 => "an export failed".to_owned(),
            times => format!("{times} exports failed, the last one so"),
        };
        Some(format!("{what}: {error}; {became}{}", cure(error.kind())))
    }
}

/// What helps.
fn cure(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => "; are its credentials right, and still valid?",
        ErrorKind::Unavailable => "; is its backend there, and the endpoint right?",
        ErrorKind::Timeout => "; is its backend overloaded, or its timeout too short?",
        ErrorKind::RateLimited => "; a longer `flush_interval` sends less often",
        ErrorKind::PayloadTooLarge => "; a smaller `batch_size` sends less at once",
        ErrorKind::Rejected => "; what the backend wants to be sent, `metrics_mapping` can say",
        _ => "",
    }
}

/// To the program's subscriber; where nobody listens, on standard error.
fn say(exporter: &str, line: &str) {
    match is_heard!(tracing::Level::WARN) {
        true => tell!(exporter, "{line}"),
        false => foreign::say(&format!("{exporter}: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_when_it_begins_once_a_minute_and_when_it_is_over() {
        let (mut voice, began) = (Voice::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let refused = Error::new(ErrorKind::Unavailable, "connection refused");
        assert_eq!(voice.line(at(0), true), None);
        voice.failed(&refused, 0);
        let first = voice.line(at(1), false).unwrap();
        assert!(first.starts_with("an export failed: unavailable: connection refused; nothing is lost"));
        assert!(first.contains("endpoint"));
        for second in 2..61 {
            voice.failed(&refused, 0);
            assert_eq!(voice.line(at(second), false), None);
        }
        voice.failed(&Error::new(ErrorKind::Rejected, "no"), 7);
        let second = voice.line(at(61), false).unwrap();
        assert!(second.starts_with("60 exports failed, the last one so: rejected: no; items lost: 7"));
        voice.failed(&refused, 3);
        assert_eq!(voice.line(at(61), false), None);
        assert_eq!(voice.line(at(62), true).unwrap(), "exports succeed again; items lost meanwhile: 3");
        assert_eq!(voice.line(at(63), true), None);
        // One that comes and goes is not told each time.
        voice.failed(&refused, 0);
        assert_eq!(voice.line(at(64), false), None);
        assert_eq!(voice.line(at(65), true), None);
        voice.failed(&refused, 0);
        assert!(voice.line(at(121), false).unwrap().starts_with("2 exports failed"));
    }
}
