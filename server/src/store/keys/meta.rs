//! `meta`: facts of the whole server. Key: vault 0, kind, name. Read at open, written by each fold.
//! Never holds anything of one document.

use sheaf_protocol::ids::VaultNo;

use super::Key;
use crate::store::codec::Reader;

/// Name of the stored format's version: 4 bytes, little-endian.
pub const FORMAT: &str = "format";
/// Name of the end of what is folded.
pub const FOLDED: &str = "folded";

/// The key of a fact.
#[must_use]
pub fn key(name: &str) -> Vec<u8> {
    let mut key = super::vault_prefix(VaultNo(0), Key::Meta);
    key.extend_from_slice(name.as_bytes());
    key
}

/// How far the journal is folded, and what is known at that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folded {
    /// End of the last folded record, exclusive.
    pub position: u64,
    /// CRC of the last folded record, which the next one names.
    pub link: u32,
    /// Highest presence clock that was ever given out.
    pub presence: u64,
}

impl Folded {
    /// position u64, link u32, presence u64; little-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.link.to_le_bytes());
        out.extend_from_slice(&self.presence.to_le_bytes());
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let folded = Self { position: reader.u64()?, link: reader.u32()?, presence: reader.u64()? };
        reader.is_empty().then_some(folded)
    }
}
