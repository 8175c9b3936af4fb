//! `DeadLetterLayer`: what can't be sent any more is put aside in files, to be replayed.

use super::forward;
use crate::{
    AnyExporter, Batch, Capability, Durability, Error, ErrorKind, Exporter, Info, Layer, Receipt, Result,
    encode::{
        Rfc3339,
        record::{self, Letter},
    },
    exporter::{LONGEST_PAUSE, Pause},
    foreign::{caught, tell},
    journal::{self, Journal, WhenFull},
};
use serde::Deserialize;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Where dead letters go.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeadLetterConfig {
    /// What keeps them.
    #[serde(rename = "type")]
    pub kind: DeadLetterKind,
    /// Its settings.
    pub config: DeadLetterFile,
}

/// What keeps dead letters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadLetterKind {
    /// Files.
    File,
}

/// Files with dead letters.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFile {
    /// Where they are. It is made when the first one is, for the process's own user alone.
    #[serde(alias = "output_directory")]
    pub directory: PathBuf,
    /// The most bytes of all of them. Then no more are taken: what was put aside stays until it is replayed. Default: 1 GB.
    #[serde(default = "max_size", alias = "max_size_mb", deserialize_with = "crate::size::deserialize")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub max_size: u64,
}

const fn max_size() -> u64 {
    1_000_000_000
}

impl DeadLetterConfig {
    /// The defaults, for files in `directory`.
    pub fn file(directory: impl Into<PathBuf>) -> Self {
        let config = DeadLetterFile { directory: directory.into(), max_size: max_size() };
        Self { kind: DeadLetterKind::File, config }
    }
}

/// Puts a batch aside that can't be sent any more, on the disk, with the reason; [`replay`](crate::replay()) sends it later. It is
/// for the outside of all layers.
///
/// That is so for a batch
/// - whose error [no repetition would cure](Error::is_retryable), except one that is too large and can be split,
/// - whose exporter panicked,
/// - whose backend asks to be left alone for more than five minutes,
/// - that fails when its [deadline](Batch::deadline) is set, or is not done when that passes.
///
/// A backend that asks for more than five minutes is left alone for these.
///
/// Any other error is passed on, since whoever sends holds the batch and sends it again. So is the error of a batch that
/// can't be put aside, because the disk or [`max_size`](DeadLetterFile::max_size) is full: it then is not lost in silence, but counted
/// by who sent it. A dead letter holds the batch, the exporter's kind and name, the error's kind and message, the
/// number of attempts and the time; no setting of an exporter.
///
/// ```
/// # use exporters::{AnyExporter, DeadLetterConfig, DeadLetterLayer, MemoryExporter};
/// # fn main() -> Result<(), exporters::Error> {
/// let dead_letters = DeadLetterLayer::new(DeadLetterConfig::file("/var/log/profiling/dlq"))?;
/// let exporter = AnyExporter::new(MemoryExporter::new()).layer(dead_letters.clone());
/// assert_eq!(dead_letters.stats().items, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct DeadLetterLayer(Arc<DeadLetters>);

/// What became of dead letters since the layer was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeadLetterStats {
    /// Batches put aside.
    pub batches: u64,
    /// Their items.
    pub items: u64,
    /// Items that could not be put aside.
    pub refused: u64,
    /// Bytes of all files, when one was written last.
    pub bytes: u64,
    /// Why it could not be written, where that was so the last time.
    pub last_error: Option<String>,
}

#[derive(Debug)]
struct DeadLetters {
    journal: Journal,
    stats: Mutex<DeadLetterStats>,
}

impl DeadLetterLayer {
    /// Touches no file before the first dead letter.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where there is no directory.
    pub fn new(config: DeadLetterConfig) -> Result<Self> {
        let DeadLetterFile { directory, max_size } = config.config;
        if directory.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "`directory` must not be empty"));
        }
        let journal = Journal::new(journal::Options {
            directory,
            prefix: "dead-letters".to_owned(),
            extension: journal::RECORDS,
            durability: Durability::Synced,
            period: None,
            // Files that are replayed go one by one.
            max_file: Some((max_size / 10).clamp(1, 10_000_000)),
            max_total: Some(max_size),
            when_full: WhenFull::Refuse,
            retention: None,
        });
        Ok(Self(Arc::new(DeadLetters { journal, stats: Mutex::default() })))
    }

    /// What became of dead letters so far.
    pub fn stats(&self) -> DeadLetterStats {
        self.0.stats().clone()
    }
}

impl Layer for DeadLetterLayer {
    fn layer(&self, inner: AnyExporter) -> AnyExporter {
        AnyExporter::new(DeadLetter { inner, letters: self.0.clone(), pause: Pause::default() })
    }
}

impl DeadLetters {
    fn stats(&self) -> MutexGuard<'_, DeadLetterStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put(&self, batch: &Batch, of: Info, error: &Error) -> Result<()> {
        let letter = Letter {
            kind: of.kind.to_owned(),
            name: of.name.into_owned(),
            error: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
            attempts: error.context("attempts").and_then(|attempts| attempts.parse().ok()),
            time: Rfc3339::new(SystemTime::now()).as_str().to_owned(),
        };
        let put = match records(batch, &letter) {
            Ok(lines) => self.journal.append(lines).await,
            Err(error) => Err(error),
        };
        let mut stats = self.stats();
        let items = batch.len() as u64;
        match &put {
            Ok(bytes) => {
                (stats.batches, stats.items) = (stats.batches + 1, stats.items + items);
                (stats.bytes, stats.last_error) = (*bytes, None);
            }
            Err(error) => {
                (stats.refused, stats.last_error) = (stats.refused + items, Some(error.to_string()));
            }
        }
        put.map(drop)
    }
}

/// A record of the batch, or of each of its parts, where one would be too large.
fn records(batch: &Batch, letter: &Letter) -> Result<Vec<u8>> {
    match record::encode(batch, Some(letter)) {
        Err(error) if error.kind() == ErrorKind::PayloadTooLarge => match batch.split(batch.len() / 2) {
            Some((first, rest)) => Ok([records(&first, letter)?, records(&rest, letter)?].concat()),
            None => Err(error),
        },
        lines => lines,
    }
}

#[derive(Debug)]
struct DeadLetter {
    inner: AnyExporter,
    letters: Arc<DeadLetters>,
    pause: Pause,
}

impl DeadLetter {
    /// The exporter's answer; an error too where it panics or has no time.
    async fn answer(&self, batch: &Batch) -> Result<Receipt> {
        let deadline = batch.deadline();
        let late = |message| Err(Error::new(ErrorKind::Timeout, message));
        if deadline.has_passed() {
            return late("there was no time to send it before the end");
        }
        match deadline.limit(caught(|| self.inner.export(batch.clone()))).await {
            Some(answer) => answer.map_err(Error::from).flatten(),
            None => late("the exporter was not done at the end"),
        }
    }
}

/// Whether nobody will send the batch again.
fn is_final(error: &Error, batch: &Batch) -> bool {
    if error.kind() == ErrorKind::PayloadTooLarge && batch.split(batch.len() / 2).is_some() {
        return false;
    }
    if batch.deadline().at().is_some() {
        return true;
    }
    // A breaker that is open will close, however long it takes.
    error.kind() != ErrorKind::CircuitOpen
        && (!error.is_retryable() || error.retry_after().is_some_and(|pause| pause > LONGEST_PAUSE))
}

impl Exporter for DeadLetter {
    forward!(info, health, flush, shutdown);

    fn capability(&self) -> Capability {
        Capability { dead_letters: true, ..self.inner.capability() }
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let paused = self.pause.reason().filter(|_| batch.deadline().at().is_none());
        let answer = match paused {
            Some(error) => Err(error),
            None => self.answer(&batch).await,
        };
        let error = match answer {
            Err(error) if is_final(&error, &batch) => error,
            answer => return answer,
        };
        match self.letters.put(&batch, self.inner.info(), &error).await {
            Ok(()) => {
                self.pause.heed(&error);
                tell!(batch = %batch.id(), items = batch.len(), %error, "put aside as a dead letter");
                Ok(Receipt::dead_lettered(batch.len()))
            }
            Err(why) => Err(error.with_context("dead letter", why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Deadline, RetryConfig, RetryLayer, Settings,
        journal::tests::Temp,
        layers::script::{Answer, Script, batch, paused},
        model::sample::changes,
    };
    use std::time::Duration;
    use tokio::time::Instant;

    /// A script, and dead letters around it.
    fn around(
        temp: &Temp,
        answers: impl IntoIterator<Item = Answer>,
    ) -> (Script, DeadLetterLayer, AnyExporter) {
        let script = Script::new(answers);
        let layer = DeadLetterLayer::new(DeadLetterConfig::file(&temp.0)).unwrap();
        let exporter = script.exporter().layer(layer.clone());
        (script, layer, exporter)
    }

    fn letters(temp: &Temp) -> Vec<(Batch, Letter)> {
        let files = temp.files();
        let lines = files.iter().flat_map(|(_, text)| text.lines());
        let read = lines.map(|line| record::decode(line.as_bytes()).unwrap());
        read.map(|(batch, letter)| (batch, letter.unwrap())).collect()
    }

    #[test]
    fn what_no_repetition_would_cure_is_put_aside_as_it_is() {
        paused(async {
            let kinds = [
                ErrorKind::ConfigInvalid,
                ErrorKind::Encode,
                ErrorKind::Rejected,
                ErrorKind::Unauthorized,
                ErrorKind::Unsupported,
                ErrorKind::Unexpected,
            ];
            let temp = Temp::new();
            let (_, layer, exporter) = around(&temp, kinds.map(Answer::Fail));
            assert!(exporter.capability().dead_letters);
            let batches = kinds.map(|_| batch(4));
            for batch in &batches {
                assert_eq!(exporter.export(batch.clone()).await.unwrap(), Receipt::dead_lettered(4));
            }
            let letters = letters(&temp);
            assert_eq!(letters.len(), batches.len());
            for ((kind, batch), (read, letter)) in kinds.iter().zip(&batches).zip(letters) {
                assert_eq!((read.id(), changes(&read)), (batch.id(), changes(batch)));
                let said = (&*letter.kind, &*letter.name, &*letter.error, &*letter.message, letter.attempts);
                assert_eq!(said, ("script", "script", kind.as_str(), "as the test has it", None));
                assert!(letter.time.ends_with('Z') && letter.time.starts_with("20"), "{}", letter.time);
            }
            let bytes = temp.files().iter().map(|(_, text)| text.len() as u64).sum();
            let stats = DeadLetterStats { batches: 6, items: 24, bytes, ..DeadLetterStats::default() };
            assert_eq!(layer.stats(), stats);
        });
    }

    #[test]
    fn what_can_still_be_sent_is_no_dead_letter() {
        paused(async {
            let kinds = [
                ErrorKind::Unavailable,
                ErrorKind::Timeout,
                ErrorKind::CircuitOpen,
                ErrorKind::PayloadTooLarge,
            ];
            let temp = Temp::new();
            let answers = kinds.map(Answer::Fail).into_iter().chain([Answer::Busy(LONGEST_PAUSE)]);
            let (_, layer, exporter) = around(&temp, answers);
            for kind in kinds {
                assert_eq!(exporter.export(batch(2)).await.unwrap_err().kind(), kind);
            }
            assert_eq!(exporter.export(batch(2)).await.unwrap_err().retry_after(), Some(LONGEST_PAUSE));
            assert_eq!((layer.stats(), temp.files()), Default::default());
        });
    }

    #[test]
    fn a_breaker_that_is_open_for_long_is_waited_for() {
        use crate::{CircuitBreakerConfig, CircuitBreakerLayer};
        paused(async {
            let temp = Temp::new();
            let recovery_timeout = 2 * LONGEST_PAUSE;
            let config =
                CircuitBreakerConfig { failure_threshold: 1, recovery_timeout, ..Default::default() };
            let letters = DeadLetterLayer::new(DeadLetterConfig::file(&temp.0)).unwrap();
            let script = Script::new([Answer::Fail(ErrorKind::Unavailable)]);
            let breaker = CircuitBreakerLayer::new(config).unwrap();
            let exporter = script.exporter().layer(breaker).layer(letters.clone());
            for kind in [ErrorKind::Unavailable, ErrorKind::CircuitOpen] {
                assert_eq!(exporter.export(batch(2)).await.unwrap_err().kind(), kind);
            }
            assert_eq!(letters.stats().items, 0);
        });
    }

    #[test]
    fn a_subscriber_that_panics_costs_nothing() {
        use crate::layers::script::with_bad_subscriber;
        let temp = Temp::new();
        with_bad_subscriber(async {
            let (_, layer, exporter) = around(&temp, [Answer::Fail(ErrorKind::Rejected)]);
            assert_eq!(exporter.export(batch(2)).await.unwrap().dead_lettered, 2);
            assert_eq!(layer.stats().items, 2);
        });
    }

    #[test]
    fn one_item_that_is_too_large_and_a_pause_that_is_too_long_are_final() {
        paused(async {
            let temp = Temp::new();
            let long = LONGEST_PAUSE + Duration::from_secs(1);
            let answers = [Answer::Fail(ErrorKind::PayloadTooLarge), Answer::Busy(long), Answer::Panic];
            let (script, _, exporter) = around(&temp, answers);
            for _ in 0..2 {
                assert_eq!(exporter.export(batch(1)).await.unwrap().dead_lettered, 1);
            }
            // It is left alone nevertheless, and what comes meanwhile is no dead letter.
            let error = exporter.export(batch(1)).await.unwrap_err();
            assert_eq!((error.retry_after(), script.attempts().len()), (Some(LONGEST_PAUSE), 2));
            tokio::time::sleep(LONGEST_PAUSE).await;
            assert_eq!(exporter.export(batch(1)).await.unwrap().dead_lettered, 1);
            let errors: Vec<_> = letters(&temp).into_iter().map(|(_, letter)| letter.error).collect();
            assert_eq!(errors, ["payload_too_large", "rate_limited", "unexpected"]);
        });
    }

    #[test]
    fn at_the_end_everything_that_fails_is_put_aside() {
        paused(async {
            let temp = Temp::new();
            let answers =
                [Answer::Fail(ErrorKind::Unavailable), Answer::Fail(ErrorKind::CircuitOpen), Answer::Never];
            let (script, layer, exporter) = around(&temp, answers);
            let (deadline, began) = (Deadline::open(), Instant::now());
            deadline.set(began + Duration::from_secs(5));
            for attempts in [1, 2, 3, 3, 3] {
                let batch = batch(1).with_deadline(deadline.clone());
                assert_eq!(exporter.export(batch).await.unwrap().dead_lettered, 1);
                assert_eq!(script.attempts().len(), attempts, "not asked when the deadline has passed");
            }
            assert_eq!((began.elapsed(), layer.stats().items), (Duration::from_secs(5), 5));
        });
    }

    #[test]
    fn attempts_are_counted() {
        paused(async {
            let temp = Temp::new();
            let script = Script::new([Answer::Fail(ErrorKind::Unavailable); 9]);
            let layer = DeadLetterLayer::new(DeadLetterConfig::file(&temp.0)).unwrap();
            let config = RetryConfig { jitter: false, ..RetryConfig::default() };
            let exporter = script.exporter().layer(RetryLayer::new(config).unwrap()).layer(layer);
            let deadline = Deadline::open();
            let batch = batch(1).with_deadline(deadline.clone());
            let export = tokio::spawn(async move { exporter.export(batch).await });
            tokio::time::sleep(Duration::from_millis(3500)).await;
            deadline.set(Instant::now() + Duration::from_secs(9));
            assert_eq!(export.await.unwrap().unwrap().dead_lettered, 1);
            assert_eq!(letters(&temp)[0].1.attempts, Some(4));
        });
    }

    #[test]
    fn what_cannot_be_put_aside_is_an_error_and_counted() {
        paused(async {
            let temp = Temp::new();
            let script = Script::new([Answer::Fail(ErrorKind::Rejected); 100]);
            let mut config = DeadLetterConfig::file(&temp.0);
            config.config.max_size = 10_000;
            let layer = DeadLetterLayer::new(config).unwrap();
            let exporter = script.exporter().layer(layer.clone());
            let mut taken = 0;
            let error = loop {
                match exporter.export(batch(1)).await {
                    Ok(receipt) => taken += receipt.dead_lettered,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(error.to_string().contains("all files together would be too large"), "{error}");
            let files = temp.files();
            let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
            assert!(bytes <= 10_000 && files.len() > 2, "{bytes} in {}", files.len());
            let stats = layer.stats();
            assert_eq!((stats.items, stats.refused, stats.bytes), (taken as u64, 1, bytes as u64));
            assert!(stats.last_error.unwrap().contains("too large"));
            assert_eq!(letters(&temp).len(), taken, "what was put aside stays");
            // There is room again, once some of it was replayed.
            std::fs::remove_file(temp.0.join(&files[0].0)).unwrap();
            assert_eq!(exporter.export(batch(1)).await.unwrap().dead_lettered, 1);
            assert_eq!(layer.stats().last_error, None);
        });
    }

    #[cfg(feature = "yaml")]
    #[test]
    fn its_settings_are_read() {
        let read = |text| Settings::from_yaml(text).unwrap().read::<DeadLetterConfig>();
        let mut expected = DeadLetterConfig::file("/d");
        assert_eq!(read("{ type: file, config: { directory: /d } }").unwrap(), expected);
        expected.config.max_size = 5_000_000;
        assert_eq!(
            read("{ type: file, config: { output_directory: /d, max_size_mb: 5 } }").unwrap(),
            expected
        );
        for (wrong, part) in [
            ("{ type: files, config: { directory: /d } }", "type"),
            ("{ type: file, config: {} }", "directory"),
            ("{ type: file, config: { directory: /d, x: 1 } }", "x"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(DeadLetterLayer::new(DeadLetterConfig::file("")).is_err());
    }
}
