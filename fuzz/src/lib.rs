//! What is fuzzed, and what must hold; also what the ordinary tests replay the corpora through.

mod document;
mod opentelemetry;
mod zoo;

use document::{CANARY, Document};
use exporters::{
    __private::{
        fuzz::{self, World},
        http, record_again,
    },
    Error,
};
use std::{
    fs,
    path::PathBuf,
    str,
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

/// The only folder there is, with one secret in it.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join("exporters-fuzz");
    fs::create_dir_all(&folder).expect("a folder for secrets");
    fs::write(folder.join("token"), CANARY).expect("a secret");
    folder
});

/// Where an error repeats a name that somebody gave, or a path, which is meant to be seen.
const NAMES: [&str; 6] =
    [", kind: ", ", exporter: ", ", metric: ", ", file: ", ", endpoint: ", "is not set; set it"];

/// Where something is wrong: in the file, in a variable, or outside of the folder.
const PLACES: [&str; 4] = ["fuzz.yaml", "PROFILING_", "OTEL_", "only files in the folder"];

/// What a person is told of an error: little, in one line, and no value.
fn check(result: Result<(), Error>, with_canary: bool) {
    let Err(error) = result else { return };
    let text = error.to_string();
    check_text(&text);
    let names = NAMES.iter().any(|name| text.contains(name));
    assert!(!with_canary || names || !text.contains(CANARY), "{text}");
}

fn check_text(text: &str) {
    assert!(!text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{text:?}");
    assert!(text.len() < 4096, "{} bytes: {text}", text.len());
}

fn world<R>(more: &[(String, String)], run: impl FnOnce(World<'_>) -> R) -> R {
    let folder = FOLDER.to_string_lossy();
    let mut variables = vec![("V", CANARY), ("FOLDER", &folder), ("PORT", "9464")];
    variables.extend(more.iter().map(|(name, text)| (&**name, &**text)));
    run(World { variables: &variables, folder: &FOLDER })
}

/// A text as it is; after a byte of 0 to 3, a document made of the bytes, or other types.
pub fn configuration(data: &[u8]) {
    if let [3, rest @ ..] = data {
        return opentelemetry(rest);
    }
    let (document, zoo) = match data {
        [0, rest @ ..] => (Document::of(rest, document::CONFIGURATION), false),
        [1, rest @ ..] => (Document::of(rest, document::ZOO), true),
        [2, rest @ ..] => (Document::raw(rest), true),
        text => (Document::raw(text), false),
    };
    let Some(Document { text, variables, with_canary }) = document else { return };
    let result = world(&variables, |world| match zoo {
        true => fuzz::settings::<zoo::Zoo>(&text, world).map(drop),
        false => fuzz::configuration(Some(&text), world),
    });
    check(result, with_canary);
}

/// Settings of an exporter to OpenTelemetry, of whose secrets no error says anything.
fn opentelemetry(bytes: &[u8]) {
    let Ok((text, variables)) = opentelemetry::document(bytes) else { return };
    let folder = FOLDER.to_string_lossy();
    let variables: Vec<_> =
        variables.into_iter().map(|(name, value)| (name, value.replace("${FOLDER}", &folder))).collect();
    let Err(error) = world(&variables, |world| fuzz::configuration(Some(&text), world)) else { return };
    let told = error.to_string();
    check_text(&told);
    assert!(!told.contains(CANARY), "{told}\n{text}{variables:?}");
    assert!(PLACES.iter().any(|place| told.contains(place)), "{told}\n{text}{variables:?}");
}

/// Lines of `NAME=value`, with `\n` for a line break; of all kinds, and of types of another program.
pub fn environment(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let folder = FOLDER.to_string_lossy();
    let variable = |line: &str| {
        let (name, text) = line.split_once('=')?;
        Some((name.to_owned(), text.replace("\\n", "\n").replace("${FOLDER}", &folder)))
    };
    let variables: Vec<_> = text.lines().filter_map(variable).collect();
    let with_canary = variables.iter().all(|(name, _)| !name.contains(CANARY));
    check(world(&variables, |world| fuzz::configuration(None, world)), with_canary);
    check(world(&variables, |world| fuzz::settings::<zoo::Zoo>("", world)).map(drop), with_canary);
}

/// All of a record but its checksum: one that is read is written, and that one is read as it was written.
pub fn record(data: &[u8]) {
    if let Some(line) = record_again(data) {
        assert_eq!(record_again(&line), Some(line));
    }
}

/// Eight bytes of the time of day, in seconds, and the header.
pub fn retry_after(data: &[u8]) {
    const CAP: Duration = Duration::from_secs(24 * 60 * 60);
    let Some((seconds, value)) = data.split_first_chunk() else { return };
    let Some(now) = UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_le_bytes(*seconds))) else { return };
    let wait = http::retry_after(value, now);
    assert!(wait.is_none_or(|wait| wait <= CAP), "{wait:?}");
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        let seconds = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        assert_eq!(wait, Some(seconds.map_or(CAP, |seconds| Duration::from_secs(seconds).min(CAP))));
    }
}
