//! Points in time as RFC 3339 writes them.

use std::time::SystemTime;

/// `2026-11-25T09:34:44.125Z`, in milliseconds. Times before 1970 are shown as its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339([u8; 24]);

impl Rfc3339 {
    pub(crate) fn new(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // The year 9999 is the last one that has four digits.
        let seconds = since.as_secs().min(253_402_300_799);
        let (day, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(day);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, second / 3600),
            (14, 2, second / 60 % 60),
            (17, 2, second % 60),
            (20, 3, u64::from(since.subsec_millis())),
        ];
        for (start, digits, mut number) in parts {
            for place in text.iter_mut().skip(start).take(digits).rev() {
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Digits and punctuation are.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Year, month and day of a day since 1970-01-01, by the proleptic Gregorian calendar: years that begin in March, in cycles of
/// 400, as in Hinnant's "chrono-Compatible Low-Level Date Algorithms".
fn civil(day: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    let day = day + 719_468;
    let (cycle, of_cycle) = (day / CYCLE, day % CYCLE);
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / (CYCLE - 1)) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_moments() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (999_999_999_999_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Rfc3339::new(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).as_str(), text);
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Rfc3339::new(before).as_str(), "1970-01-01T00:00:00.000Z");
    }
}
