//! `paths`: name to document. Key: vault, kind, name. Value: document id, 16 bytes. Written by the
//! fold of a creation, read when a session names a document.
//! Never points at a document without a head.

use sheaf_protocol::ids::{DocId, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::Key;

/// The key of a name.
#[must_use]
pub fn key(vault: VaultNo, name: &str) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Paths);
    key.extend_from_slice(name.as_bytes());
    key
}

/// The name in a key.
#[must_use]
pub fn name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(5..)?).ok()
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
