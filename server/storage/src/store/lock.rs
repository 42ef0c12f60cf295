//! The data directory: its layout, its mode, and the lock that keeps a second server out. Taken by
//! `Store::open` and held as long as the store is.
//! Never waits for the lock, and never throws a database away.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// A whole database that takes the place of the present one.
const NEXT_STORE: &str = "store.next";

/// A locked data directory.
#[derive(Debug)]
pub(super) struct DataDir {
    root: PathBuf,
    /// Closing it gives the lock back, also when the process is killed.
    _lock: File,
}

impl DataDir {
    /// Creates the directory (mode 0700) if it is not there, and locks it.
    ///
    /// # Errors
    /// `InUse` when another process has it; `Io`.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        if !root.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(io(root))?;
        }
        fs::set_permissions(root, fs::Permissions::from_mode(0o700)).map_err(io(root))?;
        let dir = Self::lock(root)?;
        for dir in [root.join("journal"), root.join("store"), root.join("witness")] {
            fs::create_dir_all(&dir).map_err(io(&dir))?;
        }
        Ok(dir)
    }

    /// Locks a directory that is there. Of what belongs in it only the lock is ever created.
    ///
    /// # Errors
    /// `Missing` when there is no journal, store or witness; `InUse`; `Io`.
    pub(super) fn open_existing(root: &Path) -> Result<Self, Error> {
        let next = root.join(NEXT_STORE);
        let store = if next.exists() { next } else { root.join("store") };
        for path in [root.join("journal"), store.join("db"), root.join("witness/marks")] {
            if !path.try_exists().map_err(io(&path))? {
                return Err(Error::Missing { path });
            }
        }
        Self::lock(root)
    }

    fn lock(root: &Path) -> Result<Self, Error> {
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { dir: root.into() }),
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, source }),
        }
        take_next_store(root)?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// Where the journal's segments are.
    #[must_use]
    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Where sled's files are.
    #[must_use]
    pub(super) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// An empty directory for a database that is to take the place of the present one.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn begin_store(&self) -> Result<PathBuf, Error> {
        let begun = self.root.join("store.begun");
        if begun.exists() {
            fs::remove_dir_all(&begun).map_err(io(&begun))?;
        }
        fs::create_dir(&begun).map_err(io(&begun))?;
        Ok(begun)
    }

    /// Puts a database that is whole and synced in the place of the present one, which is set
    /// aside.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn take_store(&self, begun: &Path) -> Result<(), Error> {
        // From here on every opening goes on with it: a crash may come between the two renames.
        fs::rename(begun, self.root.join(NEXT_STORE)).map_err(io(begun))?;
        take_next_store(&self.root)
    }

    /// Where the witness is.
    #[must_use]
    pub(super) fn witness(&self) -> PathBuf {
        self.root.join("witness")
    }
}

/// Finishes what a repair began, should it have been cut off.
fn take_next_store(root: &Path) -> Result<(), Error> {
    let (next, store) = (root.join(NEXT_STORE), root.join("store"));
    if !next.exists() {
        return Ok(());
    }
    if store.exists() {
        let aside = |number: u32| root.join(format!("store.damaged-{number}"));
        let aside = (1..).map(aside).find(|path| !path.exists());
        let aside = aside.expect("there is a number that no directory has");
        fs::rename(&store, &aside).map_err(io(&aside))?;
    }
    fs::rename(&next, &store).map_err(io(&store))?;
    File::open(root).and_then(|dir| dir.sync_all()).map_err(io(root))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
