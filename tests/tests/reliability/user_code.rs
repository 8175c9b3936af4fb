//! The program's own code panics, wherever the library calls it: now and then, or always.

use super::{LONG, assert_settled, full, tell, work_times};
use exporters::{
    AlertConfig, AnyExporter, Batch, Capability, ConditionalExporter, DeadLetterConfig, DeadLetterLayer,
    Exporter, FilterLayer, Health, HttpConfig, HttpExporter, Info, LegOptions, LegReport, Mapping,
    MemoryExporter, MetricMapping, MonitorConfig, MonitorLayer, ProbeConfig, ProbeLayer, Profiler, Receipt,
    Result, SanitizeLayer,
};
use std::{
    fmt,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tests::{Temp, calls::alone, hostile::Hostile, until};

/// Once in a hundred times.
const NOW_AND_THEN: u64 = 100;
const ALWAYS: u64 = 1;

/// Code that panics once in so many times.
#[derive(Debug)]
struct Fault {
    once_in: u64,
    asked: AtomicU64,
    struck: AtomicU64,
}

impl Fault {
    const fn new(once_in: u64) -> Self {
        Self { once_in, asked: AtomicU64::new(0), struck: AtomicU64::new(0) }
    }

    fn pass(&self) {
        if (self.asked.fetch_add(1, Relaxed) + 1).is_multiple_of(self.once_in) {
            self.struck.fetch_add(1, Relaxed);
            resume_unwind(Box::new("as the test has it"));
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Info,
    Capability,
    Export,
    Health,
    Flush,
    Shutdown,
    Drop,
    Debug,
}

/// An exporter that is faulty in one place.
struct Faulty {
    place: Place,
    fault: Arc<Fault>,
    taken: MemoryExporter,
}

impl Faulty {
    fn reach(&self, place: Place) {
        if self.place == place {
            self.fault.pass();
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.reach(Place::Drop);
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reach(Place::Debug);
        f.write_str("Faulty")
    }
}

impl Exporter for Faulty {
    fn info(&self) -> Info {
        self.reach(Place::Info);
        Info::new("faulty")
    }
    fn capability(&self) -> Capability {
        self.reach(Place::Capability);
        Capability::METRICS
    }
    async fn export(&self, batch: Batch) -> Result<Receipt> {
        self.reach(Place::Export);
        self.taken.export(batch).await
    }
    async fn health(&self) -> Health {
        self.reach(Place::Health);
        Health::Healthy
    }
    async fn flush(&self) -> Result<()> {
        self.reach(Place::Flush);
        Ok(())
    }
    async fn shutdown(&self) -> Result<()> {
        self.reach(Place::Shutdown);
        Ok(())
    }
}

/// What a panic costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Costs {
    Nothing,
    /// The batch at hand.
    Batch,
    /// The same, but it is in the dead letters.
    DeadLetter,
}

/// A leg with a fault somewhere.
struct Case {
    what: String,
    fault: Arc<Fault>,
    costs: Costs,
    exporter: Option<AnyExporter>,
    options: LegOptions,
    taken: MemoryExporter,
}

impl Case {
    /// `make` puts the fault around or in front of a backend that is well.
    fn new(
        what: &str,
        once_in: u64,
        costs: Costs,
        make: impl FnOnce(Arc<Fault>, MemoryExporter) -> AnyExporter,
    ) -> Self {
        let (fault, taken) = (Arc::new(Fault::new(once_in)), MemoryExporter::with_capacity(usize::MAX));
        let what = format!("{what}, once in {once_in}");
        let exporter = Some(make(fault.clone(), taken.clone()));
        let options = LegOptions::default().with_name(what.clone());
        Self { what, fault, costs, exporter, options, taken }
    }

    fn exporter(place: Place, once_in: u64, costs: Costs) -> Self {
        Self::new(&format!("{place:?}"), once_in, costs, |fault, taken| {
            AnyExporter::new(Faulty { place, fault, taken })
        })
    }

    /// Calls that it took, or else were lost with its batches.
    fn check(&self, leg: &LegReport, rounds: u64) {
        let Self { what, costs, .. } = self;
        assert_settled(leg);
        let (ledger, struck) = (leg.ledger, self.fault.struck.load(Relaxed));
        let put_aside =
            if *costs == Costs::DeadLetter { ledger.dead_lettered } else { ledger.dropped.total() };
        assert_eq!(ledger.exported + put_aside, ledger.accepted, "{what}: {ledger:?}");
        assert_eq!(put_aside > 0, *costs != Costs::Nothing, "{what}: {ledger:?}");
        // The last batch, at the end, tells of no call.
        let lost = if *costs == Costs::Nothing { 0 } else { struck.min(rounds) };
        let calls = 10 * (rounds - lost);
        assert_eq!(tests::calls::changes(&self.taken.batches(), "work"), (calls, calls), "{what}");
    }
}

/// In an exporter's own methods.
fn exporters_own() -> Vec<Case> {
    use Place::{Capability, Debug, Drop, Export, Flush, Shutdown};
    let monitor = MonitorLayer::new(MonitorConfig::default()).unwrap();
    let probe = ProbeConfig { health_check_interval: Duration::from_millis(1), ..ProbeConfig::default() };
    let mut cases: Vec<_> = [NOW_AND_THEN, ALWAYS]
        .into_iter()
        .flat_map(|once_in| {
            let mut named = Case::exporter(Place::Info, once_in, Costs::Nothing);
            named.options.monitor = Some(monitor.clone());
            let health = Case::new("health", once_in, Costs::Nothing, |fault, taken| {
                AnyExporter::new(Faulty { place: Place::Health, fault, taken })
                    .layer(ProbeLayer::new(probe.clone()).unwrap())
            });
            let costly = [Export, Capability].map(|place| Case::exporter(place, once_in, Costs::Batch));
            let free = Case::exporter(Flush, once_in, Costs::Nothing);
            costly.into_iter().chain([named, health, free])
        })
        .collect();
    cases.extend([Shutdown, Drop, Debug].map(|place| Case::exporter(place, ALWAYS, Costs::Nothing)));
    cases
}

/// In functions that layers, routes and mappings are given.
fn functions(temp: &Temp) -> Vec<Case> {
    let mut cases: Vec<_> = [NOW_AND_THEN, ALWAYS]
        .into_iter()
        .flat_map(|once_in| {
            let condition = Case::new("condition", once_in, Costs::Batch, |fault, taken| {
                let condition = move |_: &_| {
                    fault.pass();
                    true
                };
                let route =
                    ConditionalExporter::builder().route("always", condition, AnyExporter::new(taken));
                AnyExporter::new(route.build().unwrap())
            });
            let filter = Case::new("filter", once_in, Costs::Batch, |fault, taken| {
                AnyExporter::new(taken).layer(FilterLayer::new().points(move |metric, series| {
                    let of = |key| series.attributes.get_str(key);
                    // Once a batch.
                    if (&*metric.name, of("function"), of("result"))
                        == ("function.calls", Some("work"), Some("ok"))
                    {
                        fault.pass();
                    }
                    true
                }))
            });
            let dead_letters =
                Case::new("export, dead letters", once_in, Costs::DeadLetter, |fault, taken| {
                    let directory = DeadLetterConfig::file(temp.0.join(once_in.to_string()));
                    AnyExporter::new(Faulty { place: Place::Export, fault, taken })
                        .layer(DeadLetterLayer::new(directory).unwrap())
                });
            [condition, filter, dead_letters]
        })
        .collect();
    // It is asked once for each attribute of each series: of the same ones again with the next batch, until it answers.
    cases.extend([5, ALWAYS].map(|once_in| {
        Case::new("sanitize", once_in, Costs::Batch, |fault, taken| {
            let asked = move |_: &_| {
                fault.pass();
                false
            };
            AnyExporter::new(taken).layer(SanitizeLayer::nothing().deny_if(asked))
        })
    }));
    cases.push(Case::new("alert", ALWAYS, Costs::Nothing, |fault, taken| {
        let alerts =
            AlertConfig { export_latency_p95: Some(Duration::from_nanos(1)), ..AlertConfig::default() };
        let monitor = MonitorLayer::new(MonitorConfig { alerts, ..MonitorConfig::default() }).unwrap();
        AnyExporter::new(taken).layer(monitor.on_alert(move |_| fault.pass()))
    }));
    cases
}

/// Whether a metric's own computation panics is asked of a function without state.
static COMPUTATION: Fault = Fault::new(NOW_AND_THEN);

/// A metric that can't be computed is not there; the others are.
fn computed() -> LegOptions {
    let as_recorded = |name| MetricMapping::new(name, name).unwrap();
    let mapping = ["function.calls", "function.calls.duration"]
        .into_iter()
        .fold(Mapping::default(), |mapping, name| mapping.metric(as_recorded(name)));
    let computed = MetricMapping::computed("computed", |_| {
        COMPUTATION.pass();
        Some(1.0)
    });
    LegOptions::default().with_name("computed").with_mapping(mapping.metric(computed))
}

#[test]
fn a_panic_costs_at_most_the_batch_at_hand() {
    let _alone = alone();
    let rounds: u64 = if full() { 10_000 } else { 200 };
    let temp = Temp::in_memory();
    let mut cases = exporters_own();
    cases.extend(functions(&temp));
    let (computing, transformer) =
        (MemoryExporter::with_capacity(usize::MAX), Arc::new(Fault::new(NOW_AND_THEN)));
    let server = Hostile::answer("HTTP/1.1 204 No Content\r\n\r\n");
    let config = HttpConfig::new(format!("http://{}/in", server.address()).parse().unwrap());
    let fault = transformer.clone();
    let http = HttpExporter::new(config).unwrap().with_transformer(move |metrics| {
        fault.pass();
        metrics.function("work").latency().count()
    });

    let mut builder =
        Profiler::builder().interval(LONG * 60).exporter(http).exporter_with(computing.clone(), computed());
    for case in &mut cases {
        builder = builder.exporter_with(case.exporter.take().unwrap(), case.options.clone());
    }
    let profiler = builder.start().unwrap();
    for _ in 0..rounds {
        work_times(10);
        // It tells of the panics.
        let _ = profiler.flush(LONG);
    }
    until("what is probed from time to time was reached", || {
        let never = |case: &&Case| case.what.starts_with("health") && case.fault.struck.load(Relaxed) == 0;
        cases.iter().find(never).map_or(Ok(()), |case| Err(case.what.clone()))
    });
    let report = profiler.shutdown(LONG);
    drop(profiler);

    let [http, computed] = [&report.legs[0], &report.legs[1]];
    assert_settled(http);
    assert_settled(computed);
    let told = |asked: &tests::hostile::Asked| String::from_utf8_lossy(&asked.body).parse::<u64>().unwrap();
    let lost = transformer.struck.load(Relaxed);
    assert_eq!(server.requests().iter().map(told).sum::<u64>(), 10 * (rounds - lost));
    assert_eq!(http.ledger.exported + http.ledger.dropped.total(), http.ledger.accepted);
    assert_eq!(tests::calls::changes(&computing.batches(), "work"), (10 * rounds, 10 * rounds));
    let with = |batch: &&Batch| batch.metrics().is_some_and(|metrics| metrics.metric("computed").is_some());
    let without = computing.batches().iter().filter(|batch| !with(batch)).count() as u64;
    assert_eq!((lost, without), (rounds / NOW_AND_THEN, COMPUTATION.struck.load(Relaxed)));

    for (case, leg) in cases.iter().zip(&report.legs[2..]) {
        case.check(leg, rounds);
    }
    until("every place was reached but the one that nobody asks for", || {
        let never = |case: &&Case| case.fault.struck.load(Relaxed) == 0 && case.what != "Debug, once in 1";
        cases.iter().find(never).map_or(Ok(()), |case| Err(case.what.clone()))
    });
    tell(
        "the program's own code panics in 13 places, now and then or always",
        "at most the batches at hand",
        format_args!("exact in {} of {0} exporters, {rounds} batches each", cases.len() + 2),
    );
}
