//! `log`: folded entries. Key: vault, kind, document id, n of the last entry in the group; chunked.
//! A group holds the entries of one document that one fold took, their bytes one after the other.
//! Written by the fold, read by every load, deleted when a checkpoint covers them.
//! Never decodes an update.

use std::sync::Arc;

use bytes::Bytes;
use sheaf_protocol::ids::DocKey;
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_text_option, put_varint, unzigzag, zigzag};

/// An update with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The document's count of entries, this one included.
    pub n: u64,
    /// Where its record started in the journal.
    pub position: u64,
    /// When it was accepted.
    pub stamp: Stamp,
    /// The principal that sent it.
    pub author: Option<Arc<str>>,
    /// The update as received.
    pub bytes: Bytes,
}

/// The key of a group.
#[must_use]
pub fn key(doc: DocKey, last_n: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Log, last_n)
}

/// A group while it is gathered: entries of one document whose n follow one another.
///
/// Encoded: first n u64, count u32, origin count u16, origins (author text or none, device u64);
/// per entry varints: origin, position − previous, zigzag of (time and counter − previous), length;
/// then the bytes of all entries.
#[derive(Debug, Default)]
pub struct Group {
    first_n: u64,
    count: u32,
    origins: Vec<(Option<Box<str>>, u64)>,
    places: Vec<u8>,
    bytes: Vec<u8>,
    last_position: u64,
    last_time: u64,
}

/// Most origins a group can name.
const ORIGINS_MAX: usize = u16::MAX as usize;

impl Group {
    /// The n an entry must have to be pushed next; `None` when any may.
    #[must_use]
    pub fn next_n(&self) -> Option<u64> {
        (self.count > 0).then(|| self.first_n + u64::from(self.count))
    }

    /// The n of the last entry.
    #[must_use]
    pub fn last_n(&self) -> u64 {
        self.first_n + u64::from(self.count) - 1
    }

    /// Size it will be encoded in, nearly.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() + self.bytes.len()
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an entry, or says `false` when it belongs in the next group.
    pub fn push(&mut self, entry: Place<'_>, bytes: &[u8]) -> bool {
        if self.next_n().is_some_and(|next| next != entry.n) || self.origins.len() == ORIGINS_MAX {
            return false;
        }
        if self.count == 0 {
            self.first_n = entry.n;
        }
        let time = high(entry.stamp);
        let origin = self.origin(entry.author, entry.stamp.device());
        put_varint(&mut self.places, origin as u64);
        put_varint(&mut self.places, entry.position.wrapping_sub(self.last_position));
        put_varint(&mut self.places, zigzag(time.wrapping_sub(self.last_time) as i64));
        put_varint(&mut self.places, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self.last_position = entry.position;
        self.last_time = time;
        self.count += 1;
        true
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(14 + self.len() + self.origins.len() * 24);
        out.extend_from_slice(&self.first_n.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&(self.origins.len() as u16).to_le_bytes());
        for (author, device) in &self.origins {
            put_text_option(&mut out, author.as_deref());
            out.extend_from_slice(&device.to_le_bytes());
        }
        out.extend_from_slice(&self.places);
        out.extend_from_slice(&self.bytes);
        out
    }

    fn origin(&mut self, author: Option<&str>, device: u64) -> usize {
        let known =
            |(have, on): &(Option<Box<str>>, u64)| have.as_deref() == author && *on == device;
        // Few origins write one document within a second, and mostly the last one again.
        if let Some(index) = self.origins.iter().rposition(known) {
            return index;
        }
        self.origins.push((author.map(Box::from), device));
        self.origins.len() - 1
    }
}

/// What a group keeps of an entry besides its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The document's count of entries, this one included.
    pub n: u64,
    /// Where its record started in the journal.
    pub position: u64,
    /// When it was accepted.
    pub stamp: Stamp,
    /// The principal that sent it.
    pub author: Option<&'a str>,
}

/// Appends the entries of a stored group to `entries`; `None` when it is not a group.
#[must_use]
pub fn decode(group: Vec<u8>, entries: &mut Vec<LogEntry>) -> Option<()> {
    let group = Bytes::from(group);
    let mut reader = Reader::new(&group);
    let first_n = reader.u64()?;
    let count = usize::try_from(reader.u32()?).ok()?;
    let origin_count = reader.u16()?;
    let mut origins = Vec::new();
    for _ in 0..origin_count {
        let author: Option<Arc<str>> = reader.text_option()?.map(Arc::from);
        origins.push((author, reader.u64()?));
    }
    // Four varints of at least a byte each stand for every entry.
    if count > reader.rest().len() / 4 {
        return None;
    }
    let start = entries.len();
    entries.reserve(count);
    let (mut position, mut time) = (0u64, 0u64);
    for index in 0..count {
        let (author, device) = origins.get(usize::try_from(reader.varint()?).ok()?)?;
        position = position.wrapping_add(reader.varint()?);
        time = time.wrapping_add(unzigzag(reader.varint()?) as u64);
        let len = usize::try_from(reader.varint()?).ok()?;
        entries.push(LogEntry {
            n: first_n.checked_add(index as u64)?,
            position,
            stamp: Stamp::new(time >> 16, time as u16, *device),
            author: author.clone(),
            // Lengths first, bytes after all of them: the slice is cut in the second pass.
            bytes: if len <= group.len() { group.slice(..len) } else { return None },
        });
    }
    let mut at = group.len() - reader.rest().len();
    for entry in &mut entries[start..] {
        let end = at.checked_add(entry.bytes.len())?;
        if end > group.len() {
            return None;
        }
        entry.bytes = group.slice(at..end);
        at = end;
    }
    (at == group.len()).then_some(())
}

fn high(stamp: Stamp) -> u64 {
    stamp.ms() << 16 | u64::from(stamp.counter())
}
