//! `SanitizeLayer`: values that are nobody's business do not leave the process.

use super::{
    forward,
    select::{Function, Latest},
};
use crate::{
    AnyExporter, Attributes, Batch, Exporter, KeyValue, Layer, ProfileMetrics, Receipt, Resource, Result,
    Series, Signal, Span, Value, mapping::Glob,
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    ptr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

type IsSensitive = dyn Fn(&KeyValue) -> bool + Send + Sync;

/// Keys of credentials, in any case; `_`, `-` and `.` fit the `?`.
const CREDENTIALS: [&str; 14] = [
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*pwd",
    "*secret*",
    "*token",
    "*authorization*",
    "*cookie*",
    "*credential*",
    "*api?key*",
    "*apikey*",
    "*access?key*",
    "*private?key*",
    "*session?id*",
];

/// Replaces the values of attributes whose keys tell that they are sensitive: those of metrics' series, of the resource, and of
/// spans with their events and links.
///
/// By default those are the keys of credentials, such as `db.password`, `access_token`, `http.request.header.authorization` or
/// `X-Api-Key`. Upper and lower case are the same. Names, messages and other texts are left as they are.
///
/// The new value is `[REDACTED]`. That of a series is also told from others, as in `[REDACTED 8a51c03f9e6d2b74]`: two series
/// that nothing else tells apart must stay two, since backends refuse the same one twice, and their totals cannot be added up
/// while the one may end before the other. The number is a hash of the value under a key that the layer draws at random: it is
/// another one in every process, and nobody can find out the value by trying.
///
/// Added last, it sees a batch first: so what other layers put aside is clean, too.
///
/// ```
/// # use exporters::{AnyExporter, MemoryExporter, SanitizeLayer, Value};
/// let sanitize = SanitizeLayer::new()
///     .deny("*iban*")
///     .deny_if(|attribute| matches!(&attribute.value, Value::String(text) if text.starts_with("sk_live_")));
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(sanitize.clone());
/// assert_eq!(sanitize.redacted_count(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct SanitizeLayer {
    keys: Vec<Glob>,
    values: Option<Function<IsSensitive>>,
    hash: RandomState,
    redacted: Arc<AtomicU64>,
}

impl SanitizeLayer {
    /// Replaces credentials.
    pub fn new() -> Self {
        CREDENTIALS.into_iter().fold(Self::nothing(), Self::deny)
    }

    /// Replaces nothing, until it is told what.
    pub fn nothing() -> Self {
        Self { keys: Vec::new(), values: None, hash: RandomState::new(), redacted: Arc::default() }
    }

    /// Replaces the values of keys that fit the glob, too (`*` is any text, `?` any character).
    #[must_use]
    pub fn deny(mut self, glob: &str) -> Self {
        self.keys.push(Glob::new(&glob.to_lowercase()));
        self
    }

    /// Replaces the values of attributes that are found `sensitive`, too. It is asked once for each series.
    #[must_use]
    pub fn deny_if(mut self, sensitive: impl Fn(&KeyValue) -> bool + Send + Sync + 'static) -> Self {
        self.values = Some(Function::new(Arc::new(sensitive)));
        self
    }

    /// How many values it has replaced: those of a series or a resource once, those of a span each time it is sent.
    pub fn redacted_count(&self) -> u64 {
        self.redacted.load(Relaxed)
    }

    fn is_sensitive(&self, attribute: &KeyValue) -> bool {
        let key = attribute.key.to_lowercase();
        self.keys.iter().any(|glob| glob.fits(&key))
            || self.values.as_ref().is_some_and(|sensitive| sensitive(attribute))
    }

    /// The attributes without what is sensitive; `None` where nothing is.
    fn clean(&self, attributes: &Attributes, instead: impl Fn(&Value) -> String) -> Option<Attributes> {
        let mut redacted = 0;
        let clean = attributes.iter().map(|attribute| match self.is_sensitive(attribute) {
            true => {
                redacted += 1;
                KeyValue { key: attribute.key.clone(), value: instead(&attribute.value).into() }
            }
            false => attribute.clone(),
        });
        let clean = clean.collect();
        self.redacted.fetch_add(redacted, Relaxed);
        (redacted > 0).then_some(clean)
    }

    /// Where nothing depends on telling it from others.
    fn redact(&self, attributes: &Attributes) -> Option<Attributes> {
        self.clean(attributes, |_| "[REDACTED]".into())
    }

    fn series(&self, series: &Series) -> Option<Series> {
        let told_apart =
            |value: &Value| format!("[REDACTED {:016x}]", self.hash.hash_one(format!("{value:?}")));
        let attributes = self.clean(&series.attributes, told_apart)?;
        Some(Series { scope: series.scope.clone(), attributes, start: series.start })
    }

    /// Whether anything was replaced.
    fn span(&self, span: &mut Span) -> bool {
        let events = span.events.iter_mut().map(|event| &mut event.attributes);
        let links = span.links.iter_mut().map(|link| &mut link.attributes);
        let mut changed = false;
        for attributes in [&mut span.attributes].into_iter().chain(events).chain(links) {
            if let Some(clean) = self.redact(attributes) {
                *attributes = clean;
                changed = true;
            }
        }
        changed
    }
}

impl Default for SanitizeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for SanitizeLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        let (made, latest) = Default::default();
        AnyExporter::new(Sanitize { inner, layer: self.clone(), made, latest })
    }
}

#[derive(Debug)]
struct Sanitize {
    inner: AnyExporter,
    layer: SanitizeLayer,
    made: Mutex<Made>,
    latest: Latest<Option<Arc<ProfileMetrics>>>,
}

/// What was made of series and resource, or that nothing had to be: the same ones every time, since that is how points are told to
/// belong together.
#[derive(Debug, Default)]
struct Made {
    /// By the address of the series they were made of, which stays its own as long as there is a weak reference to it.
    series: HashMap<usize, Twin<Series>>,
    resource: Option<Twin<Resource>>,
}

type Twin<T> = (Weak<T>, Option<Arc<T>>);

impl Made {
    /// The snapshot without what is sensitive; `None` where nothing is.
    fn clean(&mut self, metrics: &ProfileMetrics, layer: &SanitizeLayer) -> Option<Arc<ProfileMetrics>> {
        self.series.retain(|_, (of, _)| of.strong_count() > 0);
        let resource = self.resource(&metrics.resource, layer);
        let mut changed = resource.is_some();
        for metric in &metrics.metrics {
            metric.data.each_series(|series| changed |= self.series(series, layer).is_some());
        }
        changed.then(|| {
            let mut clean = metrics.clone();
            clean.resource = resource.unwrap_or(clean.resource);
            for metric in &mut clean.metrics {
                metric.data.each_series_mut(|series| {
                    if let Some(clean) = self.series(series, layer) {
                        *series = clean;
                    }
                });
            }
            Arc::new(clean)
        })
    }

    fn series(&mut self, series: &Arc<Series>, layer: &SanitizeLayer) -> Option<Arc<Series>> {
        let make = || (Arc::downgrade(series), layer.series(series).map(Arc::new));
        self.series.entry(Arc::as_ptr(series).addr()).or_insert_with(make).1.clone()
    }

    fn resource(&mut self, resource: &Arc<Resource>, layer: &SanitizeLayer) -> Option<Arc<Resource>> {
        self.resource = self.resource.take().filter(|(of, _)| ptr::eq(of.as_ptr(), Arc::as_ptr(resource)));
        let make = || {
            let clean =
                layer.redact(&resource.attributes).map(|attributes| Arc::new(Resource { attributes }));
            (Arc::downgrade(resource), clean)
        };
        self.resource.get_or_insert_with(make).1.clone()
    }
}

impl Sanitize {
    /// The batch without what is sensitive: item for item the same.
    fn clean(&self, batch: Batch) -> Batch {
        match batch.signal() {
            Signal::Metrics(metrics) => {
                let clean = self.latest.of(metrics, || {
                    self.made.lock().unwrap_or_else(PoisonError::into_inner).clean(metrics, &self.layer)
                });
                match clean {
                    Some(clean) => batch.with_data(Signal::Metrics(clean), batch.range()),
                    None => batch,
                }
            }
            Signal::Spans(_) => {
                let mut spans = batch.spans().unwrap_or_default().to_vec();
                let mut changed = false;
                spans.iter_mut().for_each(|span| changed |= self.layer.span(span));
                match changed {
                    true => batch.with_spans(spans),
                    false => batch,
                }
            }
        }
    }
}

impl Exporter for Sanitize {
    forward!(info, capability, health, flush, shutdown);

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        self.inner.export(self.clean(batch)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Data, ErrorKind, MemoryExporter, Number, SpanEvent, SpanLink,
        layers::script::{Answer, Script, batch, batch_of, paused, send},
        model::sample::{changes, snapshot, span, spans},
    };
    use std::{collections::HashSet, time::SystemTime};

    fn attributes(pairs: &[(&'static str, &'static str)]) -> Attributes {
        pairs.iter().map(|(key, text)| KeyValue::new(*key, *text)).collect()
    }

    /// A snapshot with points of these series.
    fn metrics(series: &[Arc<Series>], resource: &Arc<Resource>) -> Signal {
        let mut metrics = snapshot(series.iter().enumerate().map(|(at, _)| (2 * at, 1)));
        let Data::Sum(sum) = &mut metrics.metrics[0].data else { unreachable!() };
        sum.points.iter_mut().zip(series).for_each(|(point, series)| point.series = series.clone());
        metrics.resource = resource.clone();
        Signal::Metrics(Arc::new(metrics))
    }

    fn series(pairs: &[(&'static str, &'static str)]) -> Arc<Series> {
        let start = SystemTime::UNIX_EPOCH;
        Arc::new(Series { scope: Arc::default(), attributes: attributes(pairs), start })
    }

    /// The series of the last batch.
    fn sent(memory: &MemoryExporter) -> Vec<Arc<Series>> {
        let mut sent = Vec::new();
        let batches = memory.batches();
        let metrics = batches.last().unwrap().metrics().unwrap();
        metrics.metrics.iter().for_each(|metric| metric.data.each_series(|series| sent.push(series.clone())));
        sent
    }

    #[test]
    fn keys_of_credentials_are_known_and_others_left_alone() {
        let layer = SanitizeLayer::new();
        let is_sensitive = |key: &'static str| layer.is_sensitive(&KeyValue::new(key, "x"));
        for key in [
            "password",
            "db.PASSWORD",
            "userPasswd",
            "client_secret",
            "SecretKey",
            "token",
            "access_token",
            "refreshToken",
            "http.request.header.authorization",
            "Proxy-Authorization",
            "cookie",
            "Set-Cookie",
            "x-api-key",
            "ApiKey",
            "aws.access_key_id",
            "private.key",
            "session.id",
            "credentials",
        ] {
            assert!(is_sensitive(key), "{key}");
        }
        for key in [
            "function",
            "module",
            "result",
            "error.type",
            "service.name",
            "level",
            "emoji",
            "objective.name",
            "gen_ai.token.type",
            "tokens",
            "gen_ai.usage.input_tokens",
            "key",
            "primary_key",
            "author",
            "",
        ] {
            assert!(!is_sensitive(key), "{key}");
        }
        let layer =
            SanitizeLayer::nothing().deny("*IBAN*").deny_if(|attribute| attribute.value == Value::I64(42));
        assert!(layer.is_sensitive(&KeyValue::new("Customer.Iban", true)));
        assert!(layer.is_sensitive(&KeyValue::new("answer", 42)));
        assert!(!layer.is_sensitive(&KeyValue::new("password", 41)));
    }

    #[test]
    fn series_stay_apart_and_the_same_ones() {
        paused(async {
            let memory = MemoryExporter::new();
            let layer = SanitizeLayer::new();
            let exporter = AnyExporter::new(memory.clone()).layer(layer.clone());
            let all = [
                series(&[("f", "a"), ("token", "hunter1")]),
                series(&[("f", "a"), ("token", "hunter2")]),
                series(&[("f", "b"), ("token", "hunter2")]),
                series(&[("f", "a")]),
            ];
            let resource = attributes(&[("db.password", "hunter3"), ("service.name", "shop")]);
            let resource = Arc::new(Resource { attributes: resource });
            exporter.export(batch_of(metrics(&all, &resource))).await.unwrap();
            let first = sent(&memory);
            let shown = format!("{:?}", memory.batches());
            assert!(
                !shown.contains("hunter") && shown.contains(r#""db.password": String("[REDACTED]")"#),
                "{shown}"
            );
            assert!(shown.contains("shop"));
            let text = |at: usize| first[at].attributes.get_str("token").unwrap();
            assert!(text(0).starts_with("[REDACTED ") && text(0).len() == 27, "{}", text(0));
            assert!(text(0) != text(1) && text(1) == text(2) && Arc::ptr_eq(&first[3], &all[3]));
            let sets: HashSet<String> =
                first.iter().map(|series| format!("{:?}", series.attributes)).collect();
            assert_eq!((sets.len(), layer.redacted_count()), (4, 4));

            // A part of them, then all again.
            exporter.export(batch_of(metrics(&all[..1], &resource))).await.unwrap();
            exporter.export(batch_of(metrics(&all, &resource))).await.unwrap();
            assert!(sent(&memory).iter().zip(&first).all(|(now, before)| Arc::ptr_eq(now, before)));
            assert_eq!(layer.redacted_count(), 4);
            let same = |batch: &Batch| Arc::as_ptr(&batch.metrics().unwrap().resource);
            let resources: HashSet<_> = memory.take().iter().map(same).collect();
            assert_eq!(resources.len(), 1);
        });
    }

    #[test]
    fn series_that_ended_are_forgotten() {
        let (layer, mut made) = (SanitizeLayer::new(), Made::default());
        for round in 0..100 {
            let ended: Vec<_> = (0..10).map(|_| series(&[("token", "x")])).collect();
            let Signal::Metrics(metrics) = metrics(&ended, &Arc::default()) else { unreachable!() };
            assert!(made.clean(&metrics, &layer).is_some());
            assert_eq!(made.series.len(), 10, "{round}");
        }
    }

    #[test]
    fn spans_their_events_and_their_links_are_cleaned() {
        paused(async {
            let memory = MemoryExporter::new();
            let layer = SanitizeLayer::new();
            let exporter = AnyExporter::new(memory.clone()).layer(layer.clone());
            let (secret, plain) =
                (attributes(&[("token", "hunter2"), ("a", "b")]), attributes(&[("c", "d")]));
            let mut full = span(1);
            let event = |attributes| SpanEvent { time: full.start, name: "e".into(), attributes };
            full.events = vec![event(plain.clone()), event(secret.clone())];
            full.links = vec![SpanLink { context: full.context.clone(), attributes: secret.clone() }];
            full.attributes = secret;
            let bare = Span { attributes: plain, ..span(2) };
            let whole = batch_of(spans([bare.clone(), full, bare]));
            let (untouched, rest) = whole.split(1).unwrap();
            for part in [untouched.clone(), rest] {
                assert_eq!(exporter.export(part.clone()).await.unwrap(), Receipt::accepted(part.len()));
            }
            let [first, second] = &memory.batches()[..] else { unreachable!() };
            let Signal::Spans(original) = untouched.signal() else { unreachable!() };
            assert!(matches!(first.signal(), Signal::Spans(sent) if Arc::ptr_eq(sent, original)));
            let shown = format!("{:?}", second.spans().unwrap());
            assert!(!shown.contains("hunter2") && shown.matches("[REDACTED]").count() == 3, "{shown}");
            assert!(shown.matches(r#""a": String("b")"#).count() == 3);
            assert_eq!((second.len(), layer.redacted_count()), (2, 3));
        });
    }

    #[test]
    fn items_stay_in_their_places() {
        paused(async {
            let script = Script::new(
                [Answer::Fail(ErrorKind::Unavailable)].into_iter().chain([Answer::AtMost(3); 20]),
            );
            let exporter = script.exporter().layer(SanitizeLayer::nothing().deny_if(|_| true));
            assert!(exporter.export(batch(10)).await.is_err());
            let sent = Arc::new(snapshot((0..10).map(|at| (at, at as u64))));
            let receipt = send(&exporter, batch_of(Signal::Metrics(sent))).await.unwrap();
            assert_eq!(receipt.accepted, 10);
            let batches = script.batches();
            assert!(
                batches.len() >= 4
                    && batches
                        .windows(2)
                        .all(|two| { Arc::ptr_eq(two[0].metrics().unwrap(), two[1].metrics().unwrap()) })
            );
            let values: Vec<Number> = batches
                .iter()
                .flat_map(|batch| {
                    let slice = batch.metrics().unwrap().slice(batch.range());
                    slice.metrics.into_iter().flat_map(|metric| match metric.data {
                        Data::Sum(sum) => sum.points.into_iter().map(|point| point.change),
                        _ => unreachable!(),
                    })
                })
                .collect();
            assert_eq!(values, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9].map(Number::U64));
        });
    }

    #[test]
    fn a_function_that_panics_costs_the_batch_alone() {
        paused(async {
            let memory = MemoryExporter::new();
            let layer = SanitizeLayer::nothing().deny_if(|attribute| match attribute.value {
                Value::I64(0) => panic!("on purpose"),
                _ => false,
            });
            let exporter = AnyExporter::new(memory.clone()).layer(layer);
            let panicked = tokio::spawn({
                let exporter = exporter.clone();
                async move { exporter.export(batch(2)).await }
            });
            assert!(panicked.await.unwrap_err().is_panic());
            let good = batch_of(Signal::Metrics(Arc::new(snapshot([(1, 1), (2, 1)]))));
            exporter.export(good).await.unwrap();
            assert_eq!(changes(&memory.take().remove(0)), [(2, 1), (1, 1)]);
        });
    }
}
