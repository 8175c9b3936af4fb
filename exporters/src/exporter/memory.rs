//! An exporter that keeps what it is sent: for tests, and for programs that look at themselves.

use super::{Capability, Exporter, Health, Info, Receipt};
use crate::{Batch, Error, ErrorKind, Result};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Keeps the latest batches it was sent. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryExporter(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    batches: VecDeque<Batch>,
    capacity: usize,
    open: bool,
}

impl MemoryExporter {
    /// Keeps up to 1,024 batches.
    pub fn new() -> Self {
        Self::with_capacity(1024)
    }

    /// Keeps up to `capacity` batches (at least one); then the oldest makes room for the newest.
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self(Arc::new(Mutex::new(State { batches: VecDeque::new(), capacity, open: true })))
    }

    /// What was sent, oldest first.
    pub fn batches(&self) -> Vec<Batch> {
        self.state().batches.iter().cloned().collect()
    }

    /// What was sent, oldest first; it is not kept any longer.
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.state().batches).into()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryExporter {
    fn default() -> Self {
        Self::new()
    }
}

impl Exporter for MemoryExporter {
    fn info(&self) -> Info {
        Info::new("memory")
    }

    fn capability(&self) -> Capability {
        Capability::ALL
    }

    async fn export(&self, batch: Batch) -> Result<Receipt> {
        let mut state = self.state();
        if !state.open {
            return Err(Error::new(ErrorKind::Unavailable, "the exporter is shut down"));
        }
        if state.batches.len() == state.capacity {
            state.batches.pop_front();
        }
        let receipt = Receipt::accepted(batch.len());
        state.batches.push_back(batch);
        Ok(receipt)
    }

    async fn health(&self) -> Health {
        match self.state().open {
            true => Health::Healthy,
            false => Health::Unhealthy(Error::new(ErrorKind::Unavailable, "the exporter is shut down")),
        }
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        self.state().open = false;
        Ok(())
    }
}
