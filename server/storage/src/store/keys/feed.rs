//! `feed`: what changed when. Key: vault, kind, seq. Value: document id, 16 bytes. Written by the
//! fold of every commit to the feed, which removes the item's row before it; read by `verify`.
//! Never holds two rows of one item.

use sheaf_protocol::ids::{DocId, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::Key;

/// The key of a place in the feed.
#[must_use]
pub fn key(vault: VaultNo, seq: u64) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Feed);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// The seq in a key.
#[must_use]
pub fn seq(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(5..)?.try_into().ok()?))
}

/// The stored id.
#[must_use]
pub fn encode(doc: DocId) -> Vec<u8> {
    doc.0.to_bytes().to_vec()
}

/// The inverse of `encode`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<DocId> {
    Some(DocId(Stamp::from_bytes(bytes.try_into().ok()?)))
}
