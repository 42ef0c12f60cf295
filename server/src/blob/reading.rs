//! A blob on its way out: a chunk at a time, each checked before a byte of it leaves.
//!
//! Called by `http` and by whoever shows a blob. Holds one chunk in memory. Never gives out bytes
//! that are not those of their hash.

use std::ops::Range;

use bytes::Bytes;

use super::list::{self, Chunk};
use super::{Error, Hold};

/// A blob that is here. It stays as long as this lives.
#[derive(Debug)]
pub struct Blob {
    hold: Hold,
    chunks: Vec<Chunk>,
}

/// Part of a blob, being read.
#[derive(Debug)]
pub struct Reading {
    blob: Blob,
    /// The chunk to be read next, and where in the blob it begins.
    next: usize,
    begin: u64,
    range: Range<u64>,
}

impl Blob {
    pub(super) fn new(hold: Hold, chunks: Vec<Chunk>) -> Blob {
        Blob { hold, chunks }
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        list::size(&self.chunks)
    }

    /// What it consists of; a small one of itself.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Reads what of the range is in the blob.
    #[must_use]
    pub fn read(self, range: Range<u64>) -> Reading {
        Reading { blob: self, next: 0, begin: 0, range }
    }
}

impl Reading {
    /// The next bytes, at most a chunk; none at the end.
    ///
    /// # Errors
    /// `Damaged`; `Io`.
    #[expect(clippy::should_implement_trait, reason = "it blocks, and it fails")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(chunk) = self.blob.chunks.get(self.next).copied() {
            let (begin, end) = (self.begin, self.begin + u64::from(chunk.bytes));
            if begin >= self.range.end {
                break;
            }
            self.next += 1;
            self.begin = end;
            let part = self.range.start.max(begin)..self.range.end.min(end);
            if part.is_empty() {
                continue;
            }
            let content = self.load(&chunk)?;
            let sent = &self.blob.hold.room.inner.config.meters.sent_bytes;
            sent.inc_by(part.end - part.start);
            if part == (begin..end) {
                return Ok(Some(content.into()));
            }
            // A copy: the rest would stay in memory until the part has gone out.
            let part = (part.start - begin) as usize..(part.end - begin) as usize;
            return Ok(Some(Bytes::copy_from_slice(&content[part])));
        }
        Ok(None)
    }

    fn load(&self, chunk: &Chunk) -> Result<Vec<u8>, Error> {
        let Hold { room, key: (vault, _), .. } = &self.blob.hold;
        let shelf = room.shelf(*vault);
        let loaded = shelf.load(&chunk.hash, Some(chunk.bytes))?;
        loaded.ok_or_else(|| shelf.damaged(&chunk.hash, "it is missing"))
    }
}
