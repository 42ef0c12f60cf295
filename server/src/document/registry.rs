//! All documents that are in memory, one copy each.
//!
//! Job: open a document once however many ask, unload the idle, keep all within a budget, write
//! checkpoints. Called by sessions (`open`) and `app` (`housekeeping`). Never holds a map guard
//! across an await, and a document that is loading cannot be loaded twice: its slot says so.

mod closing;
pub mod holding;
mod housekeeping;
mod recalling;
pub mod unborn;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared as SharedFuture};
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};
use sheaf_protocol::stamp::{Ahead, Stamp, StampClock};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::handle::{Handle, Name, Shared};
use super::ledger::{Account, Ledger};
use super::load;
use super::merge::{Core, Parts};
use super::owners::Owners;
use super::state::State;
use super::turns::cores;
use sheaf_storage::journal::payload::Refused;
use sheaf_storage::journal::{Kind, Record};
use sheaf_storage::store::{self, LogEntry, Store};

/// How often the housekeeping looks at every document.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Documents that are loaded at a time, at least: one core's, and one that waits for the disk.
const LOADS_LEAST: usize = 2;

/// How often a name is opened that changes hands.
const OPENS_MAX: usize = 8;

/// Entries since the last checkpoint that are worth one when a document leaves memory.
const UNLOAD_CHECKPOINT_ENTRIES: u64 = 64;

/// Bounds of the documents in memory.
#[derive(Clone, Debug)]
pub struct Config {
    /// A document nobody reads leaves memory after this.
    pub unload_idle: Duration,
    /// All documents together, in bytes as estimated by `state`.
    pub documents_bytes_max: usize,
    /// The half of a stamp that tells this server from others.
    pub device: u64,
    /// How far a client's clock may be ahead.
    pub clock_drift_ms: u64,
    /// The first write to a vault that does not exist makes it.
    pub auto_create: bool,
}

/// Why a document could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The store does not have what it should; the log names it.
    #[error("the document is damaged")]
    Damaged,
    /// The budget for documents is used up by documents in use.
    #[error("no memory for another document")]
    Full,
    /// The store could not be read.
    #[error("the store could not be read")]
    Failed,
    /// There is no such vault, and a write does not make one; or it is being deleted.
    #[error("there is no such vault")]
    NoVault,
}

impl OpenError {
    /// What the client is told.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            OpenError::Damaged => Code::Damaged,
            OpenError::Full => Code::TryLater,
            OpenError::Failed => Code::Unavailable,
            OpenError::NoVault => Code::NotFound,
        }
    }
}

type Opening = SharedFuture<BoxFuture<'static, Result<Arc<Handle>, OpenError>>>;

#[derive(Clone)]
enum Slot {
    /// Someone loads it; everyone waits for the same load. The handle it follows, if one was
    /// dropped, comes back to its place when the load fails: the next one has to follow it too.
    Loading(Opening, u64, Option<Arc<Handle>>),
    /// It is here.
    Ready(Arc<Handle>),
}

/// The documents in memory. Clones share them.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    store: Store,
    config: Config,
    slots: DashMap<Name, Slot>,
    stamps: Arc<StampClock>,
    /// Loads at once: more threads than these only make it slower, and each keeps its stack.
    loads: Arc<Semaphore>,
    /// Tells a slot from an earlier one of the same name.
    generation: AtomicU64,
    /// How often the housekeeping has looked.
    looks: AtomicU64,
}

impl Registry {
    /// Over a store whose journal is folded.
    ///
    /// # Errors
    /// The store cannot list its vaults.
    pub fn new(shared: Shared, store: Store, config: Config) -> Result<Self, store::Error> {
        shared.ledger.fill(&store)?;
        let stamps = Arc::new(StampClock::new(config.device));
        stamps.raise(store.folded()?.stamp);
        let inner = Inner {
            shared: Arc::new(shared),
            store,
            config,
            slots: DashMap::new(),
            stamps,
            loads: Arc::new(Semaphore::new(cores().max(LOADS_LEAST))),
            generation: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        };
        let registry = Self { inner: Arc::new(inner) };
        // Before the first clock is given out: a kill may come any moment after it.
        registry.raise_awareness_ceiling();
        Ok(registry)
    }

    /// The document of this name, loaded if need be; a new one if there is none, which the store
    /// knows from its first write on.
    ///
    /// # Errors
    /// See [`OpenError`]; a later call tries again.
    pub async fn open(&self, name: &Name) -> Result<Arc<Handle>, OpenError> {
        match self.slot(name) {
            Slot::Ready(handle) => Ok(handle),
            Slot::Loading(opening, generation, _) => {
                let opened = opening.await;
                self.settle(name, generation, &opened);
                opened
            }
        }
    }

    /// The document of this name if there is one, loaded if need be.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_existing(&self, name: &Name) -> Result<Option<Arc<Handle>>, OpenError> {
        for _ in 0..OPENS_MAX {
            let account = self.ledger().get(&name.vault);
            let found = account.and_then(|account| account.find(&name.document));
            let Some((_, doc)) = found else { return Ok(None) };
            let handle = self.open(name).await?;
            if handle.is_created() {
                return Ok(Some(handle));
            }
            if handle.key().doc == doc {
                break;
            }
            // It was opened when no document had the name, and one has come to it since.
            handle.drop_now();
        }
        Ok(None)
    }

    /// What each vault has.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.shared.ledger
    }

    /// What the documents stand on.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// Where they are kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The document of this name, if it is in memory.
    #[must_use]
    pub fn in_memory(&self, name: &Name) -> Option<Arc<Handle>> {
        match self.inner.slots.get(name)?.value() {
            Slot::Ready(handle) if !handle.is_dropped() => Some(Arc::clone(handle)),
            _ => None,
        }
    }

    /// A stamp of this server.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.inner.stamps.tick(self.inner.shared.clock.now_ms())
    }

    /// Takes in the stamp of a client's clock: later stamps of this server are greater.
    ///
    /// # Errors
    /// `Ahead` when it is farther ahead of the wall clock than is configured.
    pub fn observe(&self, stamp: Stamp) -> Result<(), Ahead> {
        let now_ms = self.inner.shared.clock.now_ms();
        self.inner.stamps.observe(stamp, now_ms, self.inner.config.clock_drift_ms)
    }

    /// The slot of a name, made if there is none.
    fn slot(&self, name: &Name) -> Slot {
        match self.inner.slots.entry(name.clone()) {
            Entry::Vacant(entry) => {
                let slot = self.loading(name.clone(), None);
                entry.insert(slot.clone());
                slot
            }
            Entry::Occupied(mut entry) => {
                if let Slot::Ready(handle) = entry.get()
                    && handle.is_dropped()
                {
                    let before = Arc::clone(handle);
                    entry.insert(self.loading(name.clone(), Some(before)));
                }
                entry.get().clone()
            }
        }
    }

    /// Starts a load; after a handle that was dropped, once the store has everything of it.
    fn loading(&self, name: Name, before: Option<Arc<Handle>>) -> Slot {
        self.loading_behind(name, before, None).0
    }

    /// The same, once a gate is open; with its generation.
    fn loading_behind(
        &self,
        name: Name,
        before: Option<Arc<Handle>>,
        gate: Option<CancellationToken>,
    ) -> (Slot, u64) {
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed);
        let registry = self.clone();
        let follows = before.clone();
        let load = async move {
            if let Some(gate) = gate {
                gate.cancelled().await;
            }
            let permit = registry.inner.loads.clone().acquire_owned().await;
            let work = move || {
                let _permit = permit;
                registry.load(&name, before.as_deref())
            };
            tokio::task::spawn_blocking(work).await.unwrap_or(Err(OpenError::Failed))
        };
        (Slot::Loading(load.boxed().shared(), generation, follows), generation)
    }

    /// Turns the slot of a load into what came of it, unless somebody already did.
    fn settle(&self, name: &Name, generation: u64, opened: &Result<Arc<Handle>, OpenError>) {
        let Entry::Occupied(mut entry) = self.inner.slots.entry(name.clone()) else { return };
        let Slot::Loading(_, own, follows) = entry.get() else { return };
        if *own != generation {
            return;
        }
        match (opened, follows.clone()) {
            // Its vault was deleted meanwhile: nothing follows it.
            (Ok(handle), _) if handle.is_dropped() => drop(entry.remove()),
            (Ok(handle), _) => drop(entry.insert(Slot::Ready(Arc::clone(handle)))),
            (Err(_), Some(before)) => drop(entry.insert(Slot::Ready(before))),
            (Err(_), None) => drop(entry.remove()),
        }
    }

    fn load(&self, name: &Name, before: Option<&Handle>) -> Result<Arc<Handle>, OpenError> {
        let _alone = before.map(Handle::checkpointing);
        let end = before.map_or(0, Handle::end);
        let is_suspect = before.is_some_and(Handle::is_suspect);
        let inner = &self.inner;
        let begun = inner.shared.clock.now();
        self.make_room()?;
        inner.shared.journal.wait_folded(end).map_err(|_| OpenError::Failed)?;
        let account = self.account(&name.vault)?;
        let vault = account.number();
        let (key, mut core) = match self.find(&account, &name.document)? {
            Some(doc) => self.load_known(DocKey { vault, doc }, is_suspect)?,
            None => self.create(vault, self.stamp()),
        };
        core.set_past(self.past(key, &name.document)?);
        let handle = Handle::new(key, name.clone(), core, (inner.shared.clone(), account));
        let metrics = &inner.shared.metrics.document;
        metrics.loads.inc();
        metrics.load_seconds.observe(inner.shared.clock.now().since(begun).as_secs_f64());
        Ok(Arc::new(handle))
    }

    fn load_known(&self, key: DocKey, is_suspect: bool) -> Result<(DocKey, Core), OpenError> {
        let inner = &self.inner;
        let loaded = inner.store.load(key).map_err(|error| failed(&error))?;
        let stamps = &inner.stamps;
        let mut rebuilt = load::rebuild(key, &loaded, stamps, is_suspect).map_err(|error| {
            tracing::error!(doc = %key, %error, "document damaged");
            OpenError::Damaged
        })?;
        if !rebuilt.skipped.is_empty() {
            let aside = inner.store.asides(key).map_err(|error| failed(&error))?;
            let skipped = loaded.entries.iter().filter(|entry| rebuilt.skipped.contains(&entry.n));
            for entry in skipped.filter(|entry| aside.iter().all(|one| one.n != entry.n)) {
                self.quarantine(key, entry);
            }
        }
        if let Some(checkpoint) = loaded.checkpoint.filter(|_| loaded.entries.is_empty()) {
            rebuilt.core.keep_whole(checkpoint.state.into());
        }
        Ok((key, rebuilt.core))
    }

    /// Lays an entry aside that did not merge: the log may be thinned.
    fn quarantine(&self, doc: DocKey, entry: &LogEntry) {
        let shared = &self.inner.shared;
        shared.metrics.document.quarantined.inc();
        let mut payload = Vec::new();
        let reason = "it did not merge when the document was loaded";
        Refused { reason, bytes: &entry.bytes }.encode(&mut payload);
        let record = Record {
            doc,
            n: entry.n,
            kind: Kind::Quarantined,
            stamp: entry.stamp,
            author: entry.author.as_deref(),
            payload: &payload,
        };
        if let Err(error) = shared.journal.append(&[record]) {
            tracing::error!(%doc, n = entry.n, %error, "quarantine not written");
        }
    }

    fn create(&self, vault: VaultNo, created: Stamp) -> (DocKey, Core) {
        let core = Core::new(Parts {
            state: State::new(),
            owners: Owners::default(),
            epoch: epoch(created),
            is_created: false,
            n: 0,
            position: 0,
            stamps: Arc::clone(&self.inner.stamps),
            checkpoint_n: 0,
            checkpoint_bytes: 0,
            bytes_since: 0,
            last: None,
            writers: Vec::new(),
        });
        (DocKey { vault, doc: DocId(created) }, core)
    }

    /// The vault of a document that is opened; one that does not exist gets a number until
    /// something of it is written.
    ///
    /// # Errors
    /// `NoVault`; `Full`.
    pub fn account(&self, name: &VaultName) -> Result<Arc<Account>, OpenError> {
        let ledger = self.ledger();
        let account = match ledger.get(name) {
            Some(account) => account,
            None if !self.makes_vaults() => return Err(OpenError::NoVault),
            None => self.place(name).ok_or(OpenError::Full)?,
        };
        let may_be = account.is_live() || self.makes_vaults();
        if account.is_closed() || !may_be { Err(OpenError::NoVault) } else { Ok(account) }
    }

    /// Whether the first write to a vault makes it.
    #[must_use]
    pub fn makes_vaults(&self) -> bool {
        self.inner.config.auto_create
    }

    /// The document of a name. The ledger knows names that the store does not have yet.
    fn find(&self, account: &Account, name: &str) -> Result<Option<DocId>, OpenError> {
        let Inner { store, shared, .. } = &*self.inner;
        let due = account.find(name).map(|(_, doc)| doc);
        // While a rename is folded, engine and witness tell different names for a moment.
        if shared.journal.folded() < account.fence() {
            shared.journal.wait_folded(account.fence()).map_err(|_| OpenError::Failed)?;
        }
        let find = || store.find(account.number(), name).map_err(|error| failed(&error));
        let found = find()?;
        if found == due {
            return Ok(found);
        }
        shared.journal.fold_now().map_err(|_| OpenError::Failed)?;
        find()
    }

    fn handles(&self) -> Vec<Arc<Handle>> {
        let ready = self.inner.slots.iter().filter_map(|slot| match slot.value() {
            Slot::Ready(handle) => Some(Arc::clone(handle)),
            Slot::Loading(..) => None,
        });
        ready.collect()
    }

    /// Unloads the longest idle while all documents together take too much memory.
    fn make_room(&self) -> Result<(), OpenError> {
        while self.live_bytes() > self.inner.config.documents_bytes_max {
            if !self.unload_oldest() {
                return Err(OpenError::Full);
            }
        }
        Ok(())
    }

    fn live_bytes(&self) -> usize {
        self.inner.shared.live_bytes.load(Ordering::Relaxed)
    }

    /// Looks after all documents until the server stops: checkpoints, idle documents, the budget,
    /// presence, metrics.
    pub async fn housekeeping(self, stopping: CancellationToken) {
        let clock = self.inner.shared.clock.clone();
        while stopping.run_until_cancelled(clock.sleep(HOUSEKEEPING)).await.is_some() {
            let registry = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || registry.tidy()).await {
                tracing::error!(%error, "housekeeping panicked");
            }
        }
    }

    /// Unloads the document that nobody reads for the longest time. False if there is none.
    fn unload_oldest(&self) -> bool {
        let mut idle = self.handles();
        idle.retain(|handle| !handle.is_dropped() && handle.reader_count() == 0);
        idle.sort_by_key(|handle| handle.used_ms());
        idle.iter().any(|handle| self.unload(handle))
    }

    fn unload(&self, handle: &Arc<Handle>) -> bool {
        if handle.entries_since_checkpoint() >= UNLOAD_CHECKPOINT_ENTRIES {
            self.checkpoint(handle, true);
        }
        // A checkpoint that is being written must not run beside the next load.
        let Some(_alone) = handle.try_checkpointing() else { return false };
        if !handle.retire() {
            return false;
        }
        self.remove(handle);
        self.inner.shared.metrics.document.unloads.inc();
        true
    }

    fn remove(&self, handle: &Arc<Handle>) {
        let is_own = |slot: &Slot| matches!(slot, Slot::Ready(own) if Arc::ptr_eq(own, handle));
        self.inner.slots.remove_if(handle.name(), |_, slot| is_own(slot));
    }
}

/// A document's epoch: the moment it was made, so that one made again at the same name differs.
pub fn epoch(created: Stamp) -> u64 {
    u64::from_be_bytes(created.to_bytes()[..8].try_into().expect("a stamp has 16 bytes"))
}

fn failed(error: &store::Error) -> OpenError {
    tracing::error!(%error, "document not loaded");
    match error {
        store::Error::Damaged { .. } | store::Error::Corrupt { .. } => OpenError::Damaged,
        _ => OpenError::Failed,
    }
}
