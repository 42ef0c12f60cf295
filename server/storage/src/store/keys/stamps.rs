//! `stamps`: changes that clients stamped, so that one that comes again is known. Key: vault, kind,
//! the change's stamp. Written by the fold, read before a change is looked at.
//! Never forgets a stamp while a client may still try again.

use sheaf_protocol::ids::{DocId, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::Reader;

/// What a stamped change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    /// The document.
    pub doc: DocId,
    /// The version that has the change.
    pub seq: u64,
    /// A hash of the request: another one with the same stamp is a mistake.
    pub fingerprint: u64,
    /// When it came, in Unix milliseconds: a client that was away stamps long before.
    pub received_ms: u64,
    /// Files that it deleted or moved; 0 of one that came in.
    pub count: u32,
}

/// The key of a stamp. The keys of a vault are in the order of their stamps.
#[must_use]
pub fn key(vault: VaultNo, stamp: Stamp) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Stamps);
    key.extend_from_slice(&stamp.to_bytes());
    key
}

/// The stamp of a key.
#[must_use]
pub fn stamp(key: &[u8]) -> Option<Stamp> {
    key.last_chunk().map(|bytes| Stamp::from_bytes(*bytes))
}

impl Stamped {
    /// document id 16 bytes, seq u64, fingerprint u64, milliseconds u64, count u32 (little-endian).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.doc.0.to_bytes().to_vec();
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        out.extend_from_slice(&self.received_ms.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let doc = DocId(Stamp::from_bytes(reader.array()?));
        let (seq, fingerprint, received_ms) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let count = u32::from_le_bytes(reader.array()?);
        reader.is_empty().then_some(Self { doc, seq, fingerprint, received_ms, count })
    }
}
