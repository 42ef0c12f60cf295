//! `items`: a file as of its last settled body. Key: vault, kind, document id. Written by the fold
//! of a settled body, a move and a deletion; read at start, when the vault's index is built.
//! Never decides whether a document exists: heads, paths and the witness do.

use std::sync::Arc;

use sheaf_protocol::ids::DocKey;
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_text, put_text_option};

/// What the content of a document is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Body {
    /// Nothing.
    Empty = 0,
    /// A text.
    Text = 1,
    /// Root types that are no text.
    Other = 2,
    /// Bytes of any kind, kept outside the document.
    Blob = 3,
}

/// A file as of its last settled body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place in the feed.
    pub seq: u64,
    /// The document's count of entries.
    pub n: u64,
    /// What its content is.
    pub body: Body,
    /// Deleted: the item is a tombstone.
    pub is_deleted: bool,
    /// Bytes of the text or blob, or of the stored state where there is neither.
    pub size: u64,
    /// Bytes of the document as stored: what its vault is charged with.
    pub bytes: u64,
    /// SHA-256 of the text or blob.
    pub hash: Option<[u8; 32]>,
    /// When it last changed.
    pub updated: Stamp,
    /// Who changed it last.
    pub author: Option<Arc<str>>,
    /// The device it was changed from last; 0 where none is named.
    pub device: u64,
    /// Its path; of a tombstone its last one.
    pub path: Arc<str>,
    /// The path before, if its last change was a move.
    pub from: Option<Arc<str>>,
}

/// Bit of the body's byte that makes an item a tombstone.
const DELETED: u8 = 0x80;
/// Bit that a device is named.
const DEVICE: u8 = 0x40;
/// Bit that it was moved.
const MOVED: u8 = 0x20;

/// The key of a document's item.
#[must_use]
pub fn key(doc: DocKey) -> Vec<u8> {
    super::doc_prefix(doc, Key::Items)
}

impl Item {
    /// seq u64, n u64, body u8 (0x80: deleted, 0x40: has a device, 0x20: was moved), size u64,
    /// bytes u64 (little-endian), hash (a presence byte, 32 bytes), stamp 16 bytes, author text or
    /// none, path text, then the device u64 and the path before the move, where there are.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.path.len());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.n.to_le_bytes());
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = flag(self.is_deleted, DELETED) | flag(self.device != 0, DEVICE);
        out.push(self.body as u8 | flags | flag(self.from.is_some(), MOVED));
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.push(u8::from(self.hash.is_some()));
        out.extend_from_slice(self.hash.as_ref().map_or(&[][..], |hash| hash));
        out.extend_from_slice(&self.updated.to_bytes());
        put_text_option(&mut out, self.author.as_deref());
        put_text(&mut out, &self.path);
        if self.device != 0 {
            out.extend_from_slice(&self.device.to_le_bytes());
        }
        if let Some(from) = &self.from {
            put_text(&mut out, from);
        }
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let item = Self::read(&mut reader)?;
        reader.is_empty().then_some(item)
    }

    /// Reads one that more may follow.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (seq, n, flags) = (reader.u64()?, reader.u64()?, reader.u8()?);
        let is_deleted = flags & DELETED != 0;
        let body = match flags & !(DELETED | DEVICE | MOVED) {
            0 => Body::Empty,
            1 => Body::Text,
            2 => Body::Other,
            3 => Body::Blob,
            _ => return None,
        };
        let (size, bytes) = (reader.u64()?, reader.u64()?);
        let hash = match reader.u8()? {
            0 => None,
            1 => Some(reader.array()?),
            _ => return None,
        };
        let updated = Stamp::from_bytes(reader.array()?);
        let author = reader.text_option()?.map(Arc::from);
        let path = Arc::from(reader.text()?);
        let device = if flags & DEVICE == 0 { 0 } else { reader.u64()? };
        let from = if flags & MOVED == 0 { None } else { Some(Arc::from(reader.text()?)) };
        Some(Self {
            seq,
            n,
            body,
            is_deleted,
            size,
            bytes,
            hash,
            updated,
            author,
            device,
            path,
            from,
        })
    }
}
