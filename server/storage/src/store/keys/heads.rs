//! `heads`: what a document is. Key: vault, kind, document id. Written by the fold of a creation, a
//! move and a deletion; read by every load.
//! Never changes with the document's content.

use sheaf_protocol::ids::DocKey;
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_text};

/// A document's name and birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Name within its vault.
    pub name: String,
    /// Changes when the document is re-created or its vault restored, so that old histories are
    /// never merged into doubled text.
    pub epoch: u64,
    /// When it was created.
    pub created: Stamp,
    /// Deleted: the name is free, and the log is kept.
    pub is_deleted: bool,
}

/// The key of a document's head.
#[must_use]
pub fn key(doc: DocKey) -> Vec<u8> {
    super::doc_prefix(doc, Key::Heads)
}

impl Head {
    /// epoch u64 (little-endian), stamp 16 bytes, name; a byte 1 when it is deleted.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 16 + 2 + self.name.len());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.created.to_bytes());
        put_text(&mut out, &self.name);
        if self.is_deleted {
            out.push(1);
        }
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let epoch = reader.u64()?;
        let created = Stamp::from_bytes(reader.array()?);
        let name = reader.text()?.to_owned();
        let is_deleted = match reader.rest() {
            [] => false,
            [1] => true,
            _ => return None,
        };
        Some(Self { name, epoch, created, is_deleted })
    }
}
