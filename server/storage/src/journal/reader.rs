//! Reading records in order of position from segments that are open. Called by the fold and by
//! `dump`.
//! Never skips a record that it was not told to skip.

use std::ops::Range;

use super::record::{self, Placed};
use super::segment::{HEADER_BYTES, Segment, read_full_at};
use super::{Damage, Error};

/// Most bytes read at once; a larger record is read whole.
const READ_BYTES: usize = 1024 * 1024;

/// A place in the journal.
pub(super) struct Reader {
    segments: Vec<Segment>,
    /// Damaged places a repair goes past.
    skips: Vec<Range<u64>>,
    position: u64,
    link: u32,
    end: u64,
    buffer: Vec<u8>,
    /// Position of the buffer's first byte.
    buffer_start: u64,
}

impl Reader {
    /// Reads from `position`, whose record links to `link`, up to `end`.
    pub(super) fn new(
        segments: Vec<Segment>,
        skips: Vec<Range<u64>>,
        (position, link): (u64, u32),
        end: u64,
    ) -> Self {
        let buffer = Vec::new();
        Self { segments, skips, position, link, end, buffer, buffer_start: position }
    }

    /// Where the next record starts.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Checksum of the record before it.
    pub(super) fn link(&self) -> u32 {
        self.link
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Placed<'_>>, Error> {
        while self.position < self.end {
            let Some(skip) = self.skips.iter().find(|skip| skip.contains(&self.position)) else {
                break;
            };
            self.position = skip.end;
        }
        if self.position >= self.end {
            return Ok(None);
        }
        let start = self.fill()?;
        let Some(placed) = record::decode(&self.buffer[start..], self.position) else {
            return Err(Error::damaged(self.position, "record"));
        };
        let is_after_skip = self.skips.iter().any(|skip| skip.end == self.position);
        if placed.link != self.link && !is_after_skip {
            let what = "record does not follow the one before it";
            let damage = Damage::at(self.position, placed.end(), what);
            return Err(Error::Damaged(Box::new(damage)));
        }
        self.position = placed.end();
        self.link = placed.crc;
        Ok(Some(placed))
    }

    /// Brings the whole record at `position` into the buffer; where it starts there.
    fn fill(&mut self) -> Result<usize, Error> {
        let start = self.buffered();
        if let Some(start) = start
            && let Some(len) = record::len_of(&self.buffer[start..])
            && self.buffer.len() - start >= len
        {
            return Ok(start);
        }
        let due = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        self.read(due.min(READ_BYTES))?;
        if let Some(len) = record::len_of(&self.buffer)
            && len > self.buffer.len()
        {
            self.read(len)?;
        }
        Ok(0)
    }

    fn buffered(&self) -> Option<usize> {
        let start = usize::try_from(self.position.checked_sub(self.buffer_start)?).ok()?;
        (start < self.buffer.len()).then_some(start)
    }

    fn read(&mut self, len: usize) -> Result<(), Error> {
        let after = self.segments.partition_point(|segment| segment.base <= self.position);
        let Some(segment) = after.checked_sub(1).map(|index| &self.segments[index]) else {
            return Err(Error::damaged(self.position, "segment missing"));
        };
        self.buffer.resize(len, 0);
        let offset = self.position - segment.base + HEADER_BYTES;
        let read = read_full_at(&*segment.file, &mut self.buffer, offset);
        let have = read.map_err(|source| Error::Io { what: "read", source })?;
        self.buffer.truncate(have);
        // A segment may hold more than its own when a repair left it so.
        if let Some(next) = self.segments.get(after) {
            let own = next.base - self.position;
            self.buffer.truncate(usize::try_from(own).unwrap_or(usize::MAX));
        }
        self.buffer_start = self.position;
        Ok(())
    }
}
