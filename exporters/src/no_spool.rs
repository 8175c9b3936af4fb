//! Without the feature `file` there is no spool; nobody can have one of these.

use crate::{Batch, Result};

/// What is nowhere.
#[derive(Debug)]
pub(crate) enum Record {}

impl Record {
    pub(crate) fn items(&self) -> usize {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Spool {}

impl Spool {
    pub(crate) async fn next_left(&self) -> Result<Option<(Record, Batch)>> {
        match *self {}
    }

    pub(crate) async fn append(&self, _: &Batch) -> Result<Record> {
        match *self {}
    }

    pub(crate) async fn read(&self, record: &Record) -> Result<Batch> {
        match *record {}
    }

    pub(crate) async fn done(&self, record: Record) {
        match record {}
    }
}
