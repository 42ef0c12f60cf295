//! `lost`: entries that damage took and an operator accepted as gone. Key: vault, kind, document
//! id, n of the first lost entry. Value: n of the last one, 8 bytes, little-endian.
//! Never written but in repair.

use sheaf_protocol::ids::DocKey;

use super::Key;

/// The key of a lost range.
#[must_use]
pub fn key(doc: DocKey, first_n: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Lost, first_n)
}

/// The stored end.
#[must_use]
pub fn encode(last_n: u64) -> Vec<u8> {
    last_n.to_le_bytes().to_vec()
}

/// The inverse of `encode`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
