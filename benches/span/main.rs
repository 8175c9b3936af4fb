//! What a span adds to a call: ours, the floors and the peers, each with a reporter that counts what it is given and throws it away.
//!
//! ```text
//! cargo bench -p benches --bench span                      # time, and the share of the spans that was lost meanwhile
//! cargo bench -p benches --bench span -- --instructions    # counted by callgrind
//! cargo bench -p benches --bench span -- --quick           # shows that everything runs
//! cargo bench -p benches --bench span -- fastrace          # the subjects whose name contains the word
//! ```

mod ours;
mod peers;

use benches::Result;
use benches::calls::{Spans, Subject, Target, async_ready, function};
use exporters::Sampler;
use peers::Trace;

/// Ours first.
static SUBJECTS: [Subject; 16] = [
    Subject {
        target: Target::Ratio(1.8),
        quick: true,
        spans: Some(ours(1.0)),
        ..Subject::new("exporters, span of every call", function, || ours::span(Sampler::AlwaysOn))
    },
    Subject {
        target: Target::Ratio(1.8),
        spans: Some(ours(1.0)),
        ..Subject::new("exporters, below a span", function, ours::in_local)
    },
    Subject {
        spans: Some(ours(1.0)),
        ..Subject::new("exporters, below a remote span", function, || ours::in_remote(1))
    },
    Subject {
        target: Target::Nanoseconds(1.5),
        quick: true,
        spans: Some(ours(0.0)),
        ..Subject::new("exporters, no trace sampled", ours::without, || ours::span(ours::ratio(0.0)))
    },
    Subject {
        target: Target::Nanoseconds(1.5),
        spans: Some(ours(0.0)),
        ..Subject::new("exporters, in a trace not sampled", ours::without, || ours::in_remote(0))
    },
    Subject {
        target: Target::Nanoseconds(1.5),
        spans: Some(ours(0.01)),
        ..Subject::new("exporters, one trace in 100 sampled", ours::without, || ours::span(ours::ratio(0.01)))
    },
    Subject {
        spans: Some(ours(1.0)),
        ..Subject::new("exporters, span, async, ready", async_ready, ours::asynchronous)
    },
    Subject {
        quick: true,
        spans: Some(peer(1.0)),
        ..Subject::new("fastrace, 100 spans a root", function, || peers::fastrace(100, true))
    },
    Subject {
        spans: Some(peer(1.0)),
        ..Subject::new("fastrace, 1 span a root", function, || peers::fastrace(1, true))
    },
    Subject {
        spans: Some(peer(0.0)),
        ..Subject::new("fastrace, root not sampled", function, || peers::fastrace(100, false))
    },
    Subject {
        spans: Some(peer(1.0)),
        ..Subject::new("fastrace, async, 100 spans a root", async_ready, peers::fastrace_async)
    },
    Subject {
        quick: true,
        spans: Some(peer(1.0)),
        ..Subject::new("opentelemetry, batches", function, || peers::opentelemetry(Trace::Batches))
    },
    Subject {
        spans: Some(peer(1.0)),
        ..Subject::new("opentelemetry, no queue", function, || peers::opentelemetry(Trace::Dropped))
    },
    Subject {
        spans: Some(peer(0.0)),
        ..Subject::new("opentelemetry, not sampled", function, || peers::opentelemetry(Trace::None))
    },
    Subject {
        quick: true,
        spans: Some(peer(1.0)),
        ..Subject::new("tracing-opentelemetry, batches", function, || peers::tracing(Trace::Batches))
    },
    Subject {
        spans: Some(peer(0.0)),
        ..Subject::new("tracing-opentelemetry, not sampled", function, || peers::tracing(Trace::None))
    },
];

const fn ours(a_call: f64) -> Spans {
    Spans { a_call, received: ours::received }
}

const fn peer(a_call: f64) -> Spans {
    Spans { a_call, received: peers::received }
}

fn main() -> Result<()> {
    benches::calls::main(&SUBJECTS)
}
