//! `ckpt`: a document's merged state. Key: vault, kind, document id, n of the last entry in it;
//! chunked. Written by `document::checkpoint` through the store, read by every load.
//! Never decodes a state.

use sheaf_protocol::ids::DocKey;

use super::Key;
use crate::store::codec::Reader;

/// The key of a checkpoint.
#[must_use]
pub fn key(doc: DocKey, n: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Ckpt, n)
}

/// position u64 (little-endian), digest of the entries up to n (16 bytes), then the state.
#[must_use]
pub fn encode(position: u64, digest: [u8; 16], state: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + state.len());
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&digest);
    out.extend_from_slice(state);
    out
}

/// Position, digest and state.
#[must_use]
pub fn decode(mut bytes: Vec<u8>) -> Option<(u64, [u8; 16], Vec<u8>)> {
    let mut reader = Reader::new(&bytes);
    let (position, digest) = (reader.u64()?, reader.array()?);
    bytes.drain(..24);
    Some((position, digest, bytes))
}
