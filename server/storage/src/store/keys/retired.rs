//! `retired`: which documents had a name before, and the client ids of their histories. Key: vault,
//! kind, name, 0xFF, document id. Written by the fold of a deletion and a move, read when a
//! document of that name is opened.
//! Never the only witness: what a row does not say stands in the document's own log.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_varint};

/// Client ids of one row: with the widest of them it fits one record of the store.
pub const CLIENTS_MAX: usize = 768;

/// Ends the name. No text has this byte.
const END: u8 = 0xFF;

/// Bytes of a document id at the end of a key.
const DOC_BYTES: usize = 16;

/// What the keys of all documents begin with that had a name.
#[must_use]
pub fn prefix(vault: VaultNo, name: &str) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Retired);
    key.extend_from_slice(name.as_bytes());
    key.push(END);
    key
}

/// The key of a document that had a name.
#[must_use]
pub fn key(doc: DocKey, name: &str) -> Vec<u8> {
    let mut key = prefix(doc.vault, name);
    key.extend_from_slice(&doc.doc.0.to_bytes());
    key
}

/// The document of such a key.
#[must_use]
pub fn doc(key: &[u8]) -> Option<DocKey> {
    let (rest, doc) = key.split_last_chunk::<DOC_BYTES>()?;
    let vault = VaultNo(u32::from_be_bytes(*rest.first_chunk()?));
    let is_named = rest.last() == Some(&END);
    is_named.then(|| DocKey { vault, doc: DocId(Stamp::from_bytes(*doc)) })
}

/// The name in such a key.
#[must_use]
pub fn name(key: &[u8]) -> Option<&str> {
    let (rest, _) = key.split_last_chunk::<DOC_BYTES>()?;
    std::str::from_utf8(rest.get(5..)?.strip_suffix(&[END])?).ok()
}

/// count varint, client ids as varints. Without any, they are to be read from the document's log.
pub fn encode(out: &mut Vec<u8>, clients: &[u64]) {
    put_varint(out, clients.len() as u64);
    clients.iter().for_each(|client| put_varint(out, *client));
}

/// The inverse of `encode`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut reader = Reader::new(bytes);
    let count = usize::try_from(reader.varint()?).ok()?;
    let mut clients = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        clients.push(reader.varint()?);
    }
    reader.is_empty().then_some(clients)
}
