//! What `LogLayer` counts, and that nothing else changes.

use super::LogLayer;
use crate::{
    Data, ProfileMetrics,
    record::{self, snapshot::Collector, snapshot::Whose},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber, debug, dispatcher, error, event, field, info, info_span,
    level_filters::LevelFilter, span, subscriber::Interest, trace, warn,
};
use tracing_subscriber::{
    layer::{Context, Layer},
    prelude::*,
    registry, reload,
};

/// Messages are counted for the whole process, so that a test that reads all of them wants no others.
pub(in crate::record) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Level, emoji, and the change of `metric`, where there was any.
fn changes(metrics: &ProfileMetrics, metric: &str) -> Vec<(String, bool, u64)> {
    let Some(Data::Sum(sum)) = metrics.metric(metric).map(|metric| &metric.data) else { return Vec::new() };
    let points = sum.points.iter().filter(|point| point.change.as_f64() > 0.0);
    points
        .map(|point| {
            let text = |key| point.series.attributes.get_str(key).unwrap_or_default();
            (text("level").to_owned(), text("emoji") == "true", point.change.as_f64() as u64)
        })
        .collect()
}

fn log(layer: impl Layer<registry::Registry> + Send + Sync, f: impl FnOnce()) {
    tracing::subscriber::with_default(registry().with(layer), f);
}

/// Does nothing, or what a test is about.
#[derive(Default)]
struct Inner {
    refuses: bool,
    panics: bool,
    seen: Arc<Mutex<Vec<Level>>>,
}

impl<S: Subscriber> Layer<S> for Inner {
    fn event_enabled(&self, _: &Event<'_>, _: Context<'_, S>) -> bool {
        !self.refuses
    }
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.panics {
            std::panic::resume_unwind(Box::new(()));
        }
        self.seen.lock().unwrap().push(*event.metadata().level());
    }
}

#[test]
fn levels_emoji_and_fields_are_exact() {
    let (_alone, profiler) = (alone(), crate::test());
    log(LogLayer::new(Inner::default()), || {
        trace!("quiet");
        debug!(a = 1, b = true, "two fields");
        for n in 0..3 {
            info!(n, text = "plain", "message {n}");
        }
        info!("shipped {}", "🚀");
        warn!(name = "日本🗾");
        warn!(name = %"✅", count = 1u64, wide = 1i128, real = 0.5);
        error!(name = ?Some("🔥"), "one");
        error!(emoji_name = "rocket", "the field's name is enough");
        error!(error = &fmt::Error as &dyn std::error::Error, bytes = &b"\xF0\x9F\x9A\x80"[..], "two");
        event!(target: "exporters", Level::ERROR, "the library's own");
    });
    let metrics = profiler.snapshot();
    let of = |level: &str, emoji, count| (level.to_owned(), emoji, count);
    assert_eq!(
        changes(&metrics, "log.messages"),
        [
            of("trace", false, 1),
            of("debug", false, 1),
            of("info", false, 3),
            of("info", true, 1),
            of("warn", true, 2),
            of("error", false, 1),
            of("error", true, 2),
        ]
    );
    assert_eq!(
        changes(&metrics, "log.messages.fields"),
        [
            of("debug", false, 2),
            of("info", false, 6),
            of("warn", true, 5),
            of("error", false, 2),
            of("error", true, 2),
        ]
    );
    assert_eq!((metrics.total_messages(), metrics.emoji_message_count()), (Some(11), Some(5)));
    assert_eq!(metrics.dropped_messages(), Some(0));
    assert_eq!(metrics.avg_fields_per_message(), Some(17.0 / 11.0));
    assert!(metrics.avg_message_latency_ms().is_some_and(|ms| ms >= 0.0));
    assert!(metrics.messages_per_second().is_some_and(|rate| rate > 0.0));
}

#[test]
fn nothing_is_known_of_messages_that_nobody_logged() {
    let (_alone, profiler) = (alone(), crate::test());
    let metrics = profiler.snapshot();
    assert!(metrics.metrics.iter().all(|metric| !metric.descriptor.name.starts_with("log.")));
    assert_eq!((metrics.total_messages(), metrics.dropped_messages()), (None, None));
    assert_eq!((metrics.avg_message_latency_ms(), metrics.messages_per_second()), (None, None));
}

#[test]
fn overhead_needs_both_kinds() {
    let (_alone, profiler) = (alone(), crate::test());
    log(LogLayer::new(Inner::default()), || {
        info!("plain");
        assert_eq!(profiler.snapshot().emoji_overhead_percent(), None);
        info!("🎉");
        assert_eq!(profiler.snapshot().emoji_overhead_percent(), None);
        info!("plain");
        info!("🎉");
    });
    let metrics = profiler.snapshot();
    assert!(metrics.emoji_overhead_percent().is_some_and(f64::is_finite));
    assert_eq!((metrics.total_messages(), metrics.emoji_message_count()), (Some(4), Some(2)));
    assert_eq!(profiler.snapshot().emoji_overhead_percent(), None);
}

#[test]
fn refused_and_panicking_messages_are_dropped() {
    let (_alone, profiler) = (alone(), crate::test());
    log(LogLayer::new(Inner { refuses: true, ..Inner::default() }), || info!(a = 1, "refused"));
    log(LogLayer::new(Inner { panics: true, ..Inner::default() }), || {
        assert!(std::panic::catch_unwind(|| warn!("💥")).is_err());
    });
    log(LogLayer::new(Inner::default()), || info!("processed"));
    let metrics = profiler.snapshot();
    assert_eq!(
        changes(&metrics, "log.messages.dropped"),
        [("info".to_owned(), false, 1), ("warn".to_owned(), true, 1)]
    );
    assert_eq!((metrics.total_messages(), metrics.dropped_messages()), (Some(3), Some(2)));
    let Some(Data::ExponentialHistogram(points)) = metrics.metric("log.messages.duration").map(|m| &m.data)
    else {
        panic!("no durations")
    };
    assert_eq!(points.iter().map(|point| point.total.count()).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn threads_add_up_while_they_are_drained() {
    const THREADS: u64 = 4;
    const EACH: u64 = 5_000;
    let _alone = alone();
    record::start();
    let mut collector = Collector::new(Arc::default(), Whose::All, true);
    let dispatch = Dispatch::new(registry().with(LogLayer::new(Inner::default())));
    let work = || {
        dispatcher::with_default(&dispatch, || {
            for n in 0..EACH {
                info!(n, "plain");
                if n % 5 == 0 {
                    error!(a = 1, b = 2, "broken 💔");
                }
            }
        });
    };
    let (mut messages, mut emoji, mut fields, mut timed) = (0, 0, 0, 0);
    let mut add = |metrics: ProfileMetrics| {
        let sum = |changes: Vec<(String, bool, u64)>| changes.iter().map(|(.., n)| n).sum::<u64>();
        messages += sum(changes(&metrics, "log.messages"));
        emoji += sum(changes(&metrics, "log.messages").into_iter().filter(|(_, emoji, _)| *emoji).collect());
        fields += sum(changes(&metrics, "log.messages.fields"));
        if let Some(Data::ExponentialHistogram(points)) =
            metrics.metric("log.messages.duration").map(|m| &m.data)
        {
            timed += points.iter().map(|point| point.change.count()).sum::<u64>();
        }
    };
    // Twice, so that the second round continues the shards of the first.
    for _ in 0..2 {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                add(collector.drain());
            }
        });
    }
    let last = collector.drain();
    assert_eq!(last.total_messages(), Some(2 * THREADS * (EACH + EACH / 5)));
    assert_eq!(last.metric("log.messages").map(|metric| metric.data.len()), Some(10), "all series are there");
    add(last);
    record::stop();
    assert_eq!((messages, emoji), (2 * THREADS * (EACH + EACH / 5), 2 * THREADS * EACH / 5));
    assert_eq!((fields, timed), (2 * THREADS * (EACH + EACH / 5 * 2), messages));
}

#[test]
fn filters_outside_hide_messages_and_inside_do_not() {
    let (_alone, profiler) = (alone(), crate::test());
    let (filter, handle) = reload::Layer::new(LevelFilter::WARN);
    log(LogLayer::new(Inner::default()).with_filter(filter), || {
        let speak = || info!("hello");
        speak();
        warn!("hello");
        assert_eq!(profiler.snapshot().total_messages(), Some(1));
        handle.reload(LevelFilter::INFO).unwrap();
        speak();
        assert_eq!(profiler.snapshot().total_messages(), Some(2));
    });

    let (inside, beside) = (Inner::default(), Inner::default());
    let seen = [inside.seen.clone(), beside.seen.clone()];
    let layer = LogLayer::new(inside.with_filter(LevelFilter::WARN));
    tracing::subscriber::with_default(registry().with(layer).with(beside), || {
        info!("hello");
        warn!("hello");
    });
    let seen = seen.map(|seen| seen.lock().unwrap().clone());
    assert_eq!(seen, [vec![Level::WARN], vec![Level::INFO, Level::WARN]]);
    assert_eq!(profiler.snapshot().total_messages(), Some(4));

    let (layer, handle) = reload::Layer::new(LogLayer::new(Inner::default()));
    log(layer, || {
        info!("hello");
        handle.modify(|layer| layer.inner.refuses = true).unwrap();
        info!("hello");
    });
    let metrics = profiler.snapshot();
    assert_eq!((metrics.total_messages(), metrics.dropped_messages()), (Some(6), Some(1)));
}

/// Notes which of its methods were called.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, call: impl fmt::Display) {
        self.0.lock().unwrap().push(call.to_string());
    }
}

impl<S: Subscriber> Layer<S> for Notes {
    fn on_register_dispatch(&self, _: &Dispatch) {
        self.note("on_register_dispatch");
    }
    fn on_layer(&mut self, _: &mut S) {
        self.note("on_layer");
    }
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // It is asked again, and about other tests' messages, whenever one of them makes a subscriber.
        let call = format!("register_callsite {}", metadata.target());
        if metadata.target() == "notes" && !self.0.lock().unwrap().contains(&call) {
            self.note(call);
        }
        Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.note(format_args!("enabled {}", metadata.level()));
        *metadata.level() != Level::DEBUG
    }
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, _: Context<'_, S>) {
        self.note(format_args!("on_new_span {} {id:?}", attrs.metadata().name()));
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.note("max_level_hint");
        Some(LevelFilter::DEBUG)
    }
    fn on_record(&self, span: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        self.note(format_args!("on_record {span:?} {values:?}"));
    }
    fn on_follows_from(&self, span: &span::Id, follows: &span::Id, _: Context<'_, S>) {
        self.note(format_args!("on_follows_from {span:?} {follows:?}"));
    }
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.note(format_args!("event_enabled {}", event.metadata().level()));
        *event.metadata().level() != Level::WARN
    }
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.note(format_args!("on_event {}", event.metadata().level()));
    }
    fn on_enter(&self, id: &span::Id, _: Context<'_, S>) {
        self.note(format_args!("on_enter {id:?}"));
    }
    fn on_exit(&self, id: &span::Id, _: Context<'_, S>) {
        self.note(format_args!("on_exit {id:?}"));
    }
    fn on_close(&self, id: span::Id, _: Context<'_, S>) {
        self.note(format_args!("on_close {id:?}"));
    }
    fn on_id_change(&self, old: &span::Id, new: &span::Id, _: Context<'_, S>) {
        self.note(format_args!("on_id_change {old:?} {new:?}"));
    }
}

/// A subscriber that gives a span another id when it is cloned.
struct Renaming;

impl Subscriber for Renaming {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
    fn clone_span(&self, id: &span::Id) -> span::Id {
        span::Id::from_u64(id.into_u64() + 1)
    }
    fn try_close(&self, _: span::Id) -> bool {
        true
    }
}

/// What a layer is told while all sorts of things happen.
fn notes_of<L: Layer<Renaming> + Send + Sync>(wrap: impl FnOnce(Notes) -> L) -> Vec<String> {
    let notes = Notes::default();
    let subscriber = wrap(notes.clone()).with_subscriber(Renaming);
    let hint = subscriber.max_level_hint();
    let dispatch = Dispatch::new(subscriber);
    assert!(dispatch.downcast_ref::<Notes>().is_some_and(|found| Arc::ptr_eq(&found.0, &notes.0)));
    assert!(dispatch.is::<L>() && !dispatch.is::<Inner>());
    dispatcher::with_default(&dispatch, || {
        let span = info_span!(target: "notes", "work", late = field::Empty);
        span.record("late", 1);
        span.follows_from(span::Id::from_u64(7));
        span.in_scope(|| {
            error!(target: "notes", "processed");
            warn!(target: "notes", "refused");
            debug!(target: "notes", "not enabled");
        });
        drop(span.clone());
    });
    notes.note(format_args!("{hint:?}"));
    // How often the hint is asked for depends on what other tests do.
    let mut calls = notes.0.lock().unwrap().clone();
    calls.dedup();
    let asked = |call: &String| call == "max_level_hint";
    let first = calls.iter().position(asked);
    let mut at = 0..;
    calls.retain(|call| {
        let at = at.next();
        !asked(call) || at == first
    });
    calls
}

#[test]
fn every_method_is_forwarded() {
    let (_alone, _profiler) = (alone(), crate::test());
    let (bare, wrapped) = (notes_of(|notes| notes), notes_of(LogLayer::new));
    assert_eq!(bare, wrapped);
    for method in [
        "on_register_dispatch",
        "on_layer",
        "register_callsite",
        "enabled",
        "on_new_span",
        "max_level_hint",
        "on_record",
        "on_follows_from",
        "event_enabled",
        "on_event",
        "on_enter",
        "on_exit",
        "on_close",
        "on_id_change",
    ] {
        assert!(wrapped.iter().any(|call| call.starts_with(method)), "{method} in {wrapped:#?}");
    }
}
