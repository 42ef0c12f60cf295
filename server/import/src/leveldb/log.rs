//! Records of a log file, whole and in order; the manifest is such a file, too.
//!
//! A file is blocks of 32 KiB, a record one fragment or several, each with a checksum. Used by
//! `leveldb` and `manifest`. Never takes an end that was cut off for damage: a server that was
//! killed leaves one.

use super::checksum;

const BLOCK_BYTES: usize = 32 << 10;
/// Checksum, length, kind.
const HEAD_BYTES: usize = 7;

/// What part of a record a fragment is.
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// The records of a file.
pub(super) struct Log<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Log<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it was read, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next record, or what is wrong where it should be; then it goes on with the next block.
    pub(super) fn next(&mut self) -> Option<Result<Vec<u8>, String>> {
        let mut record: Option<Vec<u8>> = None;
        loop {
            let (kind, data) = match self.fragment()? {
                Ok(fragment) => fragment,
                Err(why) => {
                    self.at = (self.at / BLOCK_BYTES + 1) * BLOCK_BYTES;
                    return Some(Err(why.to_owned()));
                }
            };
            match (kind, &mut record) {
                (FULL, None) => return Some(Ok(data.to_vec())),
                (FIRST, None) => record = Some(data.to_vec()),
                (MIDDLE, Some(record)) => record.extend_from_slice(data),
                (LAST, Some(_)) => {
                    let mut record = record?;
                    record.extend_from_slice(data);
                    return Some(Ok(record));
                }
                _ => return Some(Err("a record lacks its beginning or end".to_owned())),
            }
        }
    }

    /// The next fragment; nothing at the end, or where the end was cut off.
    fn fragment(&mut self) -> Option<Result<(u8, &'a [u8]), &'static str>> {
        loop {
            let left = BLOCK_BYTES - self.at % BLOCK_BYTES;
            if left < HEAD_BYTES {
                self.at += left;
                continue;
            }
            let head = self.bytes.get(self.at..self.at + HEAD_BYTES)?;
            let (stored, rest) = head.split_first_chunk::<4>()?;
            let (len, kind) = (usize::from(u16::from_le_bytes([rest[0], rest[1]])), rest[2]);
            if kind == 0 && len == 0 {
                // Room that was made beforehand and not used.
                self.at += left;
                continue;
            }
            if HEAD_BYTES + len > left {
                return Some(Err("a length does not fit its block"));
            }
            let end = self.at + HEAD_BYTES + len;
            // The checksum covers the kind, which stands right before the data.
            let covered = self.bytes.get(self.at + HEAD_BYTES - 1..end)?;
            if checksum(covered) != u32::from_le_bytes(*stored) {
                return Some(Err("a checksum does not hold"));
            }
            self.at = end;
            return Some(Ok((kind, &covered[1..])));
        }
    }
}
