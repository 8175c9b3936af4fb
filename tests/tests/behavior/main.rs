//! One list of cases that every kind of exporter passes, against a double of its backend that decodes what was sent.
//!
//! A new kind joins with a double in `doubles/`; a registered one that has none fails [`every_kind_has_a_double`].

mod cases;
mod double;
mod doubles;

use double::Double;
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// A new double of one kind.
type Make = fn() -> Box<dyn Double>;

/// The doubles, each with its name.
fn doubles() -> Vec<(&'static str, Make)> {
    vec![
        ("memory", || Box::new(doubles::memory::Memory::new())),
        ("memory, in every layer", || Box::new(doubles::layered::Layered::new())),
        ("file", || Box::new(doubles::file::Files::json())),
        ("file, records", || Box::new(doubles::file::Files::records())),
        ("prometheus", || Box::new(doubles::prometheus::Scrape::new())),
        ("http, JSON", || Box::new(doubles::http::Http::json())),
        ("http, CSV", || Box::new(doubles::http::Http::csv())),
        ("http, MessagePack", || Box::new(doubles::http::Http::messagepack())),
        ("http, Prometheus", || Box::new(doubles::http::Http::prometheus())),
        ("opentelemetry, protobuf", || Box::new(doubles::opentelemetry::Otlp::protobuf())),
        ("opentelemetry, JSON, delta", || Box::new(doubles::opentelemetry::Otlp::json())),
        ("opentelemetry, gRPC", || Box::new(doubles::opentelemetry::OtlpOverGrpc::new())),
        ("derived, by hand", || Box::new(doubles::derived::ByHand::new())),
        ("multi", || Box::new(doubles::routes::Both::memories())),
        ("multi, http", || Box::new(doubles::routes::Both::with_http())),
        ("conditional", || Box::new(doubles::routes::Conditions::new())),
        ("derived, http", || Box::new(doubles::derived::OverHttp::new())),
    ]
}

/// Runs `case` against every double, and names those that fail it. One case at a time: some start a profiler, of which there is
/// one a process, and which sees what all threads record.
fn all(case: fn(&dyn Double)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let failed: Vec<&str> = doubles()
        .into_iter()
        .filter(|(name, make)| {
            let result = std::panic::catch_unwind(|| case(&*make()));
            result.inspect_err(|_| eprintln!("--- the case above failed for: {name}")).is_err()
        })
        .map(|(name, _)| name)
        .collect();
    assert!(failed.is_empty(), "failed for {failed:?}");
}

#[test]
fn every_kind_has_a_double() {
    let doubles: BTreeSet<_> = doubles().into_iter().map(|(_, make)| make().kind()).collect();
    let kinds: BTreeSet<_> = exporters::kinds().unwrap().into_iter().collect();
    assert_eq!(doubles, kinds);
}

#[test]
fn what_is_recorded_arrives_exactly() {
    all(cases::round_trip);
}

#[test]
fn parts_arrive_exactly_once_each() {
    all(cases::parts);
}

#[test]
fn errors_are_told_apart() {
    all(cases::errors);
}

#[test]
fn a_batch_that_failed_arrives_when_it_is_sent_again() {
    all(cases::again);
}

#[test]
fn a_backend_that_never_answers_is_given_up() {
    all(cases::stall);
}

#[test]
fn what_is_too_large_arrives_in_parts() {
    all(cases::too_large);
}

#[test]
fn hostile_names_do_no_harm() {
    all(cases::hostile_names);
}

#[test]
fn nothing_is_a_batch_too() {
    all(cases::empty);
}

#[test]
fn what_is_not_carried_is_unsupported() {
    all(cases::unsupported);
}

#[test]
fn health_follows_the_backend() {
    all(cases::health);
}

#[test]
fn shutdown_sends_the_rest_and_may_be_asked_for_twice() {
    all(cases::shutdown);
}
