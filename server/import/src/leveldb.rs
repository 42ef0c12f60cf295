//! Reads a LevelDB database: each key once, at its newest value, in order.
//!
//! Used by `ywebsocket`. The format is that of `doc/impl.md`, `doc/log_format.md` and
//! `doc/table_format.md` in github.com/google/leveldb. Every checksum is compared, and what does
//! not hold is told, not left out in silence. Never writes: no recovery, no compaction. The lock is
//! held meanwhile, so no server can open the database.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use self::log::Log;
use self::manifest::Manifest;
use self::table::Table;
use crate::Error;

mod batch;
mod log;
mod manifest;
mod table;

/// Something in a file that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The file, and where in it.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) why: String,
}

/// One writing of a key; without a value it was deleted.
struct Entry {
    key: Vec<u8>,
    /// Counts all writings of the database.
    number: u64,
    value: Option<Vec<u8>>,
}

/// Entries in the order of keys, those of one key from the newest on.
type Source = Box<dyn Iterator<Item = Result<Entry, Damage>>>;

/// A database, as an iterator of its keys and values.
pub(crate) struct Database {
    sources: Vec<Source>,
    /// The next entry of each source that has one.
    heads: BinaryHeap<Reverse<Head>>,
    /// Sources whose next entry is not among the heads.
    unread: Vec<usize>,
    /// The key given out last, or deleted.
    last: Option<Vec<u8>>,
    _lock: File,
}

/// Ordered by its first two fields; no two entries have the same number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: Vec<u8>,
    number: Reverse<u64>,
    value: Option<Vec<u8>>,
    source: usize,
}

impl Database {
    /// Opens the database in a folder.
    ///
    /// # Errors
    /// See [`super::ywebsocket::open`].
    pub(crate) fn open(folder: &Path) -> Result<Database, Error> {
        let current = read(&folder.join("CURRENT"))?;
        let lock = lock(folder)?;
        let other = |why: String| Error::Other { path: folder.to_owned(), why };
        let current = String::from_utf8_lossy(&current).trim_end().to_owned();
        if !current.starts_with("MANIFEST-") || current.contains(['/', '\0']) {
            return Err(other("its file CURRENT names no manifest".to_owned()));
        }
        let bytes = read(&folder.join(&current))?;
        let manifest = Manifest::read(&bytes).map_err(|why| other(format!("{current}: {why}")))?;
        let mut sources: Vec<Source> = vec![recent(folder, &manifest)?];
        for number in &manifest.tables {
            let (path, name) = table_file(folder, *number)?;
            sources.push(Box::new(Table::open(&path, name)));
        }
        let unread = (0..sources.len()).collect();
        Ok(Database { sources, heads: BinaryHeap::new(), unread, last: None, _lock: lock })
    }
}

impl Iterator for Database {
    type Item = Result<(Vec<u8>, Vec<u8>), Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(&source) = self.unread.last() {
                match self.sources[source].next() {
                    Some(Err(damage)) => return Some(Err(damage)),
                    Some(Ok(Entry { key, number, value })) => {
                        let number = Reverse(number);
                        self.heads.push(Reverse(Head { key, number, value, source }));
                    }
                    None => {}
                }
                self.unread.pop();
            }
            let Reverse(Head { key, value, source, .. }) = self.heads.pop()?;
            self.unread.push(source);
            if self.last.as_ref() == Some(&key) {
                continue;
            }
            self.last = Some(key.clone());
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

/// Keeps servers out; refused while one has the database.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("LOCK");
    let lock = File::open(&path).map_err(|why| Error::File { path, why })?;
    match fcntl_lock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(lock),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(Error::InUse { path: folder.to_owned() }),
        Err(errno) => Err(Error::File { path: folder.join("LOCK"), why: errno.into() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|why| Error::File { path: path.to_owned(), why })
}

/// What is in the logs and not yet in a table: a few megabytes.
fn recent(folder: &Path, manifest: &Manifest) -> Result<Source, Error> {
    let unlisted = |why| Error::File { path: folder.to_owned(), why };
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        let name = entry.map_err(unlisted)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let number = number.and_then(|number| number.parse::<u64>().ok());
        logs.extend(number.filter(|number| manifest.is_live_log(*number)));
    }
    logs.sort_unstable();
    let (mut newest, mut damages) = (BTreeMap::new(), Vec::new());
    for number in logs {
        let name = format!("{number:06}.log");
        let bytes = read(&folder.join(&name))?;
        let mut log = Log::new(&bytes);
        while let Some(record) = log.next() {
            let taken = record.and_then(|record| batch::take(&record, &mut newest));
            if let Err(why) = taken {
                damages.push(Err(Damage { place: format!("{name} at {}", log.at()), why }));
            }
        }
    }
    let entries = newest.into_iter();
    let entries = entries.map(|(key, (number, value))| Ok(Entry { key, number, value }));
    Ok(Box::new(damages.into_iter().chain(entries)))
}

/// A table under either of the endings that versions of LevelDB gave it.
fn table_file(folder: &Path, number: u64) -> Result<(PathBuf, String), Error> {
    for ending in ["ldb", "sst"] {
        let name = format!("{number:06}.{ending}");
        let path = folder.join(&name);
        if path.exists() {
            return Ok((path, name));
        }
    }
    let path = folder.join(format!("{number:06}.ldb"));
    Err(Error::File { path, why: io::ErrorKind::NotFound.into() })
}

/// LevelDB's checksum: CRC-32C, turned and shifted so that one of a checksum is none again.
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
pub(crate) mod tests;
