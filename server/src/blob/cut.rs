//! Where large blobs are cut: by their content, so that an insertion moves no cut but those beside
//! it and all other chunks are the ones that are here already.
//!
//! Called while a blob comes in. Never decides what a stored blob is: that is its list, so other
//! cuts would only share less.

use fastcdc::v2020::FastCDC;

/// The least and the greatest chunk, but for a blob's last one, and what they have on average. A
/// chunk is a file with a directory entry: below this they would be many; above it a small edit of
/// a large file would cost more than it has to.
pub const CHUNK_BYTES_MIN: usize = 64 << 10;
/// As a transfer holds at most one chunk, this is what one costs in memory.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// See `CHUNK_BYTES_MIN`.
pub const CHUNK_BYTES_AVERAGE: usize = 256 << 10;

/// A blob of up to so many bytes is one piece.
pub const WHOLE_BYTES_MAX: usize = CHUNK_BYTES_MAX;

/// Where the first chunk of these bytes ends. They are all that is left of the blob, or more than
/// the greatest chunk: then the cut is the same whatever follows.
pub(super) fn first(bytes: &[u8]) -> usize {
    let cutter = FastCDC::new(bytes, CHUNK_BYTES_MIN, CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX);
    cutter.cut(0, bytes.len()).1
}

#[cfg(test)]
mod tests;
