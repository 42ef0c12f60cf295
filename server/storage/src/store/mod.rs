//! The store: what has left the journal for good, in an ordered key-value engine, watched by a
//! witness outside it. Called by the journal's fold, by `document::load` and `::checkpoint`, and by
//! `sheaf verify` and `sheaf dump`.
//! Never knows what a document is, and never serves one that the witness contradicts.

mod anew;
pub mod codec;
pub mod contract;
mod devices;
pub mod disk;
mod documents;
pub mod engine;
mod error;
mod feed;
mod hooks;
pub mod keys;
mod load;
mod lock;
#[cfg(target_os = "linux")]
mod log;
pub mod memory;
pub mod migrate;
mod past;
mod prune;
mod repair;
mod retired;
pub mod sled;
pub mod value;
pub mod verify;
mod versions;
mod window;
pub mod witness;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

pub use documents::Document;
pub use error::Error;
pub use hooks::{Hook, HookNews};
pub use keys::aside::{Aside, Why};
pub use keys::authors::Authored;
pub use keys::cursors::Device;
pub use keys::heads::Head;
pub use keys::items::{Body, Item};
pub use keys::labels::Label;
pub use keys::log::{LogEntry, Place};
pub use keys::marks::{Made, Version};
pub use keys::meta::{Facts, Folded};
pub use keys::owners::Owner;
pub use keys::stamps::Stamped;
pub use load::{Checkpoint, Loaded};

pub use feed::{Feed, ItemChange, Renamed};
pub use past::At;
pub use prune::Pruned;
pub use repair::Loss;
pub use retired::Retired;
pub use window::{Stray, Window};

use disk::{Disk, Files};
use engine::Engine;
use keys::meta;
use lock::DataDir;
use sled::Sled;
use witness::Witness;

/// The store; a clone is another handle on the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    /// Held for a lookup or an append, never while the engine works.
    witness: Mutex<Witness>,
    /// Held while a checkpoint is put or a log thinned: a later one that is overtaken in between
    /// would take back what the earlier one has already thinned by.
    thinning: Mutex<()>,
    opened: Opened,
    /// Given back when the last handle goes. `None` in memory.
    dir: Option<DataDir>,
}

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// sled's cache, in bytes; at most `sled::CACHE_BYTES_MAX`.
    pub cache_bytes: u64,
    /// The disk under the witness.
    pub disk: Arc<dyn Disk>,
    /// Go past a damaged witness, which is made up for by what the engine holds, and past damaged
    /// files of sled, which are copied as far as they can be read.
    pub is_repair: bool,
    /// Look at a data directory that is there: what is missing is reported, and not created.
    pub is_existing: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: sled::CACHE_BYTES_MAX,
            disk: Arc::new(Files),
            is_repair: false,
            is_existing: false,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// The stored format before migration; `None` for a new store.
    pub format: Option<u32>,
    /// About the witness.
    pub witness: witness::Opened,
}

impl Store {
    /// Opens or creates the store of the data directory `dir`, and locks the directory.
    ///
    /// # Errors
    /// `InUse` when a server runs on it; `Engine` and `EnginePanic` when sled cannot read its
    /// files;
    /// `WitnessDamaged`; `Format` when a newer build wrote it; `Io`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_with(dir, Options::default())
    }

    /// Opens the store of a data directory that is there, and creates nothing.
    ///
    /// # Errors
    /// As `open`; `Missing`.
    pub fn open_existing(dir: &Path) -> Result<Self, Error> {
        Self::open_with(dir, Options { is_existing: true, ..Options::default() })
    }

    /// `open` with options.
    ///
    /// # Errors
    /// As `open`; `Missing` with `is_existing`.
    pub fn open_with(dir: &Path, options: Options) -> Result<Self, Error> {
        let dir =
            if options.is_existing { DataDir::open_existing(dir)? } else { DataDir::open(dir)? };
        let disk = options.disk;
        let (witness, opened) = match Witness::open(&dir.witness(), Arc::clone(&disk)) {
            Err(Error::WitnessDamaged { .. }) if options.is_repair => {
                (Witness::open_damaged(&dir.witness(), disk)?, witness::Opened::default())
            }
            other => other?,
        };
        let engine = match options.is_repair {
            true => anew::open(&dir, options.cache_bytes)?,
            false => Sled::open(&dir.store(), options.cache_bytes)?,
        };
        Self::build(Arc::new(engine), witness, opened, Some(dir))
    }

    /// A store that is gone when its last handle is.
    ///
    /// # Errors
    /// None in practice: the engine in memory does not fail.
    pub fn in_memory() -> Result<Self, Error> {
        Self::new(Arc::new(memory::Memory::new()), Witness::in_memory())
    }

    /// A store on any engine and witness: for tests and for engines to come.
    ///
    /// # Errors
    /// `Format`; what the engine reports.
    pub fn new(engine: Arc<dyn Engine>, witness: Witness) -> Result<Self, Error> {
        Self::build(engine, witness, witness::Opened::default(), None)
    }

    fn build(
        engine: Arc<dyn Engine>,
        witness: Witness,
        witness_opened: witness::Opened,
        dir: Option<DataDir>,
    ) -> Result<Self, Error> {
        let format = migrate::run(&*engine)?;
        let opened = Opened { format, witness: witness_opened };
        let witness = Mutex::new(witness);
        let inner = Inner { engine, witness, thinning: Mutex::new(()), opened, dir };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What opening found.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.inner.opened
    }

    /// The journal's directory of this data directory; `None` in memory.
    #[must_use]
    pub fn journal_dir(&self) -> Option<std::path::PathBuf> {
        self.inner.dir.as_ref().map(DataDir::journal)
    }

    /// How far the engine has the journal.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn folded(&self) -> Result<Folded, Error> {
        let key = meta::key(meta::FOLDED);
        let Some(bytes) = value::get_one(self.engine(), &key)? else {
            return Ok(Folded::default());
        };
        Folded::decode(&bytes).ok_or_else(|| Error::corrupt(&key, "folded position"))
    }

    /// How far the witness has the journal.
    #[must_use]
    pub fn witnessed(&self) -> Folded {
        self.inner.witness.lock().folded()
    }

    /// Where the next fold begins: what either engine or witness does not have yet.
    ///
    /// # Errors
    /// As `folded`.
    pub fn unfolded_from(&self) -> Result<Folded, Error> {
        let (engine, witness) = (self.folded()?, self.witnessed());
        Ok(if engine.position <= witness.position { engine } else { witness })
    }

    /// Highest presence clock that was given out; new ones start above it.
    #[must_use]
    pub fn presence_clock(&self) -> u64 {
        self.witnessed().presence
    }

    fn engine(&self) -> &dyn Engine {
        &*self.inner.engine
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("opened", &self.inner.opened).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
