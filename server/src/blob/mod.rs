//! Blobs: bytes by their SHA-256, as files beside the store.
//!
//! Job: take bytes in, keep them, give them out, and remove what nobody refers to any more. Called
//! by `http` for transfers and by the vaults, which refer to blobs. Each vault has its own: what is
//! in one tells nothing about another. Never shows bytes that are not those of their hash, and
//! never removes what is held, in use, or was asked about within a day.

mod assemble;
pub mod cut;
mod error;
mod gathering;
mod hash;
pub mod list;
mod placing;
mod reading;
mod shelf;
mod sweep;
mod upload;
pub mod verify;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use sheaf_protocol::ids::VaultNo;

pub use self::error::Error;
pub use self::gathering::{Gathering, Stored};
pub use self::hash::{Hash, NotAHash};
pub use self::list::Chunk;
pub use self::reading::{Blob, Reading};
use self::shelf::Shelf;
pub use self::sweep::{InUse, Swept};
pub use self::upload::Incoming;
use self::upload::Uploads;
use crate::metrics::blob::Blob as Meters;
use sheaf_ground::time::Clock;
use sheaf_storage::store::disk::{Disk, Files};

/// How long a blob stays that nothing refers to, after it was put or asked about: whoever uploads a
/// folder refers to its files when all are here, and a laptop sleeps over night.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Its directory in the data directory.
pub const DIR: &str = "blobs";

/// What the room needs.
#[derive(Clone)]
pub struct Config {
    /// The directory for blobs. It is made when there is one.
    pub dir: PathBuf,
    /// Bytes of one blob.
    pub file_bytes_max: u64,
    /// The time.
    pub clock: Clock,
    /// The disk under it.
    pub disk: Arc<dyn Disk>,
    /// What it counts.
    pub meters: Meters,
}

impl Config {
    /// In a directory, on the file system.
    #[must_use]
    pub fn new(dir: PathBuf, file_bytes_max: u64, clock: Clock) -> Config {
        let meters = Meters::default();
        Config { dir, file_bytes_max, clock, disk: Arc::new(Files), meters }
    }
}

/// The blobs of all vaults. Clones share them. Its functions work on the disk and block.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    /// How often each blob is held. Whoever looks whether a blob is there and makes it stay does so
    /// under this lock, and so does the sweep for each that it removes.
    held: Mutex<HashMap<(VaultNo, Hash), usize>>,
    /// Directories that are sure to survive power loss.
    made: Mutex<HashSet<PathBuf>>,
    uploads: Mutex<Uploads>,
    /// Names of what is not finished.
    names: AtomicU64,
}

/// While it lives, its blob is not removed. Whoever makes something refer to a blob holds it until
/// [`InUse::mark`] gives it.
pub struct Hold {
    room: Blobs,
    key: (VaultNo, Hash),
    size: u64,
}

impl Blobs {
    /// Opens the room, and clears what crashed uploads have left that nobody can go on with.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(config: Config) -> Result<Blobs, Error> {
        let blobs = Blobs::over(config);
        for vault in blobs.vaults()? {
            blobs.shelf(vault).clear()?;
        }
        Ok(blobs)
    }

    fn over(config: Config) -> Blobs {
        let (held, made, uploads, names) = Default::default();
        Blobs { inner: Arc::new(Inner { config, held, made, uploads, names }) }
    }

    /// Bytes of one blob at most.
    #[must_use]
    pub fn file_bytes_max(&self) -> u64 {
        self.inner.config.file_bytes_max
    }

    /// Whether the vault has a blob. It may be gone in the next moment: see `want` and `hold`.
    #[must_use]
    pub fn has(&self, vault: VaultNo, hash: &Hash) -> bool {
        let shelf = self.shelf(vault);
        shelf.piece(hash).exists() || shelf.list(hash).exists()
    }

    /// Whether the vault has a blob, which then stays for a day.
    ///
    /// # Errors
    /// `Io`.
    pub fn want(&self, vault: VaultNo, hash: &Hash) -> Result<bool, Error> {
        let _held = self.inner.held.lock();
        self.shelf(vault).touch(hash)
    }

    /// Makes a blob stay while somebody refers to it, and a day longer. It is durable. None if the
    /// vault does not have it.
    ///
    /// # Errors
    /// `Io`; `Damaged` for a list.
    pub fn hold(&self, vault: VaultNo, hash: &Hash) -> Result<Option<Hold>, Error> {
        let shelf = self.shelf(vault);
        let mut hold = {
            let mut held = self.inner.held.lock();
            if !shelf.touch(hash)? {
                return Ok(None);
            }
            self.count(&mut held, vault, hash)
        };
        // Whoever put it here may not have come to that yet.
        shelf.sync_shard(hash.0[0])?;
        hold.size = list::size(&shelf.chunks(hash)?.unwrap_or_default());
        Ok(Some(hold))
    }

    /// A blob to be read; it stays as long as it is open. None if the vault does not have it.
    ///
    /// # Errors
    /// `Io`; `Damaged` for a list.
    pub fn find(&self, vault: VaultNo, hash: &Hash) -> Result<Option<Blob>, Error> {
        let hold = self.count(&mut self.inner.held.lock(), vault, hash);
        let chunks = self.shelf(vault).chunks(hash)?;
        Ok(chunks.map(|chunks| Blob::new(hold, chunks)))
    }

    /// Puts bytes that are here as a whole.
    ///
    /// # Errors
    /// As [`Gathering::take`] and [`Gathering::finish`].
    pub fn put(&self, vault: VaultNo, bytes: &[u8]) -> Result<Stored, Error> {
        let mut gathering = self.gather(vault)?;
        gathering.take(bytes)?;
        gathering.finish()
    }

    /// Takes bytes in whose hash is not known yet.
    ///
    /// # Errors
    /// `Io`.
    pub fn gather(&self, vault: VaultNo) -> Result<Gathering, Error> {
        let dir = self.shelf(vault).fresh();
        Gathering::load(self.clone(), vault, dir)
    }

    /// The vaults that have a directory here.
    fn vaults(&self) -> Result<Vec<VaultNo>, Error> {
        let dir = &self.inner.config.dir;
        let mut vaults = Vec::new();
        for name in names(dir)? {
            vaults.extend(u32::from_str_radix(&name, 16).ok().map(VaultNo));
        }
        Ok(vaults)
    }

    fn shelf(&self, vault: VaultNo) -> Shelf<'_> {
        Shelf::new(&self.inner, vault)
    }

    fn count(
        &self,
        held: &mut HashMap<(VaultNo, Hash), usize>,
        vault: VaultNo,
        hash: &Hash,
    ) -> Hold {
        let key = (vault, *hash);
        *held.entry(key).or_default() += 1;
        Hold { room: self.clone(), key, size: 0 }
    }
}

impl Hold {
    /// The blob that is held.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.key.1
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.room.inner.held.lock();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(&self.key.1).finish()
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").field("dir", &self.inner.config.dir).finish_non_exhaustive()
    }
}

/// Names in a directory; none where there is no directory.
fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::at(dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // Ours are ASCII; what else lies here is none of our business.
        names.extend(entry.map_err(Error::at(dir))?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
