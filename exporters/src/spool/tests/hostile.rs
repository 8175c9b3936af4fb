//! Files that somebody changed, and directories that somebody took away.

use super::*;
use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
};

/// A directory with a segment of so many records, and its bytes.
fn written(sequences: std::ops::RangeInclusive<u64>) -> (Temp, PathBuf, Vec<u8>) {
    let temp = Temp::new();
    append(&open(&temp), sequences);
    let path = segments(&temp).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    (temp, path, bytes)
}

/// Another file in its place. To truncate the one that is there would wait for the disk.
fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_byte_that_changed_costs_at_most_one_record() {
    let (temp, path, bytes) = written(1..=3);
    let mut spool = open(&temp);
    // Also where the one in the middle was done.
    let record = left(&spool).remove(1).1;
    run(spool.done(record));
    let with_done = fs::read(&path).unwrap();
    drop(spool);
    for (bytes, expected) in [(bytes, vec![1, 2, 3]), (with_done, vec![1, 3])] {
        for at in 0..bytes.len() {
            let changes = [0x80, b'\n' ^ bytes[at], b' ' ^ bytes[at], 1];
            for change in &changes[..if full() { 4 } else { 1 + at % 2 }] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                put(&path, &changed);
                spool = open(&temp);
                let found = sequences(&spool);
                let lost = expected.iter().filter(|sequence| !found.contains(sequence)).count();
                assert!(lost <= 1, "at {at}, {change}: {found:?}");
                assert!(found.iter().all(|sequence| [1, 2, 3].contains(sequence)), "{found:?}");
                drop(spool);
            }
        }
    }
}

#[test]
fn where_a_line_feed_changed_one_record_is_done_without_the_other() {
    let (temp, path, mut bytes) = written(1..=3);
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    bytes[at] = b'?';
    fs::write(&path, bytes).unwrap();
    for remain in [vec![1, 2, 3], vec![2, 3], vec![3], vec![]] {
        let spool = open(&temp);
        let mut found = left(&spool);
        assert_eq!(found.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), remain);
        assert_eq!(spool.stats().corrupt, 0);
        if !found.is_empty() {
            run(spool.done(found.remove(0).1));
        }
    }
}

#[test]
fn every_end_is_cut_off_and_written_on() {
    let (temp, path, bytes) = written(1..=2);
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for len in 0..=bytes.len() {
        put(&path, &bytes[..len]);
        let spool = open(&temp);
        let whole = [first, bytes.len()].iter().filter(|end| **end <= len).count() as u64;
        assert_eq!(spool.stats().torn, u64::from(![0, first, bytes.len()].contains(&len)));
        append(&spool, [3]);
        drop(spool);
        let spool = open(&temp);
        assert_eq!(sequences(&spool), (1..=whole).chain([3]).collect::<Vec<_>>());
        assert_eq!((spool.stats().corrupt, spool.stats().torn), (0, 0));
        drop(spool);
        segments(&temp).iter().for_each(|path| fs::remove_file(path).unwrap());
    }
}

#[test]
fn what_is_no_record_is_passed_over_and_told() {
    let (temp, path, bytes) = written(1..=2);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let of_later = {
        let text = String::from_utf8(lines[0].to_vec()).unwrap().replace("\"v\":1", "\"v\":2");
        let summed = text.trim_end().split_at(BEGIN_AND_SUM).1.to_owned();
        format!("{{\"crc32\":\"{:08x}\",{summed}\n", crc32fast::hash(summed.as_bytes()))
    };
    let junk: [&[u8]; 5] = [
        b"\0\0\0\0\n",
        b"\n",
        b"{\"crc32\":\"\",\"crc32\":\"\"crc32\":\"\n",
        b"\xff\xfe\n",
        of_later.as_bytes(),
    ];
    for junk in junk {
        put(&path, &[junk, lines[0], junk, lines[1], junk].concat());
        let spool = open(&temp);
        let found = left(&spool);
        assert_eq!(found.len(), 2);
        assert_eq!(spool.stats().corrupt, 3);
        for (_, record) in found {
            run(spool.done(record));
        }
        // A later version can read what it wrote.
        assert_eq!(path.exists(), junk == of_later.as_bytes());
    }
}

/// `{"crc32":"12345678",`
const BEGIN_AND_SUM: usize = 20;

#[test]
fn a_line_without_an_end_ends() {
    let (temp, path, bytes) = written(1..=2);
    // A file with a hole costs no disk, and no time to make.
    for len in [bytes.len() as u64 + 100, (64 << 20) + 5, 1 << 40] {
        fs::write(&path, &bytes).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        let spool = open(&temp);
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes.len() as u64);
        assert_eq!((sequences(&spool), spool.stats().torn), (vec![1, 2], 1));
    }
    // One of just that length, with its end.
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.set_len((64 << 20) - 1).unwrap();
    file.write_all(b"\n").unwrap();
    let spool = open(&temp);
    assert_eq!((sequences(&spool), spool.stats().corrupt), (vec![1, 2], 1));
}

#[test]
fn unknown_and_empty_files_do_no_harm() {
    let temp = Temp::new();
    append(&open(&temp), [1]);
    let path = segments(&temp).pop().unwrap();
    let directory = path.parent().unwrap();
    let beside = |name: &str| directory.join(name);
    for name in ["spool-x.spool", "README", "spool-20200101T000000Z-000001.records"] {
        fs::write(beside(name), "mine").unwrap();
    }
    fs::write(beside("spool-20200101T000000Z-000001.spool"), "").unwrap();
    fs::create_dir(beside("spool-20200101T000000Z-000002.spool")).unwrap();
    symlink(beside("README"), beside("spool-20200101T000000Z-000003.spool")).unwrap();
    let spool = open(&temp);
    for (_, record) in left(&spool) {
        run(spool.done(record));
    }
    assert!(!path.exists() && !beside("spool-20200101T000000Z-000001.spool").exists());
    drop(spool);
    for name in ["spool-x.spool", "README", "spool-20200101T000000Z-000001.records"] {
        assert_eq!(fs::read_to_string(beside(name)).unwrap(), "mine");
    }
    assert!(sequences(&open(&temp)).is_empty());
}

#[test]
fn a_link_leads_nowhere() {
    let (temp, path, _) = written(1..=1);
    let elsewhere = temp.0.join("elsewhere");
    let spool = open(&temp);
    let (_, record) = left(&spool).pop().unwrap();
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    assert_eq!(run(spool.read(&record)).unwrap_err().kind(), ErrorKind::Unavailable);
    append(&spool, [2]);
    run(spool.done(record));
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
    drop(spool);
    assert_eq!(sequences(&open(&temp)), [2]);
}

#[test]
fn files_that_change_meanwhile_are_errors() {
    let temp = Temp::new();
    let spool = open(&temp);
    let mut records = append(&spool, 1..=4);
    let path = segments(&temp).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut changed = bytes.clone();
    changed[15] ^= 1;
    changed[bytes.len() - 3] ^= 1;
    fs::write(&path, &changed).unwrap();
    for record in [&records[0], &records[3]] {
        let error = run(spool.read(record)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        let text = format!("{error:?} {error}");
        assert!(text.contains(temp.0.to_str().unwrap()) && !text.contains("crc32"), "{text}");
    }
    assert_same(&run(spool.read(&records[1])).unwrap(), &batch(2));
    // Truncated, and another one in its place.
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(run(spool.read(&records[3])).unwrap_err().kind(), ErrorKind::Unavailable);
    fs::write(&path, "x".repeat(bytes.len())).unwrap();
    run(spool.done(records.pop().unwrap()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "x".repeat(bytes.len()), "it is not ours");
    let again = append(&spool, [5]);
    assert_same(&run(spool.read(&again[0])).unwrap(), &batch(5));
}

#[test]
fn a_directory_that_is_gone_is_made_again_and_is_nobody_elses() {
    let temp = Temp::new();
    let spool = open(&temp);
    let mut records = append(&spool, 1..=2);
    let directory = config(&temp).directory;
    for moved in [false, true] {
        match moved {
            true => fs::rename(&directory, temp.0.join("moved")).unwrap(),
            false => fs::remove_dir_all(&directory).unwrap(),
        }
        assert_eq!(run(spool.read(&records[0])).unwrap_err().kind(), ErrorKind::Unavailable);
        run(spool.done(records.remove(0)));
        // Somebody else is faster.
        let other = moved.then(|| open(&temp));
        records.extend(append(&spool, [3]));
        let record = records.last().unwrap();
        assert_same(&run(spool.read(record)).unwrap(), &batch(3));
        let place = if moved { "leg.1" } else { "leg" };
        assert_eq!(segments(&temp).iter().filter(|path| path.starts_with(directory.join(place))).count(), 1);
        assert!(other.is_none_or(|other| sequences(&other).is_empty()));
    }
    // It cannot be: there is a file in its place.
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "").unwrap();
    let error = run(spool.append(&batch(4))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(directory.to_str().unwrap()), "{error}");
    let error = Spool::open(&config(&temp), "leg").unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");
    fs::remove_file(&directory).unwrap();
    append(&spool, [4]);
}

#[test]
fn where_files_were_taken_away_there_is_room() {
    let temp = Temp::new();
    let config = SpoolConfig { max_size: 5_000, ..config(&temp) };
    let spool = Spool::open(&config, "leg").unwrap();
    while run(spool.append(&batch(0))).is_ok() {}
    segments(&temp).iter().for_each(|path| fs::remove_file(path).unwrap());
    append(&spool, [1]);
    assert_eq!(spool.stats().files, 1);
}

/// Only for who is not root, who may do everything.
pub(super) fn what_may_not_be_read_stays() {
    let (temp, path, _) = written(1..=2);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&path, 0o000);
    let spool = open(&temp);
    assert_eq!(run(spool.next_left()).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(run(spool.next_left()).unwrap().is_none());
    append(&spool, [3]);
    let directory = config(&temp).directory;
    for (of, while_open) in [(directory.join("leg"), true), (directory.clone(), false)] {
        mode(&of, 0o000);
        match while_open {
            true => assert_eq!(run(spool.append(&batch(4))).unwrap_err().kind(), ErrorKind::Unavailable),
            false => {
                assert_eq!(Spool::open(&config(&temp), "leg").unwrap_err().kind(), ErrorKind::Unavailable)
            }
        }
        mode(&of, 0o700);
    }
    append(&spool, [5]);
    drop(spool);
    mode(&path, 0o600);
    let mut found = sequences(&open(&temp));
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 5]);
}

#[test]
fn a_start_reads_no_more_than_it_is_asked_for() {
    let (temp, path, bytes) = written(1..=1);
    // A thousand names of one file of 10 MB: 10 GB.
    put(&path, &bytes.repeat(10_000_000 / bytes.len()));
    for number in 2..=1000 {
        fs::hard_link(&path, path.with_file_name(format!("spool-20200101T000000Z-{number:06}.spool")))
            .unwrap();
    }
    let began = std::time::Instant::now();
    let config = SpoolConfig { max_size: u64::MAX, ..config(&temp) };
    let spool = Spool::open(&config, "leg").unwrap();
    assert!(run(spool.next_left()).unwrap().is_some());
    run(spool.append(&batch(2))).unwrap();
    let (files, took) = (spool.stats().files, began.elapsed());
    assert!(files >= 1000 && took.as_millis() <= 1000, "{files} in {took:?}");
}
