//! What one instrumented call costs: ours, the floors and the peers. For calls that have a span, see `span`.
//!
//! ```text
//! cargo bench -p benches --bench call                      # time
//! cargo bench -p benches --bench call -- --instructions    # counted by callgrind
//! cargo bench -p benches --bench call -- --quick           # shows that everything runs
//! cargo bench -p benches --bench call -- hotpath           # the subjects whose name contains the word
//! ```

mod ours;
mod peers;

use benches::Result;
use benches::calls::{Subject, Target, async_8_polls, async_ready, floors, function, nested};

/// Ours first.
static SUBJECTS: [Subject; 19] = [
    Subject {
        target: Target::Ratio(1.5),
        instructions: Some(60.0),
        quick: true,
        ..Subject::new("exporters", function, ours::sync)
    },
    Subject {
        target: Target::Ratio(1.8),
        quick: true,
        ..Subject::new("exporters, async, ready at first poll", async_ready, || ours::asynchronous(0))
    },
    Subject::new("exporters, async, 8 polls", async_8_polls, || ours::asynchronous(7)),
    Subject {
        target: Target::Ratio(0.25),
        ..Subject::new("exporters, time_one_in = 16", function, ours::one_in_16)
    },
    Subject {
        target: Target::Nanoseconds(1.0),
        ..Subject::new("exporters, not initialised", function, ours::not_initialised)
    },
    Subject::new("floor: a flag that is off", function, || Ok(floors::flag_off())),
    Subject { calls: 2, ..Subject::new("exporters, called by a profiled one", nested, ours::nested) },
    Subject::new("exporters, one attribute", function, ours::one_attribute),
    Subject { quick: true, ..Subject::new("prometheus-client, cached", function, peers::prometheus_client) },
    Subject::new("prometheus, cached", function, peers::prometheus),
    Subject::new("metrics + exporter-prometheus, cached", function, peers::metrics),
    Subject::new("hotpath", function, peers::hotpath),
    Subject::new("hotpath, async, ready at first poll", async_ready, || peers::hotpath_async(0)),
    Subject::new("autometrics (prometheus)", function, peers::autometrics),
    Subject::new("autometrics, async, ready", async_ready, || peers::autometrics_async(0)),
    Subject::new("autometrics, async, 8 polls", async_8_polls, || peers::autometrics_async(7)),
    Subject::new("tracing, timing layer", function, peers::tracing),
    Subject::new("tracing, async, ready at first poll", async_ready, || peers::tracing_async(0)),
    Subject::new("tracing, async, 8 polls", async_8_polls, || peers::tracing_async(7)),
];

fn main() -> Result<()> {
    benches::calls::main(&SUBJECTS)
}
