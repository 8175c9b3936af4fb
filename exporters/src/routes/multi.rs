//! `MultiExporter`: one exporter made of several, which are all sent the same.

use super::fan::{Failure, Fan, Fate, Job, Outcome, Trouble};
use crate::{
    AnyExporter, Batch, Capability, Error, ErrorKind, Exporter, Health, Info, Receipt, Result, Signal,
    duration,
};
use serde::Deserialize;
use std::{cmp::Reverse, time::Duration};

/// In which order the exporters of a [`MultiExporter`] are asked, and how many of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExportStrategy {
    /// All of them, [several](MultiConfig::max_concurrent_exports) at the same time.
    #[default]
    Parallel,
    /// All of them, one after the other.
    Sequential,
    /// One after the other, until one takes the batch. Each batch begins with the first one: put a breaker around one that may
    /// be down for long, so that it is not waited for each time.
    Failover,
}

/// What follows when one of the exporters fails.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FailurePolicy {
    /// The others are asked all the same.
    #[default]
    Continue,
    /// Those that were not asked yet are not asked; those that are at it end what they began.
    Stop,
}

/// How a [`MultiExporter`] asks its exporters.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MultiConfig {
    /// In which order, and how many of them. Default: all in parallel.
    pub strategy: ExportStrategy,
    /// What follows when one fails. Default: the others are asked all the same.
    pub failure_policy: FailurePolicy,
    /// How many must take a batch; of a signal that fewer of them carry, all that do. Default: 1.
    pub min_success_count: usize,
    /// How many are asked at the same time, where they are asked in parallel. Default: 3.
    pub max_concurrent_exports: usize,
    /// How long one may take for a batch. Default: 30 s.
    #[serde(alias = "export_timeout_seconds", deserialize_with = "duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub export_timeout: Duration,
}

impl Default for MultiConfig {
    fn default() -> Self {
        Self {
            strategy: ExportStrategy::Parallel,
            failure_policy: FailurePolicy::Continue,
            min_success_count: 1,
            max_concurrent_exports: 3,
            export_timeout: Duration::from_secs(30),
        }
    }
}

impl MultiConfig {
    /// Checks everything that a type cannot, for a route of so many exporters.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn check(&self, exporters: usize) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if exporters == 0 {
            return wrong("a route needs at least one exporter: `exporters` is empty".into());
        }
        if !(1..=exporters).contains(&self.min_success_count) {
            return wrong(format!(
                "`min_success_count` must be from 1 to the number of exporters, here {exporters}"
            ));
        }
        if self.max_concurrent_exports == 0 {
            return wrong("`max_concurrent_exports` must be at least 1".into());
        }
        if self.export_timeout.is_zero() {
            return wrong("`export_timeout` must be longer than nothing".into());
        }
        if self.strategy == ExportStrategy::Failover && self.min_success_count > 1 {
            return wrong(
                "`min_success_count` must be 1 where `strategy` is `failover`: one takes the batch".into(),
            );
        }
        if self.strategy == ExportStrategy::Failover && self.failure_policy == FailurePolicy::Stop {
            return wrong(
                "`failure_policy: stop` leaves `strategy: failover` nobody to go on to; use `continue`"
                    .into(),
            );
        }
        Ok(())
    }
}

/// Sends each batch to several exporters.
///
/// ```
/// use exporters::{AnyExporter, MemoryExporter, MultiConfig, MultiExporter};
///
/// # fn main() -> exporters::Result<()> {
/// let (near, far) = (MemoryExporter::new(), MemoryExporter::new());
/// let both = [AnyExporter::new(near.clone()), AnyExporter::new(far.clone()).with_name("far")];
/// let exporter = MultiExporter::new(MultiConfig { min_success_count: 2, ..MultiConfig::default() }, both)?;
/// # let _ = exporter;
/// # Ok(()) }
/// ```
///
/// # What becomes of a batch
///
/// It is taken as a whole when [`min_success_count`](MultiConfig::min_success_count) of the exporters took it. What those lose
/// that failed nevertheless is told once, when it begins, and by the receipt: its [`parts`](Receipt::parts) say what became of the
/// batch at each exporter, with [`Missed`](crate::DropReason::Missed) for what may have helped to send again. The receipt's own
/// numbers are those of the exporter that, of those that took it, took as many items as only `min_success_count` - 1 others did.
/// With [failover](ExportStrategy::Failover), what another than the first took is counted as
/// [taken by a fallback](Receipt::by_fallback).
///
/// Otherwise the batch fails, and whoever sent it decides what comes next by the kind of the error:
///
/// - where one of the exporters says that it is too large, [`PayloadTooLarge`](ErrorKind::PayloadTooLarge), whatever the
///   others said, also where enough took it: its parts will not be;
/// - where enough exporters may still take it, the error of one for which trying again may help, with the longest of the waits that
///   were asked for;
/// - else that of the first one that will never take it: then the batch is given up, also at those for which trying again might
///   have helped.
///
/// When the same batch comes again, or a part of one that was too large, only those are asked that have not taken it yet. The last
/// 1,024 batches that failed are remembered.
///
/// # What it can carry
///
/// What any of the exporters carries; each is sent only what it carries. Each is sent the metrics that its own
/// [mapping](Capability::mapping) asks for, unless the leg has a mapping of its own. A backend that asks to be left alone is, while the
/// others go on.
#[derive(Debug)]
pub struct MultiExporter {
    config: MultiConfig,
    fan: Fan,
}

impl MultiExporter {
    /// Of these exporters, in this order.
    ///
    /// # Errors
    /// As [`MultiConfig::check`].
    pub fn new(config: MultiConfig, exporters: impl IntoIterator<Item = AnyExporter>) -> Result<Self> {
        let exporters: Vec<_> = exporters.into_iter().collect();
        config.check(exporters.len())?;
        let fan = Fan::new(exporters, config.export_timeout, true);
        Ok(Self { config, fan })
    }

    /// Its settings.
    pub fn config(&self) -> &MultiConfig {
        &self.config
    }

    /// What became of the batch as a whole.
    fn judge(&self, jobs: &[Job], outcomes: &[Outcome]) -> Result<Receipt, Trouble> {
        let needed = self.config.min_success_count.min(jobs.len());
        let took = |(at, outcome): (usize, &'_ Outcome)| match outcome {
            Outcome::Took(receipt) => Some((at, receipt.clone())),
            _ => None,
        };
        let mut took: Vec<(usize, Receipt)> = outcomes.iter().enumerate().filter_map(took).collect();
        let failed = |is: fn(&Failure) -> bool| {
            outcomes.iter().filter_map(Outcome::failure).filter(|it| is(it)).count()
        };
        let too_large = failed(|failure| failure.fate == Fate::Smaller) > 0;
        if too_large || took.len() < needed {
            let lost = failed(|failure| matches!(failure.fate, Fate::Never(_)));
            let in_reach = too_large || jobs.len() - lost >= needed;
            let trouble = Trouble::of(outcomes, |failure| in_reach || failure.fate != Fate::Later);
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
        }
        took.sort_by_key(|(_, receipt)| Reverse(receipt.accepted));
        let bytes = took.iter().map(|(_, receipt)| receipt.bytes).sum();
        let response_time = took.iter().map(|(_, receipt)| receipt.response_time).max().unwrap_or_default();
        let (at, receipt) = took.into_iter().nth(needed - 1).unwrap_or_default();
        let fallback = self.config.strategy == ExportStrategy::Failover && at > 0;
        let by_fallback = if fallback { receipt.accepted } else { receipt.by_fallback };
        Ok(Receipt { by_fallback, bytes, response_time, parts: self.fan.parts(jobs, outcomes), ..receipt })
    }
}

impl Exporter for MultiExporter {
    fn info(&self) -> Info {
        Info::new("multi")
    }

    fn capability(&self) -> Capability {
        self.fan.capability()
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let carries = |member: &usize| {
            let capability = self.fan.capability_of(*member);
            match batch.signal() {
                Signal::Metrics(_) => capability.metrics,
                Signal::Spans(_) => capability.spans,
            }
        };
        let jobs: Vec<Job> =
            (0..self.fan.len()).filter(carries).map(|member| Job::whole(member, &batch)).collect();
        if jobs.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "none of the exporters carries this signal"));
        }
        let MultiConfig { strategy, failure_policy, max_concurrent_exports, .. } = self.config;
        let most = match strategy {
            ExportStrategy::Parallel => max_concurrent_exports,
            ExportStrategy::Sequential | ExportStrategy::Failover => 1,
        };
        let enough = |outcome: &Outcome| match outcome.failure() {
            None => strategy == ExportStrategy::Failover,
            // Its parts may be taken.
            Some(Failure { fate: Fate::Smaller, .. }) if strategy == ExportStrategy::Failover => true,
            Some(_) => failure_policy == FailurePolicy::Stop,
        };
        let outcomes = self.fan.ask(&batch, &jobs, most, enough).await;
        let verdict = self.judge(&jobs, &outcomes);
        self.fan.settle(&batch, &jobs, outcomes, verdict)
    }

    async fn health(&self) -> Health {
        self.fan.health().await
    }

    async fn flush(&self) -> Result<()> {
        self.fan.flush().await
    }

    async fn shutdown(&self) -> Result<()> {
        self.fan.shutdown().await
    }
}

#[cfg(test)]
mod tests;
