//! The derive's own table of sources, statistics and kinds, and its rule for names, allow exactly what the library does.

#[allow(dead_code)]
#[path = "../../exporters-derive/src/exporter/sources.rs"]
mod sources;

#[path = "../../exporters-derive/src/exporter/names.rs"]
mod names;

use exporters::{Builder, MetricKind, MetricMapping, Statistic};
use sources::{KINDS, Kind, NAMED, RECORDED, STATISTICS, can_be, kind_of_statistic};
use std::collections::BTreeSet;

#[test]
fn the_names_are_the_same() {
    let derive: BTreeSet<&str> = NAMED.iter().chain(RECORDED).map(|(name, _)| *name).collect();
    let library: BTreeSet<&str> = exporters::__private::names().collect();
    assert_eq!(derive, library);
}

/// Every source, with every statistic or none, as every kind or none.
#[test]
fn the_rules_are_the_same() {
    for (name, of) in NAMED.iter().chain(RECORDED) {
        let recorded = RECORDED.iter().any(|(known, _)| known == name);
        let source = MetricMapping::new("metric", name).unwrap();
        assert_kinds(&source, *of, name);
        for (at, (statistic, variant, _)) in STATISTICS.iter().enumerate() {
            let text = format!("{name}:{statistic}");
            let library = MetricMapping::new("metric", &text);
            let derive = kind_of_statistic(at, *of).filter(|_| recorded);
            assert_eq!(library.is_ok(), derive.is_some(), "{text}");
            if let (Ok(metric), Some(kind)) = (library, derive) {
                // The variant is the statistic's.
                let named: Vec<_> = ALL.iter().filter(|all| format!("{all:?}") == *variant).collect();
                assert_eq!(source.clone().stat(*named[0]).unwrap(), metric, "{text}");
                assert_kinds(&metric, kind, &text);
            }
        }
    }
}

#[track_caller]
fn assert_kinds(metric: &MetricMapping, natural: Kind, text: &str) {
    for (word, kind) in KINDS {
        let wanted = match kind {
            Kind::Gauge => MetricKind::Gauge,
            Kind::Counter => MetricKind::Counter,
            Kind::Rate => MetricKind::Rate,
            Kind::Histogram => MetricKind::Histogram,
        };
        assert_eq!(metric.clone().kind(wanted).is_ok(), can_be(natural, kind), "{text} as {word}");
    }
}

const ALL: [Statistic; 10] = [
    Statistic::Count,
    Statistic::Max,
    Statistic::Mean,
    Statistic::P50,
    Statistic::P90,
    Statistic::P95,
    Statistic::P99,
    Statistic::Rate,
    Statistic::Sum,
    Statistic::Total,
];

#[test]
fn statistics_are_all_there() {
    assert_eq!(STATISTICS.len(), ALL.len());
    let unknown = MetricMapping::new("metric", "function.calls:nothing").unwrap_err().to_string();
    for (statistic, ..) in STATISTICS {
        assert!(unknown.contains(statistic), "{statistic} is not among {unknown}");
    }
}

/// Of metrics in a file, and of those above a struct.
#[test]
fn names_are_refused_alike() {
    let file = std::env::temp_dir().join(format!("exporters-names-{}.yaml", std::process::id()));
    let all = ["", " ", "\t\n", "\u{a0}", "\u{200b}", "a", " a", "A", "a.b", "é", "e\u{301}"];
    for (one, other) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
        let metric = |source: &str, name: &str| format!("{source}: {{ name: {} }}", serde_json::json!(name));
        let (one_metric, other_metric) = (metric("error_rate", one), metric("total_calls", other));
        let text =
            format!("exporters: [{{ type: memory, metrics_mapping: {{ {one_metric}, {other_metric} }} }}]");
        std::fs::write(&file, text).unwrap();
        let pair = [one.to_owned(), other.to_owned()];
        let derive = !pair.iter().any(|name| names::is_empty(name)) && names::repeated(&pair).is_empty();
        assert_eq!(Builder::from_file(&file).is_ok(), derive, "{pair:?}");
    }
    std::fs::remove_file(&file).unwrap();
}
