//! Spools under `kill -9`, and on a disk that refuses.

use super::*;
use std::{
    collections::HashSet,
    env,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::Instant,
};

const SCENARIO: &str = "EXPORTERS_SPOOL_TEST";

fn kills() -> usize {
    if full() { 200 } else { 20 }
}

/// This program, as a child that does nothing else.
fn child(scenario: &str, directory: &Path, number: usize) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "spool::tests::killed::as_a_child", "--nocapture"])
        .env(SCENARIO, format!("{scenario} {number} {}", directory.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// No test, but what a child does.
#[test]
fn as_a_child() {
    let Ok(scenario) = env::var(SCENARIO) else { return };
    let mut parts = scenario.splitn(3, ' ');
    let (scenario, number, directory) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
    match scenario {
        Some("write") => write_on(Path::new(directory), number.parse().unwrap()),
        Some("limit") => limit(Path::new(directory)),
        Some("permissions") => permissions(),
        scenario => panic!("{scenario:?}"),
    }
}

fn small(directory: &Path) -> SpoolConfig {
    SpoolConfig { max_size: 3_000_000, ..SpoolConfig::new(directory) }
}

/// What a child has to say: one write, and a line feed first, since the harness says something too.
fn tell(what: &str, sequence: u64) {
    std::io::stdout().write_all(format!("\n@ {what} {sequence}\n").as_bytes()).unwrap();
}

/// Takes what is left, and writes more, and is done with most of it, until it is killed.
fn write_on(directory: &Path, number: u64) {
    let began = Instant::now();
    let spool = Spool::open(&small(directory), "leg").unwrap();
    let mut held = Vec::new();
    let next = |held: &mut Vec<_>| {
        let (record, read) = run(spool.next_left()).unwrap()?;
        let sequence = read.id().sequence;
        assert_same(&read, &batch(sequence));
        tell("left", sequence);
        held.push((sequence, record));
        Some(())
    };
    let mut more = next(&mut held);
    tell("opened", began.elapsed().as_millis() as u64);
    let mut random = RandomState::new().hash_one(()) | 1;
    for sequence in number << 32.. {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if more.is_some() && random & 1 == 0 {
            more = next(&mut held);
        }
        tell("begin", sequence);
        let record = run(spool.append(&batch(sequence))).unwrap();
        tell("appended", sequence);
        held.push((sequence, record));
        while held.len() > 20 || (random & 6 == 0 && !held.is_empty()) {
            let (sequence, record) = held.swap_remove(random as usize % held.len());
            assert_same(&run(spool.read(&record)).unwrap(), &batch(sequence));
            tell("doing", sequence);
            run(spool.done(record));
            tell("done", sequence);
            random = random.rotate_right(3);
        }
        assert_eq!(spool.stats().corrupt, 0);
    }
}

/// Kills it when it has said so many lines; gives all that it said to the end.
fn kill_after(mut child: Child, lines: usize) -> Vec<(String, u64)> {
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said = said.filter_map(|line| {
        let (what, sequence) = line.strip_prefix("@ ")?.split_once(' ')?;
        Some((what.to_owned(), sequence.parse().unwrap()))
    });
    let mut all: Vec<_> = said.by_ref().take(lines).collect();
    child.kill().unwrap();
    all.extend(said);
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "it ended by itself: {status}");
    all
}

#[test]
fn a_killed_process_loses_nothing_and_sends_nothing_twice() {
    let temp = Temp::new();
    let [mut begun, mut appended, mut doing, mut done] = [(); 4].map(|()| HashSet::new());
    let mut slowest = 0;
    for number in 1..=kills() {
        let lines = RandomState::new().hash_one(()) as usize % 150 + 1;
        for (what, sequence) in kill_after(child("write", &temp.0, number).spawn().unwrap(), lines) {
            match &*what {
                "left" => {
                    assert!(!done.contains(&sequence), "{sequence} was done");
                    assert!(begun.contains(&sequence), "{sequence} was never written");
                }
                "opened" => slowest = slowest.max(sequence),
                "begin" => _ = begun.insert(sequence),
                "appended" => _ = appended.insert(sequence),
                "doing" => _ = doing.insert(sequence),
                "done" => _ = done.insert(sequence),
                what => panic!("{what}"),
            }
        }
    }
    let spool = Spool::open(&small(&temp.0), "leg").unwrap();
    let found: HashSet<u64> = sequences(&spool).into_iter().collect();
    assert_eq!(spool.stats().corrupt, 0);
    let lost: Vec<_> = appended.difference(&doing).filter(|sequence| !found.contains(sequence)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let again: Vec<_> = found.intersection(&done).collect();
    assert!(again.is_empty(), "again: {again:?}");
    assert!(slowest <= 1000, "{slowest} ms");
    let (kills, appended, done, found) = (kills(), appended.len(), done.len(), found.len());
    assert!(done > kills && found > 0);
    println!("{kills} kills, {appended} appended, {done} done, {found} left, opened in {slowest} ms at most");
}

/// Every line ends in the middle once, at each of its bytes, since no file may be larger.
fn limit(directory: &Path) {
    // SAFETY: the handler is none, and the limit is this process's own.
    let set = |soft| unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit);
        limit.rlim_cur = soft;
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    };
    let open = || Spool::open(&SpoolConfig::new(directory), "leg").unwrap();
    // The same each time, its length too.
    let batch = batch(0);
    let len = crate::encode::record::encode(&batch, None).unwrap().len() as u64;
    let (mut spool, mut there) = (open(), 0);
    for short in (1..=len).step_by(if full() { 1 } else { 7 }) {
        let before = spool.stats().bytes;
        set(before + len - short);
        let error = run(spool.append(&batch)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        set(before + len);
        if short % 3 == 0 {
            drop(spool);
            spool = open();
            assert_eq!((sequences(&spool).len(), spool.stats().torn), (there, 0));
        }
        if short % 2 == 0 {
            run(spool.append(&batch)).unwrap();
            there += 1;
        }
    }
    drop(spool);
    let spool = open();
    assert_eq!((sequences(&spool).len(), spool.stats().corrupt), (there, 0));
    tell("limited", 0);
}

fn permissions() {
    // SAFETY: this process is a child that does nothing else.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!((libc::setgid(65_534), libc::setuid(65_534)), (0, 0));
        }
    }
    hostile::what_may_not_be_read_stays();
    tell("permitted", 0);
}

fn assert_says(scenario: &str, said: &str) {
    let temp = Temp::new();
    let output = child(scenario, &temp.0, 0).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && out.contains(said),
        "{out}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_disk_that_refuses_tears_no_line_and_is_written_again() {
    assert_says("limit", "@ limited 0");
}

#[test]
fn what_may_not_be_read_stays() {
    assert_says("permissions", "@ permitted 0");
}
