//! `aside`: bytes that are not part of a document's state but must not be lost: quarantined updates
//! and copies kept for their owner. Key: vault, kind, document id, position; chunked.
//! Never read by a load.

use std::sync::Arc;

use sheaf_protocol::ids::DocKey;
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_text_option};

/// Why bytes lie aside. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The document refused or could not survive them.
    Quarantined = 4,
    /// A second copy, kept for its owner.
    Kept = 5,
}

/// Bytes laid aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where its record started in the journal.
    pub position: u64,
    /// Why it lies here.
    pub why: Why,
    /// The document's count of entries then.
    pub n: u64,
    /// When it came.
    pub stamp: Stamp,
    /// Who sent it.
    pub author: Option<Arc<str>>,
    /// The payload of the journal's record.
    pub payload: Vec<u8>,
}

/// The key of what was laid aside at a position.
#[must_use]
pub fn key(doc: DocKey, position: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Aside, position)
}

impl Aside {
    /// why u8, n u64 (little-endian), stamp 16 bytes, author text or none, payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(28 + self.payload.len());
        out.push(self.why as u8);
        out.extend_from_slice(&self.n.to_le_bytes());
        out.extend_from_slice(&self.stamp.to_bytes());
        put_text_option(&mut out, self.author.as_deref());
        out.extend_from_slice(&self.payload);
        out
    }

    /// The inverse of `encode`; the position stands in the key.
    #[must_use]
    pub fn decode(position: u64, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let why = match reader.u8()? {
            4 => Why::Quarantined,
            5 => Why::Kept,
            _ => return None,
        };
        let n = reader.u64()?;
        let stamp = Stamp::from_bytes(reader.array()?);
        let author = reader.text_option()?.map(Arc::from);
        Some(Self { position, why, n, stamp, author, payload: reader.rest().to_vec() })
    }
}
