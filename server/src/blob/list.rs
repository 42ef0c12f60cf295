//! A large blob on disk: the list of its chunks, in order.
//!
//! Written when a blob is stored, read when it is opened or swept. Never holds a chunk over a
//! chunk's bounds, and never believes a list without its checksum.

use super::cut::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, WHOLE_BYTES_MAX};
use super::hash::Hash;

/// How a list begins: a word, and the version of what follows.
const HEAD: &[u8; 5] = b"SHBL\x01";
/// Head, hash and size of the blob, and the count.
const BEFORE: usize = HEAD.len() + 32 + 8 + 4;
/// Hash and length of a chunk.
const EACH: usize = 32 + 4;

/// Part of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Of its bytes.
    pub hash: Hash,
    /// How many there are.
    pub bytes: u32,
}

/// Bytes of all of them.
pub fn size(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
}

/// Whether these can be the chunks of a large blob: no client's list may make the server keep a
/// file for every byte.
///
/// # Errors
/// What is wrong with them.
pub fn check(chunks: &[Chunk]) -> Result<(), &'static str> {
    let Some((last, others)) = chunks.split_last() else { return Err("the list is empty") };
    let bounds = CHUNK_BYTES_MIN as u32..=CHUNK_BYTES_MAX as u32;
    if !others.iter().all(|chunk| bounds.contains(&chunk.bytes)) {
        return Err("a chunk has from 65536 to 1048576 bytes");
    }
    if !(1..=*bounds.end()).contains(&last.bytes) {
        return Err("the last chunk has from 1 to 1048576 bytes");
    }
    if size(chunks) <= WHOLE_BYTES_MAX as u64 {
        return Err("a blob of up to 1048576 bytes is one piece: put it as it is");
    }
    Ok(())
}

/// `SHBL`, version, hash of the blob, its size (u64), count of chunks (u32), each with hash and
/// length (u32), then the CRC32C of all that (u32). Numbers are big-endian.
pub(super) fn encode(blob: &Hash, chunks: &[Chunk]) -> Vec<u8> {
    let mut out = Vec::with_capacity(BEFORE + chunks.len() * EACH + 4);
    out.extend_from_slice(HEAD);
    out.extend_from_slice(&blob.0);
    out.extend_from_slice(&size(chunks).to_be_bytes());
    out.extend_from_slice(&(chunks.len() as u32).to_be_bytes());
    for chunk in chunks {
        out.extend_from_slice(&chunk.hash.0);
        out.extend_from_slice(&chunk.bytes.to_be_bytes());
    }
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

/// The inverse of `encode`; none if anything is not as it was written.
pub(super) fn decode(blob: &Hash, bytes: &[u8]) -> Option<Vec<Chunk>> {
    let (inside, sum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(inside) != u32::from_be_bytes(*sum) {
        return None;
    }
    let rest = inside.strip_prefix(HEAD)?.strip_prefix(&blob.0)?;
    let (total, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let chunks: Vec<Chunk> = rest
        .chunks_exact(EACH)
        .map(|each| Chunk {
            hash: Hash(each[..32].try_into().expect("32 bytes")),
            bytes: u32::from_be_bytes(each[32..].try_into().expect("4 bytes")),
        })
        .collect();
    let is_whole = rest.len() == chunks.len() * EACH
        && chunks.len() == u32::from_be_bytes(*count) as usize
        && size(&chunks) == u64::from_be_bytes(*total);
    (is_whole && check(&chunks).is_ok()).then_some(chunks)
}

#[cfg(test)]
mod tests;
