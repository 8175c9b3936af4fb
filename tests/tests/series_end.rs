//! An attribute set that nobody calls any more ends, and starts anew when it comes back.

use exporters::{
    Batch, Data, LegOptions, Mapping, MemoryExporter, MetricMapping, Number, ProfileMetrics, Profiler,
    profiled,
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// There is one profiler a process: who starts one holds this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[profiled(attributes(tenant = tenant))]
fn serve(tenant: &str) {
    let _ = tenant;
}

/// The tenants there are: calls, and when their series began.
fn tenants(profiler: &Profiler) -> Vec<(String, u64, SystemTime)> {
    let metrics = profiler.snapshot();
    let Some(Data::Sum(sum)) = metrics.metric("function.calls").map(|metric| &metric.data) else {
        return Vec::new();
    };
    let mut tenants: Vec<_> = sum
        .points
        .iter()
        .filter_map(|point| {
            let tenant = point.series.attributes.get_str("tenant")?.to_owned();
            Some((tenant, point.total.as_f64() as u64, point.series.start))
        })
        .collect();
    tenants.sort();
    tenants
}

#[test]
fn an_idle_attribute_set_ends_and_comes_back_anew() {
    let _alone = alone();
    let builder = Profiler::builder().interval(Duration::from_secs(3600)).series_idle_for(Duration::ZERO);
    let profiler = builder.start().unwrap();
    let end_interval = || profiler.flush(Duration::from_secs(5)).unwrap();

    (0..3).for_each(|_| serve("a"));
    let first = tenants(&profiler);
    assert_eq!(first.iter().map(|(tenant, calls, _)| (&**tenant, *calls)).collect::<Vec<_>>(), [("a", 3)]);

    // At the first end it is told to go; a call in between keeps it.
    end_interval();
    serve("a");
    assert_eq!(tenants(&profiler)[0], ("a".to_owned(), 4, first[0].2));

    (0..3).for_each(|_| end_interval());
    assert_eq!(tenants(&profiler), []);

    serve("a");
    let again = tenants(&profiler);
    assert_eq!((again.len(), again[0].1), (1, 1));
    assert!(again[0].2 > first[0].2);
    profiler.shutdown(Duration::from_secs(5)).into_result().unwrap();
}

#[profiled(attributes(customer = customer), error_type = |_: &u32| format!("code {customer}"))]
fn bill(customer: u32) -> Result<(), u32> {
    match customer % 3 {
        0 => Err(customer),
        _ => Ok(()),
    }
}

/// Total and change of the one counter in a batch.
fn counted(batch: &Batch) -> (Number, Number) {
    match &batch.metrics().and_then(|metrics| metrics.metric("all")).expect("a metric").data {
        Data::Sum(sum) => (sum.points[0].total, sum.points[0].change),
        other => panic!("{other:?}"),
    }
}

/// A function's line of the report: calls and errors.
fn reported(function: &str) -> Vec<String> {
    let table = exporters::report().to_string();
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(function));
    line.unwrap_or_else(|| panic!("{table}")).split_whitespace().skip(1).take(2).map(str::to_owned).collect()
}

#[test]
fn totals_over_all_series_keep_what_has_ended() {
    let _alone = alone();
    let memory = MemoryExporter::new();
    let mapping = Mapping::default().metric(MetricMapping::new("all", "total_calls").unwrap());
    let builder = Profiler::builder().interval(Duration::from_secs(3600)).series_idle_for(Duration::ZERO);
    let options = LegOptions::default().with_mapping(mapping);
    let profiler = builder.exporter_with(memory.clone(), options).start().unwrap();
    let series = |metrics: &ProfileMetrics| match &metrics.metric("function.calls.duration").unwrap().data {
        Data::ExponentialHistogram(points) => {
            points.iter().filter(|point| point.series.attributes.get("customer").is_some()).count()
        }
        other => panic!("{other:?}"),
    };
    let (mut calls, mut changes) = (0, 0.0);
    for round in 0..4_u32 {
        for customer in (round * 100..round * 100 + 90).chain(7..8) {
            let _ = bill(customer);
            calls += 1;
        }
        let live = profiler.snapshot();
        assert!(series(&live) >= 90 && live.total_calls() == calls, "{}", live.total_calls());
        for _ in 0..3 {
            profiler.flush(DEADLINE).unwrap();
            let (total, change) = counted(&memory.take()[0]);
            assert_eq!(total, Number::U64(calls));
            changes += change.as_f64();
        }
        let ended = profiler.snapshot();
        assert_eq!((series(&ended), ended.total_calls()), (0, calls));
        assert_eq!(ended.function("series_end::bill").total_calls(), calls);
        // One sum, however many there were.
        let sums: Vec<_> = ended.ended.iter().filter(|sum| sum.calls > 0).collect();
        assert_eq!((sums.len(), sums[0].calls), (1, calls));
        assert_eq!(sums[0].series.attributes.get_str("function"), Some("bill"));
    }
    assert_eq!((calls, changes), (364, 364.0));
    assert_eq!(reported("bill"), ["364", "120"]);
    profiler.shutdown(DEADLINE).into_result().unwrap();
}
