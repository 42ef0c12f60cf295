//! What each vault has: which names are taken, how many documents and bytes, and what changed.
//!
//! Job: give numbers to vaults, let a name be taken once, hold vaults to their quotas, and queue
//! the documents whose log moved. Called by `registry` and `handle` on the way of every write, and
//! by `vault`, which lists names and settles bodies. Never reads the store after the start, and
//! never holds two entries of one document in its queue.

pub mod arranging;
mod names;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};
use tokio::sync::Notify;

use super::handle::Name;
use super::submission::Failure;
use names::Names;
use sheaf_storage::store::{self, Store};

/// Vaults known at once. A name that was only asked for takes a place as long as somebody uses it,
/// and then until the place is wanted.
const VAULTS_MAX: usize = 65_536;

/// What is kept of a deleted document beside its log: head, item, row of the feed, witness.
const TOMBSTONE_BYTES: u64 = 1_024;

/// How much a vault may hold; over it the code is `quota_exceeded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Bytes of all documents of one vault, as stored: each with its history since the last
    /// checkpoint; of a file that is no text the bytes that it has now. A deleted one stays
    /// charged, and 1 KiB for its tombstone, until it is forgotten: its log is kept as long. A
    /// write that would go beyond is refused, as are bytes that are brought for one. Earlier
    /// versions of bytes are not charged, nor what no file refers to and goes after a day. 0: no
    /// quota.
    pub vault_bytes_max: u64,
    /// Live documents of one vault. The first write to one more is refused. 0: no quota.
    pub vault_documents_max: u64,
}

/// All vaults that were asked for. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    quota: Quota,
    refused: Counter,
    vaults: Mutex<Vaults>,
    changed: Mutex<VecDeque<(DocKey, Name)>>,
    committed: Mutex<HashSet<VaultNo>>,
    has_changed: Notify,
}

#[derive(Debug, Default)]
struct Vaults {
    by_name: HashMap<VaultName, Arc<Account>>,
    /// The highest number given, ever.
    last: u32,
}

/// Where a vault stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Life {
    /// Somebody asked for it; nothing of it is written.
    Asked = 0,
    /// It exists.
    Live = 1,
    /// It is being deleted: nothing is written.
    Closing = 2,
    /// It is deleted.
    Gone = 3,
}

/// One vault's entry in the ledger.
#[derive(Debug)]
pub struct Account {
    name: VaultName,
    number: VaultNo,
    quota: Quota,
    refused: Counter,
    life: AtomicU8,
    bytes: AtomicU64,
    /// End of the last record that changed a name: a load waits until the store has it.
    fence: AtomicU64,
    names: Mutex<Names>,
}

impl Ledger {
    /// An empty one. `refused` counts writes that went over a quota.
    #[must_use]
    pub fn new(quota: Quota, refused: Counter) -> Self {
        Self { inner: Arc::new(Inner { quota, refused, ..Inner::default() }) }
    }

    /// Takes in the vaults and the live documents of a store.
    pub(super) fn fill(&self, store: &Store) -> Result<(), store::Error> {
        let mut vaults = self.inner.vaults.lock();
        let mut by_number = HashMap::new();
        for (name, number) in store.vaults()? {
            let account = self.account(name.clone(), number, Life::Live);
            by_number.insert(number, Arc::clone(&account));
            vaults.by_name.insert(name, account);
            vaults.last = vaults.last.max(number.0);
        }
        vaults.last = vaults.last.max(store.last_vault()?.0);
        for document in store.documents().into_iter().filter(|document| !document.is_deleted) {
            if let Some(account) = by_number.get(&document.key.vault) {
                account.names.lock().insert(document.key.doc, document.name.as_str().into());
            }
        }
        Ok(())
    }

    fn account(&self, name: VaultName, number: VaultNo, life: Life) -> Arc<Account> {
        Arc::new(Account {
            name,
            number,
            quota: self.inner.quota,
            refused: self.inner.refused.clone(),
            life: AtomicU8::new(life as u8),
            bytes: AtomicU64::new(0),
            fence: AtomicU64::new(0),
            names: Mutex::default(),
        })
    }

    /// The vault of this name, if anybody asked for it.
    #[must_use]
    pub fn get(&self, name: &VaultName) -> Option<Arc<Account>> {
        self.inner.vaults.lock().by_name.get(name).cloned()
    }

    /// The vault of this name; a new number until something of it is written. `None`: there are too
    /// many.
    #[must_use]
    pub fn get_or_new(&self, name: &VaultName) -> Option<Arc<Account>> {
        let mut vaults = self.inner.vaults.lock();
        if let Some(account) = vaults.by_name.get(name) {
            return Some(Arc::clone(account));
        }
        if vaults.by_name.len() >= VAULTS_MAX {
            // Else anybody who may read could use up all places. New references are made under
            // this lock alone, from the one in the map or from one that is counted.
            let is_used = |account: &Arc<Account>| {
                account.life() != Life::Asked as u8 || Arc::strong_count(account) > 1
            };
            vaults.by_name.retain(|_, account| is_used(account));
            if vaults.by_name.len() >= VAULTS_MAX {
                return None;
            }
        }
        vaults.last = vaults.last.checked_add(1)?;
        let account = self.account(name.clone(), VaultNo(vaults.last), Life::Asked);
        vaults.by_name.insert(name.clone(), Arc::clone(&account));
        Some(account)
    }

    /// All vaults that exist, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Account>> {
        let vaults = self.inner.vaults.lock();
        let live = vaults.by_name.values().filter(|account| account.is_live());
        let mut all: Vec<Arc<Account>> = live.cloned().collect();
        all.sort_by(|one, two| one.name.cmp(&two.name));
        all
    }

    /// Ends a vault that was closed. Its number is not given again.
    pub fn forget(&self, account: &Account) {
        account.life.store(Life::Gone as u8, Ordering::Release);
        let mut vaults = self.inner.vaults.lock();
        if vaults.by_name.get(&account.name).is_some_and(|own| own.number == account.number) {
            vaults.by_name.remove(&account.name);
        }
    }

    /// Queues a document whose log moved. Its handle sees to it that it is queued once.
    pub fn changed(&self, doc: DocKey, name: &Name) {
        self.inner.changed.lock().push_back((doc, name.clone()));
        self.inner.has_changed.notify_one();
    }

    /// The documents whose log moved since the last call.
    #[must_use]
    pub fn take_changed(&self) -> VecDeque<(DocKey, Name)> {
        std::mem::take(&mut *self.inner.changed.lock())
    }

    /// Queues a vault that has a commit to show.
    pub fn committed(&self, vault: VaultNo) {
        self.inner.committed.lock().insert(vault);
        self.inner.has_changed.notify_one();
    }

    /// The vaults that had commits since the last call.
    #[must_use]
    pub fn take_committed(&self) -> HashSet<VaultNo> {
        std::mem::take(&mut *self.inner.committed.lock())
    }

    /// Returns when a document or a vault may have been queued.
    pub async fn wait_changed(&self) {
        self.inner.has_changed.notified().await;
    }
}

impl Account {
    /// The vault's name.
    pub fn name(&self) -> &VaultName {
        &self.name
    }

    /// The vault's number.
    pub fn number(&self) -> VaultNo {
        self.number
    }

    fn life(&self) -> u8 {
        self.life.load(Ordering::Acquire)
    }

    /// It exists.
    pub fn is_live(&self) -> bool {
        self.life() == Life::Live as u8
    }

    /// It is being deleted, or is.
    pub fn is_closed(&self) -> bool {
        self.life() >= Life::Closing as u8
    }

    /// It is deleted.
    pub fn is_gone(&self) -> bool {
        self.life() == Life::Gone as u8
    }

    /// It exists from now on.
    pub fn begin(&self) {
        self.pass(Life::Asked, Life::Live);
    }

    /// Stops writes, until `reopen`. False: it does not exist.
    pub fn close(&self) -> bool {
        self.pass(Life::Live, Life::Closing)
    }

    /// Takes writes again.
    pub fn reopen(&self) {
        self.pass(Life::Closing, Life::Live);
    }

    fn pass(&self, from: Life, to: Life) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.life.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// A record that ends here changes a name. Said before the name shows as changed.
    pub fn raise_fence(&self, end: u64) {
        self.fence.fetch_max(end, Ordering::AcqRel);
    }

    /// End of the last such record. Looked at after the name.
    pub fn fence(&self) -> u64 {
        self.fence.load(Ordering::Acquire)
    }

    /// Live documents.
    pub fn documents(&self) -> u64 {
        self.names.lock().paths.len() as u64
    }

    /// Bytes of the documents, as stored, with those of deleted ones: what the quota counts.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The live document of this name.
    pub fn find(&self, path: &str) -> Option<(Arc<str>, DocId)> {
        let names = self.names.lock();
        names.paths.get_key_value(path).map(|(path, doc)| (Arc::clone(path), *doc))
    }

    /// The name of a live document.
    pub fn path_of(&self, doc: DocId) -> Option<Arc<str>> {
        self.names.lock().documents.get(&doc).map(|(path, _)| Arc::clone(path))
    }

    /// Live documents whose name begins with `prefix` and comes after `after`, by name.
    pub fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(Arc<str>, DocId)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.names.lock().under(prefix, from).take(limit).collect()
    }

    /// A live file that a disk may take for this path, or one of which the other is a folder.
    pub fn conflict(&self, path: &str) -> Option<Arc<str>> {
        self.names.lock().conflict(path, None)
    }

    /// Whether so many bytes more would go over the quota.
    pub fn is_over(&self, bytes: usize) -> bool {
        let max = self.quota.vault_bytes_max;
        max > 0 && self.bytes() + bytes as u64 > max
    }

    /// Whether so many bytes more are within the quota.
    ///
    /// # Errors
    /// `Quota`, and it is counted.
    pub fn check_bytes(&self, bytes: u64) -> Result<(), Failure> {
        if self.is_over(usize::try_from(bytes).unwrap_or(usize::MAX / 2)) {
            self.note_refused(Failure::Quota);
            return Err(Failure::Quota);
        }
        Ok(())
    }

    /// Counts a write that was refused for a quota.
    pub(super) fn note_refused(&self, failure: Failure) {
        if failure == Failure::Quota {
            self.refused.inc();
        }
    }

    /// Whether there is a quota of bytes.
    pub(super) fn has_bytes_max(&self) -> bool {
        self.quota.vault_bytes_max > 0
    }

    /// Takes a name for a document that is about to be created. `is_file`: only if no disk can
    /// take the path for another's.
    pub(super) fn admit(&self, doc: DocId, path: &Arc<str>, is_file: bool) -> Result<(), Failure> {
        let mut names = self.names.lock();
        if self.is_closed() {
            return Err(Failure::ReadOnly);
        }
        if names.paths.contains_key(path) {
            return Err(Failure::Dropped);
        }
        if is_file && names.conflict(path, None).is_some() {
            return Err(Failure::PathTaken);
        }
        self.check_count(&names)?;
        names.insert(doc, Arc::clone(path));
        Ok(())
    }

    /// Whether there may be one more document.
    fn check_count(&self, names: &Names) -> Result<(), Failure> {
        let max = self.quota.vault_documents_max;
        if max > 0 && names.paths.len() as u64 >= max {
            self.note_refused(Failure::Quota);
            return Err(Failure::Quota);
        }
        Ok(())
    }

    /// Gives a document another name while `commit` succeeds. `Err(Ok(path))`: that one is in the
    /// way.
    pub fn rename<T, E>(
        &self,
        (doc, from, to): (DocId, &str, &Arc<str>),
        commit: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Result<Arc<str>, E>> {
        let mut names = self.names.lock();
        if let Some(taken) = names.conflict(to, Some(from)) {
            return Err(Ok(taken));
        }
        let done = commit().map_err(Err)?;
        names.forget(from);
        names.take(doc, Arc::clone(to));
        if let Some((path, _)) = names.documents.get_mut(&doc) {
            *path = Arc::clone(to);
        }
        Ok(done)
    }

    /// Frees the name of a document that was deleted with so many bytes stored. They stay charged,
    /// or who writes and deletes would fill the disk below any quota.
    pub fn bury(&self, doc: DocId, path: &str, bytes: u64) {
        let mut names = self.names.lock();
        names.forget(path);
        let charged = names.documents.remove(&doc).map_or(0, |(_, charged)| charged);
        self.bytes.fetch_add((bytes + TOMBSTONE_BYTES).wrapping_sub(charged), Ordering::Relaxed);
    }

    /// Gives a deleted document a name while `commit` succeeds; it is charged as a live one of so
    /// many bytes. `Err(Ok(path))`: that one is in the way.
    pub fn unbury<T>(
        &self,
        (doc, path, bytes): (DocId, &Arc<str>, u64),
        commit: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Result<Arc<str>, Failure>> {
        let mut names = self.names.lock();
        if let Some(taken) = names.conflict(path, None) {
            return Err(Ok(taken));
        }
        self.check_count(&names).map_err(Err)?;
        let done = commit().map_err(Err)?;
        names.insert(doc, Arc::clone(path));
        if let Some((_, charged)) = names.documents.get_mut(&doc) {
            *charged = bytes;
        }
        self.bytes.fetch_sub(TOMBSTONE_BYTES, Ordering::Relaxed);
        Ok(done)
    }

    /// Charges what is kept of a document that was deleted before.
    pub fn charge_buried(&self, bytes: u64) {
        self.add(bytes + TOMBSTONE_BYTES);
    }

    /// Gives back what was charged for a deleted document that is forgotten.
    pub fn discharge_buried(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes + TOMBSTONE_BYTES, Ordering::Relaxed);
    }

    /// Frees the name of a document that was not written after all, and gives back its bytes.
    pub fn remove(&self, doc: DocId, path: &str) {
        let mut names = self.names.lock();
        names.forget(path);
        if let Some((_, bytes)) = names.documents.remove(&doc) {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Charges bytes of a write at once; `charge` says later whose they are.
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `added` bytes that were charged by `add` are this live document's.
    pub(super) fn keep(&self, doc: DocId, added: u64) {
        let mut names = self.names.lock();
        match names.documents.get_mut(&doc) {
            Some((_, charged)) => *charged += added,
            None => drop(self.bytes.fetch_sub(added, Ordering::Relaxed)),
        }
    }

    /// A live document has so many bytes at least: as a file it may be charged for more, which are
    /// not in its log.
    pub fn charge_least(&self, doc: DocId, bytes: u64) {
        let mut names = self.names.lock();
        let Some((_, charged)) = names.documents.get_mut(&doc) else { return };
        let more = bytes.saturating_sub(*charged);
        *charged += more;
        self.bytes.fetch_add(more, Ordering::Relaxed);
    }

    /// A live document has so many bytes; `added` of them, and not more, were charged by `add`.
    pub fn charge(&self, doc: DocId, bytes: u64, added: u64) {
        let mut names = self.names.lock();
        let Some((_, charged)) = names.documents.get_mut(&doc) else {
            self.bytes.fetch_sub(added, Ordering::Relaxed);
            return;
        };
        let before = std::mem::replace(charged, bytes) + added;
        self.bytes.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
