//! Journals on a real file system: rotation, limits, repair, and what goes wrong with disks.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A directory that goes when the test ends.
#[derive(Debug)]
pub(crate) struct Temp(pub(crate) PathBuf);

impl Temp {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("exporters-journal-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// Names and contents, in the order of the names.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .filter(|path| path.is_file())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn contents(&self) -> Vec<String> {
        self.files().into_iter().map(|(_, text)| text).collect()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(directory: &Path) -> Options {
    Options {
        directory: directory.to_owned(),
        prefix: "p".into(),
        extension: "x",
        durability: Durability::Synced,
        period: None,
        max_file: None,
        max_total: None,
        when_full: WhenFull::DeleteOldest,
        retention: None,
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// A journal under a clock that is driven by hand.
struct ByHand(Options, State);

impl ByHand {
    fn new(options: Options) -> Self {
        Self(options, State::default())
    }

    fn append(&mut self, line: &str, seconds: u64) -> io::Result<u64> {
        Ok(self.1.append(&self.0, line.as_bytes(), at(seconds))?.total)
    }
}

#[test]
fn a_period_has_its_file_and_another_process_goes_on_with_it() {
    let temp = Temp::new();
    let hourly = Options { period: Some(Duration::from_secs(3600)), ..options(&temp.0) };
    let mut journal = ByHand::new(hourly.clone());
    journal.append("a\n", 0).unwrap();
    journal.append("b\n", 2799).unwrap();
    journal.append("c\n", 2800).unwrap();
    ByHand::new(hourly).append("d\n", 2801).unwrap();
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let expected =
        [file("p-20231114T220000Z-000001.x", "a\nb\n"), file("p-20231114T230000Z-000001.x", "c\nd\n")];
    assert_eq!(temp.files(), expected);
}

#[test]
fn a_file_is_no_larger_than_it_may_be_but_for_one_line() {
    let temp = Temp::new();
    let mut journal = ByHand::new(Options { max_file: Some(4), ..options(&temp.0) });
    for line in ["a\n", "b\n", "c\n", "a long line\n", "d\n"] {
        journal.append(line, 0).unwrap();
    }
    assert_eq!(temp.contents(), ["a\nb\n", "c\n", "a long line\n", "d\n"]);
}

#[test]
fn where_all_are_too_large_the_oldest_go_or_nothing_more_comes() {
    for when_full in [WhenFull::DeleteOldest, WhenFull::Refuse] {
        let temp = Temp::new();
        let limits = Options { max_file: Some(4), max_total: Some(8), when_full, ..options(&temp.0) };
        let mut journal = ByHand::new(limits.clone());
        fs::write(temp.0.join("p-of-somebody-else.x"), "not ours, whatever its size").unwrap();
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            journal.append(line, 0).unwrap();
        }
        // One that has just begun knows no less.
        for mut journal in [journal, ByHand::new(limits)] {
            match when_full {
                WhenFull::DeleteOldest => assert_eq!(journal.append("e\n", 1).unwrap(), 6),
                WhenFull::Refuse => {
                    assert_eq!(journal.append("e\n", 1).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
                }
            }
            if when_full == WhenFull::DeleteOldest {
                break;
            }
        }
        let contents = temp.contents();
        let (_, ours) = contents.split_last().unwrap();
        match when_full {
            WhenFull::DeleteOldest => assert_eq!(ours, ["c\nd\n", "e\n"]),
            WhenFull::Refuse => {
                assert_eq!(ours, ["a\nb\n", "c\nd\n"]);
                // There is room again when somebody made some.
                fs::remove_file(temp.0.join(&temp.files()[0].0)).unwrap();
                let mut journal = ByHand::new(Options { max_total: Some(8), when_full, ..options(&temp.0) });
                assert_eq!(journal.append("e\n", 1).unwrap(), 6);
            }
        }
    }
}

#[test]
fn what_is_too_old_goes_when_a_file_begins() {
    let temp = Temp::new();
    let retention = Some(Duration::from_secs(60));
    let begin = SystemTime::now().duration_since(at(0)).unwrap().as_secs();
    let mut journal = ByHand::new(Options { retention, max_file: Some(2), ..options(&temp.0) });
    journal.append("a\n", begin).unwrap();
    journal.append("b\n", begin + 30).unwrap();
    assert_eq!(temp.contents(), ["a\n", "b\n"]);
    journal.append("c\n", begin + 100).unwrap();
    assert_eq!(temp.contents(), ["c\n"]);
}

#[test]
fn what_a_killed_process_left_of_a_line_is_cut_off() {
    let torn = "x".repeat(10_000);
    for (left, sound) in
        [("a\nb\nc", "a\nb\n"), ("a\n", "a\n"), ("", ""), ("torn", ""), (&format!("a\n{torn}"), "a\n")]
    {
        let temp = Temp::new();
        for name in ["p-20231114T220000Z-000001.x", "p-20231114T220000Z-000002.x"] {
            fs::write(temp.0.join(name), left).unwrap();
        }
        ByHand::new(options(&temp.0)).append("next\n", 0).unwrap();
        assert_eq!(temp.contents(), [sound.to_owned(), format!("{sound}next\n")]);
    }
}

#[test]
fn a_file_that_somebody_works_with_is_left_alone() {
    let temp = Temp::new();
    let mut journal = ByHand::new(Options { max_total: Some(3), ..options(&temp.0) });
    journal.append("a\n", 0).unwrap();
    let path = temp.0.join(&temp.files()[0].0);
    let held = open(&path, |options| options).unwrap().expect("nobody holds it");
    journal.append("b\n", 1).unwrap();
    assert_eq!(temp.contents(), ["a\n", "b\n"], "neither written to nor deleted");
    drop(held);
    journal.append("c\n", 2).unwrap();
    assert_eq!(temp.contents(), ["b\nc\n"]);
}

#[test]
fn nobody_else_may_read_and_no_link_leads_away() {
    let temp = Temp::new();
    let directory = temp.0.join("new/inner");
    let mut journal = ByHand::new(options(&directory));
    journal.append("a\n", 0).unwrap();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
    let file = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(&directory), mode(&temp.0.join("new")), mode(&file)), (0o700, 0o700, 0o600));

    let elsewhere = temp.0.join("elsewhere");
    fs::write(&elsewhere, "before\n").unwrap();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    journal.append("b\n", 0).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "before\n");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
}

#[test]
fn a_directory_that_is_gone_is_made_again() {
    let temp = Temp::new();
    let directory = temp.0.join("inner");
    let mut journal = ByHand::new(options(&directory));
    journal.append("a\n", 0).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    journal.append("b\n", 0).unwrap();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    // It cannot be: there is a file in its place.
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "").unwrap();
    assert!(journal.append("c\n", 0).is_err());
    fs::remove_file(&directory).unwrap();
    journal.append("d\n", 0).unwrap();
    let file = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(file).unwrap(), "d\n");
}

#[test]
fn a_file_deleted_under_the_writer_acknowledges_nothing() {
    let temp = Temp::new();
    let path = temp.0.join("f");
    let file = open(&path, |options| options.create_new(true)).unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(write(&file, b"a\n", Durability::Synced).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn it_works_with_tokio_and_without() {
    let temp = Temp::new();
    let journal = Journal::new(options(&temp.0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        // Dropped while it waits for its turn: nothing is written.
        let held = journal.0.state.clone().lock_owned().await;
        let mut waiting = Box::pin(journal.append(b"never\n".to_vec()));
        std::future::poll_fn(|cx| {
            assert!(waiting.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop((waiting, held));
        assert_eq!(journal.append(b"a\n".to_vec()).await.unwrap(), 2);
    });
    let mut without = Box::pin(async {
        journal.append(b"b\n".to_vec()).await?;
        journal.sync().await
    });
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(())) = without.as_mut().poll(&mut cx) else { panic!("it waits, or fails") };
    assert_eq!(temp.contents(), ["a\nb\n"]);
}

#[test]
fn lines_are_read_as_they_were_written_and_none_is_too_long() {
    let temp = Temp::new();
    let path = temp.0.join("f");
    let all = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut lines = read::Lines::new(File::open(&path).unwrap(), 4);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.at, line.text.map(|text| String::from_utf8(text).unwrap())));
        }
        all
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(all("a\n\nabc\ntorn"), [(0, some("a\n")), (2, some("\n")), (3, some("abc\n"))]);
    assert_eq!(all("abcd\nb\n"), [(0, None), (5, some("b\n"))]);
    assert_eq!(all("0123456789\nabc\n"), [(0, None), (11, some("abc\n"))]);
    assert_eq!(all(""), []);
}

#[test]
fn a_number_that_nobody_can_count_up_is_not_ours() {
    let temp = Temp::new();
    let period = Some(Duration::from_secs(3600));
    let mut journal = ByHand::new(Options { period, max_file: Some(1), ..options(&temp.0) });
    journal.append("a\n", 0).unwrap();
    let (name, _) = temp.files().pop().unwrap();
    let stamp = name.split('-').nth(1).unwrap();
    fs::write(temp.0.join(format!("p-{stamp}-{}.x", u64::MAX)), "b\n").unwrap();
    journal.1 = State::default();
    journal.append("c\n", 0).unwrap();
    assert_eq!(temp.files().len(), 3);
}
