//! What a status means: the one place where a number becomes an `ErrorKind`, and where `Retry-After` is read.

use crate::{Error, ErrorKind, RetryConfig};
use http::StatusCode;
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// The longest wait that a backend can ask for: longer ones are no promise to come back, and must not overflow a clock.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// After which statuses of a backend trying again can help. What the others mean is the same for all:
///
/// | status | kind |
/// |---|---|
/// | 2xx | success |
/// | 401, 403, 407 | `Unauthorized` |
/// | 413 | `PayloadTooLarge` |
/// | retried: 408, 429, another | `Timeout`, `RateLimited`, `Unavailable` |
/// | everything else, redirects too | `Rejected` |
#[derive(Clone, Debug)]
pub(crate) struct Statuses(Cow<'static, [u16]>);

impl Statuses {
    #[cfg_attr(not(any(test, feature = "opentelemetry")), expect(dead_code))] // For backends that say which.
    pub(crate) fn retried(statuses: impl Into<Cow<'static, [u16]>>) -> Self {
        Self(statuses.into())
    }

    /// What exporters retry by default: the statuses of [`RetryConfig`](crate::RetryConfig), and 408, which says that the
    /// request did not arrive.
    pub(crate) fn of(retry: &RetryConfig) -> Self {
        let mut statuses = retry.retry_on_status_codes.clone();
        statuses.push(408);
        Self(statuses.into())
    }

    /// `None` is success.
    pub(crate) fn kind(&self, status: StatusCode) -> Option<ErrorKind> {
        Some(match status.as_u16() {
            200..=299 => return None,
            413 => ErrorKind::PayloadTooLarge,
            code if self.0.contains(&code) => match code {
                408 => ErrorKind::Timeout,
                429 => ErrorKind::RateLimited,
                _ => ErrorKind::Unavailable,
            },
            401 | 403 | 407 => ErrorKind::Unauthorized,
            _ => ErrorKind::Rejected,
        })
    }

    /// The error that an answer is, if it is one. Nothing of what the backend wrote goes into it.
    pub(crate) fn error(&self, status: StatusCode, retry_after: Option<Duration>) -> Option<Error> {
        let kind = self.kind(status)?;
        let message = match status.as_u16() {
            300..=399 => "the backend redirects, which is not followed: set `endpoint` to where it is",
            401 | 403 => "the backend refused the credentials: see `auth`",
            404 => "the backend has nothing at this path: see `endpoint`",
            405 => "the backend does not take this method: see `method`",
            407 => "the proxy wants credentials: put a user and a password into `proxy`",
            413 => "the payload is too large for the backend",
            _ if kind == ErrorKind::RateLimited => "the backend asks for fewer requests",
            _ if kind == ErrorKind::Rejected => "the backend refused the payload",
            _ => "the backend failed",
        };
        let error = Error::new(kind, message).with_context("status", status.as_u16());
        Some(match retry_after.filter(|_| error.is_retryable()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self::of(&RetryConfig::default())
    }
}

/// How long `Retry-After` (RFC 9110, section 10.2.3) asks to wait: whole seconds, or a date, and never more than [`LONGEST_WAIT`].
/// A date that has passed asks for no wait; what is neither is as if it were not there.
pub(crate) fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let wait = match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too many digits are left to go wrong.
        true => text.parse().map_or(LONGEST_WAIT, Duration::from_secs),
        false => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn statuses_have_kinds() {
        let statuses = Statuses::retried(&[408, 429, 500, 503][..]);
        for (status, kind) in [
            (200, None),
            (204, None),
            (100, Some(ErrorKind::Rejected)),
            (302, Some(ErrorKind::Rejected)),
            (307, Some(ErrorKind::Rejected)),
            (400, Some(ErrorKind::Rejected)),
            (401, Some(ErrorKind::Unauthorized)),
            (403, Some(ErrorKind::Unauthorized)),
            (407, Some(ErrorKind::Unauthorized)),
            (408, Some(ErrorKind::Timeout)),
            (413, Some(ErrorKind::PayloadTooLarge)),
            (429, Some(ErrorKind::RateLimited)),
            (500, Some(ErrorKind::Unavailable)),
            (501, Some(ErrorKind::Rejected)),
            (503, Some(ErrorKind::Unavailable)),
            (999, Some(ErrorKind::Rejected)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(statuses.kind(status), kind, "{status}");
            let error = statuses.error(status, Some(Duration::from_secs(7)));
            let waits = error.as_ref().and_then(Error::retry_after).is_some();
            assert_eq!(waits, error.as_ref().is_some_and(Error::is_retryable), "{status}");
        }
        let none = Statuses::retried(&[][..]);
        assert_eq!(none.kind(StatusCode::TOO_MANY_REQUESTS), Some(ErrorKind::Rejected));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let after = |text: &str| retry_after(text.as_bytes(), now).map(|wait| wait.as_secs());
        for (text, wait) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 2\t", Some(2)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun Nov  6 08:49:38 1994", Some(1)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Tue, 06 Nov 2094 08:49:37 GMT", None),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(86400)),
            ("315360000", Some(86400)),
            ("99999999999999999999999999", Some(86400)),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(after(text), wait, "{text}");
        }
        assert_eq!(retry_after(b"\xff\xfe", now), None);
    }

    proptest! {
        #[test]
        fn retry_after_takes_anything(value: Vec<u8>, seconds in 0u64..1 << 40) {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            if let Some(wait) = retry_after(&value, now) {
                prop_assert!(wait <= LONGEST_WAIT);
            }
        }

        #[test]
        fn retry_after_takes_what_is_almost_a_date(text in "[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{0,5} [0-9:]{5,9} GMT") {
            retry_after(text.as_bytes(), UNIX_EPOCH);
        }

        #[test]
        fn dates_and_seconds_agree(now in 0u64..1 << 36, wait in 0u64..86_400) {
            let now = UNIX_EPOCH + Duration::from_secs(now);
            let date = httpdate::fmt_http_date(now + Duration::from_secs(wait));
            prop_assert_eq!(retry_after(date.as_bytes(), now), Some(Duration::from_secs(wait)));
            prop_assert_eq!(retry_after(wait.to_string().as_bytes(), now), Some(Duration::from_secs(wait)));
        }
    }
}
