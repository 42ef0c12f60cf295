//! The envelope of every stored value: a format version, a place among its chunks and a CRC32C
//! over key and content. Called by the typed methods of `store`.
//! Never returns content whose checksum, order or count is wrong.

use super::Error;
use super::engine::{Batch, Engine, Pair};
use super::keys::{self, Key};

/// Version of the envelope; a reader refuses others.
pub const VALUE_VERSION: u8 = 1;

/// version 1, kind of key 1, chunk 2, count 2, crc 4.
const HEADER_BYTES: usize = 10;

/// Content of one sled record. sled rewrites whole leaves of up to 17 records and moves a leaf over
/// 131,056 bytes (a quarter of its 512 KiB segment) to a file that nothing syncs; 17 × 7,168 bytes
/// with their keys and headers stay below that.
pub const CHUNK_BYTES_MAX: usize = 7 * 1024;

/// Largest value: what 16-bit chunk numbers can name.
pub const VALUE_BYTES_MAX: usize = CHUNK_BYTES_MAX * u16::MAX as usize;

/// Chunks read by one engine call.
const SCAN_CHUNKS: usize = 256;

/// Puts a value that fits one record.
///
/// # Errors
/// `TooLarge` over `CHUNK_BYTES_MAX`.
pub(super) fn put_one(batch: &mut Batch, key: &[u8], body: &[u8]) -> Result<(), Error> {
    if body.len() > CHUNK_BYTES_MAX {
        return Err(Error::TooLarge { bytes: body.len(), bytes_max: CHUNK_BYTES_MAX });
    }
    batch.put(key, seal(key, 0, 1, body));
    Ok(())
}

/// Puts a value in as many records as it needs, under `key` and a chunk number.
///
/// # Errors
/// `TooLarge` over `VALUE_BYTES_MAX`.
pub(super) fn put_chunked(batch: &mut Batch, key: &[u8], body: &[u8]) -> Result<(), Error> {
    if body.len() > VALUE_BYTES_MAX {
        return Err(Error::TooLarge { bytes: body.len(), bytes_max: VALUE_BYTES_MAX });
    }
    let count = body.len().div_ceil(CHUNK_BYTES_MAX).max(1) as u16;
    for index in 0..count {
        let start = usize::from(index) * CHUNK_BYTES_MAX;
        let end = body.len().min(start + CHUNK_BYTES_MAX);
        let key = keys::chunk(key, index);
        let value = seal(&key, index, count, &body[start..end]);
        batch.put(key, value);
    }
    Ok(())
}

/// Reads a value of one record.
///
/// # Errors
/// `Corrupt` when the envelope does not hold.
pub(super) fn get_one(engine: &dyn Engine, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let Some(mut value) = engine.get(key)? else { return Ok(None) };
    let opened = open(key, &value)?;
    if opened.count != 1 || opened.index != 0 {
        return Err(Error::corrupt(key, "chunk number of a value that is not chunked"));
    }
    value.drain(..HEADER_BYTES);
    Ok(Some(value))
}

/// Visits every whole value below `prefix` whose base key (without chunk number) is greater than
/// `after`, in key order, until `visit` says `false`.
///
/// # Errors
/// `Corrupt` for a bad envelope and for missing chunks; what `visit` returns.
pub(super) fn each_chunked(
    engine: &dyn Engine,
    prefix: &[u8],
    after: Option<&[u8]>,
    mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut from = after.map(|key| keys::chunk(key, u16::MAX));
    let mut open_value: Option<(Vec<u8>, u16, Vec<u8>)> = None;
    loop {
        let pairs = engine.scan(prefix, from.as_deref(), SCAN_CHUNKS)?;
        let is_last = pairs.len() < SCAN_CHUNKS;
        for (key, value) in pairs {
            let piece = open(&key, &value)?;
            let base = keys::without_chunk(&key).ok_or(Error::corrupt(&key, "key too short"))?;
            let index = keys::chunk_number(&key);
            let (have, mut body) = match open_value.take() {
                None => (0, Vec::new()),
                Some((open_base, have, body)) if open_base == base => (have, body),
                Some((open_base, ..)) => return Err(Error::corrupt(&open_base, "chunks missing")),
            };
            if piece.index != index || index != have {
                return Err(Error::corrupt(&key, "chunk missing or out of order"));
            }
            body.extend_from_slice(piece.body);
            if index + 1 < piece.count {
                open_value = Some((base.to_vec(), index + 1, body));
            } else if !visit(base, body)? {
                return Ok(());
            }
            from = Some(key);
        }
        if is_last {
            return match open_value {
                Some((base, ..)) => Err(Error::corrupt(&base, "chunks missing")),
                None => Ok(()),
            };
        }
    }
}

/// Deletes every record below `prefix` whose base key is at most `through`.
pub(super) fn delete_through(
    engine: &dyn Engine,
    batch: &mut Batch,
    prefix: &[u8],
    through: &[u8],
) -> Result<(), Error> {
    let mut from: Option<Vec<u8>> = None;
    loop {
        let pairs = engine.scan(prefix, from.as_deref(), SCAN_CHUNKS)?;
        let is_last = pairs.len() < SCAN_CHUNKS;
        for (key, _) in &pairs {
            if keys::without_chunk(key).is_none_or(|base| base > through) {
                return Ok(());
            }
            batch.delete(key.as_slice());
        }
        match pairs.into_iter().next_back() {
            Some((key, _)) if !is_last => from = Some(key),
            _ => return Ok(()),
        }
    }
}

/// Checks one record's envelope, for `verify`.
///
/// # Errors
/// `Corrupt` when it does not hold.
pub(super) fn check((key, value): &Pair) -> Result<(), Error> {
    open(key, value).map(|_| ())
}

/// The content of a pair that a scan returned, of a value that fits one record.
///
/// # Errors
/// `Corrupt` when the envelope does not hold.
pub(super) fn body((key, value): &Pair) -> Result<&[u8], Error> {
    open(key, value).map(|piece| piece.body)
}

struct Piece<'a> {
    index: u16,
    count: u16,
    body: &'a [u8],
}

fn seal(key: &[u8], index: u16, count: u16, body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER_BYTES + body.len());
    value.push(VALUE_VERSION);
    value.push(Key::kind_byte(key));
    value.extend_from_slice(&index.to_le_bytes());
    value.extend_from_slice(&count.to_le_bytes());
    let crc = checksum(key, &value, body);
    value.extend_from_slice(&crc.to_le_bytes());
    value.extend_from_slice(body);
    value
}

fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<Piece<'a>, Error> {
    let Some((header, body)) = value.split_at_checked(HEADER_BYTES) else {
        return Err(Error::corrupt(key, "value shorter than its header"));
    };
    let crc = u32::from_le_bytes([header[6], header[7], header[8], header[9]]);
    if checksum(key, &header[..6], body) != crc {
        return Err(Error::corrupt(key, "checksum"));
    }
    if header[0] != VALUE_VERSION {
        return Err(Error::corrupt(key, "value version unknown to this build"));
    }
    let index = u16::from_le_bytes([header[2], header[3]]);
    let count = u16::from_le_bytes([header[4], header[5]]);
    Ok(Piece { index, count, body })
}

/// The key is part of it: a whole, valid value under the wrong key is damage too.
fn checksum(key: &[u8], header: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), header), body)
}
