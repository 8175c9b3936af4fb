//! An HTTP backend that is busy and says for how long, in every form that backends have been seen to use.

use super::{LONG, assert_settled, assert_sum, full, tell, work_times};
use exporters::{
    AnyExporter, DeadLetterConfig, HttpConfig, HttpExporter, LegOptions, LegReport, MemoryExporter, Profiler,
    ResilienceConfig, ResilienceLayer, RetryConfig, replay,
};
use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};
use tests::{
    Temp,
    calls::alone,
    hostile::{Asked, Hostile},
    until,
};

/// Without jitter, where the backend does not say when to come back.
const BACKOFF: Duration = Duration::from_millis(100);

/// What the header says.
#[derive(Clone, Copy, Debug)]
enum Form {
    Seconds(u64),
    /// So many seconds from now.
    Date(u64),
    /// It makes no sense, or is not there.
    Nothing(Option<&'static str>),
    /// Longer than anybody waits.
    Ages(&'static str),
    /// The same, as a date.
    DistantDate,
}

impl Form {
    /// The header's value, and how long it is from now.
    fn said(self) -> (Option<String>, Duration) {
        let date = |wait| {
            let text = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(wait));
            // It knows no parts of a second.
            let at = httpdate::parse_http_date(&text).unwrap();
            (Some(text), at.duration_since(SystemTime::now()).unwrap_or_default())
        };
        match self {
            Self::Seconds(wait) => (Some(wait.to_string()), Duration::from_secs(wait)),
            Self::Date(wait) => date(wait),
            Self::Nothing(text) => (text.map(str::to_owned), BACKOFF),
            Self::Ages(text) => (Some(text.to_owned()), Duration::ZERO),
            Self::DistantDate => date(10 * 365 * 24 * 3600),
        }
    }

    fn is_too_long(self) -> bool {
        matches!(self, Self::Ages(_) | Self::DistantDate)
    }
}

#[derive(Debug, Default)]
struct Log {
    not_before: Option<Instant>,
    /// When it was asked, and which batch it was sent.
    asked: Vec<(Instant, String)>,
    /// The calls that it was told of.
    taken: u64,
}

/// Busy when it is asked first, well from then on.
fn answer(
    status: u16,
    form: Form,
    log: &Mutex<Log>,
    asked: &Asked,
    stream: &mut TcpStream,
) -> std::io::Result<()> {
    let mut log = log.lock().unwrap();
    let key = asked.header("idempotency-key").expect("every batch has one").to_owned();
    log.asked.push((Instant::now(), key));
    if log.not_before.is_some() {
        log.taken += std::str::from_utf8(&asked.body).unwrap().parse::<u64>().unwrap();
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    let (header, wait) = form.said();
    log.not_before = Some(Instant::now() + wait);
    let header = header.map(|value| format!("Retry-After: {value}\r\n")).unwrap_or_default();
    stream.write_all(format!("HTTP/1.1 {status} Busy\r\n{header}Content-Length: 0\r\n\r\n").as_bytes())
}

/// A leg, its backend, and its dead letters, where it has resilience.
struct Case {
    name: String,
    form: Form,
    server: Hostile,
    log: Arc<Mutex<Log>>,
    dead_letters: Option<Temp>,
}

impl Case {
    fn new(status: u16, form: Form, resilient: bool) -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let of = log.clone();
        let server = Hostile::start(move |asked, stream| answer(status, form, &of, asked, stream));
        let name = format!("{status} {form:?} {resilient}");
        Self { name, form, server, log, dead_letters: resilient.then(Temp::new) }
    }

    /// Sends the number of calls, and nothing else.
    fn exporter(&self) -> AnyExporter {
        let config = HttpConfig::new(format!("http://{}/in", self.server.address()).parse().unwrap());
        let http = HttpExporter::new(config).unwrap();
        let http =
            AnyExporter::new(http.with_transformer(|metrics| metrics.function("work").latency().count()));
        let Some(temp) = &self.dead_letters else { return http };
        let config = ResilienceConfig {
            retry: RetryConfig { initial_delay: BACKOFF, jitter: false, ..RetryConfig::default() },
            dead_letter: Some(DeadLetterConfig::file(&temp.0)),
            ..ResilienceConfig::default()
        };
        http.layer(ResilienceLayer::new(config).unwrap())
    }

    fn times_asked(&self) -> usize {
        self.log.lock().unwrap().asked.len()
    }

    /// How late it was asked again; nothing where it was not to be asked.
    fn check(&self, leg: &LegReport, calls: u64) -> Option<Duration> {
        assert_settled(leg);
        let log = self.log.lock().unwrap();
        let ledger = leg.ledger;
        assert_eq!(ledger.exported + ledger.merged + ledger.dead_lettered, ledger.accepted, "{}", self.name);
        let [(_, first), (again, second)] = [&log.asked[0], &log.asked[1]];
        if self.form.is_too_long() {
            assert!(ledger.dead_lettered > 0, "{}", self.name);
            assert!(log.asked[1..].iter().all(|(_, key)| key != first), "{}", self.name);
            let memory = MemoryExporter::with_capacity(usize::MAX);
            replay(&self.dead_letters.as_ref()?.0, AnyExporter::new(memory.clone())).unwrap();
            assert_sum(&memory.batches(), calls - log.taken);
            return None;
        }
        assert_eq!((first, log.taken, ledger.dead_lettered), (second, calls, 0), "{}", self.name);
        let early = log.not_before?.saturating_duration_since(*again);
        assert!(early.is_zero(), "{}: {early:?} early", self.name);
        Some(again.saturating_duration_since(log.not_before?))
    }
}

#[test]
fn a_backend_that_says_when_to_come_back_is_not_asked_earlier() {
    let _alone = alone();
    let wait = if full() { 10 } else { 1 };
    let says = [Form::Seconds(wait), Form::Date(wait + 1)];
    let nothing = [None, Some("-1"), Some("soon"), Some("1.5"), Some("+1"), Some("")].map(Form::Nothing);
    let ages = [Form::Ages("315360000"), Form::Ages("99999999999999999999999999"), Form::DistantDate];
    let cases: Vec<_> = [429, 503]
        .into_iter()
        .flat_map(|status| {
            let resilient =
                says.into_iter().chain(nothing).chain(ages).map(move |form| Case::new(status, form, true));
            says.into_iter().map(move |form| Case::new(status, form, false)).chain(resilient)
        })
        .collect();
    let mut builder = Profiler::builder().interval(Duration::from_millis(20));
    for case in &cases {
        builder = builder.exporter_with(case.exporter(), LegOptions::default().with_name(&case.name));
    }
    let profiler = builder.start().unwrap();
    let mut calls = 0;
    until("everybody is asked again", || {
        work_times(10);
        calls += 10;
        let waits =
            cases.iter().filter(|case| case.times_asked() < if case.form.is_too_long() { 1 } else { 3 });
        let waits: Vec<_> = waits.map(|case| &case.name).collect();
        if waits.is_empty() { Ok(()) } else { Err(format!("{waits:?}")) }
    });
    let left_alone = cases.iter().filter(|case| case.form.is_too_long());
    left_alone.for_each(|case| assert_eq!(case.times_asked(), 1, "{}", case.name));
    let report = profiler.shutdown(LONG);
    let late: Vec<_> = cases
        .iter()
        .zip(&report.legs)
        .filter_map(|(case, leg)| Some((case, case.check(leg, calls)?)))
        .collect();
    let of_those = |case: &Case| matches!(case.form, Form::Seconds(_) | Form::Date(_));
    let latest = late.iter().filter(|(case, _)| of_those(case)).map(|(_, late)| *late).max().unwrap();
    assert!(!full() || latest <= Duration::from_secs(wait) / 10, "{latest:?}");
    let aside = cases.iter().filter(|case| case.form.is_too_long()).count();
    tell(
        "429 and 503, `Retry-After` in 11 forms",
        "not asked earlier, at most 10 % later; of more than 300 s a dead letter, and left alone; of nonsense the usual wait",
        format_args!(
            "0 of {} earlier, {latest:.3?} later at most, {aside} of {aside} a dead letter, sums exact",
            late.len()
        ),
    );
}
