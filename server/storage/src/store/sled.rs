//! The sled engine: the default home of the store, contained. Opened by `Store::open`.
//! sled 0.34.7 panics on damage, and its `flush` is `sync_file_range`: every call runs behind
//! `catch_unwind`, and `sync` adds our own `fdatasync` of the database file.
//! Never lets a panic out, and never answers again after one.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Error;
use super::engine::{Batch, Change, Engine, Pair, bound_back};

/// sled uses several times what it is told (16 MB setting, 45 MB resident; facts, 2.1).
pub const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An open sled database.
pub struct Sled {
    db: ::sled::Db,
    /// The file behind `db`, for our own fdatasync.
    file: File,
    /// Values over a quarter of a sled segment go to files here; chunking keeps it empty.
    blobs: PathBuf,
    /// Set by the first panic: what the engine holds in memory is not to be trusted after it.
    is_broken: AtomicBool,
}

impl Sled {
    /// Opens or creates the database in `dir`.
    ///
    /// # Errors
    /// `Error::Engine` when sled reports an error, panics (it does when the files are damaged), or
    /// another process holds the database. The files may have been touched by the attempt: copy the
    /// directory before trying anything else.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let config = ::sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes.min(CACHE_BYTES_MAX))
            .flush_every_ms(None);
        let db = open_freed(&config)?;
        let path = dir.join("db");
        let file = File::open(&path).map_err(|source| Error::Io { path, source })?;
        Ok(Self { db, file, blobs: dir.join("blobs"), is_broken: AtomicBool::new(false) })
    }

    fn run<T>(
        &self,
        what: &'static str,
        call: impl FnOnce() -> ::sled::Result<T>,
    ) -> Result<T, Error> {
        if self.is_broken.load(Ordering::Acquire) {
            let cause = "the engine failed before and waits for a restart".into();
            return Err(Error::Engine { what, cause });
        }
        let result = contain(what, call);
        if matches!(&result, Err(Error::EnginePanic { .. })) {
            self.is_broken.store(true, Ordering::Release);
        }
        result
    }
}

impl Engine for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.run("get", || Ok(self.db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Error> {
        self.run("scan", || {
            let start = match from {
                Some(from) if from >= prefix => std::ops::Bound::Excluded(from.to_vec()),
                _ => std::ops::Bound::Included(prefix.to_vec()),
            };
            let mut pairs = Vec::new();
            for pair in self.db.range((start, std::ops::Bound::Unbounded)).take(limit) {
                let (key, value) = pair?;
                if !key.starts_with(prefix) {
                    break;
                }
                pairs.push((key.to_vec(), value.to_vec()));
            }
            Ok(pairs)
        })
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, Error> {
        self.run("scan", || {
            let end = bound_back(prefix, before);
            let mut pairs = Vec::new();
            for pair in self.db.range((std::ops::Bound::Unbounded, end)).rev().take(limit) {
                let (key, value) = pair?;
                if !key.starts_with(prefix) {
                    break;
                }
                pairs.push((key.to_vec(), value.to_vec()));
            }
            Ok(pairs)
        })
    }

    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        self.run("apply", || {
            let mut changes = ::sled::Batch::default();
            for change in batch.changes() {
                match change {
                    Change::Put(key, value) => changes.insert(key.as_slice(), value.as_slice()),
                    Change::Delete(key) => changes.remove(key.as_slice()),
                }
            }
            self.db.apply_batch(changes)
        })
    }

    fn sync(&self) -> Result<(), Error> {
        self.run("flush", || self.db.flush())?;
        let synced = self.run("sync", || {
            self.file.sync_data()?;
            for entry in std::fs::read_dir(&self.blobs)? {
                File::open(entry?.path())?.sync_data()?;
            }
            Ok(())
        });
        if synced.is_err() {
            // What the kernel dropped would count as written in a second try.
            self.is_broken.store(true, Ordering::Release);
        }
        synced
    }
}

impl std::fmt::Debug for Sled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sled").field("blobs", &self.blobs).finish_non_exhaustive()
    }
}

/// sled's own threads hold the files for a moment after the last handle went, so a store that was
/// just closed in this process may still be locked. Other processes are kept out by `lock`.
fn open_freed(config: &::sled::Config) -> Result<::sled::Db, Error> {
    const TRIES: u32 = 300;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 1..TRIES {
        match contain("open", || config.open()) {
            Err(Error::Engine { cause, .. }) if cause.contains("could not acquire lock") => {
                std::thread::park_timeout(PAUSE);
            }
            other => return other,
        }
    }
    contain("open", || config.open())
}

fn contain<T>(what: &'static str, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, Error> {
    // Nothing of ours is shared with the closure but the database, which is given up on a panic.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::Engine { what, cause: error.to_string() }),
        Err(panic) => {
            let cause = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "no message".to_owned());
            Err(Error::EnginePanic { what, cause })
        }
    }
}
