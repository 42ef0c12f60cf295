//! `floors`: where a thinned log begins. Key: vault, kind, document id. Written with the deletes
//! that thin a log, read by `verify`, which needs a digest to start from.
//! Never rises above the oldest checkpoint that is kept.

use sheaf_protocol::ids::DocKey;

use super::Key;
use crate::store::codec::Reader;

/// The last entry that was thinned away, and the digest up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floor {
    /// n of the last entry that is gone; 0 when none is.
    pub n: u64,
    /// Running digest of the entries up to it.
    pub digest: [u8; 16],
    /// Bytes of entries that went since the last older state that was kept.
    pub unanchored: u64,
}

/// The key of a document's floor.
#[must_use]
pub fn key(doc: DocKey) -> Vec<u8> {
    super::doc_prefix(doc, Key::Floors)
}

impl Floor {
    /// n u64 (little-endian), digest 16 bytes, unanchored u64 if it is not 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.n.to_le_bytes().to_vec();
        out.extend_from_slice(&self.digest);
        if self.unanchored > 0 {
            out.extend_from_slice(&self.unanchored.to_le_bytes());
        }
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (n, digest) = (reader.u64()?, reader.array()?);
        let unanchored = if reader.is_empty() { 0 } else { reader.u64()? };
        let floor = Self { n, digest, unanchored };
        reader.is_empty().then_some(floor)
    }
}
