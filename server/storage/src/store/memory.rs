//! An engine that lives in memory: for tests, and for a server that is told to keep nothing.
//! Opened by `Store::in_memory`. It remembers what was synced, so that a test can crash it.
//! Never touches a disk.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;

use super::Error;
use super::engine::{Batch, Change, Engine, Pair, bound_back};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// The engine. `crashed` gives the state a power loss would leave.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Map,
    synced: Map,
    /// Batches applied since the last sync, in order: a crash keeps some prefix of them.
    unsynced: Vec<Batch>,
}

impl Memory {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a crash leaves: everything synced, and the first `kept` batches applied after that.
    #[must_use]
    pub fn crashed(&self, kept: usize) -> Self {
        let state = self.state.lock();
        let mut map = state.synced.clone();
        for batch in state.unsynced.iter().take(kept) {
            apply(&mut map, batch);
        }
        let state = State { live: map.clone(), synced: map, unsynced: Vec::new() };
        Self { state: Mutex::new(state) }
    }

    /// How many batches a crash would put at risk now.
    #[must_use]
    pub fn unsynced_batches(&self) -> usize {
        self.state.lock().unsynced.len()
    }
}

impl Engine for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.state.lock().live.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Error> {
        let start = match from {
            Some(from) if from >= prefix => Bound::Excluded(from.to_vec()),
            _ => Bound::Included(prefix.to_vec()),
        };
        let state = self.state.lock();
        Ok(state
            .live
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, Error> {
        let state = self.state.lock();
        let all = state.live.range((Bound::Unbounded, bound_back(prefix, before)));
        let found = all.rev().take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        let mut state = self.state.lock();
        apply(&mut state.live, batch);
        state.unsynced.push(batch.clone());
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        for batch in std::mem::take(&mut state.unsynced) {
            apply(&mut state.synced, &batch);
        }
        Ok(())
    }
}

fn apply(map: &mut Map, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put(key, value) => {
                map.insert(key.clone(), value.clone());
            }
            Change::Delete(key) => {
                map.remove(key);
            }
        }
    }
}
