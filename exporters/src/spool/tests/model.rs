//! Anything, in any order, against a list of what should be there.

use super::*;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use std::{collections::BTreeMap, io::Write};

#[derive(Clone, Debug)]
enum Step {
    Append,
    /// Of what this process has.
    Read(usize),
    Done(usize),
    Next,
    /// It ends, with so many bytes of one more record at the end of the last file.
    Crash(usize),
    /// It ends, and a byte of a file is another one.
    Flip(usize, usize, u8),
    /// A second one comes, and goes, and leaves a record.
    Neighbour,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Append),
        2 => any::<usize>().prop_map(Step::Read),
        4 => any::<usize>().prop_map(Step::Done),
        4 => Just(Step::Next),
        1 => any::<usize>().prop_map(Step::Crash),
        1 => (any::<usize>(), any::<usize>(), 1u8..).prop_map(|(file, at, change)| Step::Flip(file, at, change)),
        1 => Just(Step::Neighbour),
    ]
}

/// What a spool should be.
#[derive(Debug, Default)]
struct Model {
    sequence: u64,
    /// What this process has.
    held: BTreeMap<u64, Record>,
    /// What an earlier one had.
    left: Vec<u64>,
    /// Bytes that somebody changed: each may cost one record, or bring one back.
    flips: usize,
    missing: usize,
    done: Vec<u64>,
}

impl Model {
    fn reopen(&mut self) {
        self.left.extend(std::mem::take(&mut self.held).into_keys());
        self.left.sort_unstable();
    }

    fn next(&mut self, spool: &Spool) -> bool {
        let Some((record, read)) = run(spool.next_left()).unwrap() else {
            // Those that were not found are gone.
            self.missing += self.left.drain(..).len();
            return false;
        };
        let sequence = read.id().sequence;
        assert_same(&read, &batch(sequence));
        match self.left.iter().position(|left| *left == sequence) {
            Some(at) => _ = self.left.remove(at),
            None => {
                assert!(self.flips > 0 && self.done.contains(&sequence), "{sequence} is not left");
                self.flips -= 1;
            }
        }
        assert!(self.held.insert(sequence, record).is_none(), "{sequence} twice");
        true
    }

    fn nth(&self, at: usize) -> Option<u64> {
        self.held.keys().nth(at % self.held.len().max(1)).copied()
    }
}

fn go(config: &SpoolConfig, temp: &Temp, steps: Vec<Step>) {
    let open = || Spool::open(config, "leg").unwrap();
    let mut spool = open();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append => {
                model.sequence += 1;
                let record = run(spool.append(&batch(model.sequence))).unwrap();
                model.held.insert(model.sequence, record);
            }
            Step::Read(at) => {
                if let Some(sequence) = model.nth(at) {
                    assert_same(&run(spool.read(&model.held[&sequence])).unwrap(), &batch(sequence));
                }
            }
            Step::Done(at) => {
                if let Some(sequence) = model.nth(at) {
                    run(spool.done(model.held.remove(&sequence).unwrap()));
                    model.done.push(sequence);
                }
            }
            Step::Next => _ = model.next(&spool),
            Step::Crash(len) => {
                drop(spool);
                if let Some(path) = segments(temp).last() {
                    let line = crate::encode::record::encode(&batch(0), None).unwrap();
                    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
                    file.write_all(&line[..len % line.len()]).unwrap();
                }
                model.reopen();
                spool = open();
            }
            Step::Flip(file, at, change) => {
                drop(spool);
                let segments = segments(temp);
                if let Some(path) = segments.get(file % segments.len().max(1)) {
                    let mut bytes = fs::read(path).unwrap();
                    if !bytes.is_empty() {
                        let at = at % bytes.len();
                        bytes[at] ^= change;
                        fs::remove_file(path).unwrap();
                        fs::write(path, bytes).unwrap();
                        model.flips += 1;
                    }
                }
                model.reopen();
                spool = open();
            }
            Step::Neighbour => {
                let neighbour = open();
                model.sequence += 1;
                run(neighbour.append(&batch(model.sequence))).unwrap();
                drop(neighbour);
                drop(spool);
                model.left.push(model.sequence);
                model.reopen();
                spool = open();
            }
        }
    }
    while model.next(&spool) {}
    drop(spool);
    model.reopen();
    spool = open();
    while model.next(&spool) {}
    assert!(model.missing <= model.flips, "{} are lost, for {} flips", model.missing, model.flips);
    if model.flips == 0 {
        assert_eq!(spool.stats().corrupt, 0);
    }
    for (_, record) in std::mem::take(&mut model.held) {
        run(spool.done(record));
    }
    drop(spool);
    assert_eq!(segments(temp), [] as [PathBuf; 0]);
}

#[test]
fn whatever_happens_it_is_as_the_model() {
    let cases = if full() { 2000 } else { 100 };
    let runner = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let tried = TestRunner::new(runner).run(&vec(step(), 1..60), |steps| {
        let temp = Temp::new();
        // What a power failure leaves is not tried here.
        go(&SpoolConfig { durability: Durability::Flushed, ..config(&temp) }, &temp, steps);
        Ok(())
    });
    tried.unwrap();
}
