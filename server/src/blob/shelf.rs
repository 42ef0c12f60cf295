//! The files of one vault's blobs: where they are, and how one comes to its place.
//!
//! `blobs/00000001/ab/cdef…` is a piece, bytes by their SHA-256; with `.list` behind it is a blob
//! of many. What is not finished lies in `blobs/00000001/partial/`. Called by the rest of the room.
//! Never gives a file its
//! name: that is `placing`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{Advice, AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, fadvise, utimensat};
use sheaf_protocol::ids::VaultNo;

use super::cut::WHOLE_BYTES_MAX;
use super::hash::Hash;
use super::list::{self, Chunk};
use super::{Error, GRACE, Inner, names};
use sheaf_storage::store::disk::{read_full_at, write_all_at};

/// What the name of a list ends in.
const LIST: &str = ".list";
/// What the name of something begins with that nobody can go on with after a crash.
const FRESH: &str = "new-";
/// The directory for what is not finished.
const PARTIAL: &str = "partial";

pub(super) struct Shelf<'a> {
    room: &'a Inner,
    vault: VaultNo,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Piece,
    List,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(room: &'a Inner, vault: VaultNo) -> Shelf<'a> {
        Shelf { room, vault }
    }

    pub(super) fn room(&self) -> &'a Inner {
        self.room
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.room.config.dir.join(format!("{:08x}", self.vault.0))
    }

    pub(super) fn partials(&self) -> PathBuf {
        self.dir().join(PARTIAL)
    }

    /// Where an upload goes on that was broken off.
    pub(super) fn partial(&self, hash: &Hash) -> PathBuf {
        self.partials().join(hash.to_string())
    }

    /// A name for something that is not finished.
    pub(super) fn fresh(&self) -> PathBuf {
        let number = self.room.names.fetch_add(1, Ordering::Relaxed);
        self.partials().join(format!("{FRESH}{number}"))
    }

    pub(super) fn shard(&self, first: u8) -> PathBuf {
        self.dir().join(format!("{first:02x}"))
    }

    pub(super) fn piece(&self, hash: &Hash) -> PathBuf {
        self.shard(hash.0[0]).join(&hash.to_string()[2..])
    }

    pub(super) fn list(&self, hash: &Hash) -> PathBuf {
        self.shard(hash.0[0]).join(format!("{}{LIST}", &hash.to_string()[2..]))
    }

    pub(super) fn path(&self, hash: &Hash, form: Form) -> PathBuf {
        match form {
            Form::Piece => self.piece(hash),
            Form::List => self.list(hash),
        }
    }

    /// Everything in a shard.
    pub(super) fn content(&self, first: u8) -> Result<Vec<(Hash, Form)>, Error> {
        let parse = |name: String| {
            let (digits, form) = match name.strip_suffix(LIST) {
                Some(digits) => (digits, Form::List),
                None => (&*name, Form::Piece),
            };
            Some((format!("{first:02x}{digits}").parse().ok()?, form))
        };
        Ok(names(&self.shard(first))?.into_iter().filter_map(parse).collect())
    }

    /// Says that a blob is wanted now; false if it is not there. Under the lock of what is held.
    pub(super) fn touch(&self, hash: &Hash) -> Result<bool, Error> {
        Ok(self.stamp(&self.piece(hash))? || self.stamp(&self.list(hash))?)
    }

    /// Writes our time to a file or directory; false if it is not there.
    pub(super) fn stamp(&self, path: &Path) -> Result<bool, Error> {
        let since = Duration::from_millis(self.room.config.clock.now_ms());
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let last_modification =
            Timespec { tv_sec: seconds, tv_nsec: i64::from(since.subsec_nanos()) };
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access, last_modification };
        match utimensat(CWD, path, &times, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::at(path)(error.into())),
        }
    }

    /// Whether nobody has put it or asked about it for a day. False if it is not there.
    pub(super) fn is_old(&self, path: &Path) -> Result<bool, Error> {
        let modified = match fs::metadata(path).and_then(|it| it.modified()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            modified => modified.map_err(Error::at(path))?,
        };
        let now = UNIX_EPOCH + Duration::from_millis(self.room.config.clock.now_ms());
        // A clock that went back lets things stay longer.
        Ok(now.duration_since(modified).is_ok_and(|age| age > GRACE))
    }

    /// Makes a directory of the vault, durably.
    pub(super) fn make_dir(&self, dir: &Path) -> Result<(), Error> {
        let mut made = self.room.made.lock();
        let (room, vault) = (self.room.config.dir.as_path(), self.dir());
        for dir in [room, &vault, dir] {
            if made.contains(dir) {
                continue;
            }
            match fs::create_dir(dir) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => created.map_err(Error::at(dir))?,
            }
            // Also where it was there: whoever made it may not have come to that.
            let parent = dir.parent().unwrap_or(dir);
            self.room.config.disk.sync_dir(parent).map_err(Error::at(parent))?;
            made.insert(dir.to_owned());
        }
        Ok(())
    }

    /// Forgets a vault whose directories are removed.
    pub(super) fn unmake(&self) {
        let dir = self.dir();
        self.room.made.lock().retain(|made| !made.starts_with(&dir));
    }

    pub(super) fn sync_shard(&self, first: u8) -> Result<(), Error> {
        let dir = self.shard(first);
        self.room.config.disk.sync_dir(&dir).map_err(Error::at(&dir))
    }

    /// Writes a file that is not finished. It is removed if that fails.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let disk = &self.room.config.disk;
        let written = disk.create(path).and_then(|file| write_all_at(&*file, bytes, 0));
        if written.is_err() {
            // What it leaves is cleared at the next start.
            let _ = fs::remove_file(path);
        }
        written.map_err(Error::at(path))
    }

    /// Has the system write a file out while more comes in: what is synced one by one at the end
    /// has been written by then.
    pub(super) fn begin_sync(&self, path: &Path) {
        // Only a hint, and only Linux takes it as one.
        if let Ok(file) = fs::File::open(path) {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }

    /// The bytes of a piece, which are those of its hash; none if it is not there.
    pub(super) fn load(&self, hash: &Hash, bytes: Option<u32>) -> Result<Option<Vec<u8>>, Error> {
        let Some(content) = self.read(&self.piece(hash), WHOLE_BYTES_MAX)? else {
            return Ok(None);
        };
        let is_right = bytes.is_none_or(|bytes| content.len() as u64 == u64::from(bytes))
            && Hash::of(&content) == *hash;
        if !is_right {
            return Err(self.damaged(hash, "its bytes are not what was written"));
        }
        Ok(Some(content))
    }

    /// What a blob consists of; none if it is not there.
    pub(super) fn chunks(&self, hash: &Hash) -> Result<Option<Vec<Chunk>>, Error> {
        let piece = self.piece(hash);
        match fs::metadata(&piece) {
            // Nothing is ever read of an empty one that would tell.
            Ok(file) if file.len() == 0 && *hash != Hash::of(b"") => {
                return Err(self.damaged(hash, "it is empty"));
            }
            Ok(file) if file.len() <= WHOLE_BYTES_MAX as u64 => {
                return Ok(Some(vec![Chunk { hash: *hash, bytes: file.len() as u32 }]));
            }
            Ok(_) => return Err(self.damaged(hash, "it is longer than it was")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::at(&piece)(error)),
        }
        let Some(list) = self.read(&self.list(hash), usize::MAX)? else { return Ok(None) };
        let damaged = || self.damaged(hash, "its list is not what was written");
        list::decode(hash, &list).map(Some).ok_or_else(damaged)
    }

    pub(super) fn damaged(&self, hash: &Hash, what: &'static str) -> Error {
        self.room.config.meters.damaged.inc();
        Error::Damaged { hash: *hash, what }
    }

    /// A whole file, cut off behind `bytes_max`; none if it is not there.
    pub(super) fn read(&self, path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
        let file = match self.room.config.disk.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::at(path))?,
        };
        let read = || -> io::Result<Vec<u8>> {
            let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
            // One more, so that what is too long is not right.
            let mut content = vec![0; len.min(bytes_max.saturating_add(1))];
            let have = read_full_at(&*file, &mut content, 0)?;
            content.truncate(have);
            Ok(content)
        };
        read().map(Some).map_err(Error::at(path))
    }

    /// Removes what nobody can go on with after a crash.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let partials = self.partials();
        for name in names(&partials)? {
            if name.starts_with(FRESH) {
                remove_all(&partials.join(name))?;
            }
        }
        Ok(())
    }
}

/// Removes a file, or a directory with all that is in it; fine if it is not there.
pub(super) fn remove_all(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(it) if it.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::at(path)(error)),
        _ => Ok(()),
    }
}
