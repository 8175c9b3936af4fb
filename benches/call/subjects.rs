//! Everything that is measured, with its baseline and its target.

use benches::Result;
use exporters::Sampler;

use crate::floors::{self, Run, drive, repeat};
use crate::{ours, peers};

/// What a subject is compared with: the same function without instrumentation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Baseline {
    Function,
    Nested,
    AsyncReady,
    AsyncEightPolls,
    /// Our own function, whose calls have no spans.
    Profiled,
}

impl Baseline {
    pub(crate) fn run(self) -> Run {
        match self {
            Self::Function => repeat(floors::bare),
            Self::Nested => repeat(floors::bare_nested),
            Self::AsyncReady => repeat(|x| drive(floors::bare_async(x, 0))),
            Self::AsyncEightPolls => repeat(|x| drive(floors::bare_async(x, 7))),
            Self::Profiled => ours::without_spans(),
        }
    }
}

/// The most that a call of ours may add.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Times what two readings of the time-stamp counter add.
    Ratio(f64),
    Nanoseconds(f64),
    /// Shown for information.
    Nothing,
}

/// One measured function.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) baseline: Baseline,
    /// Instrumented calls in one call of the function.
    pub(crate) calls: u32,
    pub(crate) target: Target,
    /// The most instructions it may add.
    pub(crate) instructions: Option<f64>,
    /// Takes part in a quick run.
    pub(crate) quick: bool,
    /// Sets up the whole process for the subject.
    pub(crate) start: fn() -> Result<Run>,
}

const fn subject(name: &'static str, baseline: Baseline, start: fn() -> Result<Run>) -> Subject {
    Subject { name, baseline, calls: 1, target: Target::Nothing, instructions: None, quick: false, start }
}

use Baseline::{AsyncEightPolls, AsyncReady, Function, Nested, Profiled};

/// All of them, ours first.
pub(crate) static SUBJECTS: [Subject; 24] = [
    Subject {
        target: Target::Ratio(1.5),
        instructions: Some(60.0),
        quick: true,
        ..subject("exporters", Function, ours::sync)
    },
    Subject {
        target: Target::Ratio(1.8),
        quick: true,
        ..subject("exporters, async, ready at first poll", AsyncReady, || ours::asynchronous(0))
    },
    subject("exporters, async, 8 polls", AsyncEightPolls, || ours::asynchronous(7)),
    Subject {
        target: Target::Ratio(0.25),
        ..subject("exporters, time_one_in = 16", Function, ours::one_in_16)
    },
    Subject {
        target: Target::Nanoseconds(1.0),
        ..subject("exporters, not initialised", Function, ours::not_initialised)
    },
    subject("floor: a flag that is off", Function, || Ok(floors::flag_off())),
    Subject { calls: 2, ..subject("exporters, called by a profiled one", Nested, ours::nested) },
    subject("exporters, one attribute", Function, ours::one_attribute),
    Subject {
        target: Target::Ratio(1.8),
        quick: true,
        ..subject("exporters, span of every call", Function, || ours::span(Sampler::AlwaysOn))
    },
    Subject {
        target: Target::Nanoseconds(1.5),
        ..subject("exporters, no trace sampled", Profiled, || ours::span(ours::none()))
    },
    Subject {
        target: Target::Nanoseconds(1.5),
        ..subject("exporters, in a trace not sampled", Profiled, ours::span_in_unsampled)
    },
    Subject {
        target: Target::Nanoseconds(1.5),
        ..subject("exporters, one trace in 100 sampled", Profiled, || ours::span(ours::one_in_100()))
    },
    subject("exporters, span, async, ready", AsyncReady, ours::span_async),
    Subject { quick: true, ..subject("prometheus-client, cached", Function, peers::prometheus_client) },
    subject("prometheus, cached", Function, peers::prometheus),
    subject("metrics + exporter-prometheus, cached", Function, peers::metrics),
    subject("hotpath", Function, peers::hotpath),
    subject("hotpath, async, ready at first poll", AsyncReady, || peers::hotpath_async(0)),
    subject("autometrics (prometheus)", Function, peers::autometrics),
    subject("autometrics, async, ready", AsyncReady, || peers::autometrics_async(0)),
    subject("autometrics, async, 8 polls", AsyncEightPolls, || peers::autometrics_async(7)),
    subject("tracing, timing layer", Function, peers::tracing),
    subject("tracing, async, ready at first poll", AsyncReady, || peers::tracing_async(0)),
    subject("tracing, async, 8 polls", AsyncEightPolls, || peers::tracing_async(7)),
];

/// The one of this name.
pub(crate) fn find(name: &str) -> Result<&'static Subject> {
    Ok(SUBJECTS.iter().find(|subject| subject.name == name).ok_or_else(|| format!("no subject {name:?}"))?)
}
