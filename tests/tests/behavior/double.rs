//! What a double of a backend can do.

use exporters::{AnyExporter, BatchId, Data, ErrorKind, ExponentialHistogram, ProfileMetrics};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

/// A backend that is not the real one: it takes what it is sent, decodes it, and answers as it is told.
pub(crate) trait Double: std::panic::RefUnwindSafe {
    /// The kind of exporter that sends to it.
    fn kind(&self) -> &'static str;
    /// An exporter that sends to it.
    fn exporter(&self) -> AnyExporter;
    /// Everything it has taken, in sum.
    fn seen(&self) -> Seen;
    /// Has the next requests answered so, then well. False where there are no requests that could be answered.
    fn script(&self, answers: &[Answer]) -> bool {
        let _ = answers;
        false
    }
    /// What an answer of this kind becomes.
    fn becomes(&self, answer: Answer) -> ErrorKind {
        match answer {
            Answer::Status(401 | 403, _) => ErrorKind::Unauthorized,
            Answer::Status(413, _) => ErrorKind::PayloadTooLarge,
            Answer::Status(429, _) => ErrorKind::RateLimited,
            Answer::Status(500 | 502 | 503 | 504, _) | Answer::Close | Answer::Reset => {
                ErrorKind::Unavailable
            }
            Answer::Status(..) => ErrorKind::Rejected,
            Answer::Stall | Answer::AtMost(_) => ErrorKind::Timeout,
        }
    }
    /// Of a route: what the backend beside this one has taken.
    fn seen_beside(&self) -> Option<Seen> {
        None
    }
    /// Whether what it shows is the latest total, not a sum of changes.
    fn cumulative(&self) -> bool {
        false
    }
    /// The identities of the batches it has taken, where they are sent.
    fn ids(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a backend says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// With the seconds of `Retry-After`.
    Status(u16, Option<u64>),
    /// 413, where the body is larger; else well. It is said for ever.
    AtMost(usize),
    /// Closes the connection.
    Close,
    /// Breaks off: with RST, or in HTTP/2 by a reset of the stream.
    Reset,
    /// Nothing, for as long as the client waits.
    Stall,
}

/// The answers that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<VecDeque<Answer>>);

impl Script {
    pub(crate) fn set(&self, answers: &[Answer]) {
        *self.0.lock().unwrap() = answers.iter().copied().collect();
    }

    /// The answer to a body of so many bytes; well, if it is none.
    pub(crate) fn next(&self, bytes: usize) -> Option<Answer> {
        let mut answers = self.0.lock().unwrap();
        match answers.front().copied() {
            Some(Answer::AtMost(most)) => (bytes > most).then_some(Answer::Status(413, None)),
            _ => answers.pop_front(),
        }
    }
}

/// What there is to say of the functions of [`snapshot`]: calls by function and result, timed calls by function.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) calls: BTreeMap<(String, String), u64>,
    pub(crate) durations: BTreeMap<String, u64>,
}

impl Seen {
    pub(crate) fn add_calls(&mut self, function: &str, result: &str, calls: u64) {
        if calls > 0 {
            *self.calls.entry((function.to_owned(), result.to_owned())).or_default() += calls;
        }
    }

    pub(crate) fn add_durations(&mut self, function: &str, calls: u64) {
        if calls > 0 {
            *self.durations.entry(function.to_owned()).or_default() += calls;
        }
    }

    /// What a snapshot says: its changes, or its totals.
    pub(crate) fn of(metrics: &ProfileMetrics, totals: bool) -> Self {
        let mut seen = Self::default();
        if let Some(Data::Sum(sum)) = metrics.metric("function.calls").map(|metric| &metric.data) {
            for point in &sum.points {
                let text = |key| point.series.attributes.get_str(key).unwrap_or_default();
                let value = if totals { point.total } else { point.change };
                seen.add_calls(text("function"), text("result"), value.as_f64() as u64);
            }
        }
        let durations = metrics.metric("function.calls.duration").map(|metric| &metric.data);
        if let Some(Data::ExponentialHistogram(points)) = durations {
            for point in points {
                let function = point.series.attributes.get_str("function").unwrap_or_default();
                let histogram: &ExponentialHistogram = if totals { &point.total } else { &point.change };
                seen.add_durations(function, histogram.count());
            }
        }
        seen
    }

    /// What came later stands in the place of what came before.
    pub(crate) fn replace(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.durations.extend(other.durations);
    }

    pub(crate) fn plus(&mut self, other: &Self) {
        other.calls.iter().for_each(|((function, result), calls)| self.add_calls(function, result, *calls));
        other.durations.iter().for_each(|(function, calls)| self.add_durations(function, *calls));
    }
}

/// Two functions, called so often that every number is another one.
pub(crate) fn record() -> ProfileMetrics {
    #[exporters::profiled]
    fn charge(ok: bool) -> Result<(), std::fmt::Error> {
        if ok { Ok(()) } else { Err(std::fmt::Error) }
    }
    #[exporters::profiled]
    fn refund() {}
    let profiler = exporters::test();
    for n in 0..17 {
        let _ = charge(n % 5 != 0);
    }
    (0..7).for_each(|_| refund());
    let mut metrics = profiler.snapshot();
    // Only what this test is about: not the functions of the others in this program.
    for metric in &mut metrics.metrics {
        let ours = |function: Option<&str>| matches!(function, Some("charge" | "refund"));
        match &mut metric.data {
            Data::Sum(sum) => sum.points.retain(|p| ours(p.series.attributes.get_str("function"))),
            Data::Gauge(points) => points.retain(|p| ours(p.series.attributes.get_str("function"))),
            Data::ExponentialHistogram(points) => {
                points.retain(|p| ours(p.series.attributes.get_str("function")));
            }
            _ => {}
        }
    }
    metrics
}

pub(crate) fn id(sequence: u64) -> BatchId {
    BatchId { instance: 7, leg: "leg".into(), sequence, part: 0 }
}

/// Runs a future as a leg does. No future takes longer than this, unless it hangs.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs") })
}
