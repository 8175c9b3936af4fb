//! `ConditionalExporter`: one exporter made of several, each of which gets what its condition applies to.

use super::{
    fan::{Failure, Fan, Fate, Job, Outcome, Trouble},
    share::scaled,
};
use crate::{
    AnyExporter, Batch, Capability, DropReason, Error, ErrorKind, Exporter, Health, Info, ProfileMetrics,
    Receipt, Result, Signal, Span, duration,
    foreign::{quietly, tell},
};
use serde::Deserialize;
use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

/// Which of the routes that apply are taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RouteMatch {
    /// All of them.
    #[default]
    All,
    /// The first one.
    First,
}

/// How a [`ConditionalExporter`] asks its exporters.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ConditionalConfig {
    /// Which of the routes that apply are taken. Default: all.
    #[serde(rename = "match")]
    pub matching: RouteMatch,
    /// How many exporters are asked at the same time. Default: 3.
    pub max_concurrent_exports: usize,
    /// How long one may take for a batch. Default: 30 s.
    #[serde(alias = "export_timeout_seconds", deserialize_with = "duration::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub export_timeout: Duration,
}

impl Default for ConditionalConfig {
    fn default() -> Self {
        Self { matching: RouteMatch::All, max_concurrent_exports: 3, export_timeout: Duration::from_secs(30) }
    }
}

impl ConditionalConfig {
    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) naming the setting and what it takes.
    pub fn check(&self) -> Result<()> {
        let wrong = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        if self.max_concurrent_exports == 0 {
            return wrong("`max_concurrent_exports` must be at least 1");
        }
        if self.export_timeout.is_zero() {
            return wrong("`export_timeout` must be longer than nothing");
        }
        Ok(())
    }
}

/// Sends what conditions apply to, to the exporters of their routes.
///
/// ```
/// use exporters::{AnyExporter, ConditionalExporter, Expression, MemoryExporter, ProfileMetrics, Span, Status};
///
/// # fn main() -> exporters::Result<()> {
/// let (slow, failed, rest) = (MemoryExporter::new(), MemoryExporter::new(), MemoryExporter::new());
/// let failing: Expression = "error_rate > 0.05".parse()?;
/// let exporter = ConditionalExporter::builder()
///     .route("slow calls", |metrics: &ProfileMetrics| metrics.avg_latency_ms() > Some(100.0), AnyExporter::new(slow))
///     .route("failures", move |metrics: &ProfileMetrics| failing.holds(metrics), AnyExporter::new(failed.clone()))
///     .route_spans("failures", |span: &Span| matches!(span.status, Status::Error(_)), AnyExporter::new(failed))
///     .otherwise(AnyExporter::new(rest))
///     .build()?;
/// # let _ = exporter;
/// # Ok(()) }
/// ```
///
/// # What goes where
///
/// A condition over metrics judges a snapshot as a whole, before any exporter's mapping, once, also where it is sent in several
/// batches; each goes to the exporters of all routes that apply, or of the [first](RouteMatch::First). A condition
/// over spans selects single ones: its exporter gets a batch of these, under the identity of the whole. What no condition
/// applies to goes [otherwise](ConditionalBuilder::otherwise); where nothing is said of that, or that exporter does not carry it,
/// it is counted as dropped for [`Condition`](DropReason::Condition).
///
/// A condition that panics does not apply, which is told once; items that then go to nobody are dropped for
/// [`Panicked`](DropReason::Panicked).
///
/// # What becomes of a batch
///
/// All exporters that are to get of it must take that. While one fails for which trying again may help, or for which there is too much at
/// once, the batch as a whole fails with that error; when it comes again, or in parts, only those are asked that have
/// not taken theirs yet, as with a [`MultiExporter`](crate::MultiExporter). Where an exporter refuses its items for good, they are
/// dropped for the reason of that, also if another one took them, or, if that is all of the batch, the batch fails for
/// good. An item that several exporters took counts as the first of their routes has it; each receipt is in the
/// [`parts`](Receipt::parts).
///
/// Each exporter is sent the metrics that its own [mapping](Capability::mapping) asks for. A leg's own mapping would hide from conditions
/// what was recorded.
pub struct ConditionalExporter {
    config: ConditionalConfig,
    routes: Vec<Route>,
    /// The exporters of the routes, and then the other one.
    fan: Fan,
    /// Whether there is one for what no condition applies to.
    otherwise: bool,
    last: Mutex<(Weak<ProfileMetrics>, Verdict)>,
}

/// Makes a [`ConditionalExporter`]. The order of its routes is that in which they are added.
#[must_use]
#[derive(Default)]
pub struct ConditionalBuilder {
    config: ConditionalConfig,
    routes: Vec<(Route, AnyExporter)>,
    otherwise: Option<AnyExporter>,
}

struct Route {
    description: Cow<'static, str>,
    condition: Condition,
    /// That it panics has been told.
    told: Mutex<bool>,
}

enum Condition {
    Metrics(Box<dyn Fn(&ProfileMetrics) -> bool + Send + Sync>),
    Spans(Box<dyn Fn(&Span) -> bool + Send + Sync>),
}

/// The routes that apply, and whether a condition panicked.
#[derive(Clone, Debug, Default)]
struct Verdict {
    routes: Vec<usize>,
    panicked: bool,
}

impl ConditionalBuilder {
    /// Changes how exporters are asked.
    pub fn config(mut self, config: ConditionalConfig) -> Self {
        self.config = config;
        self
    }

    /// Sends `exporter` the snapshots to which `condition` applies. The description is for people.
    pub fn route(
        self,
        description: impl Into<Cow<'static, str>>,
        condition: impl Fn(&ProfileMetrics) -> bool + Send + Sync + 'static,
        exporter: AnyExporter,
    ) -> Self {
        self.add(description.into(), Condition::Metrics(Box::new(condition)), exporter)
    }

    /// Sends `exporter` the spans to which `condition` applies. The description is for people.
    pub fn route_spans(
        self,
        description: impl Into<Cow<'static, str>>,
        condition: impl Fn(&Span) -> bool + Send + Sync + 'static,
        exporter: AnyExporter,
    ) -> Self {
        self.add(description.into(), Condition::Spans(Box::new(condition)), exporter)
    }

    fn add(mut self, description: Cow<'static, str>, condition: Condition, exporter: AnyExporter) -> Self {
        self.routes.push((Route { description, condition, told: Mutex::default() }, exporter));
        self
    }

    /// Sends `exporter` what no condition applies to. Of two, the last one holds.
    pub fn otherwise(mut self, exporter: AnyExporter) -> Self {
        self.otherwise = Some(exporter);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where there is no route, where an exporter does not carry what its route sends it,
    /// or as [`ConditionalConfig::check`].
    pub fn build(self) -> Result<ConditionalExporter> {
        self.config.check()?;
        if self.routes.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "there is no route: `routes` is empty"));
        }
        let otherwise = self.otherwise.is_some();
        let (routes, exporters): (Vec<_>, Vec<_>) = self.routes.into_iter().unzip();
        let fan = Fan::new(
            exporters.into_iter().chain(self.otherwise).collect(),
            self.config.export_timeout,
            false,
        );
        for (at, Route { description, condition, .. }) in routes.iter().enumerate() {
            let capability = fan.capability_of(at);
            let (carries, what) = match condition {
                Condition::Metrics(_) => {
                    (capability.metrics, "the exporter of a route over metrics does not take any")
                }
                Condition::Spans(_) => {
                    (capability.spans, "the exporter of a route over spans does not take any")
                }
            };
            if !carries {
                let error = Error::new(ErrorKind::ConfigInvalid, what);
                return Err(error
                    .with_context("route", description)
                    .with_context("exporter", fan.info(at).name));
            }
        }
        let last = Mutex::new((Weak::new(), Verdict::default()));
        Ok(ConditionalExporter { config: self.config, routes, fan, otherwise, last })
    }
}

impl Route {
    /// Whether it applies; not where the condition panics.
    fn applies(&self, condition: impl FnOnce() -> bool, panicked: &mut bool) -> bool {
        quietly(condition).unwrap_or_else(|_| {
            *panicked = true;
            let told =
                std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), true);
            if !told {
                tell!(route = &*self.description, "a condition panicked; it does not apply");
            }
            false
        })
    }
}

impl ConditionalExporter {
    /// Without a route yet.
    pub fn builder() -> ConditionalBuilder {
        ConditionalBuilder::default()
    }

    /// Its settings.
    pub fn config(&self) -> &ConditionalConfig {
        &self.config
    }

    /// The exporter for what no condition applies to, where it carries that.
    fn other(&self, carries: fn(Capability) -> bool) -> Option<usize> {
        let other = Some(self.routes.len()).filter(|_| self.otherwise);
        other.filter(|other| carries(self.fan.capability_of(*other)))
    }

    fn first_only(&self) -> bool {
        self.config.matching == RouteMatch::First
    }

    /// Which routes apply to a snapshot. It is asked once, since a snapshot comes in parts.
    fn verdict(&self, metrics: &Arc<ProfileMetrics>) -> Verdict {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let this = Arc::downgrade(metrics);
        let (judged, verdict) = last().clone();
        if Weak::ptr_eq(&judged, &this) {
            return verdict;
        }
        let mut verdict = Verdict::default();
        for (at, route) in self.routes.iter().enumerate() {
            let Condition::Metrics(condition) = &route.condition else { continue };
            if route.applies(|| condition(metrics), &mut verdict.panicked) {
                verdict.routes.push(at);
                if self.first_only() {
                    break;
                }
            }
        }
        *last() = (this, verdict.clone());
        verdict
    }

    /// What each exporter is to get of a batch, and why items go to none.
    fn plan(&self, batch: &Batch) -> (Vec<Job>, Vec<DropReason>) {
        let reason = |panicked| if panicked { DropReason::Panicked } else { DropReason::Condition };
        match batch.signal() {
            Signal::Metrics(metrics) => {
                let Verdict { mut routes, panicked } = self.verdict(metrics);
                if routes.is_empty() {
                    routes.extend(self.other(|capability| capability.metrics));
                }
                (
                    routes.into_iter().map(|at| Job::whole(at, batch)).collect(),
                    vec![reason(panicked); batch.len()],
                )
            }
            Signal::Spans(_) => {
                let spans = batch.spans().unwrap_or_default();
                let other = self.other(|capability| capability.spans);
                let mut selected = vec![Vec::new(); self.fan.len()];
                let mut reasons = Vec::with_capacity(spans.len());
                for (place, span) in spans.iter().enumerate() {
                    let (mut applied, mut panicked) = (false, false);
                    let mut select = |at: usize| {
                        if let Some(places) = selected.get_mut(at) {
                            places.push(place);
                        }
                    };
                    for (at, route) in self.routes.iter().enumerate() {
                        let Condition::Spans(condition) = &route.condition else { continue };
                        if !(applied && self.first_only()) && route.applies(|| condition(span), &mut panicked)
                        {
                            select(at);
                            applied = true;
                        }
                    }
                    if let Some(other) = other.filter(|_| !applied) {
                        select(other);
                    }
                    reasons.push(reason(panicked));
                }
                let jobs = selected.into_iter().enumerate().filter(|(_, places)| !places.is_empty());
                (jobs.map(|(at, places)| Job::of_spans(at, batch, spans, places)).collect(), reasons)
            }
        }
    }

    /// What became of the batch as a whole; `reasons` say of each item why, if it went to nobody.
    fn judge(&self, jobs: &[Job], outcomes: &[Outcome], reasons: &[DropReason]) -> Result<Receipt, Trouble> {
        if let Some(trouble) = Trouble::of(outcomes, |failure| !matches!(failure.fate, Fate::Never(_))) {
            return Err(trouble);
        }
        // Whom each item is counted by: first those that lost theirs.
        let mut owners = vec![None; reasons.len()];
        for lost in [true, false] {
            for (at, (job, outcome)) in jobs.iter().zip(outcomes).enumerate() {
                if outcome.failure().is_some() == lost {
                    job.places(reasons.len()).for_each(|place| {
                        if let Some(owner) = owners.get_mut(place) {
                            owner.get_or_insert(at);
                        }
                    });
                }
            }
        }
        let mut sum = Receipt::default();
        for (at, (job, outcome)) in jobs.iter().zip(outcomes).enumerate() {
            let owned = owners.iter().filter(|owner| **owner == Some(at)).count();
            match outcome {
                Outcome::Took(receipt) => {
                    let owned = scaled(receipt, job.batch.len(), owned);
                    sum.accepted += owned.accepted;
                    sum.rejected += owned.rejected;
                    sum.dead_lettered += owned.dead_lettered;
                    sum.by_fallback += owned.by_fallback;
                    owned.dropped.iter().for_each(|(reason, items)| sum.dropped.add(reason, items));
                    sum.bytes += receipt.bytes;
                    sum.response_time = sum.response_time.max(receipt.response_time);
                }
                Outcome::Failed(Failure { fate, .. }) => sum.dropped.add(fate.reason(), owned as u64),
                Outcome::NotAsked => {}
            }
        }
        let lost = |at: &usize| outcomes.get(*at).is_some_and(|outcome| outcome.failure().is_some());
        if owners.iter().all(|owner| owner.as_ref().is_some_and(lost))
            && let Some(trouble) = Trouble::of(outcomes, |_| true)
        {
            return Err(trouble);
        }
        for (owner, reason) in owners.iter().zip(reasons) {
            if owner.is_none() {
                sum.dropped.add(*reason, 1);
            }
        }
        Ok(Receipt { parts: self.fan.parts(jobs, outcomes), ..sum })
    }
}

impl Exporter for ConditionalExporter {
    fn info(&self) -> Info {
        Info::new("conditional")
    }

    fn capability(&self) -> Capability {
        let routes = |metrics: bool| {
            self.routes.iter().any(|route| matches!(route.condition, Condition::Metrics(_)) == metrics)
        };
        Capability {
            metrics: routes(true) || self.other(|capability| capability.metrics).is_some(),
            spans: routes(false) || self.other(|capability| capability.spans).is_some(),
            ..self.fan.capability()
        }
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let capability = self.capability();
        let carries = match batch.signal() {
            Signal::Metrics(_) => capability.metrics,
            Signal::Spans(_) => capability.spans,
        };
        if !carries {
            return Err(Error::new(ErrorKind::Unsupported, "there is no route for this signal"));
        }
        let (jobs, reasons) = self.plan(&batch);
        let outcomes = self.fan.ask(&batch, &jobs, self.config.max_concurrent_exports, |_| false).await;
        let verdict = self.judge(&jobs, &outcomes, &reasons);
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

impl fmt::Debug for ConditionalExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<_> = self.routes.iter().map(|route| &route.description).collect();
        f.debug_struct("ConditionalExporter")
            .field("config", &self.config)
            .field("routes", &routes)
            .field("exporters", &self.fan)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConditionalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<_> =
            self.routes.iter().map(|(route, exporter)| (&route.description, exporter)).collect();
        f.debug_struct("ConditionalBuilder")
            .field("config", &self.config)
            .field("routes", &routes)
            .field("otherwise", &self.otherwise)
            .finish()
    }
}

#[cfg(test)]
mod tests;
