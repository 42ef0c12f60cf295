//! The bytes of one record of the journal. Called by the writer, the reader and recovery.
//!
//! Little-endian: length u32 (of what follows the checksum) · CRC32C u32 (of what follows it) ·
//! position u64 · link u32 (checksum of the record before) · unsynced u32 (bytes before this record
//! that were not yet on disk when it was written) · vault u32 · document 16 · n u64 · stamp 16 ·
//! kind u8 · author presence u8 · author length u16 · author · payload.
//! Never interprets a payload.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use crate::store::codec::Reader;

/// Length and checksum.
pub const FRAME_BYTES: usize = 8;
/// The fixed part after the frame.
pub const HEAD_BYTES: usize = 64;
/// Largest author: a principal's name.
pub const AUTHOR_BYTES_MAX: usize = 1024;
/// Largest payload: a message of 16 MiB, and room for what the server adds (a reason, an owner).
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024 + 64 * 1024;
const BODY_BYTES_MAX: usize = HEAD_BYTES + AUTHOR_BYTES_MAX + PAYLOAD_BYTES_MAX;

/// What a record holds. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An update of a document; the payload is the update as received. Its n is one more than the
    /// n of the document's last update; the first is 1.
    Update = 1,
    /// A document was created; payload: `payload::Created`.
    Created = 2,
    /// Client ids were bound to owners; payload: `payload::Claim`.
    Claim = 3,
    /// An update was refused for good; payload: `payload::Refused`.
    Quarantined = 4,
    /// A second copy kept for its owner; payload: the bytes.
    Kept = 5,
    /// The highest presence clock given out; document nil, payload: `payload::Presence`.
    Presence = 6,
    /// A body settled; payload: `payload::Settled`.
    Settled = 7,
    /// A document was deleted; payload: `payload::Renamed`.
    Deleted = 8,
    /// A document got another name, or is back under one after its deletion; payload:
    /// `payload::Renamed`.
    Moved = 9,
    /// A vault was created, or given facts; document nil, payload: `payload::VaultCreated`.
    VaultCreated = 10,
    /// A vault was deleted with all that is in it; document nil, payload: `payload::VaultDropped`.
    VaultDropped = 11,
    /// A name is free whose document has a history; payload: `payload::Retired`.
    Retired = 12,
    /// A version got a name, or lost it; payload: `payload::Named`.
    Named = 13,
    /// A change that a client stamped is in a version; payload: `payload::Stamped`.
    Stamped = 14,
    /// Many changes of one vault: all are there or none; document nil, payload: `together`.
    Together = 15,
    /// A device of a vault changed, or is forgotten; document nil, payload: `payload::Device`.
    Device = 16,
    /// Deleted documents are forgotten; document nil, payload: `payload::Pruned`.
    Pruned = 17,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Update,
            2 => Self::Created,
            3 => Self::Claim,
            4 => Self::Quarantined,
            5 => Self::Kept,
            6 => Self::Presence,
            7 => Self::Settled,
            8 => Self::Deleted,
            9 => Self::Moved,
            10 => Self::VaultCreated,
            11 => Self::VaultDropped,
            12 => Self::Retired,
            13 => Self::Named,
            14 => Self::Stamped,
            15 => Self::Together,
            16 => Self::Device,
            17 => Self::Pruned,
            _ => return None,
        })
    }
}

/// A record to append, or one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The document it belongs to.
    pub doc: DocKey,
    /// For an update its number in the document, from 1, without holes; for other kinds the number
    /// of the last update before it.
    pub n: u64,
    /// What it holds.
    pub kind: Kind,
    /// When it was accepted.
    pub stamp: Stamp,
    /// The principal it came from.
    pub author: Option<&'a str>,
    /// The content.
    pub payload: &'a [u8],
}

/// A record with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Where it starts in the journal.
    pub position: u64,
    /// Checksum of the record before it.
    pub link: u32,
    /// Its own checksum.
    pub crc: u32,
    /// Everything before this position was on disk when it was written.
    pub durable_then: u64,
    /// Its content.
    pub record: Record<'a>,
}

impl Placed<'_> {
    /// Size in the journal, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        let author = self.record.author.map_or(0, str::len);
        (FRAME_BYTES + HEAD_BYTES + author + self.record.payload.len()) as u64
    }

    /// Where the next record starts.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.position + self.len()
    }

    /// A record always has bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Why a record cannot be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The payload.
    #[error("payload of {0} bytes, the limit is {PAYLOAD_BYTES_MAX}")]
    Payload(usize),
    /// The author.
    #[error("author of {0} bytes, the limit is {AUTHOR_BYTES_MAX}")]
    Author(usize),
}

impl Record<'_> {
    /// Appends the record's bytes; its checksum, which the next record links to.
    ///
    /// # Errors
    /// `TooLarge`; nothing is appended then.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        position: u64,
        link: u32,
        durable: u64,
    ) -> Result<u32, TooLarge> {
        let author = self.author.unwrap_or("");
        if self.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(TooLarge::Payload(self.payload.len()));
        }
        if author.len() > AUTHOR_BYTES_MAX {
            return Err(TooLarge::Author(author.len()));
        }
        let body_len = HEAD_BYTES + author.len() + self.payload.len();
        let unsynced = u32::try_from(position.saturating_sub(durable)).unwrap_or(u32::MAX);
        let mut head = [0u8; FRAME_BYTES + HEAD_BYTES];
        head[0..4].copy_from_slice(&(body_len as u32).to_le_bytes());
        head[8..16].copy_from_slice(&position.to_le_bytes());
        head[16..20].copy_from_slice(&link.to_le_bytes());
        head[20..24].copy_from_slice(&unsynced.to_le_bytes());
        head[24..28].copy_from_slice(&self.doc.vault.0.to_le_bytes());
        head[28..44].copy_from_slice(&self.doc.doc.0.to_bytes());
        head[44..52].copy_from_slice(&self.n.to_le_bytes());
        head[52..68].copy_from_slice(&self.stamp.to_bytes());
        head[68] = self.kind as u8;
        head[69] = u8::from(self.author.is_some());
        head[70..72].copy_from_slice(&(author.len() as u16).to_le_bytes());
        let start = out.len();
        out.reserve(FRAME_BYTES + body_len);
        out.extend_from_slice(&head);
        out.extend_from_slice(author.as_bytes());
        out.extend_from_slice(self.payload);
        let crc = crc32c::crc32c(&out[start + FRAME_BYTES..]);
        out[start + 4..start + FRAME_BYTES].copy_from_slice(&crc.to_le_bytes());
        Ok(crc)
    }
}

/// Size of the record that starts with these bytes, frame included; `None` when it cannot be one.
#[must_use]
pub fn len_of(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (HEAD_BYTES..=BODY_BYTES_MAX).contains(&len).then_some(FRAME_BYTES + len)
}

/// The record at the start of `bytes`, if it is whole and says that it stands at `position`.
#[must_use]
pub fn decode(bytes: &[u8], position: u64) -> Option<Placed<'_>> {
    let body = bytes.get(FRAME_BYTES..len_of(bytes)?)?;
    // Compared before the checksum: a search for the next record tries every byte.
    if body[..8] != position.to_le_bytes() {
        return None;
    }
    let crc = u32::from_le_bytes(*bytes[4..].first_chunk()?);
    if crc32c::crc32c(body) != crc {
        return None;
    }
    parse(body, crc)
}

/// What the bytes of a damaged record say of its document, unproved: for a report only.
#[must_use]
pub fn suspect(bytes: &[u8]) -> Option<(DocKey, u64)> {
    let mut reader = Reader::new(bytes.get(24..)?);
    let vault = VaultNo(reader.u32()?);
    let doc = DocId(Stamp::from_bytes(reader.array()?));
    Some((DocKey { vault, doc }, reader.u64()?))
}

fn parse(body: &[u8], crc: u32) -> Option<Placed<'_>> {
    let mut reader = Reader::new(body);
    let position = reader.u64()?;
    let link = reader.u32()?;
    let durable_then = position.saturating_sub(u64::from(reader.u32()?));
    let vault = VaultNo(reader.u32()?);
    let doc = DocId(Stamp::from_bytes(reader.array()?));
    let n = reader.u64()?;
    let stamp = Stamp::from_bytes(reader.array()?);
    let kind = Kind::of(reader.u8()?)?;
    let has_author = reader.u8()? == 1;
    let author_len = usize::from(reader.u16()?);
    let author = std::str::from_utf8(reader.take(author_len)?).ok()?;
    let record = Record {
        doc: DocKey { vault, doc },
        n,
        kind,
        stamp,
        author: has_author.then_some(author),
        payload: reader.rest(),
    };
    Some(Placed { position, link, crc, durable_then, record })
}

#[cfg(test)]
mod tests;
