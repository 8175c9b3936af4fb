//! An attribute set that nobody calls any more ends, and starts anew when it comes back.

use exporters::{Data, Profiler, profiled};
use std::time::{Duration, SystemTime};

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
