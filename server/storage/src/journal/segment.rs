//! Segment files: their names, headers and listing. A segment's file is named by its base, the
//! position of its first record; position `p` stands at offset `p - base + HEADER_BYTES`.
//! Called by the writer, recovery, the fold and `verify`.
//! Never reads or writes a record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::store::disk::{Disk, DiskFile, Files, read_full_at, write_all_at};

/// Size of the header.
pub const HEADER_BYTES: u64 = 32;
/// Version of the segment and record format.
pub const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"SHEAFJNL";
const SUFFIX: &str = "segment";

/// An open segment.
#[derive(Clone)]
pub struct Segment {
    /// Position of its first record.
    pub base: u64,
    /// Its file.
    pub file: Arc<dyn DiskFile>,
}

/// The header's content: magic, format u32, base u64, link u32, four zeros, CRC32C u32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Position of the first record.
    pub base: u64,
    /// Checksum of the last record of the segment before.
    pub link: u32,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut out = [0; HEADER_BYTES as usize];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..20].copy_from_slice(&self.base.to_le_bytes());
        out[20..24].copy_from_slice(&self.link.to_le_bytes());
        let crc = crc32c::crc32c(&out[..28]);
        out[28..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The inverse of `encode`; `None` for anything else, another format included.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES as usize] = bytes.first_chunk()?;
        let crc = u32::from_le_bytes(*bytes.last_chunk()?);
        if !bytes.starts_with(MAGIC) || crc32c::crc32c(&bytes[..28]) != crc {
            return None;
        }
        if bytes[8..12] != FORMAT.to_le_bytes() {
            return None;
        }
        let base = u64::from_le_bytes(*bytes[12..].first_chunk()?);
        let link = u32::from_le_bytes(*bytes[20..].first_chunk()?);
        Some(Self { base, link })
    }
}

/// The path of the segment with that base.
#[must_use]
pub fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.{SUFFIX}"))
}

/// The bases of all segments in a directory, in order.
///
/// # Errors
/// What reading the directory reports.
pub fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|suffix| suffix != SUFFIX) {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        bases.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Creates a segment and its header. Its name is on disk only after `Disk::sync_dir`.
///
/// # Errors
/// What the disk reports. A file without a whole header may be left; recovery removes it.
pub fn create(disk: &dyn Disk, dir: &Path, header: Header) -> io::Result<Segment> {
    let path = path(dir, header.base);
    let file = match disk.create_log(&path) {
        // Left by an attempt that failed before its first record.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&path)?;
            disk.create_log(&path)?
        }
        other => other?,
    };
    write_all_at(&*file, &header.encode(), 0)?;
    Ok(Segment { base: header.base, file })
}
