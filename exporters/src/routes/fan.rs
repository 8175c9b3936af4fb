//! Asking several exporters to take what they are to get of a batch, each on its own account.

use super::{
    finished::{Done, Finished},
    share::{Share, proportion, scaled, total},
};
use crate::{
    AnyExporter, Batch, Capability, DropReason, Error, ErrorKind, Exporter, Health, Info, Mapping, Receipt,
    Result, Span,
    exporter::LONGEST_PAUSE,
    foreign::{caught, quietly, tell},
};
use std::{
    future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};
use tokio::time::Instant;

/// The exporters of a route.
#[derive(Debug)]
pub(super) struct Fan {
    members: Vec<Member>,
    /// The mapping that all of them ask for.
    mapping: Option<&'static Mapping>,
    timeout: Duration,
    finished: Finished,
}

#[derive(Debug)]
struct Member {
    exporter: AnyExporter,
    info: Info,
    share: Option<Share>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The backend asked to be left alone until then, and whoever sent the batch was not told.
    paused_until: Option<Instant>,
    /// It lost the last batch, which has been told.
    failing: bool,
}

/// What one exporter is to get of a batch.
#[derive(Debug)]
pub(super) struct Job {
    /// Which exporter.
    pub(super) member: usize,
    pub(super) batch: Batch,
    /// Which items of the whole batch these are; `None` for all of it.
    pub(super) items: Option<Vec<usize>>,
}

/// What became of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    Took(Receipt),
    Failed(Failure),
    /// The strategy did not come to it.
    NotAsked,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) fate: Fate,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// To try again.
    Later,
    /// To send less at once.
    Smaller,
    /// Nothing.
    Never(DropReason),
}

impl Fan {
    /// `together`: a mapping that all exporters ask for is left to the leg.
    pub(super) fn new(exporters: Vec<AnyExporter>, timeout: Duration, together: bool) -> Self {
        let capabilities: Vec<_> = exporters.iter().map(capability).collect();
        let mut mappings = capabilities.iter().filter(|each| each.metrics).map(|each| each.mapping);
        let first = mappings.next().flatten();
        let same = together && mappings.all(|mapping| mapping == first);
        let members = exporters.into_iter().zip(capabilities).map(|(exporter, capability)| Member {
            info: quietly(|| exporter.info()).unwrap_or(Info::new("unknown")),
            share: capability.mapping.filter(|mapping| !same && !mapping.is_empty()).map(Share::new),
            state: Mutex::default(),
            exporter,
        });
        Self {
            members: members.collect(),
            mapping: first.filter(|_| same),
            timeout,
            finished: Finished::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn info(&self, member: usize) -> Info {
        self.members.get(member).map_or(Info::new("unknown"), |member| member.info.clone())
    }

    /// What one of them can carry; nothing, where it panics when it is asked.
    pub(super) fn capability_of(&self, member: usize) -> Capability {
        self.members.get(member).map(|member| capability(&member.exporter)).unwrap_or_default()
    }

    /// The signals that any of them carries, the least that one takes at once, and whether any keeps what cannot be sent.
    pub(super) fn capability(&self) -> Capability {
        let least = |a: Option<usize>, b: Option<usize>| a.into_iter().chain(b).min();
        let all = self.members.iter().map(|member| capability(&member.exporter));
        let all = all.reduce(|a, b| Capability {
            metrics: a.metrics || b.metrics,
            spans: a.spans || b.spans,
            traces: a.traces || b.traces,
            max_items: least(a.max_items, b.max_items),
            max_bytes: least(a.max_bytes, b.max_bytes),
            dead_letters: a.dead_letters || b.dead_letters,
            mapping: None,
        });
        Capability { mapping: self.mapping, ..all.unwrap_or_default() }
    }

    /// Has exporters take their parts of `whole`, at most `most` at the same time; once one's outcome is `enough`, no more are
    /// asked. One that is done with the batch, or with a larger one that it is a part of, is not asked again.
    pub(super) async fn ask(
        &self,
        whole: &Batch,
        jobs: &[Job],
        most: usize,
        enough: impl Fn(&Outcome) -> bool,
    ) -> Vec<Outcome> {
        let splits = whole.split(1).is_some();
        let asking = self.finished.asking(whole.id());
        let ask = async |job: &Job| {
            let outcome = self.ask_one(whole, job, splits).await;
            if let Outcome::Took(receipt) = &outcome {
                asking.took(job.member, receipt);
            }
            outcome
        };
        let outcomes = together(jobs.iter().map(ask), most, enough).await;
        asking.done();
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotAsked)).collect()
    }

    async fn ask_one(&self, whole: &Batch, job: &Job, splits: bool) -> Outcome {
        let Some(member) = self.members.get(job.member) else { return Outcome::NotAsked };
        match self.finished.with(whole.id(), job.member) {
            Some(Done::Took(receipt)) => {
                return Outcome::Took(scaled(&receipt, total(&receipt), job.batch.len()));
            }
            Some(Done::Refused(kind, reason)) => {
                let error = Error::new(kind, "the exporter refused this batch before");
                return Outcome::Failed(Failure { error, fate: Fate::Never(reason) });
            }
            None => {}
        }
        let sent = member.share.as_ref().map_or_else(|| job.batch.clone(), |share| share.of(&job.batch));
        if sent.is_empty() && !job.batch.is_empty() {
            // What it asks for of the snapshot goes with another part, or is not there.
            let nothing = sent.metrics().is_some_and(|metrics| metrics.is_empty());
            let receipt = match nothing {
                true => Receipt::default().with_dropped(DropReason::Filtered, job.batch.len()),
                false => Receipt::accepted(job.batch.len()),
            };
            return Outcome::Took(receipt);
        }
        let (items, splits) = (sent.len(), splits && sent.len() > 1);
        match member.export(sent, self.timeout).await {
            Ok(Ok(receipt)) => Outcome::Took(scaled(&receipt, items, job.batch.len())),
            Ok(Err(error)) => {
                let fate = match error.kind() {
                    ErrorKind::PayloadTooLarge if splits => Fate::Smaller,
                    ErrorKind::PayloadTooLarge => Fate::Never(DropReason::TooLarge),
                    ErrorKind::Unsupported => Fate::Never(DropReason::Unsupported),
                    // A breaker that is open sent nothing, and will close.
                    ErrorKind::CircuitOpen => Fate::Later,
                    _ if error.is_retryable() => Fate::Later,
                    _ => Fate::Never(DropReason::Refused),
                };
                let error = match error.fitting() {
                    Some(fitting) => {
                        let fitting = proportion(fitting, items, job.batch.len());
                        error.with_fitting(job.place(fitting))
                    }
                    None => error,
                };
                Outcome::Failed(Failure { error: error.with_context("exporter", &member.info.name), fate })
            }
            Err(panicked) => {
                let error = Error::from(panicked).with_context("exporter", &member.info.name);
                Outcome::Failed(Failure { error, fate: Fate::Never(DropReason::Panicked) })
            }
        }
    }

    /// Keeps in mind what has to be known when the batch, or a part of it, comes again; or tells what was lost, if it does not.
    pub(super) fn settle(
        &self,
        whole: &Batch,
        jobs: &[Job],
        mut outcomes: Vec<Outcome>,
        verdict: Result<Receipt, Trouble>,
    ) -> Result<Receipt> {
        let fate = verdict.as_ref().err().map(|trouble| trouble.fate);
        let mut done = Vec::new();
        for (job, outcome) in jobs.iter().zip(&outcomes) {
            let Some(member) = self.members.get(job.member) else { continue };
            match outcome {
                Outcome::Took(receipt) => {
                    member.state().failing = false;
                    done.push((job.member, Done::Took(receipt.clone())));
                }
                Outcome::Failed(failure) => {
                    // Else whoever sent the batch is told that the backend wants to be left alone.
                    if let Some(pause) = failure.error.retry_after().filter(|_| fate != Some(Fate::Later)) {
                        member.state().paused_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                    }
                    if fate.is_none() && !std::mem::replace(&mut member.state().failing, true) {
                        let (exporter, error) = (&*member.info.name, &failure.error);
                        tell!(exporter, %error, "an exporter of a route loses what others take");
                    }
                    if let (Fate::Never(reason), Some(Fate::Later)) = (failure.fate, fate) {
                        done.push((job.member, Done::Refused(failure.error.kind(), reason)));
                    }
                }
                Outcome::NotAsked => {}
            }
        }
        let trouble = match verdict {
            Ok(receipt) => {
                self.finished.forget(whole.id());
                return Ok(receipt);
            }
            Err(trouble) => trouble,
        };
        self.finished.keep(whole.id(), done);
        Err(match (outcomes.swap_remove(trouble.job), trouble.wait) {
            (Outcome::Failed(failure), Some(wait)) => failure.error.with_retry_after(wait),
            (Outcome::Failed(failure), None) => failure.error,
            _ => Error::new(ErrorKind::Unexpected, "no exporter of the route was asked"),
        })
    }

    /// Of every job that was done or tried: by whom, and what became of its items.
    pub(super) fn parts(&self, jobs: &[Job], outcomes: &[Outcome]) -> Vec<(Info, Receipt)> {
        let part = |(job, outcome): (&Job, &Outcome)| {
            let receipt = match outcome {
                Outcome::Took(receipt) => receipt.clone(),
                Outcome::Failed(failure) => {
                    Receipt::default().with_dropped(failure.fate.reason(), job.batch.len())
                }
                Outcome::NotAsked => return None,
            };
            Some((self.info(job.member), receipt))
        };
        jobs.iter().zip(outcomes).filter_map(part).collect()
    }

    /// The first error, once all were asked.
    pub(super) async fn flush(&self) -> Result<()> {
        self.each(|exporter| exporter.flush()).await
    }

    /// The first error, once all were asked.
    pub(super) async fn shutdown(&self) -> Result<()> {
        self.each(|exporter| exporter.shutdown()).await
    }

    async fn each<'a, F>(&'a self, call: impl Fn(&'a AnyExporter) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let call = &call;
        let calls = self.members.iter().map(|member| async move {
            let result =
                caught(|| call(&member.exporter)).await.unwrap_or_else(|panicked| Err(panicked.into()));
            result.map_err(|error| error.with_context("exporter", &member.info.name))
        });
        together(calls, usize::MAX, |_| false).await.into_iter().flatten().collect()
    }

    /// Healthy if all are, degraded if some are or any is.
    pub(super) async fn health(&self) -> Health {
        let calls = self.members.iter().map(|member| async move {
            let asked = caught(|| tokio::time::timeout(self.timeout, member.exporter.health())).await;
            let health = match asked {
                Ok(Ok(health)) => health,
                Ok(Err(_)) => {
                    Health::Unhealthy(Error::new(ErrorKind::Timeout, "the exporter does not say how it is"))
                }
                Err(panicked) => Health::Unhealthy(panicked.into()),
            };
            let named = |error: Error| error.with_context("exporter", &member.info.name);
            match health {
                Health::Degraded(error) => Health::Degraded(named(error)),
                Health::Unhealthy(error) => Health::Unhealthy(named(error)),
                health => health,
            }
        });
        let all: Vec<Health> = together(calls, usize::MAX, |_| false).await.into_iter().flatten().collect();
        let works = all.iter().any(|health| !matches!(health, Health::Unhealthy(_)));
        let trouble = all.into_iter().find_map(|health| match health {
            Health::Degraded(error) | Health::Unhealthy(error) => Some(error),
            _ => None,
        });
        match trouble {
            None => Health::Healthy,
            Some(error) if works => Health::Degraded(error),
            Some(error) => Health::Unhealthy(error),
        }
    }
}

impl Member {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn export(
        &self,
        batch: Batch,
        timeout: Duration,
    ) -> Result<Result<Receipt>, crate::foreign::Panicked> {
        let paused = self.state().paused_until.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(left) = paused.filter(|left| !left.is_zero()) {
            let error = Error::new(ErrorKind::RateLimited, "the backend asked to be left alone");
            return Ok(Err(error.with_retry_after(left)));
        }
        // What keeps what cannot be sent needs a while for that, after the deadline.
        let ends_itself = capability(&self.exporter).dead_letters;
        let deadline = batch.deadline().clone();
        // The attempt is dropped in here, too: that may be what panics.
        caught(|| async {
            let attempt = tokio::time::timeout(timeout, self.exporter.export(batch));
            let ended = match ends_itself {
                true => Some(attempt.await),
                false => deadline.limit(attempt).await,
            };
            match ended {
                Some(Ok(result)) => result,
                Some(Err(_)) => Err(Error::new(ErrorKind::Timeout, "the exporter took too long")
                    .with_context("export_timeout", format_args!("{timeout:?}"))),
                None => Err(Error::new(ErrorKind::Timeout, "the exporter was not done at the deadline")),
            }
        })
        .await
    }
}

impl Job {
    /// All of a batch.
    pub(super) fn whole(member: usize, batch: &Batch) -> Self {
        Self { member, batch: batch.clone(), items: None }
    }

    /// The spans at these places.
    pub(super) fn of_spans(member: usize, batch: &Batch, spans: &[Span], places: Vec<usize>) -> Self {
        if places.len() == spans.len() {
            return Self::whole(member, batch);
        }
        let selected = places.iter().filter_map(|place| spans.get(*place)).cloned().collect();
        Self { member, batch: batch.with_spans(selected), items: Some(places) }
    }

    /// The places of its items in a batch of so many.
    pub(super) fn places(&self, whole: usize) -> impl Iterator<Item = usize> + '_ {
        let all = 0..if self.items.is_some() { 0 } else { whole };
        all.chain(self.items.iter().flatten().copied())
    }

    /// How many items of the whole batch come before the job's item `at`.
    fn place(&self, at: usize) -> usize {
        self.items.as_ref().map_or(at, |items| items.get(at).copied().unwrap_or(usize::MAX))
    }
}

impl Outcome {
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl Fate {
    /// What the items are counted as, where they are given up.
    pub(super) fn reason(self) -> DropReason {
        match self {
            Self::Never(reason) => reason,
            Self::Later | Self::Smaller => DropReason::Missed,
        }
    }

    /// What stands in the way first: that the batch is too large is cured at once; then what will pass by itself, a breaker last.
    fn rank(self, error: &Error) -> u8 {
        match self {
            Self::Smaller => 0,
            Self::Later => 1 + u8::from(!error.is_retryable()),
            Self::Never(_) => 3,
        }
    }
}

/// Why a batch as a whole failed.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The job whose error is that of the whole.
    job: usize,
    fate: Fate,
    /// The longest wait that any backend asked for.
    wait: Option<Duration>,
}

impl Trouble {
    /// What stands in the way first, among the outcomes that `count`.
    pub(super) fn of(outcomes: &[Outcome], count: impl Fn(&Failure) -> bool) -> Option<Self> {
        let failed = || {
            let failed = outcomes.iter().enumerate();
            failed
                .filter_map(|(job, outcome)| Some((job, outcome.failure().filter(|failure| count(failure))?)))
        };
        let (job, first) = failed().min_by_key(|(_, failure)| failure.fate.rank(&failure.error))?;
        let wait = failed().filter_map(|(_, failure)| failure.error.retry_after()).max();
        Some(Self { job, fate: first.fate, wait })
    }
}

fn capability(exporter: &AnyExporter) -> Capability {
    quietly(|| exporter.capability()).unwrap_or_default()
}

/// Runs futures, at most `most` at the same time; once one gives what is `enough`, no more are begun.
async fn together<F: Future>(
    futures: impl Iterator<Item = F>,
    most: usize,
    enough: impl Fn(&F::Output) -> bool,
) -> Vec<Option<F::Output>> {
    let mut waiting = futures.enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let (mut done, mut outputs) = (false, Vec::new());
    future::poll_fn(|cx| {
        loop {
            while !done && running.len() < most.max(1) {
                let Some((at, next)) = waiting.next() else { break };
                running.push((at, Box::pin(next)));
            }
            let mut ended = false;
            running.retain_mut(|(at, future)| match future.as_mut().poll(cx) {
                Poll::Ready(output) => {
                    ended = true;
                    done |= enough(&output);
                    outputs.push((*at, output));
                    false
                }
                Poll::Pending => true,
            });
            match (running.is_empty(), ended) {
                (_, true) => {}
                (true, false) => return Poll::Ready(()),
                (false, false) => return Poll::Pending,
            }
        }
    })
    .await;
    let all = outputs.iter().map(|(at, _)| at + 1).max().unwrap_or_default() + waiting.count();
    let mut in_order: Vec<Option<F::Output>> = (0..all).map(|_| None).collect();
    for (at, output) in outputs {
        if let Some(place) = in_order.get_mut(at) {
            *place = Some(output);
        }
    }
    in_order
}
