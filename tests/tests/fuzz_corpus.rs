//! What the fuzzers found worth keeping, once more through the functions that they call.

#[expect(unreachable_pub, reason = "it is a library elsewhere")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use proptest::{collection::vec, prelude::*};
use std::{fs, path::Path};

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        // Shown where one fails.
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
}

#[test]
fn configurations() {
    replay("configuration", fuzz::configuration);
}

#[test]
fn environments() {
    replay("environment", fuzz::environment);
}

#[test]
fn records() {
    replay("record", fuzz::record);
}

#[test]
fn headers() {
    replay("retry_after", fuzz::retry_after);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The fuzzer's own documents, without its patience.
    #[test]
    fn settings_of_opentelemetry(bytes in vec(any::<u8>(), 0..600)) {
        fuzz::configuration(&[&[3], &*bytes].concat());
    }
}
