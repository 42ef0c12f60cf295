//! A blob on its way in: bytes are hashed, cut and written as they come.
//!
//! Called by `upload`, and by whoever takes bytes whose hash is not known yet. Holds at most one
//! chunk in memory. Never lets anything be seen before all of it is on disk.

use std::fs;
use std::mem;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use sheaf_protocol::ids::VaultNo;

use super::cut::{self, CHUNK_BYTES_MAX};
use super::hash::Hash;
use super::list::Chunk;
use super::shelf::{Form, Shelf, remove_all};
use super::{Blobs, Error, Hold, names};

/// What is taken at once, so that no more than this lies behind a chunk in memory.
const STEP_BYTES: usize = 64 << 10;
/// The file of what was not cut yet when an upload was broken off.
const TAIL: &str = "tail";

/// Bytes of one blob as they come. Dropped, it leaves nothing.
pub struct Gathering {
    room: Blobs,
    vault: VaultNo,
    /// For chunks until the blob is stored: `000001-<hash>`. Made with the first.
    dir: PathBuf,
    whole: Sha256,
    bytes: u64,
    chunks: Vec<Chunk>,
    tail: Vec<u8>,
    is_made: bool,
    /// The directory is to be kept.
    is_parked: bool,
}

/// A blob that is stored, durably.
#[derive(Debug)]
pub struct Stored {
    /// Keeps it until something refers to it.
    pub hold: Hold,
    /// Whether the vault did not have it.
    pub is_new: bool,
}

impl Gathering {
    /// Goes on with what is in `dir`, or begins.
    pub(super) fn load(room: Blobs, vault: VaultNo, dir: PathBuf) -> Result<Gathering, Error> {
        let is_made = dir.is_dir();
        let mut gathering = Gathering {
            room,
            vault,
            dir,
            whole: Sha256::new(),
            bytes: 0,
            chunks: Vec::new(),
            tail: Vec::new(),
            is_made,
            is_parked: false,
        };
        if is_made {
            gathering.restore()?;
        }
        Ok(gathering)
    }

    /// Reads what is there until something is missing or damaged; the rest is removed. Nothing of
    /// it had to be on disk: it may have been cut off anywhere.
    fn restore(&mut self) -> Result<(), Error> {
        let mut files = names(&self.dir)?;
        files.sort();
        let mut has_tail = false;
        let mut stray = Vec::new();
        for name in files {
            let path = self.dir.join(&name);
            let hash: Option<Hash> = name
                .strip_prefix(&format!("{:06}-", self.chunks.len()))
                .and_then(|hash| hash.parse().ok());
            let content = match hash {
                Some(_) => self.shelf().read(&path, CHUNK_BYTES_MAX)?,
                None => None,
            };
            match (hash, content) {
                (Some(hash), Some(content)) if Hash::of(&content) == hash => {
                    self.whole.update(&content);
                    self.bytes += content.len() as u64;
                    self.chunks.push(Chunk { hash, bytes: content.len() as u32 });
                }
                _ if name == TAIL => has_tail = true,
                _ => stray.push(path),
            }
        }
        let tail = self.dir.join(TAIL);
        if has_tail && stray.is_empty() {
            // The last 32 bytes are the hash of those before.
            let content = self.shelf().read(&tail, CHUNK_BYTES_MAX + 32)?.unwrap_or_default();
            if let Some((bytes, hash)) = content.split_last_chunk::<32>()
                && Hash::of(bytes).0 == *hash
            {
                self.whole.update(bytes);
                self.bytes += bytes.len() as u64;
                self.tail = bytes.to_vec();
            }
        }
        stray.push(tail);
        stray.iter().try_for_each(|path| remove_all(path))
    }

    /// Bytes that are here.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `TooLarge`; `Full`, `Io`. It cannot go on then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let bytes_max = self.room.file_bytes_max();
        if self.bytes + bytes.len() as u64 > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        self.room.inner.config.meters.received_bytes.inc_by(bytes.len() as u64);
        for step in bytes.chunks(STEP_BYTES) {
            self.whole.update(step);
            self.tail.extend_from_slice(step);
            self.bytes += step.len() as u64;
            while self.tail.len() > CHUNK_BYTES_MAX {
                self.cut()?;
            }
        }
        Ok(())
    }

    /// Stores the blob; it is durable when this returns.
    ///
    /// # Errors
    /// `Full`, `Io`: nothing is stored.
    pub fn finish(mut self) -> Result<Stored, Error> {
        let hash = self.hash();
        self.store(&hash)
    }

    /// Of what is here.
    pub(super) fn hash(&self) -> Hash {
        Hash(self.whole.clone().finalize().into())
    }

    /// Stores the blob, whose hash this is.
    pub(super) fn store(&mut self, hash: &Hash) -> Result<Stored, Error> {
        let is_new = if self.chunks.is_empty() {
            self.shelf().store(hash, Form::Piece, &self.tail)?
        } else {
            while !self.tail.is_empty() {
                self.cut()?;
            }
            self.store_chunks(hash)?
        };
        let hold = self.room.hold(self.vault, hash)?.ok_or(Error::Again)?;
        Ok(Stored { hold, is_new })
    }

    fn store_chunks(&mut self, hash: &Hash) -> Result<bool, Error> {
        let shelf = self.room.shelf(self.vault);
        let chunks = self.chunks.iter().enumerate();
        let files: Vec<(PathBuf, Hash)> =
            chunks.map(|(place, chunk)| (self.chunk(place, &chunk.hash), chunk.hash)).collect();
        shelf.place(&files, Form::Piece)?;
        // Behind all its chunks: who finds the list finds them.
        let is_new = shelf.store_list(hash, &self.chunks)?;
        remove_all(&self.dir)?;
        self.is_made = false;
        Ok(is_new)
    }

    /// Writes the first chunk of what is not cut yet.
    fn cut(&mut self) -> Result<(), Error> {
        let end = cut::first(&self.tail);
        let chunk = Chunk { hash: Hash::of(&self.tail[..end]), bytes: end as u32 };
        if !self.is_made {
            let shelf = self.shelf();
            shelf.make_dir(&shelf.partials())?;
            fs::create_dir(&self.dir).map_err(Error::at(&self.dir))?;
            self.is_made = true;
        }
        let path = self.chunk(self.chunks.len(), &chunk.hash);
        let shelf = self.shelf();
        shelf.write(&path, &self.tail[..end])?;
        if !shelf.piece(&chunk.hash).exists() {
            shelf.begin_sync(&path);
        }
        self.chunks.push(chunk);
        self.tail.drain(..end);
        Ok(())
    }

    fn chunk(&self, place: usize, hash: &Hash) -> PathBuf {
        self.dir.join(format!("{place:06}-{hash}"))
    }

    /// Keeps what is here for somebody who goes on with it; a short beginning is not worth that.
    pub(super) fn park(mut self) -> Result<(), Error> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        if !self.tail.is_empty() {
            let mut tail = mem::take(&mut self.tail);
            let hash = Hash::of(&tail);
            tail.extend_from_slice(&hash.0);
            self.shelf().write(&self.dir.join(TAIL), &tail)?;
        }
        self.shelf().stamp(&self.dir)?;
        self.is_parked = true;
        Ok(())
    }

    fn shelf(&self) -> Shelf<'_> {
        self.room.shelf(self.vault)
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        if self.is_made && !self.is_parked {
            // What it leaves is cleared by the sweep or at the next start.
            let _ = remove_all(&self.dir);
        }
    }
}

impl std::fmt::Debug for Gathering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathering").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
