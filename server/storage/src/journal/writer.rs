//! Appending: one lock, one write. Called by `Journal::append` on the caller's thread; the sync
//! thread takes from here what it has to sync.
//! Never acknowledges, and never leaves part of a record behind a failure it survives.

use std::io;
use std::path::Path;

use super::record::{Record, TooLarge};
use super::segment::{self, Disk, HEADER_BYTES, Header, Segment};
use super::{Appended, ReadOnly};

/// Above this the append buffer is given back after a large batch.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// What the sync thread waits for; an append notifies it only when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncWaits {
    /// It is busy or asleep for a fixed time.
    Nothing,
    /// Nothing is unsynced: the next append wakes it.
    First,
    /// Something is unsynced: a burst, or a request, wakes it early.
    Burst,
}

/// The end of the journal, and everything that changes with it.
pub(super) struct Writer {
    pub(super) active: Segment,
    pub(super) end: u64,
    pub(super) link: u32,
    /// Segments that were left with bytes not yet synced.
    pub(super) unsynced: Vec<Segment>,
    /// A segment was created whose name is not yet on disk.
    pub(super) is_dir_unsynced: bool,
    pub(super) unsynced_records: u64,
    pub(super) sync_waits: SyncWaits,
    pub(super) is_sync_asked: bool,
    pub(super) is_stopping: bool,
    pub(super) read_only: Option<ReadOnly>,
    buffer: Vec<u8>,
}

/// Why an append did not happen.
#[derive(Debug)]
pub(super) enum Refused {
    /// The record is too large; nothing changed.
    TooLarge(TooLarge),
    /// The disk said no; the journal is cut back and read-only.
    Failed(io::Error),
}

/// What the sync thread has to sync to make everything before `end` durable.
pub(super) struct Unsynced {
    pub(super) end: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) is_dir_unsynced: bool,
}

impl Writer {
    pub(super) fn new(active: Segment, link: u32) -> Self {
        Self {
            end: active.base,
            active,
            link,
            unsynced: Vec::new(),
            is_dir_unsynced: false,
            unsynced_records: 0,
            sync_waits: SyncWaits::Nothing,
            is_sync_asked: false,
            is_stopping: false,
            read_only: None,
            buffer: Vec::new(),
        }
    }

    /// Writes the records with one write. A new segment, where one was begun, is the second value.
    pub(super) fn append(
        &mut self,
        records: &[Record<'_>],
        durable: u64,
        (disk, dir, segment_bytes): (&dyn Disk, &Path, u64),
    ) -> Result<(Appended, Option<Segment>), Refused> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut link = self.link;
        for record in records {
            let position = self.end + buffer.len() as u64;
            match record.encode(&mut buffer, position, link, durable) {
                Ok(crc) => link = crc,
                Err(error) => {
                    self.keep(buffer);
                    return Err(Refused::TooLarge(error));
                }
            }
        }
        let result = self.write(&buffer, disk, dir, segment_bytes);
        let len = buffer.len() as u64;
        self.keep(buffer);
        let begun = result.map_err(Refused::Failed)?;
        let start = self.end;
        self.end += len;
        self.link = link;
        self.unsynced_records += records.len() as u64;
        Ok((Appended { start, end: self.end }, begun))
    }

    /// What is to be synced now; the count of unsynced records starts again.
    pub(super) fn take_unsynced(&mut self) -> Unsynced {
        self.unsynced_records = 0;
        self.is_sync_asked = false;
        let mut segments = std::mem::take(&mut self.unsynced);
        segments.push(self.active.clone());
        let is_dir_unsynced = std::mem::take(&mut self.is_dir_unsynced);
        Unsynced { end: self.end, segments, is_dir_unsynced }
    }

    fn write(
        &mut self,
        bytes: &[u8],
        disk: &dyn Disk,
        dir: &Path,
        segment_bytes: u64,
    ) -> io::Result<Option<Segment>> {
        let filled = self.end - self.active.base;
        let mut begun = None;
        if filled > 0 && filled + bytes.len() as u64 > segment_bytes {
            let header = Header { base: self.end, link: self.link };
            let next = segment::create(disk, dir, header)?;
            self.is_dir_unsynced = true;
            self.trim();
            self.unsynced.push(std::mem::replace(&mut self.active, next.clone()));
            begun = Some(next);
        }
        let offset = self.offset();
        let error = loop {
            match self.active.file.write_at(bytes, offset) {
                Ok(written) if written == bytes.len() => return Ok(begun),
                // A disk that takes part of a write is full or ill: the rest would fail as well.
                Ok(_) => break io::ErrorKind::StorageFull.into(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        // Should this fail too, the next start finds the torn record and cuts it.
        if let Err(cut) = self.active.file.set_len(offset) {
            tracing::error!(error = %cut, "the journal could not be cut back");
        }
        Err(error)
    }

    /// Where in the active segment's file the next record begins.
    fn offset(&self) -> u64 {
        self.end - self.active.base + HEADER_BYTES
    }

    /// Gives back the room of the active segment that nothing stands in.
    pub(super) fn trim(&self) {
        if let Err(error) = self.active.file.set_len(self.offset()) {
            tracing::warn!(%error, "the room behind a segment was not given back");
        }
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() > BUFFER_BYTES_KEPT {
            buffer = Vec::new();
        }
        self.buffer = buffer;
    }
}
