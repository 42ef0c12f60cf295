//! The ordered key-value engine the store stands on: five operations, and nothing of documents in
//! them. Implemented by `sled` and `memory`, driven by the typed methods of `store`, held to its
//! word by `contract`.
//! Never interprets a key or a value.

use std::ops::Bound;

use super::Error;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What an engine must do. `contract::run` tests every sentence below.
pub trait Engine: Send + Sync + 'static {
    /// The value of `key`, as the last applied batch that named it left it.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Pairs whose key starts with `prefix` and is greater than `from`, in byte order, at most
    /// `limit` of them.
    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Error>;

    /// Pairs whose key starts with `prefix` and is less than `before`, in descending byte order, at
    /// most `limit` of them.
    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, Error>;

    /// Applies all changes of a batch, in order, or none of them, also across a crash. Readers see
    /// them at once; they are on disk only after `sync`.
    fn apply(&self, batch: &Batch) -> Result<(), Error>;

    /// Returns when everything applied before the call is on disk and survives power loss.
    fn sync(&self) -> Result<(), Error>;
}

/// The least key above all that start with `prefix`; `None` when there is none.
#[must_use]
pub fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let len = prefix.iter().rposition(|byte| *byte != u8::MAX)? + 1;
    let mut end = prefix[..len].to_vec();
    end[len - 1] += 1;
    Some(end)
}

/// The upper bound of a backward scan: the lesser of `before` and the end of `prefix`.
#[must_use]
pub fn bound_back(prefix: &[u8], before: Option<&[u8]>) -> Bound<Vec<u8>> {
    let ends = [before.map(<[u8]>::to_vec), end_of(prefix)];
    ends.into_iter().flatten().min().map_or(Bound::Unbounded, Bound::Excluded)
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key; of no effect when it is not there.
    Delete(Vec<u8>),
}

/// Changes that take effect together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// Sets `key`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push(Change::Put(key.into(), value.into()));
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.changes.push(Change::Delete(key.into()));
    }

    /// The changes in the order they were made; a later one wins over an earlier one.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether the batch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
