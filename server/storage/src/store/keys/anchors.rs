//! `anchors`: older states of a document, from which its past is read on. Key: vault, kind,
//! document id, n of the last entry in it; chunked. Value: the state, compressed. Written when a
//! checkpoint is replaced and when versions are thinned.
//! Never read to open a document.

use sheaf_protocol::ids::DocKey;

use super::Key;

/// The key of an older state.
#[must_use]
pub fn key(doc: DocKey, n: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Anchors, n)
}
