//! Which traces are recorded: OpenTelemetry's samplers, decided at the first span of a trace and inherited by all others.

use crate::{Span, foreign::tell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Decides which traces are recorded, by OpenTelemetry's names and algorithms.
///
/// The first span of a trace in this process decides for all that happens in it. Calls are counted and timed whatever is decided.
///
/// ```
/// use exporters::Sampler;
/// let one_in_ten = Sampler::parent_based(Sampler::TraceIdRatio(0.1));
/// assert_eq!(Sampler::default(), one_in_ten);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// Every trace.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share of all traces, from 0 to 1, by their identity: so every process that uses the same share decides the same.
    TraceIdRatio(f64),
    /// As the remote parent was decided; where there is none, as the sampler within says.
    ParentBased(Box<Sampler>),
}

/// `parentbased_traceidratio`, 0.1.
impl Default for Sampler {
    fn default() -> Self {
        Self::parent_based(Self::TraceIdRatio(0.1))
    }
}

impl Sampler {
    /// As the remote parent was decided; where there is none, as `root` says.
    pub fn parent_based(root: Self) -> Self {
        Self::ParentBased(Box::new(root))
    }

    /// The sampler that `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for; `None` if nobody asks. What makes no sense is
    /// told and left alone, as OpenTelemetry has it.
    pub(crate) fn from_env() -> Option<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let (name, argument) = (variable("OTEL_TRACES_SAMPLER")?, variable("OTEL_TRACES_SAMPLER_ARG"));
        let sampler = Self::named(name.trim(), argument.as_deref());
        if sampler.is_none() {
            tell!(
                variable = "OTEL_TRACES_SAMPLER",
                "there is no such sampler here; it takes always_on, always_off, traceidratio, and each behind parentbased_"
            );
        }
        sampler
    }

    fn named(name: &str, argument: Option<&str>) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(match name.strip_prefix("parentbased_") {
            Some(root) => Self::parent_based(Self::root(root, argument)?),
            None => Self::root(&name, argument)?,
        })
    }

    fn root(name: &str, argument: Option<&str>) -> Option<Self> {
        match name {
            "always_on" => Some(Self::AlwaysOn),
            "always_off" => Some(Self::AlwaysOff),
            "traceidratio" => {
                let ratio = argument.map(|argument| argument.trim().parse::<f64>().ok().filter(in_range));
                if ratio == Some(None) {
                    tell!(
                        variable = "OTEL_TRACES_SAMPLER_ARG",
                        "it takes a number from 0 to 1; going on with 1"
                    );
                }
                Some(Self::TraceIdRatio(ratio.flatten().unwrap_or(1.0)))
            }
            _ => None,
        }
    }

    /// What the lower half of a trace's identity, halved, is below if the trace is recorded.
    pub(crate) fn bound(&self) -> u64 {
        match self {
            Self::AlwaysOn => ALL,
            Self::AlwaysOff => 0,
            // What is not a number is none.
            Self::TraceIdRatio(ratio) => (ratio.clamp(0.0, 1.0) * ALL as f64) as u64,
            Self::ParentBased(root) => root.bound(),
        }
    }

    /// Whether an exporter is given a span that was recorded. One that the profiler's own sampler left out is there because it matters.
    pub(crate) fn takes(&self, span: &Span) -> bool {
        is_below(self.bound(), span)
    }

    fn is_parent_based(&self) -> bool {
        matches!(self, Self::ParentBased(_))
    }

    /// Whether there can be spans at all.
    pub(crate) fn may_sample(&self) -> bool {
        self.is_parent_based() || self.bound() > 0
    }

    /// Has it decide from now on. `keep` says that spans of traces that it leaves out are recorded all the same.
    pub(super) fn install(&self, keep: bool) {
        SAMPLED.store(self.bound(), Relaxed);
        RECORDED.store(if keep { ALL } else { self.bound() }, Relaxed);
        PARENT_BASED.store(self.is_parent_based(), Relaxed);
        KEEPS.store(keep, Relaxed);
    }
}

/// The same for a [bound](Sampler::bound).
pub(super) fn is_below(bound: u64, span: &Span) -> bool {
    let low = u128::from_be_bytes(span.context.trace_id) as u64;
    low >> 1 < bound || (bound > 0 && !span.context.is_sampled())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is a filter")]
fn in_range(ratio: &f64) -> bool {
    (0.0..=1.0).contains(ratio)
}

/// More than half of any number.
const ALL: u64 = 1 << 63;
static SAMPLED: AtomicU64 = AtomicU64::new(0);
/// The same for traces whose spans are recorded, of which not all need be sampled.
static RECORDED: AtomicU64 = AtomicU64::new(0);
static PARENT_BASED: AtomicBool = AtomicBool::new(false);
static KEEPS: AtomicBool = AtomicBool::new(false);

/// Whether a new trace is recorded whose lower half this is.
#[inline(always)]
pub(super) fn records(low: u64) -> bool {
    low >> 1 < RECORDED.load(Relaxed)
}

/// Whether it is sampled.
#[inline(always)]
pub(super) fn samples(low: u64) -> bool {
    low >> 1 < SAMPLED.load(Relaxed)
}

/// Whether what happens here in a remote trace is sampled.
pub(super) fn follows(low: u64, sampled: bool) -> bool {
    if PARENT_BASED.load(Relaxed) { sampled } else { samples(low) }
}

/// Whether what is not sampled is recorded all the same.
pub(super) fn keeps() -> bool {
    KEEPS.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ratio: f64, low: u64) -> bool {
        low >> 1 < Sampler::TraceIdRatio(ratio).bound()
    }

    #[test]
    fn ratios_are_compared_as_opentelemetry_does() {
        assert!(with(1.0, u64::MAX) && !with(0.0, 0) && !with(f64::NAN, 0));
        assert!(with(7.0, u64::MAX) && !with(-1.0, 0));
        // The cases of OpenTelemetry's own tests: a half takes what begins with a bit that is not set.
        assert!(with(0.5, 0x7FFF_FFFF_FFFF_FFFF) && !with(0.5, 0x8000_0000_0000_0000));
        // Whoever takes a smaller share takes nothing that a larger one would not.
        let traces: Vec<u64> = (0..1000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        assert!(traces.iter().all(|low| !with(0.1, *low) || with(0.3, *low)));
        let taken = traces.iter().filter(|low| with(0.25, **low)).count();
        assert!((230..270).contains(&taken), "{taken}");
    }

    #[test]
    fn names_are_those_of_opentelemetry() {
        let named = Sampler::named;
        assert_eq!(named("always_on", None), Some(Sampler::AlwaysOn));
        assert_eq!(
            named("parentbased_always_off", Some("1")),
            Some(Sampler::parent_based(Sampler::AlwaysOff))
        );
        assert_eq!(named("traceidratio", Some("0.25")), Some(Sampler::TraceIdRatio(0.25)));
        assert_eq!(
            named("parentbased_traceidratio", Some("x")),
            Some(Sampler::parent_based(Sampler::TraceIdRatio(1.0)))
        );
        assert_eq!(named("ParentBased_TraceIdRatio", Some("0.1")), Some(Sampler::default()));
        assert_eq!(named("jaeger_remote", None), None);
        assert_eq!(named("parentbased_parentbased_always_on", None), None);
    }
}
