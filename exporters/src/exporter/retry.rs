//! `RetryConfig`: how often, and after how long, a failed attempt is made again.

use crate::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::time::Duration;

/// The longest that a backend is left alone which asks for it.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How failed attempts are repeated. Only errors that [are retryable](Error::is_retryable) are.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Attempts after the first. Default: 3; 0 never repeats.
    pub max_retries: u32,
    /// The wait before the first repetition. Default: 1 s.
    #[serde(alias = "initial_delay_seconds", deserialize_with = "crate::duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub initial_delay: Duration,
    /// No wait is longer, unless the backend asks for it. Default: 60 s.
    #[serde(
        alias = "max_delay_seconds",
        alias = "max_backoff_seconds",
        deserialize_with = "crate::duration::deserialize"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_delay: Duration,
    /// By how much an [exponential](BackoffStrategy::Exponential) wait grows each time. Default: 2.
    #[serde(alias = "backoff_multiplier")]
    pub multiplier: f64,
    /// Whether waits are random, between nothing and what they would be, so that many clients do not come back at once.
    /// Default: `true`.
    pub jitter: bool,
    /// How waits grow. Default: exponentially.
    pub backoff_strategy: BackoffStrategy,
    /// The HTTP statuses, 400 to 599, after which trying again may help. Default: 429, 500, 502, 503, 504.
    ///
    /// Each exporter says what the others mean.
    pub retry_on_status_codes: Vec<u16>,
}

/// How the wait grows from one repetition to the next.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BackoffStrategy {
    /// [Multiplied](RetryConfig::multiplier) each time.
    #[default]
    Exponential,
    /// By the initial delay each time.
    Linear,
    /// Not at all.
    Constant,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_retries: 3,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: true,
            backoff_strategy: BackoffStrategy::Exponential,
            retry_on_status_codes: vec![429, 500, 502, 503, 504],
        }
    }
}

impl RetryConfig {
    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn check(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if self.max_delay < self.initial_delay {
            return wrong("`retry.max_delay` must not be shorter than `retry.initial_delay`");
        }
        if !(1.0..=1000.0).contains(&self.multiplier) {
            return wrong("`retry.multiplier` must be from 1 to 1000");
        }
        if !self.retry_on_status_codes.iter().all(|status| (400..600).contains(status)) {
            return wrong(
                "`retry.retry_on_status_codes` must be from 400 to 599: other statuses are no failures",
            );
        }
        if self.retry_on_status_codes.contains(&413) {
            return wrong(
                "`retry.retry_on_status_codes` must not hold 413: what is too large is split, not sent again",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Settings,
        settings::{Node, Origin, Scope},
    };

    fn read(variables: &[(&str, &str)]) -> Result<RetryConfig> {
        let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let scope = Scope::new(environment, "P");
        Settings { node: Node::empty(Origin::Code), path: "retry".into(), scope }.read()
    }

    #[test]
    fn every_spelling_is_read() {
        let expected = RetryConfig {
            max_retries: 5,
            initial_delay: Duration::from_millis(1500),
            max_delay: Duration::from_secs(90),
            multiplier: 3.0,
            jitter: false,
            backoff_strategy: BackoffStrategy::Linear,
            retry_on_status_codes: vec![429, 503],
        };
        let others = [
            ("P_JITTER", "false"),
            ("P_BACKOFF_STRATEGY", "linear"),
            ("P_RETRY_ON_STATUS_CODES", "429, 503"),
        ];
        for spelling in [
            [("P_INITIAL_DELAY", "1500ms"), ("P_MAX_DELAY", "90s"), ("P_MULTIPLIER", "3")],
            [
                ("P_INITIAL_DELAY_SECONDS", "1.5"),
                ("P_MAX_DELAY_SECONDS", "90"),
                ("P_BACKOFF_MULTIPLIER", "3.0"),
            ],
            [("P_INITIAL_DELAY_SECONDS", "1.5s"), ("P_MAX_BACKOFF_SECONDS", "90"), ("P_MULTIPLIER", "3.0")],
        ] {
            let all = [&[("P_MAX_RETRIES", "5")], &spelling[..], &others].concat();
            assert_eq!(read(&all).unwrap(), expected, "{spelling:?}");
        }
        assert_eq!(read(&[]).unwrap(), RetryConfig::default());
        RetryConfig::default().check().unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = RetryConfig::default();
        for (config, setting) in [
            (RetryConfig { max_delay: Duration::from_millis(1), ..base.clone() }, "max_delay"),
            (RetryConfig { multiplier: 0.5, ..base.clone() }, "multiplier"),
            (RetryConfig { multiplier: f64::NAN, ..base.clone() }, "multiplier"),
            (RetryConfig { retry_on_status_codes: vec![200], ..base.clone() }, "retry_on_status_codes"),
            (RetryConfig { retry_on_status_codes: vec![413], ..base }, "split"),
        ] {
            let error = config.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.message().contains(setting), "{error}");
        }
        let error = read(&[("P_INITIAL_DELAY", "soon")]).unwrap_err().to_string();
        assert!(error.contains("retry.initial_delay") && error.contains("such as 500ms"), "{error}");
    }
}
